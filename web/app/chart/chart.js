// A chart of the last minutes: one or several quantities of one unit over time, with axes that fit what is shown.
//
// The charts are our own. No chart library of today can be had from where this project takes its packages, no file of
// others is committed, and a page whose policy forbids foreign scripts can load none.

import { make } from "../make.js";
import { time } from "../times.js";
import { number, say, translate } from "../words.js";
import { axis } from "./axis.js";
import { cleared, colour, soon, stroke, watch } from "./pictures.js";
import { runs } from "./runs.js";
import { Series } from "./series.js";
import { SPAN_MS } from "./span.js";
import { labels, withUnit } from "./units.js";

/**
 * @typedef {object} Quantity
 * @property {string} [words]  its name, by the key in the dictionary
 * @property {string} [name]  its name as it is
 * @property {string} colour  a custom property: `--accent`
 * @typedef {object} ChartOptions
 * @property {string} [words]  title, by the key in the dictionary
 * @property {string} [title]  title as it is
 * @property {string} unit  of all quantities: `B/s`, `%`, `°C`, `ratio`, …
 * @property {Quantity[]} quantities
 * @property {import("./clock.js").Clock} clock
 * @property {import("./cursor.js").Cursor} cursor
 * @typedef {{left: number, right: number, top: number, bottom: number}} Plot
 */

const MARGIN = { right: 10, top: 8, bottom: 18, label: 8 };
const LINE_HEIGHT = 34; // pixels between two ticks, at least
const TOLD_MS = 5000; // how often the text for screen readers is written anew
const LEAST_PAUSE_MS = 500; // between two pictures; a line that moves by less than a pixel needs none
const AHEAD_MS = 5000; // a point may be so much later than the hub's clock

export class Chart {
  element = make("figure", "chart");
  /** @type {Series[]} */
  series;

  #canvas = make("canvas");
  /** @type {HTMLElement[]} */
  #values;
  #dirty = true;
  #drawn = -Infinity;
  #told = -Infinity;
  #pixelMs = 1000;
  #end = 0; // the time at the right edge
  /** @type {Plot} */
  #plot = { left: 0, right: 1, top: 0, bottom: 1 };
  #picture;
  /** @type {(() => void)[]} */
  #ends;

  /** @param {ChartOptions} options */
  constructor(options) {
    this.options = options;
    this.series = options.quantities.map(() => new Series(SPAN_MS * 1.5));
    this.#values = options.quantities.map(() => make("span", "value", "–"));
    this.element.append(this.#caption(), this.#canvas);
    this.#canvas.setAttribute("role", "img");
    translate(this.element);
    this.#canvas.setAttribute("aria-label", this.words());
    this.#picture = { due: (/** @type {number} */ now) => now - this.#drawn >= (this.#dirty ? this.#pixelMs : 2 * this.#pixelMs), draw: () => this.#draw() };
    const { cursor } = options;
    cursor.follow(this.#canvas, (x) => this.#timeAt(x));
    this.#ends = [watch(this.#canvas, this.#picture), cursor.watch(() => soon(this.#picture))];
  }

  /** @returns {HTMLElement} */
  #caption() {
    const { words, title = "", quantities } = this.options;
    const name = make("span", "name", title);
    if (words) name.dataset.words = words;
    const legend = quantities.map((quantity, at) => {
      const entry = make("span", "entry");
      if (quantities.length > 1) {
        const swatch = make("span", at ? "swatch dashed" : "swatch");
        swatch.style.setProperty("--swatch", `var(${quantity.colour})`);
        const label = make("span", "quantity", quantity.name ?? "");
        if (quantity.words) label.dataset.words = quantity.words;
        entry.append(swatch, label, " ");
      }
      entry.append(this.#values[at]);
      return entry;
    });
    return make("figcaption", "", name, make("span", "legend", ...legend));
  }

  /**
   * Add a point. Points may come in any order; one that is no number or too old is passed over.
   *
   * @param {number} ms Unix time, of the hub's clock
   * @param {unknown} value
   * @param {number} at of the quantities
   */
  add(ms, value, at = 0) {
    if (!this.series[at].add(ms, value)) return;
    this.#dirty = true;
    this.options.cursor.hear(ms);
  }

  /** Milliseconds that are shown: as many as all charts of the view have points for. */
  get spanMs() {
    return this.options.cursor.spanMs(this.options.clock.now());
  }

  /** The range of time that is shown. @returns {[from: number, to: number]} */
  get window() {
    const now = this.options.clock.now();
    const newest = Math.max(...this.series.map(({ times }) => times.at(-1) ?? -Infinity));
    const end = newest > now && newest < now + AHEAD_MS ? newest : now;
    return [end - this.spanMs, end];
  }

  /** @param {number} x pixels from the left of the canvas */
  #timeAt(x) {
    const { left, right } = this.#plot;
    const share = Math.min(1, Math.max(0, (x - left) / Math.max(1, right - left)));
    return this.#end - (1 - share) * this.spanMs;
  }

  close() {
    for (const end of this.#ends) end();
    this.element.remove();
  }

  #draw() {
    const ground = cleared(this.#canvas);
    if (!ground) return;
    const { pen, width, height } = ground;
    const [from, to] = this.window;
    this.#end = to;
    this.#dirty = false;
    this.#drawn = performance.now();
    const extents = this.series.map((series) => series.extent(from, to));
    const scale = this.#axis(extents, height);
    pen.font = `11px ${colour(this.element, "--font") === "currentcolor" ? "system-ui, sans-serif" : colour(this.element, "--font")}`;
    const texts = labels(scale.ticks, scale.step, this.options.unit);
    const left = Math.ceil(Math.max(...texts.map((text) => pen.measureText(text).width))) + MARGIN.label + 2;
    this.#plot = { left, right: width - MARGIN.right, top: MARGIN.top, bottom: height - MARGIN.bottom };
    const { right, top, bottom } = this.#plot;
    this.#pixelMs = Math.max(LEAST_PAUSE_MS, this.spanMs / Math.max(1, right - left)) - 50; // a tick may come early
    const x = (/** @type {number} */ ms) => left + ((ms - from) / this.spanMs) * (right - left);
    const y = (/** @type {number} */ value) => bottom - ((value - scale.low) / (scale.high - scale.low)) * (bottom - top);
    this.#grid(pen, scale.ticks, texts, x, y, to);
    pen.save();
    pen.beginPath();
    pen.rect(left, 0, right - left + MARGIN.right, height);
    pen.clip();
    const filled = this.series.length === 1 ? y(Math.min(Math.max(0, scale.low), scale.high)) : null;
    for (const [at, series] of this.series.entries()) this.#curve(pen, series, at, from, to, x, y, filled);
    pen.restore();
    this.#showValues(pen, extents, from, to, x, y);
    this.#tell(extents);
  }

  /**
   * @param {({low: number, high: number}|null)[]} extents
   * @param {number} height
   */
  #axis(extents, height) {
    const there = extents.filter((extent) => extent !== null);
    const count = Math.max(1, Math.floor((height - MARGIN.top - MARGIN.bottom) / LINE_HEIGHT));
    if (!there.length) return axis(0, 1, count);
    const low = Math.min(...there.map((extent) => extent.low));
    const high = Math.max(...there.map((extent) => extent.high));
    const counted = this.options.unit === "" && Number.isInteger(low) && Number.isInteger(high);
    const least = counted ? 1 : low === 0 && high === 0 && this.options.unit === "ratio" ? 0.01 : 0;
    const scale = axis(low, high, count, least);
    const most = { "%": 100, ratio: 1 }[this.options.unit] ?? Infinity;
    return scale.high > most && high <= most ? axis(most - scale.high + scale.low, most, count, least) : scale;
  }

  /**
   * @param {CanvasRenderingContext2D} pen
   * @param {number[]} ticks
   * @param {string[]} texts
   * @param {(ms: number) => number} x
   * @param {(value: number) => number} y
   * @param {number} to
   */
  #grid(pen, ticks, texts, x, y, to) {
    const { left, right, bottom } = this.#plot;
    pen.fillStyle = colour(this.element, "--faint");
    pen.lineWidth = 1;
    pen.textAlign = "right";
    pen.textBaseline = "middle";
    for (const [at, tick] of ticks.entries()) {
      pen.strokeStyle = tick === 0 && ticks[0] < 0 ? colour(this.element, "--faint") : colour(this.element, "--line");
      const row = Math.round(y(tick)) + 0.5;
      stroke(pen, left, row, right, row);
      pen.fillText(texts[at], left - MARGIN.label, row);
    }
    pen.textBaseline = "bottom";
    const minutes = this.spanMs / 60_000;
    const every = Math.max(1, Math.ceil(minutes / Math.max(1, Math.floor((right - left) / 70))));
    pen.textAlign = "center";
    for (let minute = every; minute < minutes; minute += every) {
      pen.fillText(`−${minute} min`, x(to - minute * 60_000), bottom + MARGIN.bottom);
    }
    if (every >= minutes) pen.fillText(`−${number(this.spanMs / 2000)} s`, x(to - this.spanMs / 2), bottom + MARGIN.bottom);
  }

  /**
   * @param {CanvasRenderingContext2D} pen
   * @param {Series} series
   * @param {number} at
   * @param {number} from
   * @param {number} to
   * @param {(ms: number) => number} x
   * @param {(value: number) => number} y
   * @param {?number} ground  where the area under the line ends; null for no area
   */
  #curve(pen, series, at, from, to, x, y, ground) {
    const ink = colour(this.element, this.options.quantities[at].colour);
    pen.strokeStyle = pen.fillStyle = ink;
    pen.lineWidth = 1.5;
    pen.lineJoin = "round";
    pen.setLineDash(at ? [4, 3] : []);
    for (const run of runs(series, from, to, x, y)) {
      if (run.length === 2) {
        pen.beginPath();
        pen.arc(run[0], run[1], 1.5, 0, 7);
        pen.fill();
        continue;
      }
      pen.beginPath();
      for (let step = 0; step < run.length; step += 2) pen.lineTo(run[step], run[step + 1]);
      pen.stroke();
      if (ground === null) continue;
      pen.lineTo(run[run.length - 2], ground);
      pen.lineTo(run[0], ground);
      pen.globalAlpha = 0.1;
      pen.fill();
      pen.globalAlpha = 1;
    }
    pen.setLineDash([]);
  }

  /**
   * The values at the cursor, or the newest.
   *
   * @param {CanvasRenderingContext2D} pen
   * @param {({newest: number}|null)[]} extents
   * @param {number} from
   * @param {number} to
   * @param {(ms: number) => number} x
   * @param {(value: number) => number} y
   */
  #showValues(pen, extents, from, to, x, y) {
    const { at } = this.options.cursor;
    const points = at === null ? [] : this.series.map((series) => series.near(at));
    if (at !== null && at >= from && at <= to) this.#line(pen, x(at), at);
    for (const [index, cell] of this.#values.entries()) {
      const value = at !== null ? points[index]?.value : extents[index]?.newest;
      const text = value === undefined ? "–" : withUnit(value, this.options.unit);
      if (cell.textContent !== text) cell.textContent = text;
      const point = points[index];
      if (!point || point.ms < from) continue;
      pen.beginPath();
      pen.arc(x(point.ms), y(point.value), 3.5, 0, 7);
      pen.fillStyle = colour(this.element, this.options.quantities[index].colour);
      pen.fill();
    }
  }

  /**
   * @param {CanvasRenderingContext2D} pen
   * @param {number} column
   * @param {number} at
   */
  #line(pen, column, at) {
    const { left, right, top, bottom } = this.#plot;
    pen.strokeStyle = colour(this.element, "--faint");
    pen.lineWidth = 1;
    stroke(pen, Math.round(column) + 0.5, top, Math.round(column) + 0.5, bottom);
    const text = time(at, "short");
    const width = pen.measureText(text).width + 10;
    const middle = Math.min(Math.max(column, left + width / 2), right - width / 2);
    pen.fillStyle = colour(this.element, "--card");
    pen.fillRect(middle - width / 2, bottom + 2, width, MARGIN.bottom - 2);
    pen.fillStyle = colour(this.element, "--ink");
    pen.textAlign = "center";
    pen.textBaseline = "bottom";
    pen.fillText(text, middle, bottom + MARGIN.bottom);
  }

  /** The chart in words. @param {({low: number, high: number, newest: number}|null)[]} extents */
  #tell(extents) {
    const now = performance.now();
    if (now - this.#told < TOLD_MS) return;
    this.#told = now;
    this.#canvas.setAttribute("aria-label", this.words(extents));
  }

  /** @param {({low: number, high: number, newest: number}|null)[]} extents */
  words(extents = this.series.map((series) => series.extent(...this.window))) {
    const { unit, quantities, words, title = "" } = this.options;
    const each = quantities.map((quantity, at) => {
      const extent = extents[at];
      const name = quantities.length === 1 ? "" : `${quantity.words ? say(quantity.words) : quantity.name}: `;
      if (!extent) return name + say("chartEmpty");
      const [now, low, high] = [extent.newest, extent.low, extent.high].map((value) => withUnit(value, unit));
      return name + say("chartWords", { now, low, high });
    });
    return `${words ? say(words) : title}. ${each.join("; ")}`;
  }
}
