// How the device is, now and over the last minutes.
import { Chart, put } from "../chart.js";
import { el, perFrame } from "../dom.js";
import { now, WINDOW_S } from "../history.js";
import { hasText, number, t } from "../texts.js";
import { listed, size, span } from "../words.js";

// Each chart: its one or two figures, the least top of its scale, and how a value is told.
const CHARTS = {
  rate: { series: ["rate"], least: 1, tell: (value) => unit("rate", value, 1) },
  first: { series: ["first"], least: 0.1, factor: 0.001, tell: (value) => unit("seconds", value, 2) },
  load: { series: ["running", "queued"], least: 1, tell: (value) => number(value) },
  threads: { series: ["threads", "prefill"], least: 1, tell: (value) => number(value) },
  heat: { series: ["heat"], least: 60, tell: (value) => unit("degrees", value) },
  memory: { series: ["memory", "free"], least: 1e8, tell: size },
};

export function mount(place, { box, history, running }) {
  const sentence = el("p", { class: "sentence" });
  const troubles = el("ul", { class: "troubles" });
  const facts = el("dl", { class: "facts" });
  const charts = Object.keys(CHARTS).map((name) => [name, new Chart(t(`live.${name}`), t("panels.now"))]);
  const grid = el("div", { class: "charts" }, ...charts.map(([, chart]) => chart.element));
  const empty = el("p", { class: "hint" });
  const nothing = el("p", { text: t("live.nothing") });
  place.append(el("h2", { text: t("live.title") }), nothing, sentence, troubles, empty, grid, facts);

  const draw = () => {
    const { health, telemetry } = box;
    nothing.hidden = Boolean(health);
    for (const each of [sentence, troubles, grid, facts]) each.hidden = !health;
    if (!health) {
      empty.hidden = true;
      return;
    }
    put(sentence, sentenceOf(box));
    list(troubles, troublesOf(box));
    empty.hidden = Boolean(telemetry);
    put(empty, telemetry ? "" : t("live.no-telemetry"));
    const to = now();
    const minutes = minutesOf(history.series, to);
    for (const [name, chart] of charts) drawChart(name, chart, history.series, { to, minutes }, box);
    define(facts, factsOf(box));
  };
  const soon = perFrame(draw);
  // While somebody looks, tokens are counted as they are written.
  const ends = [box.news.watch(soon), history.news.watch(soon), running.watch(soon)];
  const clock = setInterval(soon, 5000);
  draw();
  return {
    unmount() {
      clearInterval(clock);
      for (const end of ends) end();
    },
  };
}

function unit(name, value, digits = 0) {
  return t(`live.unit.${name}`, { value: number(value, digits) });
}

/** Returns how many minutes the charts show: as many as there are points for. */
function minutesOf(series, to) {
  const oldest = Math.min(...Object.values(series).map((each) => each.oldest));
  return Math.min(WINDOW_S / 60, Math.max(1, Math.ceil((to - oldest) / 60)) || 1);
}

function drawChart(name, chart, series, { to, minutes }, box) {
  const { series: names, factor = 1, tell, ...scale } = CHARTS[name];
  const from = to - minutes * 60;
  const points = names.map((each) => series[each].since(from).map(([at, value]) => [at, value * factor]));
  const values = points[0].map(([, value]) => value).filter((value) => !Number.isNaN(value));
  const last = names.map((each) => series[each].last * factor);
  const lasts = Object.fromEntries(names.map((each, at) => [each, Number.isNaN(last[at]) ? "–" : tell(last[at])]));
  const figure = Number.isNaN(last[0]) ? t(`live.${name}.none`) : t(`live.${name}.figure`, lasts);
  const range = values.length > 1 ? { least: tell(Math.min(...values)), most: tell(Math.max(...values)) } : null;
  const summary = `${t(`live.${name}`)}: ${figure}${range ? ` ${t("live.range", { ...range, minutes })}` : ""}`;
  chart.draw(points, { ...scale, tell, from, to }, { figure, summary, hint: hintOf(name, box), start: t("panels.minutes.ago", { count: minutes }) });
}

/** Returns what stands below a chart. */
function hintOf(name, { health, telemetry }) {
  const spread = (figures, tell) => (figures?.p50 == null ? "" : t("live.spread", { p50: tell(figures.p50), p95: tell(figures.p95) }));
  switch (name) {
    case "rate":
      return spread(telemetry?.decode_tokens_per_s, (value) => unit("rate", value, 1));
    case "first":
      return spread(telemetry?.ttft_ms, (value) => unit("seconds", value / 1000, 2));
    case "threads":
      return health.threads_reason ?? "";
    default:
      return "";
  }
}

function sentenceOf({ status, device, health }) {
  // Of a newer device, it may be a word that this page does not know.
  const state = hasText(`common.health.${health.state}`) ? t(`common.health.${health.state}`) : String(health.state);
  const model = health.model ?? t("live.no-model");
  const key = status === "offline" ? "away" : health.sleeping ? "asleep" : "sentence";
  return t(`live.${key}`, { device, state, model, running: health.running, queued: health.queued });
}

/** Returns what keeps the device from its best, each in a sentence. */
export function troublesOf({ health }) {
  const told = [];
  const tell = (name, values = {}) => told.push(t(`live.trouble.${name}`, values));
  if (health.cut) tell("cut");
  if (health.reason) told.push(health.reason);
  if (health.throttled) tell("throttled");
  else if (health.throttled_since_start) tell("throttled-before");
  if (health.under_voltage) tell("voltage");
  else if (health.under_voltage_since_start) tell("voltage-before");
  if (health.frequency_capped) tell("capped");
  if (health.soft_temperature_limit) tell("soft-limit");
  if (health.durable === false) tell("durable", { reason: health.undurable_reason ?? "" });
  if (health.engine_restarts > 0) tell("restarts", { count: health.engine_restarts });
  if (health.mqtt_refused > 0) tell("refused", { count: health.mqtt_refused, last: health.mqtt_last_refusal ?? "" });
  if (health.mqtt_dropped > 0) tell("dropped", { count: health.mqtt_dropped });
  if (health.mqtt_limits) tell("limits", { limits: health.mqtt_limits });
  return told;
}

function factsOf({ health, telemetry, info }) {
  const model = info?.model;
  const errors = Object.values(telemetry?.errors ?? {}).reduce((all, each) => all + each, 0);
  const pressures = ["cpu", "memory", "io"].filter((name) => health[`${name}_pressure`] != null);
  return {
    version: health.version,
    uptime: span(health.uptime_s),
    model: model ? listed([model.name, model.quantisation, t("live.fact.context", { count: number(model.context) })]) : null,
    requests: telemetry ? t("live.fact.requests.of", { done: number(telemetry.done), decisions: number(telemetry.decisions), errors: number(errors) }) : null,
    // "online", or why not in the device's words.
    fleet: hasText(`fleet.state.${health.fleet}`) ? t(`fleet.state.${health.fleet}`) : (health.fleet ?? null),
    frequency: health.cpu_frequency_mhz == null ? null : `${number(health.cpu_frequency_mhz)} MHz`,
    pressure: listed(pressures.map((name) => t("live.fact.pressure.of", { name: t(`live.pressure.${name}`), share: number(health[`${name}_pressure`]) }))) || null,
    disk: health.disk_free_bytes == null ? null : size(health.disk_free_bytes),
    reconnects: health.mqtt_reconnects > 0 ? t("live.fact.reconnects.of", { count: number(health.mqtt_reconnects), last: health.mqtt_last_problem ?? "" }) : null,
  };
}

function list(place, texts) {
  while (place.children.length > texts.length) place.lastChild.remove();
  for (const [at, text] of texts.entries()) {
    if (!place.children[at]) place.append(el("li"));
    put(place.children[at], text);
  }
}

function define(place, facts) {
  const known = Object.entries(facts).filter(([, value]) => value !== null && value !== undefined);
  const names = known.map(([name]) => name).join();
  if (place.dataset.names !== names) {
    place.dataset.names = names;
    place.replaceChildren(...known.flatMap(([name]) => [el("dt", { text: hasText(`live.fact.${name}`) ? t(`live.fact.${name}`) : name }), el("dd")]));
  }
  for (const [at, [, value]] of known.entries()) put(place.querySelectorAll("dd")[at], String(value));
}
