// One answer, made of the events that come: in order and complete, whatever was lost on the way. No I/O.
import { objectsIn } from "./box.js";

const ENDS = new Set(["done", "error"]);

/**
 * `state` is waiting (nothing was heard), accepted, running (text or thoughts have come) or ended (`end` is its last
 * event, or one of ours with a `code` that the wire does not know).
 * `round` counts how often the text began anew: who shows it draws all of it then, and else what was added.
 */
export class Answer {
  state = "waiting";
  text = "";
  reasoning = "";
  calls = [];
  position = null;
  readyIn = null;
  progress = null;
  end = null;
  round = 0;
  /** Whether text is missing, until the end brings all of it. */
  gap = false;
  #next = 0;
  #repeated = false;

  constructor(id) {
    this.id = id;
  }

  /** Notes that the request was published again: from now on it may run a second time. */
  repeated() {
    this.#repeated = true;
  }

  /** What is needed to go on with it after a reload. */
  saved() {
    const { text, reasoning, gap } = this;
    return { text, reasoning, gap, next: this.#next };
  }

  /** Goes on with what an earlier page had. */
  restore({ text = "", reasoning = "", gap = false, next = 0 }) {
    Object.assign(this, { text, reasoning, gap });
    this.#next = next;
    if (text || reasoning) this.state = "running";
  }

  /** Takes an event; returns whether something changed. */
  take(event) {
    if (this.state === "ended" || typeof event.seq !== "number") return false;
    const last = ENDS.has(event.type);
    // Before an end that is said again come its parts; it has all of them.
    if (event.repeat && !last) return false;
    if (event.seq < this.#next && !last) {
      const anew = event.type === "accepted" && event.seq === 0;
      if (!anew && !this.#repeated) return false; // QoS 1 may deliver twice
      this.#begin();
    }
    if (event.seq > this.#next && !last) this.#miss();
    this.#next = event.seq + 1;
    if (last) this.#finish(event);
    else this.#go(event);
    return true;
  }

  /** Ends it for a reason of this page's. */
  fail(code, message = "") {
    if (this.state === "ended") return;
    this.end = { type: "error", code, message, text: this.text, local: true };
    this.state = "ended";
  }

  #begin() {
    Object.assign(this, { text: "", reasoning: "", calls: [], gap: false, state: "waiting" });
    this.#next = 0;
    this.#repeated = false;
    this.round += 1;
  }

  #miss() {
    if (this.gap) return;
    this.gap = true;
    if (this.text) this.text += " […] ";
  }

  #go(event) {
    switch (event.type) {
      case "accepted":
        if (this.state === "waiting") this.state = "accepted";
        this.position = event.position ?? null;
        this.readyIn = event.model_ready_in_s ?? null;
        break;
      case "progress":
        this.progress = { processed: event.processed + (event.cached ?? 0), total: event.total };
        break;
      case "reasoning":
        this.state = "running";
        this.reasoning += event.text;
        break;
      case "chunk":
        this.state = "running";
        this.text += event.text;
        break;
      case "tool_call":
        this.state = "running";
        this.calls.push({ id: event.tool_call_id, name: event.name, arguments: event.arguments });
        break;
      default: // of a newer device
    }
  }

  #finish(event) {
    this.end = event;
    this.state = "ended";
    if (typeof event.text === "string" && event.text !== this.text && (event.type === "done" || event.text)) {
      this.text = event.text;
      this.round += 1;
    }
    if (event.reasoning && (this.gap || !this.reasoning)) {
      this.reasoning = event.reasoning;
      this.round += 1;
    }
    if (event.tool_calls) {
      this.calls = objectsIn(event.tool_calls).map((call) => ({ id: call.id, ...call.function }));
    }
    this.gap = false;
  }
}
