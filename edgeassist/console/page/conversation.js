// What was said in this tab, and outlives a reload.
import { keep, recall } from "./kept.js";

const MOST_TURNS = 100;

function fresh() {
  return { session: `console-${crypto.randomUUID()}`, turns: [] };
}

/**
 * `turns` are, oldest first, `{question, kind, root, fields, id, result}`: the request's fields, its id, and, once it has
 * ended, what is shown of the answer: `{text, reasoning, calls, end}`.
 */
export class Conversation {
  #kept = recall("conversation") ?? fresh();

  get turns() {
    return this.#kept.turns;
  }

  /** The name under which the device keeps it. */
  get session() {
    return this.#kept.session;
  }

  /** Begins a new one. */
  clear() {
    this.#kept = fresh();
    this.#keep();
  }

  /** Adds a turn; returns it. */
  add(turn) {
    this.turns.push(turn);
    if (this.turns.length > MOST_TURNS) this.turns.shift();
    this.#keep();
    return turn;
  }

  /** Notes how a turn's answer ended. */
  settle(answer) {
    const turn = this.turns.find((each) => each.id === answer.id);
    if (!turn) return;
    const { text, reasoning, calls, end } = answer;
    // The text stands once.
    turn.result = { text, reasoning, calls, end: { ...end, text: undefined, reasoning: undefined, tool_calls: undefined } };
    this.#keep();
  }

  /** Where all of it is more than the browser keeps, the oldest goes. */
  #keep() {
    const kept = { ...this.#kept, turns: [...this.turns] };
    while (!keep("conversation", kept) && kept.turns.length) kept.turns.shift();
  }
}
