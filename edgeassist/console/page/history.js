// The last minutes of a device's figures, for charts: rings of a fixed size, whatever comes.
import { News } from "./news.js";

export const WINDOW_S = 600;
const STEP_S = 2;
const ROOM = WINDOW_S / STEP_S + 2;
// Of two that tell of the same: what was counted a moment ago is better than an average of half a minute.
const COUNTED_S = 10;

/** Points of one figure. NaN is a gap. */
export class Series {
  #at = new Float64Array(ROOM);
  #value = new Float64Array(ROOM);
  #first = 0;
  #count = 0;

  /** When the newest point is from, in seconds; -Infinity without one. */
  get newest() {
    return this.#count ? this.#at[(this.#first + this.#count - 1) % ROOM] : -Infinity;
  }

  /** The newest value; NaN without one. */
  get last() {
    return this.#count ? this.#value[(this.#first + this.#count - 1) % ROOM] : NaN;
  }

  /** Adds a point; one that comes right behind another takes its place, so that the ring lasts for the window. */
  add(at, value) {
    const newest = (this.#first + this.#count - 1) % ROOM;
    const known = typeof value === "number" && Number.isFinite(value) ? value : NaN;
    if (this.#count > 1 && at - this.#at[(newest + ROOM - 1) % ROOM] < STEP_S && Number.isNaN(known) === Number.isNaN(this.#value[newest])) {
      this.#at[newest] = at;
      this.#value[newest] = known;
      return;
    }
    if (this.#count === ROOM) this.#first = (this.#first + 1) % ROOM;
    else this.#count += 1;
    const place = (this.#first + this.#count - 1) % ROOM;
    this.#at[place] = at;
    this.#value[place] = known;
  }

  /** When the oldest point is from, in seconds; Infinity without one. */
  get oldest() {
    return this.#count ? this.#at[this.#first] : Infinity;
  }

  /** Returns [at, value] of the points since then, the oldest first. */
  since(from) {
    const points = [];
    for (let each = 0; each < this.#count; each += 1) {
      const place = (this.#first + each) % ROOM;
      if (this.#at[place] >= from) points.push([this.#at[place], this.#value[place]]);
    }
    return points;
  }

  clear() {
    this.#first = this.#count = 0;
  }
}

const NAMES = ["rate", "speed", "first", "queued", "running", "threads", "prefill", "heat", "memory", "free"];

/** Takes what a box says of itself, and what was counted of its requests. */
export class History {
  news = new News();
  series = Object.fromEntries(NAMES.map((name) => [name, new Series()]));
  #box;
  #root;
  #health = null;
  #telemetry = null;
  #counted = -Infinity;
  #before = null;

  constructor(box) {
    this.#box = box;
    this.#root = box.root;
    box.news.watch(() => this.#hear());
  }

  /** Takes how many tokens a second are written now, over all requests. */
  count(rate) {
    this.#counted = now();
    this.series.rate.add(this.#counted, rate);
    this.news.tell(this);
  }

  #hear() {
    const box = this.#box;
    if (box.root !== this.#root) {
      this.#root = box.root;
      for (const each of Object.values(this.series)) each.clear();
      this.#health = this.#telemetry = this.#before = null;
    }
    const at = now();
    if (box.status === "offline" || box.status === "absent") {
      // What stands at the broker of a device that is away is old.
      for (const each of Object.values(this.series)) if (!Number.isNaN(each.last)) each.add(at, NaN);
      this.#before = null;
    } else {
      if (box.health && box.health !== this.#health) this.#takeHealth(at, box.health);
      if (box.telemetry && box.telemetry !== this.#telemetry) this.#takeTelemetry(at, box.telemetry);
    }
    this.#health = box.health;
    this.#telemetry = box.telemetry;
    this.news.tell(this);
  }

  #takeHealth(at, health) {
    const { queued, running, threads, prefill, heat, memory, free } = this.series;
    queued.add(at, health.queued);
    running.add(at, health.running);
    threads.add(at, health.threads);
    prefill.add(at, health.prefill_threads);
    heat.add(at, health.cpu_temperature_c);
    memory.add(at, sum(health.daemon_memory_bytes, health.engine_memory_bytes));
    free.add(at, health.memory_available_bytes);
  }

  #takeTelemetry(at, telemetry) {
    const { rate, speed, first } = this.series;
    speed.add(at, telemetry.decode_tokens_per_s?.p50);
    first.add(at, telemetry.ttft_ms?.p50);
    const before = this.#before;
    const tokens = telemetry.completion_tokens;
    // Fewer than before: the daemon was started anew.
    const counts = before && tokens >= before.tokens && at - before.at >= 1;
    if (counts && at - this.#counted > COUNTED_S) rate.add(at, (tokens - before.tokens) / (at - before.at));
    this.#before = { at, tokens };
  }
}

/** Returns the time in seconds, by a clock that is never set. */
export function now() {
  return performance.now() / 1000;
}

function sum(one, other) {
  return one === null && other === null ? null : (one ?? 0) + (other ?? 0);
}
