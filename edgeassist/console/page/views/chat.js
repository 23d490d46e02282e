// The chat: turns of one conversation, and the form for the next.
import { objectsIn } from "../box.js";
import { el, say } from "../dom.js";
import { CommandError } from "../commands.js";
import { t } from "../texts.js";
import { listed, whyOf } from "../words.js";
import { Composer } from "./composer.js";
import { errorWords, TurnView } from "./turn.js";

const NEAR_END_PX = 120;
const SAID_CHARACTERS = 500;

export function mount(place, context) {
  const chat = new Chat(place, context);
  return { unmount: () => chat.unmount() };
}

class Chat {
  #context;
  #log = el("div", { class: "log", role: "log", "aria-live": "off", "aria-label": t("chat.log"), tabindex: "0" });
  #views = new Map();
  #composer;
  #ends = [];

  constructor(place, context) {
    this.#context = context;
    this.#composer = new Composer({
      send: (kind, question, fields) => this.#send(kind, question, fields),
      stop: () => this.#stop(),
      fresh: () => this.#fresh(),
    });
    place.append(el("h2", { class: "unseen", text: t("chat.title") }), el("div", { class: "chat" }, this.#log, this.#composer.element));
    for (const turn of context.conversation.turns) {
      if (!turn.result && !context.asking.pending(turn.id)) {
        turn.result = { text: "", reasoning: "", calls: [], end: { type: "error", code: "missed", local: true } };
      }
      this.#show(turn);
    }
    this.#empty();
    this.#ends.push(context.asking.news.watch((answer) => this.#changed(answer)));
    this.#composer.busy(Boolean(this.#running()));
    this.#toEnd();
  }

  unmount() {
    for (const end of this.#ends) end();
  }

  #running() {
    const { conversation, asking } = this.#context;
    return conversation.turns.find((turn) => !turn.result && asking.pending(turn.id));
  }

  #show(turn) {
    const view = new TurnView(turn, {
      again: (each) => this.#again(each),
      results: (each, calls, results) => this.#results(each, calls, results),
    });
    this.#views.set(turn.id, view);
    this.#log.append(view.element);
    const answer = this.#context.asking.pending(turn.id);
    if (answer) view.follow(answer);
    return view;
  }

  #empty() {
    const hint = this.#log.querySelector(".empty");
    if (this.#context.conversation.turns.length) hint?.remove();
    else if (!hint) this.#log.append(el("p", { class: "empty faint", text: t("chat.empty") }));
  }

  #send(kind, question, fields) {
    const { conversation, asking, box } = this.#context;
    const follows = kind === "prompt" && conversation.turns.some((turn) => turn.kind === "prompt" && turn.root === box.root);
    const whole = kind === "prompt" ? { ...fields, session: conversation.session } : fields;
    this.#closeResults();
    const answer = asking.ask(box.root, kind, whole);
    const turn = conversation.add({ id: answer.id, kind, question, root: box.root, fields: whole, follows });
    this.#empty();
    this.#show(turn).follow(answer);
    for (const [id, view] of this.#views) {
      if (conversation.turns.some((each) => each.id === id)) continue;
      view.element.remove();
      this.#views.delete(id);
    }
    this.#composer.busy(answer.state !== "ended");
    this.#toEnd();
  }

  #again(turn) {
    if (this.#running()) return;
    const { session, ...fields } = turn.fields;
    this.#send(turn.kind, turn.question, fields);
    this.#composer.focus();
  }

  #results(turn, calls, results) {
    if (this.#running()) return;
    const messages = calls.map((call, index) => ({ role: "tool", tool_call_id: call.id, content: results[index] }));
    const question = calls.map((call, index) => `${call.name}: ${results[index]}`).join("\n");
    const { tools, system, max_tokens, temperature, think } = turn.fields;
    this.#send("prompt", question, { messages, tools, system, max_tokens, temperature, think });
    this.#composer.focus();
  }

  /** A session takes results of its last calls only. */
  #closeResults() {
    for (const turn of this.#context.conversation.turns) turn.resultsSent = true;
    for (const view of this.#views.values()) view.closeResults();
  }

  async #stop() {
    const turn = this.#running();
    if (!turn) return;
    try {
      await this.#context.asking.cancel(turn.id);
    } catch (error) {
      if (!(error instanceof CommandError)) throw error;
      this.#composer.problem(whyOf(error));
      this.#composer.busy(Boolean(this.#running()));
    }
  }

  #fresh() {
    const turn = this.#running();
    if (turn) this.#stop();
    this.#context.conversation.clear();
    this.#views.clear();
    this.#log.replaceChildren();
    this.#empty();
    this.#composer.problem("");
    this.#composer.busy(false);
    this.#composer.focus();
  }

  #changed(answer) {
    const view = this.#views.get(answer.id);
    if (!view) return;
    const follow = this.#atEnd();
    view.redraw();
    if (follow) requestAnimationFrame(() => this.#toEnd());
    if (answer.state !== "ended") return;
    this.#composer.busy(Boolean(this.#running()));
    if (answer.end.type === "error") say(errorWords(answer.end).words);
    else say(t("chat.said", { text: this.#spoken(answer) }));
  }

  #spoken({ end, text, calls }) {
    if (end.answers) return listed(objectsIn(Object.values(end.answers)).map((each) => each.choice));
    if (!text && calls.length) return listed(calls.map((call) => t("chat.call", { name: call.name ?? "" })));
    return text.length > SAID_CHARACTERS ? `${text.slice(0, SAID_CHARACTERS)}…` : text;
  }

  #atEnd() {
    return this.#log.scrollHeight - this.#log.scrollTop - this.#log.clientHeight < NEAR_END_PX;
  }

  #toEnd() {
    this.#log.scrollTop = this.#log.scrollHeight;
  }
}
