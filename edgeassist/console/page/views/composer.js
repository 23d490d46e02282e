// What is asked: the form below the chat.
import { el, field, freshId } from "../dom.js";
import { keep, recall } from "../kept.js";
import { t } from "../texts.js";

/** What was typed can't be sent; `control` is where. */
class TypedError extends Error {
  constructor(control, message) {
    super(message);
    this.control = control;
  }
}

/**
 * The form. `acts.send(kind, question, fields)` gets what was typed as fields of a request, `acts.stop()` and
 * `acts.fresh()` what their buttons say. What was chosen outlives a reload.
 */
export class Composer {
  #acts;
  #controls = {};
  #problem = el("p", { class: "bad", role: "alert", id: freshId("problem") });

  constructor(acts) {
    this.#acts = acts;
    this.#make();
    const kept = recall("composer") ?? {};
    for (const [name, control] of Object.entries(this.#controls)) if (kept[name]) control.value = kept[name];
    this.element.addEventListener("input", () => this.#changed());
    this.#changed();
  }

  /** Shows whether an answer goes on. */
  busy(whether) {
    this.#send.hidden = whether;
    this.#stop.hidden = !whether;
    this.#stop.disabled = false;
  }

  focus() {
    this.#controls.prompt.focus();
  }

  /** Shows what could not be done. */
  problem(words) {
    this.#problem.textContent = words;
  }

  #send = el("button", { type: "submit", class: "primary", text: t("chat.send") });
  #stop = el("button", {
    type: "button",
    class: "danger",
    hidden: true,
    text: t("chat.stop"),
    onclick: () => {
      this.#stop.disabled = true;
      this.#acts.stop();
      this.focus();
    },
  });

  #make() {
    const text = (rows, name) => (this.#controls[name] = el("textarea", { rows: String(rows), spellcheck: "false" }));
    const chosen = (name, options) =>
      (this.#controls[name] = el("select", {}, ...options.map((each) => el("option", { value: each, text: t(`chat.${name}.${each}`) }))));
    const amount = (name, attributes) => (this.#controls[name] = el("input", { type: "number", ...attributes }));
    const prompt = text(2, "prompt");
    prompt.addEventListener("keydown", (event) => {
      // Where characters are put together (Chinese), Enter ends that.
      if (event.key !== "Enter" || event.shiftKey || event.isComposing) return;
      event.preventDefault();
      if (!this.#send.hidden) this.element.requestSubmit();
    });
    const kind = chosen("kind", ["prompt", "decide"]);
    const decision = el(
      "fieldset",
      { class: "decide" },
      el("legend", { text: t("chat.question") }),
      el(
        "div",
        { class: "grid" },
        el(
          "div",
          {},
          field(t("chat.question.text"), (this.#controls.question = el("input", { type: "text" }))),
          field(t("chat.question.type"), chosen("type", ["choice", "yes_no", "score"])),
        ),
        field(t("chat.question.options"), text(3, "options"), t("chat.question.options.hint")),
      ),
    );
    const options = el(
      "details",
      { class: "options" },
      el("summary", { text: t("chat.options") }),
      field(t("chat.system"), text(2, "system")),
      el(
        "div",
        { class: "grid" },
        field(t("chat.max_tokens"), amount("max_tokens", { min: "1", step: "1" })),
        field(t("chat.temperature"), amount("temperature", { min: "0", max: "5", step: "any" })),
        field(t("chat.think"), chosen("think", ["default", "true", "false"])),
      ),
      field(t("chat.schema"), text(3, "schema"), t("chat.schema.hint")),
      field(t("chat.tools"), text(3, "tools"), t("chat.tools.hint")),
    );
    this.element = el(
      "form",
      {
        class: "composer card",
        "aria-label": t("chat.composer"),
        onsubmit: (event) => {
          event.preventDefault();
          this.#submit();
        },
      },
      field(t("chat.prompt"), prompt, t("chat.prompt.hint")),
      decision,
      this.#problem,
      el(
        "div",
        { class: "row" },
        this.#send,
        this.#stop,
        el("button", { type: "button", text: t("chat.new"), onclick: () => this.#acts.fresh() }),
        field(t("chat.kind"), kind),
      ),
      options,
    );
  }

  #value(name) {
    return this.#controls[name].value.trim();
  }

  #changed() {
    const values = Object.entries(this.#controls).map(([name, control]) => [name, control.value]);
    keep("composer", Object.fromEntries(values));
    const decides = this.#value("kind") === "decide";
    this.element.querySelector("fieldset.decide").hidden = !decides;
    this.element.querySelector("details.options").hidden = decides;
    this.#controls.options.closest(".field").hidden = this.#value("type") === "yes_no";
  }

  #submit() {
    for (const control of Object.values(this.#controls)) control.removeAttribute("aria-invalid");
    this.problem("");
    const kind = this.#value("kind");
    try {
      const question = this.#value("prompt");
      if (!question) throw new TypedError(this.#controls.prompt, t("chat.problem.empty"));
      this.#acts.send(kind, question, kind === "decide" ? this.#decision(question) : this.#request(question));
    } catch (error) {
      if (!(error instanceof TypedError)) throw error;
      const details = error.control.closest("details");
      if (details) details.open = true;
      error.control.setAttribute("aria-invalid", "true");
      this.problem(error.message);
      error.control.focus();
      return;
    }
    this.#controls.prompt.value = "";
    this.#changed();
  }

  #request(prompt) {
    const fields = { prompt };
    if (this.#value("system")) fields.system = this.#controls.system.value;
    for (const name of ["max_tokens", "temperature"]) if (this.#value(name)) fields[name] = Number(this.#value(name));
    if (this.#value("think") !== "default") fields.think = this.#value("think") === "true";
    const schema = this.#json("schema", (value) => value && typeof value === "object" && !Array.isArray(value));
    if (schema) fields.json_schema = schema;
    const tools = this.#json("tools", Array.isArray);
    if (tools) fields.tools = tools;
    return fields;
  }

  #json(name, fits) {
    const text = this.#value(name);
    if (!text) return null;
    let value;
    try {
      value = JSON.parse(text);
    } catch (error) {
      throw new TypedError(this.#controls[name], t(`chat.problem.${name}`, { message: error.message }));
    }
    if (!fits(value)) throw new TypedError(this.#controls[name], t(`chat.problem.${name}`, { message: "" }));
    return value;
  }

  #decision(state) {
    const instructions = this.#value("question");
    if (!instructions) throw new TypedError(this.#controls.question, t("chat.problem.question"));
    const type = this.#value("type");
    const question = { type, instructions };
    if (type !== "yes_no") {
      const options = this.#value("options").split("\n").map((each) => each.trim()).filter(Boolean);
      const range = /^(-?[\d.]+)\s*(?:\.\.|–|-|~)\s*(-?[\d.]+)$/.exec(options[0] ?? "");
      if (type === "score" && options.length === 1 && range) {
        Object.assign(question, { minimum: Number(range[1]), maximum: Number(range[2]) });
      } else if (options.length < 2) throw new TypedError(this.#controls.options, t("chat.problem.options"));
      else question.criteria = options;
    }
    return { state, questions: { answer: question } };
  }
}
