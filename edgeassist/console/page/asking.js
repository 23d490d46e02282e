// This tab's requests: each has an id and one end, and is asked again by that id after a broken connection or a reload.
import { Answer } from "./answer.js";
import { readJson } from "./box.js";
import { clientOf, replyTopic } from "./client.js";
import { keep, recall } from "./kept.js";
import { News } from "./news.js";

// A device forgets an end a minute later: what is older may run a second time, so a person is asked.
const FRESH_MS = 5 * 60 * 1000;
const DOUBT_MS = 5000;

/** Asks, and hears the answers. `news` is told of each answer that changed. */
export class Asking {
  news = new News();
  #connection;
  #commands;
  #pending = new Map();
  #routes = new Map();

  constructor(connection, box, commands) {
    this.#connection = connection;
    this.#commands = commands;
    for (const kept of recall("pending") ?? []) this.#take(kept);
    connection.news.watch(() => connection.state === "online" && this.#again());
    box.turns.watch((status) => status === "online" && this.#again(box.root));
    addEventListener("pagehide", () => this.#keep());
  }

  /** Returns the answer to a request that has not ended; undefined where there is none of that id. */
  pending(id) {
    return this.#pending.get(id)?.answer;
  }

  /**
   * Asks, and returns the answer that is to come.
   * @param {string} root Of the device.
   * @param {"prompt"|"decide"} kind
   * @param {Object} fields Of the request, without `id` and `reply_to`.
   */
  ask(root, kind, fields) {
    const id = crypto.randomUUID();
    const reply = replyTopic(this.#connection, root);
    const entry = this.#take({
      id,
      root,
      topic: `${root}/${kind}/${clientOf(this.#connection)}`,
      reply,
      payload: JSON.stringify({ id, reply_to: reply, ...fields }),
      at: Date.now(),
    });
    this.#keep();
    this.#publish(entry);
    return entry.answer;
  }

  /** Stops an answer; throws a CommandError where the device can't be told. */
  async cancel(id) {
    const entry = this.#pending.get(id);
    if (!entry) return;
    if (!entry.sent) {
      this.#end(entry, "cancelled");
      return;
    }
    const client = entry.topic.split("/").at(-1);
    const { cancelled } = await this.#commands.give(entry.root, `cancel/${client}`, { request: id });
    // Of one that the device knows the end is on its way.
    if (cancelled === 0) this.#end(entry, "cancelled");
  }

  /** Forgets all requests that have not ended; the device answers them, and nobody listens. */
  forget() {
    for (const entry of [...this.#pending.values()]) this.#end(entry, "cancelled");
  }

  #take(kept) {
    const entry = { ...kept, answer: new Answer(kept.id), sent: false };
    if (kept.saved) {
      entry.answer.restore(kept.saved);
      // An earlier page has published it.
      entry.sent = true;
    }
    delete entry.saved;
    this.#pending.set(entry.id, entry);
    this.#hear(entry.reply);
    return entry;
  }

  #keep() {
    const entries = [...this.#pending.values()].map(({ answer, sent, id, root, topic, reply, payload, at }) => {
      // One that no page has published yet has nothing saved.
      return { id, root, topic, reply, payload, at, saved: sent ? answer.saved() : undefined };
    });
    keep("pending", entries.length ? entries : undefined);
  }

  #again(root = null) {
    for (const entry of [...this.#pending.values()]) {
      if (root && entry.root !== root) continue;
      if (Date.now() - entry.at > FRESH_MS && entry.sent && !entry.heard) this.#doubt(entry);
      else this.#publish(entry);
    }
  }

  /** Waits a moment for an answer that still goes on. */
  #doubt(entry) {
    entry.doubt ??= setTimeout(() => {
      if (this.#pending.get(entry.id) === entry && !entry.heard) this.#end(entry, "missed");
    }, DOUBT_MS);
  }

  async #publish(entry) {
    if (entry.sent) entry.answer.repeated();
    try {
      const published = this.#connection.publish(entry.topic, entry.payload);
      entry.sent ||= this.#connection.state === "online";
      await published;
    } catch (error) {
      // Without a connection it waits for the next; a broker that says nothing may have it.
      if (error.code === "offline" || error.code === "silent") return;
      const known = error.forbidden ? "forbidden" : error.code === "oversize" ? "oversize" : "unsent";
      this.#end(entry, known, error.forbidden ? entry.topic : error.message);
    }
  }

  #hear(reply) {
    if (this.#routes.has(reply)) return;
    const granted = (error) => {
      if (!error?.forbidden) return;
      for (const entry of [...this.#pending.values()]) {
        if (entry.reply === reply) this.#end(entry, "unheard", reply);
      }
    };
    this.#routes.set(reply, this.#connection.subscribe(reply, (_, text) => this.#heard(text), granted));
  }

  #heard(text) {
    const event = readJson(text);
    const entry = this.#pending.get(event?.id);
    if (!entry) return; // one that has ended, or is another page's
    entry.heard = true;
    if (!entry.answer.take(event)) return;
    if (entry.answer.state === "ended") this.#forget(entry);
    this.news.tell(entry.answer);
  }

  #end(entry, code, message = "") {
    entry.answer.fail(code, message);
    this.#forget(entry);
    this.news.tell(entry.answer);
  }

  #forget(entry) {
    this.#pending.delete(entry.id);
    this.#keep();
    if ([...this.#pending.values()].some((each) => each.reply === entry.reply)) return;
    this.#routes.get(entry.reply)?.();
    this.#routes.delete(entry.reply);
  }
}
