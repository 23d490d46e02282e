// Commands to a device, and their answers.
import { readJson } from "./box.js";
import { replyTopic } from "./client.js";

const ANSWER_S = 15;

/** Why a command came to nothing; `code` is of the wire contract, or offline, silent, gone, forbidden, oversize, failed. */
export class CommandError extends Error {
  constructor(code, message) {
    super(message);
    this.code = code;
  }
}

/** Gives commands. A device of MQTT 3.1.1 answers all that listen to `<root>/response/…`. */
export class Commands {
  #connection;
  #waiting = new Map();
  #root = "";
  #routes = new Map();

  constructor(connection) {
    this.#connection = connection;
    connection.news.watch(() => connection.state !== "online" && this.#lose("offline"));
  }

  /**
   * Gives a command, and resolves with the answer's `data`.
   * @param {string} root Of the device.
   * @param {string} name Such as `ping`, or with a client's topic, `cancel/alice`.
   * @param {Object} body Its fields, without `id`.
   * @param {(data: Object) => void} onProgress Told how far it is, where the command says so.
   * @param {number} patience_s How long nothing may be heard; 0: for ever.
   * @throws {CommandError}
   */
  async give(root, name, body = {}, { onProgress = () => {}, patience_s = ANSWER_S } = {}) {
    const id = crypto.randomUUID();
    const topic = `${root}/command/${name}`;
    const v5 = this.#connection.version === 5;
    const responseTopic = v5 ? replyTopic(this.#connection, root) : null;
    this.#root = root;
    return new Promise((resolve, reject) => {
      const entry = { root, timer: null };
      const settle = (act, value) => {
        clearTimeout(entry.timer);
        this.#waiting.delete(id);
        act(value);
      };
      entry.await = () => {
        clearTimeout(entry.timer);
        if (!patience_s) return;
        entry.timer = setTimeout(() => entry.lose("silent"), patience_s * 1000);
      };
      entry.take = (answer) => {
        if (answer.status === "progress") {
          entry.await();
          onProgress(answer.data ?? {});
        } else if (answer.status === "ok") settle(resolve, answer.data ?? {});
        else settle(reject, new CommandError(answer.error?.code ?? "failed", answer.error?.message ?? ""));
      };
      entry.lose = (code, message = "no answer") => settle(reject, new CommandError(code, message));
      this.#waiting.set(id, entry);
      this.#hear(root, responseTopic ?? `${root}/response/${name}`, (_, text) => {
        const answer = readJson(text);
        this.#waiting.get(answer?.id)?.take(answer);
      });
      let status = "";
      this.#hear(root, `${root}/status`, (_, text, packet) => {
        // Once, although a broker may send it for each filter that takes it in.
        if (text === "offline" && status !== text && !packet.retain) this.#lose("gone", root);
        status = text;
      });
      this.#sweep();
      entry.await();
      this.#connection.publish(topic, JSON.stringify({ ...body, id }), { responseTopic }).catch((error) => {
        if (this.#waiting.get(id) !== entry) return;
        const code = error.forbidden ? "forbidden" : ["offline", "oversize"].includes(error.code) ? error.code : "failed";
        entry.lose(code, error.forbidden ? topic : error.message);
      });
    });
  }

  /** The answers on their way are lost with the connection, and with the device (`root`): nobody keeps them. */
  #lose(code, root = null) {
    for (const entry of [...this.#waiting.values()]) if (root === null || entry.root === root) entry.lose(code);
  }

  #hear(root, topic, hear) {
    if (!this.#routes.has(topic)) this.#routes.set(topic, { root, end: this.#connection.subscribe(topic, hear) });
  }

  /** Ends what is heard of devices that are asked no more. */
  #sweep() {
    const asked = new Set([this.#root, ...[...this.#waiting.values()].map((entry) => entry.root)]);
    for (const [topic, { root, end }] of this.#routes) {
      if (asked.has(root)) continue;
      end();
      this.#routes.delete(topic);
    }
  }
}
