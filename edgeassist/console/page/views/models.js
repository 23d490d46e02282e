// Which models the device has, which one it serves, and how another one comes.
import { objectsIn } from "../box.js";
import { put } from "../chart.js";
import { el, field, say } from "../dom.js";
import { hasText, t } from "../texts.js";
import { confirmed, listed, percent, size, whyOf } from "../words.js";

// A device says twice a second how far it is, but a step may take long.
const PATIENCE_S = 300;
// How often it is asked how far a pull is that somebody else began.
const EVERY_S = 2;

export function mount(place, { box, commands, connection }) {
  let list = null;
  let root = box.root;
  let model = box.health?.model;
  let mounted = true;
  let timer = null;
  // By action, what this view waits for: `use` and `pull` go beside each other.
  const working = new Map();

  const told = el("p");
  const trouble = el("p", { class: "bad", role: "alert" });
  const body = el("tbody");
  const heads = ["name", "backend", "size", "source"].map((name) => el("th", { scope: "col", text: t(`models.${name}`) }));
  const caption = el("caption", { class: "unseen", text: t("models.title") });
  const table = el("table", {}, caption, el("thead", {}, el("tr", {}, ...heads, el("td"))), body);
  const frame = el("div", { class: "scrolls card", tabindex: "0", role: "region", "aria-label": t("models.title") }, table);
  const using = new Work("use");
  const pulling = new Work("pull", () => stopPull());
  const source = el("input", { type: "text", required: true, spellcheck: "false", autocapitalize: "none", autocomplete: "off", maxlength: "1024" });
  const get = el("button", { type: "submit", class: "primary", text: t("models.pull") });
  const form = el(
    "form",
    {
      class: "card",
      onsubmit: (event) => {
        event.preventDefault();
        if (source.value.trim()) give("pull", source.value.trim());
      },
    },
    el("h3", { text: t("models.get") }),
    field(t("models.from"), source, t("models.from.hint")),
    get,
    pulling.element,
  );
  place.append(el("h2", { text: t("models.title") }), told, trouble, using.element, frame, form);

  const draw = () => {
    put(told, list ? t("models.serves", { model: list.in_use, loaded: box.health?.model ?? t("models.none-loaded") }) : t("requests.asking"));
    if (!list && trouble.textContent) put(told, "");
    frame.hidden = !list;
    const names = list?.models.map((each) => each.name) ?? [];
    if (body.dataset.names !== JSON.stringify(names)) {
      body.dataset.names = JSON.stringify(names);
      body.replaceChildren(...(list?.models ?? []).map((each) => rowOf(each, () => use(each.name))));
    }
    for (const [at, name] of names.entries()) mark(body.children[at], name === list.in_use, name === list.default, working.has("use"));
    const switching = list?.switching_to;
    if (!working.has("use")) using.show(switching ? { model: switching } : null);
    const away = list?.pulling;
    if (!working.has("pull")) pulling.show(away ?? null);
    get.disabled = working.has("pull") || Boolean(away);
    clearTimeout(timer);
    if (mounted && list && ((away && !working.has("pull")) || (switching && !working.has("use")))) timer = setTimeout(look, EVERY_S * 1000);
  };

  const look = async () => {
    const asked = root;
    try {
      const answer = await commands.give(root, "model", { action: "list" });
      if (!mounted || asked !== root || !Array.isArray(answer.models)) return;
      if (!list) put(trouble, "");
      list = { ...answer, models: objectsIn(answer.models) };
    } catch (error) {
      if (!mounted || asked !== root) return;
      list = null;
      put(trouble, whyOf(error));
    }
    draw();
  };

  const give = async (action, name) => {
    if (working.has(action)) return;
    const asked = root;
    const work = action === "use" ? using : pulling;
    working.set(action, name);
    put(trouble, "");
    work.show({ model: name });
    draw();
    try {
      const onProgress = (data) => mounted && asked === root && work.show({ model: name, ...data });
      const answer = await commands.give(root, "model", { action, model: name }, { onProgress, patience_s: PATIENCE_S });
      if (!mounted || asked !== root) return;
      if (action === "pull") source.value = "";
      const words = action === "use" && answer.switched === false ? "models.use.already" : `models.${action}.done`;
      say([t(words, { model: answer.model ?? answer.name ?? name }), answer.warning ?? ""].join(" ").trim());
      put(trouble, answer.warning ?? "");
    } catch (error) {
      if (!mounted || asked !== root) return;
      put(trouble, whyOf(error));
    } finally {
      if (asked === root) working.delete(action);
    }
    await look();
  };

  const use = async (name) => {
    const asked = root;
    if (await confirmed(t("models.use.confirm", { model: name, device: box.device }), t("models.use"))) {
      if (mounted && asked === root) await give("use", name);
    }
  };

  const stopPull = async () => {
    try {
      const { cancelled } = await commands.give(root, "model", { action: "cancel" });
      say(t("models.cancelled", { model: cancelled }));
    } catch (error) {
      put(trouble, whyOf(error));
    }
    look();
  };

  const changed = () => {
    if (box.root !== root) {
      root = box.root;
      list = null;
      working.clear();
      put(trouble, "");
      draw();
      look();
    } else if (box.health?.model !== model) look();
    model = box.health?.model;
  };
  let online = connection.state === "online";
  const ends = [
    box.news.watch(changed),
    box.turns.watch((status) => status === "online" && look()),
    connection.news.watch(() => {
      if (connection.state === "online" && !online) look();
      online = connection.state === "online";
    }),
  ];
  draw();
  look();
  return {
    unmount() {
      mounted = false;
      clearTimeout(timer);
      for (const end of ends) end();
    },
  };
}

function rowOf(model, use) {
  const button = el("button", { type: "button", text: t("models.use"), "aria-label": t("models.use.of", { model: model.name }), onclick: use });
  return el(
    "tr",
    {},
    el("th", { scope: "row" }, el("span", { text: model.name }), " ", el("span", { class: "badge" })),
    el("td", { text: model.backend ?? "" }),
    el("td", { text: model.size_bytes == null ? "" : size(model.size_bytes) }),
    el("td", { text: model.source ?? "" }),
    el("td", {}, button),
  );
}

function mark(row, inUse, isDefault, busy) {
  const words = listed([inUse ? t("models.in-use") : "", isDefault ? t("models.default") : ""]);
  const badge = row.querySelector(".badge");
  put(badge, words);
  badge.hidden = !words;
  const button = row.querySelector("button");
  button.disabled = inUse || busy;
}

/** How far something is that takes its time. */
class Work {
  #action;
  #words = el("p");
  #bar = el("progress", { max: "1" });
  #stop;

  constructor(action, stop = null) {
    this.#action = action;
    this.#stop = stop && el("button", { type: "button", text: t("models.cancel"), onclick: stop });
    this.element = el("div", { class: "work", hidden: true }, this.#words, this.#bar, this.#stop);
    this.#bar.setAttribute("aria-label", t(`models.${action}.bar`));
  }

  /** Shows what the device says of it; null: nothing goes on. */
  show(said) {
    this.element.hidden = !said;
    if (!said) return;
    const share = said.fraction ?? (said.total_bytes > 0 ? said.done_bytes / said.total_bytes : null);
    if (share === null || !Number.isFinite(share)) this.#bar.removeAttribute("value");
    else this.#bar.value = Math.min(1, Math.max(0, share));
    put(this.#words, [t(`models.${this.#action}.goes-on`, { model: said.model }), stepOf(said, share)].filter(Boolean).join(" "));
  }
}

function stepOf(said, share) {
  const parts = [];
  if (said.step === "draining") parts.push(t("models.step.draining", { running: said.running }));
  else if (said.step) parts.push(hasText(`models.step.${said.step}`) ? t(`models.step.${said.step}`) : String(said.step));
  if (said.done_bytes > 0) {
    const done = size(said.done_bytes);
    parts.push(said.total_bytes ? t("models.bytes", { done, total: size(said.total_bytes) }) : done);
  } else if (share !== null) parts.push(percent(share));
  if (said.bytes_per_s) parts.push(`${size(said.bytes_per_s)}/s`);
  return listed(parts);
}
