// A rate as a line without axes, as wide as a word: how many events came in each of the last seconds.

import { pageNow } from "./clock.js";
import { cleared, colour, watch } from "./pictures.js";

const SECONDS = 60;

export class Sparkline {
  /** By second: how many came in it. @type {number[]} */
  #counts = new Array(SECONDS + 1).fill(0);
  #second = Math.floor(pageNow() / 1000);
  #drawn = 0;
  #end;

  /**
   * @param {HTMLCanvasElement} canvas
   * @param {{colour?: string}} options `colour`: a custom property
   */
  constructor(canvas, { colour: ink = "--accent" } = {}) {
    this.canvas = canvas;
    this.ink = ink;
    canvas.setAttribute("aria-hidden", "true"); // the rate stands beside it
    this.#end = watch(canvas, { due: () => Math.floor(pageNow() / 1000) !== this.#drawn, draw: () => this.#draw() });
  }

  /** @param {number} count events that have come now */
  add(count = 1) {
    this.#move();
    this.#counts[SECONDS] += count;
  }

  /** Events a second, over the last five whole seconds. */
  get rate() {
    this.#move();
    return this.#counts.slice(-6, -1).reduce((sum, count) => sum + count, 0) / 5;
  }

  close() {
    this.#end();
  }

  #move() {
    const now = Math.floor(pageNow() / 1000);
    const passed = Math.min(Math.max(0, now - this.#second), SECONDS + 1);
    if (passed) {
      this.#counts.splice(0, passed);
      for (let second = 0; second < passed; second += 1) this.#counts.push(0);
    }
    this.#second = now;
  }

  #draw() {
    this.#move();
    this.#drawn = this.#second;
    const ground = cleared(this.canvas);
    if (!ground) return;
    const { pen, width, height } = ground;
    const most = Math.max(2, ...this.#counts);
    const x = (/** @type {number} */ at) => 1 + (at / (SECONDS - 1)) * (width - 2);
    const y = (/** @type {number} */ count) => height - 1.5 - (count / most) * (height - 3);
    pen.strokeStyle = pen.fillStyle = colour(this.canvas, this.ink);
    pen.lineWidth = 1.25;
    pen.lineJoin = "round";
    pen.beginPath();
    for (let at = 0; at < SECONDS; at += 1) pen.lineTo(x(at), y(this.#counts[at])); // the second that runs is not whole
    pen.stroke();
    pen.lineTo(x(SECONDS - 1), height);
    pen.lineTo(x(0), height);
    pen.globalAlpha = 0.15;
    pen.fill();
    pen.globalAlpha = 1;
  }
}
