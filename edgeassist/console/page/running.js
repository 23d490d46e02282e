// What runs and waits on the device, asked again and again while somebody looks.
import { objectsIn } from "./box.js";
import { CommandError } from "./commands.js";
import { now } from "./history.js";
import { News } from "./news.js";

const EVERY_S = 2;
// After a refusal nothing changes soon.
const REFUSED_S = 30;
const LIMIT = 100;
const PATIENCE_S = 10;

/**
 * `list` is what the device answered last, or null; `error` why there is none; `rates` has the tokens a second of each
 * request by `keyOf`.
 */
export class Running {
  news = new News();
  list = null;
  error = null;
  rates = new Map();
  #context;
  #history;
  #lookers = 0;
  #timer = null;
  #asks = false;
  #root = null;
  #before = null;

  constructor(context, history) {
    this.#context = context;
    this.#history = history;
    context.connection.news.watch(() => this.#lookers && this.look());
    context.box.news.watch(() => this.#lookers && context.box.root !== this.#root && this.look());
    document.addEventListener("visibilitychange", () => this.#lookers && this.look());
  }

  /** Calls `hear` at each answer, and has them asked for until the function that is returned is called. */
  watch(hear) {
    const end = this.news.watch(hear);
    this.#lookers += 1;
    if (this.#lookers === 1) this.look();
    return () => {
      if (!end()) return;
      this.#lookers -= 1;
      if (!this.#lookers) this.#rest();
    };
  }

  /** Asks now, unless an answer is on its way. */
  async look() {
    clearTimeout(this.#timer);
    const { box, connection, commands } = this.#context;
    if (box.root !== this.#root) this.#forget(box.root);
    if (this.#asks || document.hidden || connection.state !== "online") return;
    const root = this.#root;
    this.#asks = true;
    let wait = EVERY_S;
    try {
      const known = box.info?.capabilities?.commands;
      if (Array.isArray(known) && !known.includes("requests")) throw new CommandError("old", String(box.info.version));
      const list = await commands.give(root, "requests", { limit: LIMIT }, { patience_s: PATIENCE_S });
      if (root === this.#root) this.#take(list);
    } catch (error) {
      if (root === this.#root) this.#fail(error);
      wait = ["forbidden", "invalid_request", "old"].includes(error.code) ? REFUSED_S : EVERY_S * 3;
    } finally {
      this.#asks = false;
    }
    if (!this.#lookers) return;
    if (root === this.#context.box.root) this.#timer = setTimeout(() => this.look(), wait * 1000);
    else this.look();
  }

  #take(answer) {
    if (!Array.isArray(answer.requests)) return;
    const list = { ...answer, requests: objectsIn(answer.requests) };
    const at = now();
    const tokens = new Map(list.requests.map((each) => [keyOf(each), each.completion_tokens]));
    this.rates = new Map();
    let all = 0;
    if (this.#before) {
      const passed = at - this.#before.at;
      for (const [key, count] of tokens) {
        const written = count - (this.#before.tokens.get(key) ?? 0);
        // An answer that another engine began anew has fewer.
        if (!(written >= 0) || passed < 0.2) continue;
        this.rates.set(key, written / passed);
        all += written / passed;
      }
      this.#history.count(all);
    }
    this.#before = { at, tokens };
    this.list = list;
    this.error = null;
    this.news.tell(this);
  }

  #fail(error) {
    this.list = null;
    this.error = error;
    this.#before = null;
    this.news.tell(this);
  }

  #rest() {
    clearTimeout(this.#timer);
    this.#before = null;
  }

  #forget(root) {
    this.#root = root;
    this.list = this.error = this.#before = null;
    this.rates = new Map();
    this.news.tell(this);
  }
}

/** Returns what tells a request from all others of the device. */
export function keyOf(request) {
  return JSON.stringify([request.client, request.id]);
}
