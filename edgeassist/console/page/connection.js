// The connection to the broker: MQTT over WebSockets, made again for ever, with the reason where there is none.
import mqtt from "./vendor/mqtt.esm.js";
import { News } from "./news.js";

const FIRST_WAIT_S = 1;
const MOST_WAIT_S = 30;
const CONNECT_S = 10;
// A browser slows the timers of a page that is hidden down to one a minute.
const KEEPALIVE_S = 180;
const PUBLISH_S = 20;
// A broker that takes a login and then hangs up (what is sent is too large, or may not be) is not asked each second.
const STEADY_S = 10;
const WRONG_LOGIN = new Set([4, 5, 134, 135]);
const NOT_SPOKEN = new Set([1, 132]);

/** Why something was not sent or granted; `code` is the broker's reason code, or a word of ours. */
export class LinkError extends Error {
  constructor(code, message) {
    super(message);
    this.code = code;
  }

  /** Whether the broker says that this login may not. */
  get forbidden() {
    return this.code === 135 || this.code === 128;
  }
}

/** Whether a topic filter takes in a topic. */
export function matches(filter, topic) {
  const wanted = filter.split("/");
  const levels = topic.split("/");
  for (const [index, level] of wanted.entries()) {
    if (level === "#") return true;
    if (index >= levels.length || (level !== "+" && level !== levels[index])) return false;
  }
  return wanted.length === levels.length;
}

/**
 * `state` is one of
 *   idle        nobody has logged in
 *   connecting  an attempt goes on
 *   online
 *   waiting     `reason` says why there is none; the next attempt is at `retryAt` (ms, as Date.now())
 *   refused     `reason` says why; nothing is tried again by itself
 * and `reason` a key of the texts below `why.`, or null.
 */
export class Connection {
  news = new News();
  state = "idle";
  reason = null;
  detail = "";
  retryAt = 0;
  url = "";
  username = "";
  #version;
  #password = "";
  #client = null;
  #timer = null;
  #wait = FIRST_WAIT_S;
  #wasOnline = false;
  #steady = null;
  #routes = new Map();
  #mostBytes = Infinity;
  #decoder = new TextDecoder();

  /** @param {string} version Of MQTT: "5" or "3.1.1". */
  constructor(version) {
    this.#version = version;
    document.addEventListener("securitypolicyviolation", (event) => this.#blocked(event));
    addEventListener("online", () => this.retry());
  }

  /** Which version of MQTT is spoken: 5 or 4 (3.1.1). */
  get version() {
    return this.#version === "5" ? 5 : 4;
  }

  /** Logs in, and stays so until `close`. */
  open(url, username, password) {
    this.close();
    Object.assign(this, { url, username });
    this.#password = password;
    this.#wasOnline = false;
    this.#wait = FIRST_WAIT_S;
    this.#attempt();
  }

  /** Ends the connection, and forgets the password. */
  close() {
    this.#drop();
    this.#password = "";
    this.#enter("idle");
  }

  /** Tries again at once, where it waits. */
  retry() {
    if (this.state === "waiting") this.#attempt();
  }

  /**
   * Hears a filter from now on, also over new connections.
   * @param {string} filter
   * @param {(topic: string, payload: string, packet: Object) => void} hear
   * @param {(error: LinkError|null) => void} granted Told each time whether the broker grants it.
   * @returns {() => void} Ends it.
   */
  subscribe(filter, hear, granted = () => {}) {
    const route = { hear, granted };
    let routes = this.#routes.get(filter);
    if (!routes) this.#routes.set(filter, (routes = new Set()));
    routes.add(route);
    // One filter that is wanted again is asked for again: the broker sends what is retained once more.
    if (this.state === "online") this.#ask(filter, [route]);
    return () => {
      routes.delete(route);
      if (routes.size === 0 && this.#routes.get(filter) === routes) {
        this.#routes.delete(filter);
        if (this.state === "online") this.#client.unsubscribe(filter, () => {});
      }
    };
  }

  /**
   * Publishes at QoS 1; resolves when the broker has it.
   * @throws {LinkError} There is no connection, or the broker refuses it; "oversize": it says that it takes less, and
   *   would hang up.
   */
  async publish(topic, payload, { qos = 1, responseTopic = null } = {}) {
    const client = this.#client;
    if (this.state !== "online") throw new LinkError("offline", "there is no connection to the broker");
    const properties = this.version === 5 && responseTopic ? { responseTopic } : undefined;
    const bytes = publishBytes(topic, payload, properties);
    if (bytes > this.#mostBytes) throw new LinkError("oversize", `${bytes} bytes, and it takes ${this.#mostBytes}`);
    await new Promise((resolve, reject) => {
      const timer = setTimeout(() => reject(new LinkError("silent", "the broker says nothing")), PUBLISH_S * 1000);
      const lost = this.news.watch(() => {
        if (this.#client !== client) settle(new LinkError("offline", "the connection broke"));
      });
      const settle = (error) => {
        clearTimeout(timer);
        lost();
        if (error) reject(error instanceof LinkError ? error : new LinkError(error.code ?? "failed", error.message));
        else resolve();
      };
      client.publish(topic, payload, { qos, properties }, settle);
    });
  }

  // --- one attempt ---------------------------------------------------------------------------------------------

  #attempt() {
    this.#drop();
    this.#enter("connecting");
    let client;
    let opened = false;
    if (!/^wss?:\/\/./i.test(this.url)) {
      this.#fail("address", "", false);
      return;
    }
    try {
      client = mqtt.connect(this.url, {
        clientId: `console-${crypto.randomUUID().slice(0, 18)}`,
        username: this.username || undefined,
        password: this.username ? this.#password : undefined,
        protocolVersion: this.version,
        clean: true,
        keepalive: KEEPALIVE_S,
        connectTimeout: CONNECT_S * 1000,
        reconnectPeriod: 0,
        resubscribe: false,
        queueQoSZero: false,
        // Else it makes a worker of a text, which the page's policy forbids.
        timerVariant: "native",
      });
    } catch (error) {
      this.#fail("address", error.message, false);
      return;
    }
    this.#client = client;
    const ours = (act) => (...told) => this.#client === client && act(...told);
    client.stream?.on?.("connect", () => (opened = true));
    client.on("connect", ours((packet) => this.#up(packet.properties?.maximumPacketSize ?? Infinity)));
    client.on("message", ours((topic, payload, packet) => this.#route(topic, payload, packet)));
    client.on("error", ours((error) => this.#refused(error)));
    client.on("disconnect", ours((packet) => this.#ended(packet.reasonCode)));
    client.on("close", ours(() => this.#fail(this.#wasOnline || opened ? "lost" : "no-websocket", "", true)));
  }

  #up(mostBytes) {
    this.#mostBytes = mostBytes;
    this.#wasOnline = true;
    this.#steady = setTimeout(() => (this.#wait = FIRST_WAIT_S), STEADY_S * 1000);
    this.state = "online";
    // Before anybody publishes what is answered there.
    for (const [filter, routes] of this.#routes) this.#ask(filter, routes);
    this.#enter("online");
  }

  #refused(error) {
    if (WRONG_LOGIN.has(error.code)) this.#fail("login", error.message, false);
    else if (NOT_SPOKEN.has(error.code)) this.#fail("version", error.message, false);
    else if (typeof error.code === "number") this.#fail("refused", error.message, true);
    // What a socket fails with is told by its close, without a reason: browsers hide it from pages.
    else this.detail = error.message;
  }

  #ended(code) {
    if (code === 142) this.#fail("taken", "", false);
    else this.#fail("lost", "", true);
  }

  #blocked(event) {
    if (event.effectiveDirective === "connect-src" && this.state !== "idle") this.#fail("blocked", "", false);
  }

  #fail(reason, detail, again) {
    this.#drop();
    if (!again) {
      this.#enter("refused", reason, detail);
      return;
    }
    const wait = this.#wait * (0.75 + Math.random() / 2);
    this.#wait = Math.min(this.#wait * 2, MOST_WAIT_S);
    this.retryAt = Date.now() + wait * 1000;
    this.#timer = setTimeout(() => this.#attempt(), wait * 1000);
    this.#enter("waiting", reason, detail);
  }

  #drop() {
    clearTimeout(this.#timer);
    clearTimeout(this.#steady);
    this.#timer = null;
    const client = this.#client;
    this.#client = null;
    if (!client) return;
    client.on("error", () => {});
    client.end(this.state !== "online");
  }

  #enter(state, reason = null, detail = "") {
    Object.assign(this, { state, reason, detail });
    this.news.tell(this);
  }

  // --- subscriptions -------------------------------------------------------------------------------------------

  #ask(filter, routes) {
    const told = [...routes];
    this.#client.subscribe(filter, { qos: 1 }, (error, granted, packet) => {
      const code = packet?.granted?.[0] ?? 0;
      let refused = null;
      if (code >= 128) refused = new LinkError(code, `the broker does not let this login read ${filter}`);
      else if (error) refused = new LinkError(error.code ?? "offline", error.message);
      for (const each of told) each.granted(refused);
    });
  }

  #route(topic, payload, packet) {
    const text = this.#decoder.decode(payload);
    for (const [filter, routes] of this.#routes) {
      if (!matches(filter, topic)) continue;
      for (const each of [...routes]) {
        try {
          each.hear(topic, text, packet);
        } catch (error) {
          reportError(error);
        }
      }
    }
  }
}

/** Returns the most bytes that a PUBLISH at QoS 1 takes: all of it, and lengths as long as they can be. */
function publishBytes(topic, payload, properties) {
  const bytes = (text) => new TextEncoder().encode(text ?? "").length;
  // Type and length 5, the topic's length 2, the packet's id 2, the properties' length and code 4, and of that topic 2.
  return 15 + bytes(topic) + bytes(payload) + bytes(properties?.responseTopic);
}
