// What is known of one device, from what it keeps at the broker.
import { News } from "./news.js";

const DOCUMENTS = ["health", "telemetry", "info"];
// A device has 32 watches at most, and info of some 20 kB; whoever writes there may not fill this page.
const MOST_WATCHES = 64;
const MOST_CHARACTERS = 1 << 20;
// A broker sends what it keeps right behind its grant.
const ABSENT_S = 3;

/**
 * Reads JSON; undefined where it is none, or nested some thousand levels deep (the function that looks at each value
 * costs stack). Each value in it can be made a text: one with an own `toString` could not, and whatever shows it would
 * break off.
 */
export function readJson(text) {
  try {
    return JSON.parse(text, (name, each) => (name === "toString" ? undefined : each));
  } catch {
    return undefined;
  }
}

/** Returns the objects in what should be a list of them; whatever else stands there is left out. */
export function objectsIn(list) {
  return Array.isArray(list) ? list.filter((each) => each !== null && typeof each === "object") : [];
}

/** Reads what should be a JSON object; null where it is none. */
function readDocument(text) {
  const value = text.length <= MOST_CHARACTERS ? readJson(text) : undefined;
  return value && typeof value === "object" && !Array.isArray(value) ? value : null;
}

/**
 * `status` is online, offline, absent (nothing is known of such a device) or unknown (nothing was heard yet);
 * `health`, `telemetry` and `info` are their documents, or null; `watches` has those of the watches, by name;
 * `forbidden` the topics that the broker does not let this login read.
 */
export class Box {
  news = new News();
  /**
   * Told when it comes (`online`) and goes (`offline`), and at the first `online` that is said over a connection: it may
   * be back later than this page. A device says now and then that it is still there.
   */
  turns = new News();
  #connection;
  #base;
  #routes = [];
  #timer = null;
  #heardOnline = false;

  constructor(connection, base, device) {
    this.#connection = connection;
    this.#base = base;
    connection.news.watch(() => this.#linkChanged());
    this.choose(device);
  }

  /** The prefix of all its topics. */
  get root() {
    return `${this.#base}/${this.device}`;
  }

  /** Looks at another device from now on. */
  choose(device) {
    for (const end of this.#routes) end();
    this.device = device;
    this.#forget();
    const hear = (topic, act) => {
      const granted = (error) => this.#granted(topic, error);
      this.#routes.push(this.#connection.subscribe(topic, act, granted));
    };
    this.#routes = [];
    hear(`${this.root}/status`, (topic, text, packet) => this.#heardStatus(text, packet));
    for (const name of DOCUMENTS) {
      hear(`${this.root}/${name}`, (topic, text) => this.#set(name, readDocument(text)));
    }
    hear(`${this.root}/watch/+`, (topic, text) => this.#heardWatch(topic.split("/").at(-1), text));
    this.news.tell(this);
  }

  #forget() {
    this.status = "unknown";
    this.#heardOnline = false;
    for (const name of DOCUMENTS) this[name] = null;
    // Without a prototype: a name may be any.
    this.watches = Object.create(null);
    this.forbidden = new Set();
  }

  #heardStatus(text, packet) {
    clearTimeout(this.#timer);
    const before = this.status;
    this.#set("status", text === "online" || text === "offline" ? text : "absent");
    if (packet.retain || !text) return;
    const first = text === "online" && !this.#heardOnline;
    this.#heardOnline ||= text === "online";
    if (first || this.status !== before) this.turns.tell(text);
  }

  #heardWatch(name, text) {
    const known = readDocument(text);
    if (known === null) delete this.watches[name];
    else if (name in this.watches || Object.keys(this.watches).length < MOST_WATCHES) this.watches[name] = known;
    this.news.tell(this);
  }

  #granted(topic, error) {
    if (error?.forbidden) this.forbidden.add(topic);
    else if (!error) this.forbidden.delete(topic);
    if (topic !== `${this.root}/status`) return this.news.tell(this);
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.status === "unknown" && this.#set("status", "absent"), ABSENT_S * 1000);
    return this.news.tell(this);
  }

  #linkChanged() {
    if (this.#connection.state === "online") return;
    clearTimeout(this.#timer);
    this.#heardOnline = false;
    if (this.#connection.state === "idle") this.#forget();
    this.status = "unknown";
    this.news.tell(this);
  }

  #set(name, value) {
    this[name] = value;
    this.news.tell(this);
  }
}
