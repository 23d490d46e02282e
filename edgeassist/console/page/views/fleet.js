// The boxes of all fleets at this broker.
import { put } from "../chart.js";
import { readJson } from "../box.js";
import { el, perFrame } from "../dom.js";
import { hasText, t } from "../texts.js";
import { agoOf } from "../words.js";

// More than a fleet has, as commands have it; who writes on its topics must not fill the page.
const MOST_BOXES = 1024;
const MOST_CHARACTERS = 4096;
const COLUMNS = ["device", "state", "load", "model", "version", "since"];

export function mount(place, context) {
  const { box, config, connection } = context;
  const boxes = new Map();
  let refused = false;
  const told = el("p");
  const body = el("div");
  place.append(el("h2", { text: t("fleet.title") }), told, body);
  const tables = new Map();

  const draw = () => {
    const groups = new Map();
    for (const each of [...boxes.values()].sort(byName)) {
      if (!groups.has(each.group)) groups.set(each.group, []);
      groups.get(each.group).push(each);
    }
    put(told, groups.size ? "" : t(refused ? "fleet.forbidden" : config.group ? "fleet.silent" : "fleet.nothing", { group: config.group, base: config.base }));
    told.hidden = groups.size > 0;
    for (const [group, table] of tables) {
      if (groups.has(group)) continue;
      table.element.remove();
      tables.delete(group);
    }
    for (const [group, members] of [...groups].sort(([one], [other]) => (one < other ? -1 : 1))) {
      let table = tables.get(group);
      if (!table) {
        tables.set(group, (table = new Table(group, (device) => context.choose(device))));
        body.append(table.element);
      }
      table.show(members, box.device);
    }
  };
  const soon = perFrame(draw);

  const hear = (topic, text) => {
    const [device, , group] = topic.split("/").reverse();
    const key = `${group}/${device}`;
    const state = text && text.length <= MOST_CHARACTERS ? readJson(text) : null;
    // One that stands on the topic of another device tells nothing of that.
    if (state?.device !== device) boxes.delete(key);
    else if (boxes.has(key) || boxes.size < MOST_BOXES) boxes.set(key, { ...state, group, here: state.root === `${config.base}/${device}` });
    soon();
  };
  const granted = (error) => {
    refused = Boolean(error?.forbidden);
    soon();
  };
  const ends = [connection.subscribe(`${config.base}/fleet/+/box/+`, hear, granted), box.news.watch(soon)];
  const ages = setInterval(soon, 10_000);
  draw();
  return {
    unmount() {
      clearInterval(ages);
      for (const end of ends) end();
    },
  };
}

function byName(one, other) {
  return one.device < other.device ? -1 : 1;
}

class Table {
  #title = el("h3");
  #remarks = el("ul", { class: "troubles" });
  #body = el("tbody");
  #rows = new Map();
  #group;
  #choose;

  constructor(group, choose) {
    this.#group = group;
    this.#choose = choose;
    put(this.#title, t("fleet.of", { group }));
    const heads = COLUMNS.map((name) => el("th", { scope: "col", text: t(`fleet.${name}`) }));
    const caption = el("caption", { class: "unseen", text: t("fleet.of", { group }) });
    const table = el("table", {}, caption, el("thead", {}, el("tr", {}, ...heads, el("td"))), this.#body);
    const frame = el("div", { class: "scrolls", tabindex: "0", role: "region", "aria-label": t("fleet.of", { group }) }, table);
    this.element = el("section", { class: "card" }, this.#title, this.#remarks, frame);
  }

  show(members, looked) {
    const names = new Set(members.map((each) => each.device));
    for (const [name, row] of this.#rows) {
      if (names.has(name)) continue;
      row.element.remove();
      this.#rows.delete(name);
    }
    for (const [at, member] of members.entries()) {
      let row = this.#rows.get(member.device);
      if (!row) this.#rows.set(member.device, (row = new Row(member.device, this.#choose)));
      row.show(member, member.device === looked);
      if (this.#body.children[at] !== row.element) this.#body.insertBefore(row.element, this.#body.children[at] ?? null);
    }
    const remarks = remarksOn(members);
    this.#remarks.hidden = remarks.length === 0;
    while (this.#remarks.children.length > remarks.length) this.#remarks.lastChild.remove();
    for (const [at, text] of remarks.entries()) {
      if (!this.#remarks.children[at]) this.#remarks.append(el("li"));
      put(this.#remarks.children[at], text);
    }
  }
}

class Row {
  #cells = Object.fromEntries(COLUMNS.map((name) => [name, el(name === "device" ? "th" : "td", name === "device" ? { scope: "row" } : {})]));
  #button;

  constructor(device, choose) {
    const label = t("fleet.look.at", { device });
    this.#button = el("button", { type: "button", text: t("fleet.look"), "aria-label": label, onclick: () => choose(device) });
    this.element = el("tr", {}, ...Object.values(this.#cells), el("td", {}, this.#button));
  }

  show(box, looked) {
    const texts = {
      device: box.device,
      state: stateOf(box),
      load: box.state === "offline" ? "" : t("fleet.load.of", { running: box.running, slots: box.slots, waiting: box.waiting }),
      model: box.model ?? "",
      version: box.version ?? "",
      since: typeof box.since === "number" ? agoOf(box.since) : "",
    };
    for (const [name, text] of Object.entries(texts)) put(this.#cells[name], String(text));
    // One whose own topics are elsewhere can't be looked at from here.
    this.#button.disabled = looked || !box.here;
    put(this.#button, t(looked ? "fleet.looked" : "fleet.look"));
  }
}

function stateOf(box) {
  const state = hasText(`fleet.state.${box.state}`) ? t(`fleet.state.${box.state}`) : String(box.state);
  if (box.reason) return t("fleet.state.why", { state, reason: box.reason });
  return box.held_back ? t("fleet.state.held", { state, reason: box.held_back }) : state;
}

/** Returns what is not as it should be, in sentences. */
function remarksOn(members) {
  const told = [];
  const there = members.filter((each) => each.state !== "offline");
  if (!members.some((each) => each.state === "online")) told.push(t("fleet.remark.nobody"));
  const differ = (name) => [...new Set(there.map((each) => each[name]).filter((each) => each !== null && each !== undefined))];
  for (const name of ["model", "version", "protocol", "mqtt"]) {
    const those = differ(name);
    if (those.length > 1) told.push(t(`fleet.remark.${name}`, { those: those.join(", ") }));
  }
  for (const each of members) {
    if (each.state !== "offline" || each.empty) continue;
    told.push(t(each.adopter ? "fleet.remark.adopted" : "fleet.remark.left", { device: each.device, adopter: each.adopter }));
  }
  return told;
}
