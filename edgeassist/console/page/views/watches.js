// What is known from the device's watches.
import { put } from "../chart.js";
import { el, perFrame } from "../dom.js";
import { clock, hasText, number, t } from "../texts.js";
import { ago, percent } from "../words.js";

// A device has at most 32 watches of 32 questions; who writes on its topics must not fill the page.
const MOST_WATCHES = 64;
const MOST_QUESTIONS = 32;
const MOST_OPTIONS = 64;

export function mount(place, { box }) {
  const told = el("p");
  const body = el("div", { class: "watches" });
  place.append(el("h2", { text: t("watches.title") }), told, body);
  const shown = new Map();

  const draw = () => {
    const names = namesOf(box);
    put(told, names.length ? "" : t(box.forbidden.has(`${box.root}/watch/+`) ? "watches.forbidden" : box.info ? "watches.nothing" : "watches.unknown"));
    told.hidden = names.length > 0;
    for (const [name, card] of shown) {
      if (names.includes(name)) continue;
      card.element.remove();
      shown.delete(name);
    }
    for (const [at, name] of names.entries()) {
      let card = shown.get(name);
      if (!card) shown.set(name, (card = new Card(name)));
      card.show(knownOf(box, name));
      if (body.children[at] !== card.element) body.insertBefore(card.element, body.children[at] ?? null);
    }
  };
  const soon = perFrame(draw);
  const end = box.news.watch(soon);
  const ages = setInterval(soon, 10_000);
  draw();
  return {
    unmount() {
      clearInterval(ages);
      end();
    },
  };
}

function namesOf({ watches, info }) {
  const set = info?.settings?.watch;
  const ours = Array.isArray(set) ? set.map((each) => String(each?.name)) : [];
  return [...new Set([...ours, ...Object.keys(watches)])].sort().slice(0, MOST_WATCHES);
}

function knownOf({ watches }, name) {
  const known = Object.hasOwn(watches, name) ? watches[name] : null;
  return known !== null && typeof known === "object" ? known : null;
}

class Card {
  #reason = el("p", { class: "notice" });
  #times = el("p", { class: "hint" });
  #answers = el("div");
  #drawn = null;

  constructor(name) {
    this.element = el("section", { class: "card" }, el("h3", { text: name }), this.#reason, this.#answers, this.#times);
  }

  /** Shows what is known; null: the device says nothing of it. */
  show(known) {
    const reason = known ? known.reason : t("watches.silent");
    this.#reason.hidden = !reason;
    put(this.#reason, String(reason ?? ""));
    // The device speaks English.
    if (known) this.#reason.lang = "en";
    else this.#reason.removeAttribute("lang");
    put(this.#times, known?.state_at ? t("watches.times", { state: ago(known.state_at), answer: known.answered_at ? ago(known.answered_at) : "–" }) : "");
    this.#times.title = known?.answered_at ? when(known.answered_at) : "";
    // The document is another object when it came anew; ages pass without it.
    if (known === this.#drawn && known !== null) return this.#age();
    this.#drawn = known;
    const answers = Object.entries(known?.answers ?? {}).slice(0, MOST_QUESTIONS);
    this.#answers.replaceChildren(...answers.map(([name, answer]) => answerOf(name, answer ?? {})));
    return undefined;
  }

  #age() {
    for (const since of this.#answers.querySelectorAll("[data-since]")) put(since, t("watches.since", { when: ago(since.dataset.since) }));
  }
}

function answerOf(name, answer) {
  const known = answer.choice !== null && answer.choice !== undefined;
  const choice = known ? optionOf(answer.type, answer.choice) : t("watches.unknown-answer");
  const parts = [el("p", { class: "answer" }, el("span", { class: "faint", text: `${name}: ` }), el("strong", { text: choice }))];
  const notes = [];
  if (answer.since) notes.push(el("span", { "data-since": answer.since, text: t("watches.since", { when: ago(answer.since) }) }));
  if (typeof answer.score === "number") notes.push(el("span", { text: t("watches.score", { score: number(answer.score, 2) }) }));
  if (answer.abstain) notes.push(el("span", { text: t("watches.abstains", { margin: percent(answer.margin ?? 0) }) }));
  if (notes.length) parts.push(el("p", { class: "hint row" }, ...notes));
  const shares = Object.entries(answer.probabilities ?? {}).filter(([, share]) => typeof share === "number");
  if (shares.length) parts.push(barsOf(name, answer, shares));
  return el("div", { class: "watched" }, ...parts);
}

function barsOf(name, answer, shares) {
  shares.sort(([, one], [, other]) => other - one);
  const rows = shares.slice(0, MOST_OPTIONS).flatMap(([option, share]) => {
    const label = optionOf(answer.type, option);
    const meter = el("meter", { min: "0", max: "1", "aria-label": t("watches.bar", { question: name, option: label, share: percent(share) }) });
    meter.value = Math.min(1, Math.max(0, share));
    return [el("span", { class: option === answer.choice ? "chosen" : "", text: label }), meter, el("span", { class: "share", text: percent(share) })];
  });
  return el("div", { class: "bars" }, ...rows);
}

function optionOf(type, option) {
  const key = `watches.option.${option}`;
  return type === "yes_no" && hasText(key) ? t(key) : String(option);
}

function when(iso) {
  const at = Date.parse(iso);
  return Number.isNaN(at) ? String(iso) : clock(at);
}
