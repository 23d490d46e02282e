// One turn of the chat: what was asked, and the answer as it comes.
import { elementsOf, prettyJson } from "../blocks.js";
import { el, perFrame } from "../dom.js";
import { hasText, number, t } from "../texts.js";
import { callCard, decisionCards, resultsForm } from "./cards.js";

// Beyond it a new text node begins, so that a browser lays out the last piece only.
const PIECE_CHARACTERS = 4000;
// A device accepts at once what it hears.
const SILENT_S = 10;

/** Text that grows at its end, at the cost of what is added. */
class GrowingText {
  #place;
  #shown = 0;
  #round = -1;
  #piece = null;

  constructor(place) {
    this.#place = place;
  }

  draw(text, round) {
    if (round !== this.#round || text.length < this.#shown) {
      this.#place.replaceChildren();
      this.#shown = 0;
      this.#piece = null;
      this.#round = round;
    }
    let rest = text.slice(this.#shown);
    this.#shown = text.length;
    while (rest) {
      if (!this.#piece) this.#piece = this.#place.appendChild(el("p", { class: "text" }, document.createTextNode(""))).firstChild;
      const at = this.#piece.length + rest.length > PIECE_CHARACTERS ? rest.indexOf("\n") : -1;
      this.#piece.appendData(at < 0 ? rest : rest.slice(0, at));
      rest = at < 0 ? "" : rest.slice(at + 1);
      if (at >= 0) this.#piece = null;
    }
  }
}

/** Returns in words why an answer ended without one. */
export function errorWords(end) {
  const seconds = number(Math.ceil((end.retry_after_ms ?? 1000) / 1000));
  const key = end.local && hasText(`chat.error.${end.code}`) ? `chat.error.${end.code}` : `common.error.${end.code}`;
  const words = hasText(key) ? t(key, { seconds, message: end.message }) : (end.code ?? "");
  // The device's own words name numbers, fields and settings; they are English.
  return { words, detail: end.local || end.code === "cancelled" ? "" : (end.message ?? "") };
}

/**
 * A turn's element.
 * @param {Object} turn As `Conversation` keeps it.
 * @param {{again: function, results: function, copied: function}} acts What its buttons do; they get the turn.
 */
export class TurnView {
  #turn;
  #acts;
  #answer = null;
  #status = el("p", { class: "status faint" });
  #thoughts = el("div", { class: "thoughts-text" });
  #details = el("details", { class: "thoughts", hidden: true }, el("summary", { text: t("chat.thoughts") }), this.#thoughts);
  #body = el("div", { class: "body" });
  #calls = el("div", { class: "calls" });
  #foot = el("div", { class: "foot" });
  #text = new GrowingText(this.#body);
  #thinking = new GrowingText(this.#thoughts);
  #drawnCalls = 0;
  #round = 0;
  #since = 0;

  constructor(turn, acts) {
    this.#turn = turn;
    this.#acts = acts;
    this.redraw = perFrame(() => this.#draw());
    this.element = el(
      "article",
      { class: "turn", "data-id": turn.id },
      el("div", { class: "question" }, el("h3", { class: "unseen", text: t("chat.you") }), el("p", { class: "text", text: turn.question })),
      el(
        "div",
        { class: "answer card" },
        el("h3", { class: "unseen", text: t("chat.device", { device: turn.root.split("/").at(-1) }) }),
        this.#details,
        this.#body,
        this.#calls,
        this.#status,
        this.#foot,
      ),
    );
    if (turn.result) this.#finish(turn.result);
  }

  /** Follows an answer that is to come. */
  follow(answer) {
    this.#answer = answer;
    this.#round = answer.round;
    this.#since = Date.now();
    setTimeout(() => this.#draw(), SILENT_S * 1000 + 100);
    this.#draw();
  }

  #draw() {
    const answer = this.#answer;
    if (!answer || this.element.classList.contains("ended")) return;
    if (answer.state === "ended") {
      this.#finish(answer);
      return;
    }
    if (answer.round !== this.#round) {
      this.#round = answer.round;
      this.#calls.replaceChildren();
      this.#drawnCalls = 0;
    }
    this.#thinking.draw(answer.reasoning, answer.round);
    this.#details.hidden = !answer.reasoning;
    this.#text.draw(answer.text, answer.round);
    for (; this.#drawnCalls < answer.calls.length; this.#drawnCalls += 1) {
      this.#calls.append(callCard(answer.calls[this.#drawnCalls]));
    }
    const words = this.#statusWords(answer);
    if (this.#status.textContent !== words) this.#status.textContent = words;
  }

  #statusWords(answer) {
    if (answer.state === "waiting") {
      if (Date.now() - this.#since > SILENT_S * 1000) return t("chat.status.silent", { root: this.#turn.root });
      return t(this.#turn.kind === "decide" ? "chat.status.deciding" : "chat.status.waiting");
    }
    if (answer.state === "running") return answer.text || answer.calls.length ? t("chat.status.running") : t("chat.status.thinking");
    if (answer.progress) return t("chat.status.reading", { done: number(answer.progress.processed), total: number(answer.progress.total) });
    if (answer.readyIn) return t("chat.status.loading", { seconds: number(answer.readyIn) });
    if (answer.position) return t("chat.status.queued", { position: number(answer.position) });
    return t("chat.status.accepted");
  }

  #finish({ text, reasoning, calls, end }) {
    this.element.classList.add("ended");
    this.#thinking.draw(reasoning ?? "", -2);
    this.#details.hidden = !reasoning;
    this.#body.replaceChildren(...this.#finalBody(text ?? "", end));
    this.#calls.replaceChildren(...(calls ?? []).map(callCard));
    this.#status.remove();
    const foot = [];
    if (end.type === "error") {
      const { words, detail } = errorWords(end);
      const stopped = end.code === "cancelled";
      foot.push(el("p", { class: stopped ? "faint" : "bad", text: words }));
      if (detail) foot.push(el("p", { class: "hint", lang: "en", text: detail }));
    }
    const notes = this.#notes(end);
    if (notes.length) foot.push(el("p", { class: "hint notes", text: notes.join(" ") }));
    const timings = timingsOf(end);
    if (timings) foot.push(el("p", { class: "hint timings", text: timings }));
    foot.push(this.#buttons(text, end));
    this.#foot.replaceChildren(...foot);
    if (end.finish_reason === "tool_calls" && calls?.length && !this.#turn.resultsSent) {
      this.#foot.append(resultsForm(calls, (results) => this.#acts.results(this.#turn, calls, results)));
    }
  }

  /** Takes the form for results away: they are sent, or something else was said. */
  closeResults() {
    this.#foot.querySelector("form.results")?.remove();
  }

  #finalBody(text, end) {
    if (end.answers) return decisionCards(end.answers, this.#turn.fields.questions);
    if (this.#turn.fields.json_schema && end.type === "done" && end.finish_reason === "stop") {
      return [el("pre", { class: "json", tabindex: "0", "aria-label": t("chat.json"), text: prettyJson(text) })];
    }
    return elementsOf(text);
  }

  #notes(end) {
    const notes = [];
    if (end.session_began && this.#turn.follows) notes.push(t("chat.note.forgotten"));
    if (end.history_dropped) notes.push(t("chat.note.dropped", { count: number(end.history_dropped) }));
    if (end.finish_reason === "length") notes.push(t("chat.note.length"));
    if (end.only_reasoning) notes.push(t("chat.note.only_reasoning"));
    if (end.held_back) notes.push(t("chat.note.held_back", { why: end.held_back }));
    return notes;
  }

  #buttons(text, end) {
    const row = el("div", { class: "row" });
    if (text) row.append(el("button", { type: "button", text: t("chat.copy"), onclick: (event) => this.#copy(event, text) }));
    if (end.type === "error") {
      row.append(el("button", { type: "button", text: t("chat.again"), onclick: () => this.#acts.again(this.#turn) }));
    }
    return row;
  }

  async #copy(event, text) {
    const button = event.target;
    try {
      await navigator.clipboard.writeText(text);
      button.textContent = t("chat.copied");
    } catch {
      button.textContent = t("chat.copy.failed");
    }
  }
}

function timingsOf(end) {
  const { timings, usage } = end;
  const parts = [];
  const seconds = (ms) => number(ms / 1000, ms < 10_000 ? 2 : 1);
  if (timings?.ttft_ms !== undefined) parts.push(t("chat.timing.first", { seconds: seconds(timings.ttft_ms) }));
  else if (timings?.total_ms !== undefined) parts.push(t("chat.timing.total", { seconds: seconds(timings.total_ms) }));
  if (timings?.decode_tokens_per_s) parts.push(t("chat.timing.rate", { rate: number(timings.decode_tokens_per_s, 1) }));
  if (usage) {
    parts.push(t("chat.timing.tokens", { read: number(usage.prompt_tokens ?? 0), written: number(usage.completion_tokens ?? 0) }));
  }
  if (end.model) parts.push(end.model);
  return parts.join(" · ");
}
