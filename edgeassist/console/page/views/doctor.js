// What edgeassist doctor finds on the device, with the commands that mend it.
import { objectsIn } from "../box.js";
import { put } from "../chart.js";
import { el, say } from "../dom.js";
import { clock, hasText, t } from "../texts.js";
import { lacks, whyOf } from "../words.js";

// It is ended after 120 s on the device.
const PATIENCE_S = 150;
const ORDER = ["problem", "warning", "skipped", "ok"];

// The last examination stays while other tabs are looked at: it took a while.
const kept = { root: null, at: 0, examination: null, running: false, error: null, mounted: null };

export function mount(place, { box, commands }) {
  const begin = el("button", { type: "button", class: "primary", text: t("doctor.begin"), onclick: () => examine(box, commands) });
  const bar = el("progress", { "aria-label": t("doctor.bar") });
  const told = el("p", { role: "status" });
  const trouble = el("p", { class: "bad", role: "alert" });
  const found = el("div", { class: "findings" });
  place.append(el("h2", { text: t("doctor.title") }), el("p", { text: t("doctor.explain") }), el("div", { class: "row" }, begin), told, bar, trouble, found);
  let drawn = null;

  const draw = () => {
    const ours = kept.root === box.root;
    const running = ours && kept.running;
    begin.disabled = running || lacks(box, "doctor");
    bar.hidden = !running;
    const examination = ours ? kept.examination : null;
    const error = ours ? kept.error : null;
    put(trouble, error ? whyOf(error) : lacks(box, "doctor") ? whyOf({ code: "old", message: box.info.version }) : "");
    if (running) put(told, t("doctor.running"));
    else put(told, examination ? summaryOf(examination, kept.at) : "");
    if (examination === drawn) return;
    drawn = examination;
    found.replaceChildren(...(examination ? findingsOf(examination) : []));
  };
  kept.mounted = draw;
  const end = box.news.watch(draw);
  draw();
  return {
    unmount() {
      kept.mounted = null;
      end();
    },
  };
}

async function examine(box, commands) {
  const { root } = box;
  Object.assign(kept, { root, running: true, examination: null, error: null });
  kept.mounted?.();
  const result = { examination: null, error: null };
  try {
    result.examination = await commands.give(root, "doctor", {}, { patience_s: PATIENCE_S });
  } catch (error) {
    result.error = error;
  }
  if (kept.root !== root) return; // another device was examined meanwhile
  Object.assign(kept, { ...result, running: false, at: Date.now() });
  kept.mounted?.();
  if (result.examination) say(summaryOf(result.examination, kept.at));
}

function summaryOf(examination, at) {
  const counts = Object.fromEntries(ORDER.map((each) => [each, objectsIn(examination.findings).filter(({ severity }) => severity === each).length]));
  const key = counts.problem || counts.warning ? "doctor.summary" : "doctor.summary.well";
  const left = examination.left_out > 0 ? ` ${t("doctor.left-out", { count: examination.left_out })}` : "";
  return t(key, { ...counts, at: clock(at), version: examination.version }) + left;
}

function findingsOf(examination) {
  const by = (severity) => objectsIn(examination.findings).filter((each) => each.severity === severity);
  const parts = [];
  for (const severity of ["problem", "warning"]) parts.push(...by(severity).map(findingOf));
  for (const severity of ["skipped", "ok"]) {
    const those = by(severity);
    if (!those.length) continue;
    const summary = el("summary", { text: t(`doctor.fold.${severity}`, { count: those.length }) });
    parts.push(el("details", { class: "card" }, summary, ...those.map(findingOf)));
  }
  return parts;
}

function findingOf({ severity, area, text, remedy }) {
  const head = el(
    "p",
    {},
    el("span", { class: `badge ${ORDER.includes(severity) ? severity : "ok"}`, text: word("severity", severity) }),
    " ",
    el("strong", { text: word("area", area) }),
  );
  // The device speaks English.
  const parts = [head, el("p", { text: String(text), lang: "en" })];
  if (remedy) parts.push(remedyOf(String(remedy)));
  return el("article", { class: severity === "problem" || severity === "warning" ? "card" : "finding" }, ...parts);
}

function remedyOf(remedy) {
  const code = el("pre", { text: remedy, tabindex: "0", lang: "en" });
  const copy = el("button", { type: "button", text: t("doctor.copy"), "aria-label": t("doctor.copy.of", { remedy }), onclick: () => copyOf(copy, code) });
  return el("div", { class: "remedy" }, code, copy);
}

async function copyOf(button, code) {
  try {
    await navigator.clipboard.writeText(code.textContent);
    put(button, t("doctor.copied"));
  } catch {
    // A page that is no secure context may not: then it is marked, for Ctrl-C.
    getSelection().selectAllChildren(code);
    put(button, t("doctor.marked"));
  }
  say(button.textContent);
  setTimeout(() => put(button, t("doctor.copy")), 3000);
}

function word(part, name) {
  const key = `doctor.${part}.${name}`;
  return hasText(key) ? t(key) : String(name);
}
