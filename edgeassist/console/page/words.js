// What several views say in the same way.
import { el } from "./dom.js";
import { inLanguage, number, t } from "./texts.js";

const OF_THE_LINK = new Set(["offline", "silent", "gone", "forbidden", "oversize", "failed"]);

/** Returns why a command came to nothing, in words; what the device said itself stands behind. */
export function whyOf(error) {
  if (error.code === "old") return t("panels.old", { version: error.message });
  if (OF_THE_LINK.has(error.code)) return t(`common.command.${error.code}`, { topic: error.message, message: error.message });
  if (!error.code) return t("common.command.failed", { message: error.message });
  // Of a request these two say when to ask again; of a command the device says what is in the way.
  const known = ["busy", "quota_exceeded"].includes(error.code) ? "" : t(`common.error.${error.code}`);
  return [known.startsWith("common.") ? "" : known, error.message].filter(Boolean).join(" ");
}

/** Whether the device says that it does not know a command; false while nothing is known. */
export function lacks(box, command) {
  const known = box.info?.capabilities?.commands;
  return Array.isArray(known) && !known.includes(command);
}

const STEPS = [
  [60, "second", 1],
  [3600, "minute", 60],
  [86_400, "hour", 3600],
  [Infinity, "day", 86_400],
];

/** Returns a time of the device's (ISO 8601) as "3 minutes ago"; as it came where it is none. */
export function ago(iso) {
  const at = Date.parse(iso);
  if (Number.isNaN(at)) return String(iso);
  const seconds = Math.min(0, (at - Date.now()) / 1000);
  const [, unit, size] = STEPS.find(([below]) => -seconds < below);
  const words = new Intl.RelativeTimeFormat(inLanguage() === "zh" ? "zh-CN" : "en", { numeric: "auto" });
  return words.format(Math.round(seconds / size), unit);
}

/** Returns a time of the device's in seconds since 1970, likewise. */
export function agoOf(seconds) {
  const at = new Date(seconds * 1000);
  return Number.isNaN(at.getTime()) ? "" : ago(at.toISOString());
}

/** Returns how long something takes, from seconds: "5 s", "12 min". */
export function span(seconds) {
  if (!Number.isFinite(seconds)) return "–";
  if (seconds < 120) return t("panels.seconds", { count: number(seconds, seconds < 10 ? 1 : 0) });
  if (seconds < 7200) return t("panels.minutes", { count: number(seconds / 60) });
  return t("panels.hours", { count: number(seconds / 3600, 1) });
}

/** Returns a size in bytes, in the largest unit that keeps a digit before the point. */
export function size(bytes) {
  if (!Number.isFinite(bytes)) return "–";
  for (const [unit, most] of [["kB", 1e6], ["MB", 1e9], ["GB", Infinity]]) {
    if (bytes < most) return `${number(bytes / (most === Infinity ? 1e9 : most / 1e3), bytes < 1e9 ? 0 : 1)} ${unit}`;
  }
  return "";
}

/** Returns texts behind each other; empty ones are left out. */
export function listed(texts) {
  return texts.filter(Boolean).join(t("panels.comma"));
}

/** Returns a share of 1 in percent. */
export function percent(share) {
  return `${number(share * 100)} %`;
}

/**
 * Asks whether something is meant; resolves with true or false. The focus goes back to where it was.
 * @param {string} text
 * @param {string} yes What the button says that does it.
 */
export function confirmed(text, yes) {
  const before = document.activeElement;
  return new Promise((resolve) => {
    const words = el("p", { id: "confirm-text", text });
    const no = el("button", { type: "button", text: t("panels.no"), onclick: () => dialog.close("no") });
    const does = el("button", { type: "button", class: "danger", text: yes, onclick: () => dialog.close("yes") });
    const dialog = el("dialog", { class: "card", "aria-labelledby": "confirm-text" }, words, el("div", { class: "row" }, does, no));
    dialog.addEventListener("close", () => {
      dialog.remove();
      if (before?.isConnected) before.focus();
      resolve(dialog.returnValue === "yes");
    });
    document.body.append(dialog);
    dialog.showModal();
    no.focus();
  });
}
