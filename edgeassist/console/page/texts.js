// The page's words, in English and Chinese. Each view has its own, in texts/; a new file is one line in PARTS.
import { BROWSER, keep, recall } from "./kept.js";
import chat from "./texts/chat.js";
import common from "./texts/common.js";
import doctor from "./texts/doctor.js";
import fleet from "./texts/fleet.js";
import live from "./texts/live.js";
import models from "./texts/models.js";
import panels from "./texts/panels.js";
import requests from "./texts/requests.js";
import watches from "./texts/watches.js";

const PARTS = { common, chat, doctor, fleet, live, models, panels, requests, watches };
const KEPT = "language";

export const LANGUAGES = { en: "English", zh: "中文" };

let language = chosen();

function chosen() {
  const kept = recall(KEPT, BROWSER);
  if (kept in LANGUAGES) return kept;
  const wanted = navigator.languages.map((each) => each.slice(0, 2).toLowerCase());
  return wanted.find((each) => each in LANGUAGES) ?? "en";
}

/** Returns the language in force: "en" or "zh". */
export function inLanguage() {
  return language;
}

/** Speaks another language from now on; who shows something draws it again. */
export function speak(other) {
  language = other;
  keep(KEPT, other, BROWSER);
}

/**
 * Returns the text of a key, such as `chat.send`; `{name}` in it becomes `values.name`.
 * @param {string} key The part, and the text's name in it.
 * @param {Object<string, *>} values
 */
export function t(key, values = {}) {
  const [part, ...name] = key.split(".");
  const texts = PARTS[part]?.[language] ?? {};
  // What a device says is a part of some keys, and may be `constructor`.
  if (!Object.hasOwn(texts, name.join("."))) return key;
  const text = texts[name.join(".")];
  return text.replace(/\{(\w+)\}/g, (whole, each) => (each in values ? String(values[each]) : whole));
}

/** Whether there is a text of that key. */
export function hasText(key) {
  return t(key) !== key;
}

/** Returns a number as this language writes it, with at most so many digits behind the point. */
export function number(value, digits = 0) {
  return new Intl.NumberFormat(language === "zh" ? "zh-CN" : "en", { maximumFractionDigits: digits }).format(value);
}

/** Returns a time of day. */
export function clock(ms) {
  return new Intl.DateTimeFormat(language === "zh" ? "zh-CN" : "en", { timeStyle: "medium" }).format(ms);
}

/** All texts, by part and language: for tests. */
export const ALL_TEXTS = PARTS;
