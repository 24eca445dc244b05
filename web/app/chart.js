// A line over the last minutes, on a canvas: a time axis, and the value under the pointer.

import { find } from "./dom.js";

/**
 * @typedef {[ms: number, value: number]} Point
 * @typedef {(value: number) => number} Scale
 * @typedef {(name: string) => string} Palette  the colour behind a CSS variable
 */

const MINUTES = 5;
const SPAN_MS = MINUTES * 60_000;
const MARGIN = { left: 44, right: 8, top: 8, bottom: 18 };

export class Chart {
  /** Oldest first. @type {Point[]} */
  #points = [];
  /** Pixels from the left. @type {?number} */
  #pointer = null;
  #due = false;
  #seen = false;

  /**
   * @param {HTMLElement} element with a canvas, a `.value` and a `.unit`
   * @param {(value: number) => string} format
   */
  constructor(element, format) {
    this.element = element;
    this.canvas = find("canvas", HTMLCanvasElement, element);
    this.value = find(".value", HTMLElement, element);
    this.format = format;
    this.canvas.addEventListener("pointermove", (pointer) => this.#point(pointer.offsetX));
    this.canvas.addEventListener("pointerleave", () => this.#point(null));
    new ResizeObserver(() => this.draw()).observe(this.canvas);
    // A chart outside the window is not drawn.
    new IntersectionObserver(([{ isIntersecting }]) => {
      this.#seen = isIntersecting;
      this.draw();
    }).observe(this.canvas);
  }

  /**
   * Add a point. Points may come out of order.
   *
   * @param {number} ms Unix time
   * @param {unknown} value a value that is no number is passed over
   */
  add(ms, value) {
    if (typeof value !== "number" || !Number.isFinite(value)) return;
    const before = this.#points.at(-1);
    this.#points.push([ms, value]);
    if (before && before[0] > ms) this.#points.sort(([a], [b]) => a - b);
    while (this.#points.length && this.#points[0][0] < Date.now() - SPAN_MS) this.#points.shift();
    if (this.#points.length > 2000) this.#points.splice(0, 500);
    if (this.#pointer === null) this.#showNewest();
    this.draw();
  }

  /** @param {?number} x */
  #point(x) {
    this.#pointer = x;
    if (x === null) this.#showNewest();
    this.draw();
  }

  #showNewest() {
    const newest = this.#points.at(-1);
    if (newest) this.value.textContent = this.format(newest[1]);
  }

  draw() {
    if (this.#due || !this.#seen) return;
    this.#due = true;
    requestAnimationFrame(() => {
      this.#due = false;
      this.#paint();
    });
  }

  #paint() {
    const { clientWidth: width, clientHeight: height } = this.canvas;
    const scale = devicePixelRatio;
    this.canvas.width = width * scale;
    this.canvas.height = height * scale;
    const pen = this.canvas.getContext("2d");
    if (!pen) return; // the browser has run out of canvases
    const style = getComputedStyle(this.element);
    /** @type {Palette} */
    const colour = (name) => style.getPropertyValue(name).trim();
    pen.scale(scale, scale);
    pen.font = `11px ${style.fontFamily}`;
    const most = nice(Math.max(...this.#points.map(([, value]) => value), 0));
    const now = Date.now();
    /** @type {Scale} */
    const x = (ms) => MARGIN.left + (1 - (now - ms) / SPAN_MS) * (width - MARGIN.left - MARGIN.right);
    /** @type {Scale} */
    const y = (value) => height - MARGIN.bottom - (value / most) * (height - MARGIN.top - MARGIN.bottom);
    pen.strokeStyle = colour("--line");
    pen.fillStyle = colour("--faint");
    pen.textAlign = "right";
    pen.textBaseline = "middle";
    for (const value of [0, most / 2, most]) {
      line(pen, [[MARGIN.left, y(value)], [width - MARGIN.right, y(value)]]);
      pen.fillText(this.format(value), MARGIN.left - 6, y(value));
    }
    pen.textAlign = "center";
    pen.textBaseline = "bottom";
    const step = width < 330 ? 2 : 1;
    for (let minute = step; minute < MINUTES; minute += step) pen.fillText(`−${minute} min`, x(now - minute * 60_000), height);
    this.#curve(pen, x, y, colour("--accent"), height);
    this.#mark(pen, x, y, colour, width, height);
  }

  /**
   * @param {CanvasRenderingContext2D} pen
   * @param {Scale} x
   * @param {Scale} y
   * @param {string} colour
   * @param {number} height
   */
  #curve(pen, x, y, colour, height) {
    const [first, last] = [this.#points.at(0), this.#points.at(-1)];
    if (!first || !last) return;
    pen.strokeStyle = colour;
    pen.lineWidth = 1.75;
    pen.lineJoin = "round";
    line(pen, this.#points.map(([ms, value]) => [x(ms), y(value)]));
    pen.lineTo(x(last[0]), height - MARGIN.bottom);
    pen.lineTo(x(first[0]), height - MARGIN.bottom);
    pen.globalAlpha = 0.12;
    pen.fillStyle = colour;
    pen.fill();
    pen.globalAlpha = 1;
  }

  /**
   * @param {CanvasRenderingContext2D} pen
   * @param {Scale} x
   * @param {Scale} y
   * @param {Palette} colour
   * @param {number} width
   * @param {number} height
   */
  #mark(pen, x, y, colour, width, height) {
    const pointer = this.#pointer;
    if (pointer === null || !this.#points.length) return;
    /** @param {Point} point */
    const distance = ([ms]) => Math.abs(x(ms) - pointer);
    const nearest = this.#points.reduce((best, point) => (distance(point) < distance(best) ? point : best));
    pen.lineWidth = 1;
    pen.strokeStyle = colour("--faint");
    line(pen, [[x(nearest[0]), MARGIN.top], [x(nearest[0]), height - MARGIN.bottom]]);
    pen.beginPath();
    pen.arc(x(nearest[0]), y(nearest[1]), 3.5, 0, 7);
    pen.fillStyle = colour("--accent");
    pen.fill();
    this.value.textContent = `${this.format(nearest[1])} · ${new Date(nearest[0]).toLocaleTimeString()}`;
  }
}

/**
 * @param {CanvasRenderingContext2D} pen
 * @param {[x: number, y: number][]} path
 */
function line(pen, path) {
  pen.beginPath();
  for (const [x, y] of path) pen.lineTo(x, y);
  pen.stroke();
}

/**
 * A round number that is not below the value: 1, 2 or 5 times a power of ten.
 *
 * @param {number} value
 */
function nice(value) {
  if (value <= 0) return 1;
  const power = 10 ** Math.floor(Math.log10(value));
  return [1, 2, 5].map((step) => step * power).find((step) => step >= value) ?? 10 * power;
}
