// What waits and runs on the device, and how to end it.
import { put } from "../chart.js";
import { el, say } from "../dom.js";
import { keyOf } from "../running.js";
import { hasText, number, t } from "../texts.js";
import { confirmed, span, whyOf } from "../words.js";

const COLUMNS = ["id", "client", "kind", "priority", "state", "age", "left", "tokens"];

export function mount(place, context) {
  const { box, running, commands } = context;
  const title = el("h2", { text: t("requests.title"), tabindex: "-1" });
  const told = el("p");
  const trouble = el("p", { class: "bad", role: "alert" });
  const all = el("button", { type: "button", class: "danger", text: t("requests.cancel-all"), onclick: () => cancelAll() });
  const body = el("tbody");
  const heads = [...COLUMNS.map((name) => el("th", { scope: "col", text: t(`requests.${name}`) })), el("td")];
  const table = el("table", {}, el("caption", { class: "unseen", text: t("requests.title") }), el("thead", {}, el("tr", {}, ...heads)), body);
  const frame = el("div", { class: "scrolls card", tabindex: "0", role: "region", "aria-label": t("requests.title") }, table);
  place.append(title, told, el("div", { class: "row" }, all), trouble, frame);
  const rows = new Map();

  const draw = () => {
    const { list, error } = running;
    put(told, list ? summaryOf(list) : error ? whyOf(error) : t("requests.asking"));
    told.classList.toggle("bad", Boolean(error));
    const shown = list?.requests ?? [];
    frame.hidden = all.hidden = shown.length === 0;
    const kept = new Set(shown.map(keyOf));
    const focused = document.activeElement;
    for (const [key, row] of rows) {
      if (kept.has(key)) continue;
      if (row.element.contains(focused)) title.focus();
      row.element.remove();
      rows.delete(key);
    }
    for (const [at, request] of shown.entries()) {
      const key = keyOf(request);
      let row = rows.get(key);
      if (!row) rows.set(key, (row = new Row(request, () => cancel(request))));
      row.show(request, running.rates.get(key));
      // One that is in its place stays there, and keeps the focus.
      if (body.children[at] !== row.element) body.insertBefore(row.element, body.children[at] ?? null);
    }
  };

  const give = async (body, done) => {
    put(trouble, "");
    try {
      const { cancelled } = await commands.give(box.root, "cancel", body);
      say(t(done, { count: cancelled, id: body.request }));
    } catch (error) {
      put(trouble, whyOf(error));
    }
    running.look();
  };
  const cancel = (request) => give({ request: request.id, client: request.client }, "requests.cancelled");
  const cancelAll = async () => {
    const root = box.root;
    const { running: runs, waiting } = running.list ?? { running: 0, waiting: 0 };
    const text = t("requests.confirm", { device: box.device, count: runs + waiting });
    if ((await confirmed(text, t("requests.cancel-all"))) && root === box.root) await give({ all: true }, "requests.cancelled-all");
  };

  const end = running.watch(draw);
  draw();
  return { unmount: end };
}

class Row {
  #cells = Object.fromEntries(COLUMNS.map((name) => [name, el(name === "id" ? "th" : "td", name === "id" ? { scope: "row" } : {})]));

  constructor(request, cancel) {
    const label = t("requests.cancel.of", { id: request.id, client: clientOf(request) });
    const button = el("button", { type: "button", text: t("requests.cancel"), "aria-label": label, onclick: cancel });
    this.element = el("tr", {}, ...Object.values(this.#cells), el("td", {}, button));
  }

  show(request, rate) {
    const texts = {
      id: request.id,
      client: clientOf(request),
      kind: word("kind", request.kind),
      priority: word("priority", request.priority),
      state: request.position == null ? word("state", request.state) : t(request.position ? "requests.position" : "requests.next", { count: request.position }),
      age: span(request.age_s),
      left: span(request.deadline_in_s),
      tokens: tokensOf(request, rate),
    };
    for (const [name, text] of Object.entries(texts)) put(this.#cells[name], String(text));
  }
}

function summaryOf({ running, waiting, left_out: leftOut }) {
  if (!running && !waiting) return t("requests.nothing");
  return t(leftOut ? "requests.summary.more" : "requests.summary", { running, waiting, count: leftOut });
}

function clientOf(request) {
  return request.client || t("requests.shared");
}

/** Returns what a word of the contract is called here; as it came where a newer device has another. */
function word(part, name) {
  const key = `requests.${part}.${name}`;
  return hasText(key) ? t(key) : String(name);
}

function tokensOf({ prompt_tokens: prompt, processed, completion_tokens: written }, rate) {
  if (prompt != null && processed < prompt) return t("requests.reading", { processed: number(processed), total: number(prompt) });
  if (written == null) return "";
  return rate > 0 ? t("requests.written.rate", { count: number(written), rate: number(rate, 1) }) : t("requests.written", { count: number(written) });
}
