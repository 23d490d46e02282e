// A line chart of a few hundred points, drawn as SVG, with its figures in words.
import { el } from "./dom.js";

const SVG = "http://www.w3.org/2000/svg";
const WIDTH = 300;
const HEIGHT = 80;

/** A chart of one or two series over the same time. */
export class Chart {
  #words = el("p", { class: "figure" });
  #hint = el("p", { class: "hint" });
  #most = el("span", { class: "most" });
  #start = el("span");
  #axis;
  #svg = document.createElementNS(SVG, "svg");
  #lines = [];

  /**
   * @param {string} title
   * @param {string} end What stands at the right end of the time.
   */
  constructor(title, end) {
    this.#svg.setAttribute("viewBox", `0 0 ${WIDTH} ${HEIGHT}`);
    this.#svg.setAttribute("preserveAspectRatio", "none");
    this.#svg.setAttribute("role", "img");
    for (const kind of ["second", "first"]) {
      const line = document.createElementNS(SVG, "path");
      line.setAttribute("class", `line ${kind}`);
      this.#svg.append(line);
      this.#lines.unshift(line);
    }
    this.#axis = el("div", { class: "axis", "aria-hidden": "true" }, this.#start, this.#most, el("span", { text: end }));
    const caption = el("figcaption", {}, this.#words, this.#hint);
    this.element = el("figure", { class: "chart card" }, el("h3", { text: title }), this.#svg, this.#axis, caption);
  }

  /**
   * Draws it anew.
   * @param {Array<Array<[number, number]>>} series Points [at, value] of up to two; a value of NaN is a gap.
   * @param {{from: number, to: number, least: number, tell: (value: number) => string}} scale `least`: the top is never lower.
   * @param {{figure: string, summary: string, hint: string, start: string}} words `summary` stands for the picture,
   *   `start` at the left end of the time.
   */
  draw(series, { from, to, least, tell }, { figure, summary, hint, start }) {
    let top = least;
    let known = false;
    for (const points of series) {
      for (const [, value] of points) {
        known ||= !Number.isNaN(value);
        if (value > top) top = value;
      }
    }
    this.#svg.toggleAttribute("hidden", !known);
    this.#axis.hidden = !known;
    for (const [at, line] of this.#lines.entries()) set(line, "d", path(series[at] ?? [], from, to, top));
    set(this.#svg, "aria-label", summary);
    put(this.#words, figure);
    put(this.#most, tell(top));
    put(this.#hint, hint);
    put(this.#start, start);
  }
}

function path(points, from, to, top) {
  const parts = [];
  let pen = "M";
  let alone = false;
  const dot = () => alone && parts.push("h0.01");
  for (const [at, value] of points) {
    if (Number.isNaN(value)) {
      dot();
      pen = "M";
      alone = false;
      continue;
    }
    const x = ((at - from) / (to - from)) * WIDTH;
    const y = HEIGHT - 2 - (value / top) * (HEIGHT - 4);
    alone = pen === "M";
    parts.push(`${pen}${x.toFixed(1)} ${y.toFixed(1)}`);
    pen = "L";
  }
  dot();
  return parts.join("");
}

function set(element, name, value) {
  if (element.getAttribute(name) !== value) element.setAttribute(name, value);
}

/** Sets a text, unless it is that already: a screen reader keeps its place. */
export function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
