// Cards: calls of tools, and the answers of decisions.
import { prettyJson } from "../blocks.js";
import { el, field } from "../dom.js";
import { number, t } from "../texts.js";

/** Returns the card of one call. */
export function callCard(call) {
  return el(
    "section",
    { class: "card call", "aria-label": t("chat.call", { name: call.name ?? "" }) },
    el("h3", { text: t("chat.call", { name: call.name ?? "" }) }),
    el("pre", { tabindex: "0", "aria-label": t("chat.call.arguments"), text: prettyJson(call.arguments ?? "") }),
  );
}

/**
 * Returns a form for what came of calls; `send(results)` gets a list of texts, one for each.
 */
export function resultsForm(calls, send) {
  const inputs = calls.map(() => el("textarea", { rows: "2" }));
  const rows = calls.map((call, index) => field(t("chat.call.result", { name: call.name }), inputs[index]));
  return el(
    "form",
    {
      class: "results",
      onsubmit: (event) => {
        event.preventDefault();
        send(inputs.map((input) => input.value));
      },
    },
    el("p", { class: "hint", text: t("chat.call.hint") }),
    ...rows,
    el("button", { type: "submit", text: t("chat.call.send") }),
  );
}

/** Returns the cards of a decision's answers, by the questions that were asked. */
export function decisionCards(answers, questions) {
  return Object.entries(answers).map(([name, said]) => {
    const answer = said ?? {};
    const rows = Object.entries(answer.probabilities ?? {}).map(([option, share]) => optionRow(option, share, answer));
    const notes = [];
    const how = answer.abstain ? "nearest" : "pick";
    if (typeof answer.score === "number") notes.push(t("chat.decision.score", { score: number(answer.score, 2) }));
    return el(
      "section",
      { class: "card decision", "aria-label": questions?.[name]?.instructions ?? name },
      el("h3", { text: questions?.[name]?.instructions ?? name }),
      el("p", { class: "pick" }, t(`chat.decision.${how}`), " ", el("strong", { text: answer.choice ?? "" })),
      el("table", { class: "options" }, el("tbody", {}, ...rows)),
      notes.length ? el("p", { class: "hint", text: notes.join(" · ") }) : null,
    );
  });
}

function optionRow(option, share, answer) {
  const percent = `${number(share * 100, 1)} %`;
  return el(
    "tr",
    { class: option === answer.choice ? "picked" : null },
    el("th", { scope: "row", text: option }),
    el("td", {}, el("meter", { min: "0", max: "1", value: String(share), "aria-label": `${option}: ${percent}` })),
    el("td", { class: "number", text: percent }),
  );
}
