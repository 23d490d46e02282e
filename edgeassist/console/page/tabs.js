// Views as ARIA tabs: one is shown, arrow keys go along.
import { el } from "./dom.js";
import { keep, recall } from "./kept.js";
import { t } from "./texts.js";

/** Shows one of `views` (by name: a module with `mount`) in `place`. */
export class Tabs {
  #bar;
  #place;
  #views;
  #context;
  #shown = null;
  #mounted = null;

  constructor(bar, place, views, context) {
    this.#bar = bar;
    this.#place = place;
    this.#views = views;
    this.#context = context;
    const known = recall("view");
    this.#shown = known in views ? known : Object.keys(views)[0];
  }

  /** Draws all anew, in the language in force. */
  draw() {
    const tabs = Object.keys(this.#views).map((name) =>
      el("button", {
        type: "button",
        role: "tab",
        id: `tab-${name}`,
        "aria-controls": "view",
        "aria-selected": String(name === this.#shown),
        tabindex: name === this.#shown ? "0" : "-1",
        text: t(`common.tab.${name}`),
        onclick: () => this.show(name),
        onkeydown: (event) => this.#key(event, name),
      }),
    );
    this.#bar.replaceChildren(el("div", { role: "tablist", "aria-label": t("common.tabs") }, ...tabs));
    this.#mount();
  }

  /** Ends the view that is shown, and shows none. */
  clear() {
    this.#mounted?.unmount();
    this.#mounted = null;
    this.#bar.replaceChildren();
    this.#place.replaceChildren();
    this.#place.removeAttribute("role");
    this.#place.removeAttribute("aria-labelledby");
  }

  /** Shows a view. */
  show(name) {
    if (name === this.#shown && this.#mounted) return;
    this.#shown = name;
    keep("view", name);
    for (const tab of this.#bar.querySelectorAll("[role=tab]")) {
      const chosen = tab.id === `tab-${name}`;
      tab.setAttribute("aria-selected", String(chosen));
      tab.tabIndex = chosen ? 0 : -1;
    }
    this.#mount();
  }

  #mount() {
    this.#mounted?.unmount();
    // One that fails to be mounted leaves none, and the others stay.
    this.#mounted = null;
    this.#place.replaceChildren();
    this.#place.setAttribute("role", "tabpanel");
    this.#place.setAttribute("aria-labelledby", `tab-${this.#shown}`);
    this.#mounted = this.#views[this.#shown].mount(this.#place, this.#context);
  }

  #key(event, name) {
    const names = Object.keys(this.#views);
    const at = names.indexOf(name);
    const next = { ArrowRight: at + 1, ArrowLeft: at - 1, Home: 0, End: names.length - 1 }[event.key];
    if (next === undefined) return;
    event.preventDefault();
    const chosen = names[(next + names.length) % names.length];
    this.show(chosen);
    document.getElementById(`tab-${chosen}`).focus();
  }
}
