// The timeline: a lane for each channel, a tick for each event. What was replayed is hollow; times without a
// connection are hatched over all lanes, and losses over the lane that has them.

import { acceptedAt, Clock } from "../chart/clock.js";
import { cleared, colour, soon, stroke, watch } from "../chart/pictures.js";
import { showText } from "../inspect/characters.js";
import { make } from "../make.js";
import { time } from "../times.js";
import { number, say } from "../words.js";
import { Lanes, OTHERS } from "./lanes.js";

const SPAN_MS = 60_000;
const LANE = 20; // pixels
const AXIS = 18;
const NEAR = 6; // pixels between the pointer and a tick that it means
const PAUSE_MS = 50; // between two pictures while events come
const STILL_MS = 500; // while none come
const TOLD_MS = 5000;

/**
 * @typedef {{id: ?string, channel: string, event: string, timestamp: string, foreign?: boolean}} Shown
 */
/**
 * @template {Shown} E
 * @typedef {object} TimelineOptions
 * @property {(channel: string) => string} colour  as CSS writes it
 * @property {(entry: E) => void} [choose]  the event whose tick was clicked
 * @property {(channel: string) => string} [label]  the name of a lane
 * @property {number} [spanMs]
 * @property {readonly string[]} [lanes]  lanes that are there from the beginning, in this order
 */

/** @template {Shown} E */
export class Timeline {
  /** @type {Lanes<E>} */
  #lanes;
  #clock = new Clock();
  #names = make("ol", "timeline-names");
  #canvas = make("canvas");
  #note = make("p", "timeline-note");
  #picture;
  #drawn = -Infinity;
  #told = -Infinity;
  #timer = 0;
  /** @type {string[]} */
  #shown = [];
  /** @type {Map<string, string>} */
  #colours = new Map();
  #from = 0;
  /** @type {?number} */
  #held = null;
  #leaving = new AbortController();
  #end;

  /**
   * @param {HTMLElement} element
   * @param {TimelineOptions<E>} options
   */
  constructor(element, options) {
    this.options = options;
    this.element = element;
    this.spanMs = options.spanMs ?? SPAN_MS;
    this.#lanes = new Lanes(this.spanMs, options.lanes);
    element.classList.add("timeline");
    const body = make("div", "timeline-body", this.#names, this.#canvas);
    element.append(body, this.#note);
    this.#canvas.setAttribute("role", "img");
    this.#picture = { due: (/** @type {number} */ now) => now - this.#drawn >= STILL_MS, draw: () => this.#draw() };
    this.#end = watch(this.#canvas, this.#picture);
    const { signal } = this.#leaving;
    this.#canvas.addEventListener("click", (click) => this.#choose(click), { signal });
    this.#canvas.addEventListener("pointermove", (pointer) => this.#point(pointer), { signal });
    this.#canvas.addEventListener("pointerleave", () => (this.#note.textContent = ""), { signal });
    for (const change of ["theme", "language"]) document.addEventListener(change, () => this.#dress(), { signal });
    this.#layOut();
    this.#tell();
  }

  /**
   * @param {E} entry
   * @param {{replayed?: boolean}} options
   */
  add(entry, { replayed = false } = {}) {
    const ms = acceptedAt(entry);
    if (ms !== null && !replayed) this.#clock.hear(ms);
    this.#lanes.add(entry.channel, ms ?? this.#clock.now(), replayed, entry);
    this.#soon();
  }

  /**
   * There is no connection from a moment on, of this browser's clock; later, the same moment and the end.
   *
   * @param {number} from
   * @param {?number} to
   */
  gap(from, to) {
    this.#lanes.gap(from, to);
    this.#soon();
  }

  /** @param {{channel?: string, after: string, next: string}} loss */
  lost(loss) {
    this.#lanes.lost(loss);
    this.#soon();
  }

  /** Show this moment from now on: time stands still. */
  hold() {
    this.#held = this.#clock.now();
    this.#soon();
  }

  clear() {
    this.#lanes.clear();
    this.#soon();
  }

  close() {
    this.#leaving.abort();
    clearTimeout(this.#timer);
    this.#end();
    this.element.replaceChildren();
  }

  #soon() {
    this.#timer ||= window.setTimeout(() => {
      this.#timer = 0;
      soon(this.#picture);
    }, PAUSE_MS);
  }

  #dress() {
    this.#colours.clear();
    this.#shown = [];
    soon(this.#picture);
  }

  /** Names and height fit the lanes that there are. */
  #layOut() {
    const names = [...this.#lanes.lanes.keys()];
    if (names.length && names.length === this.#shown.length && names.every((name, at) => name === this.#shown[at])) return;
    this.#shown = names;
    this.#names.replaceChildren(...names.map((name) => {
      const text = make("bdi");
      showText(text, this.#label(name));
      const item = make("li", "", text);
      item.title = this.#label(name);
      item.style.setProperty("--lane", this.#ink(name));
      return item;
    }));
    this.#canvas.style.height = `${Math.max(1, names.length) * LANE + AXIS}px`;
  }

  /** @param {string} name */
  #label(name) {
    return name === OTHERS ? say("timelineOthers") : this.options.label?.(name) ?? name;
  }

  /** @param {string} name */
  #ink(name) {
    let ink = this.#colours.get(name);
    if (!ink) this.#colours.set(name, (ink = this.options.colour(name)));
    return ink;
  }

  #draw() {
    const now = this.#held ?? this.#clock.now();
    this.#from = now - this.spanMs;
    this.#lanes.forget(this.#from);
    this.#layOut();
    const ground = cleared(this.#canvas);
    if (!ground) return;
    const { pen, width, height } = ground;
    this.#drawn = performance.now();
    const x = (/** @type {number} */ ms) => ((ms - this.#from) / this.spanMs) * width;
    const bottom = height - AXIS;
    this.#axis(pen, x, now, width, height);
    const { ahead } = this.#clock; // gaps are times of this browser
    for (const { from, to } of this.#lanes.gaps) {
      hatch(pen, x(from + ahead), Math.min(width, x(to + ahead)), 0, bottom, colour(this.element, "--faint"));
    }
    for (const { from, to, channel } of this.#lanes.losses) {
      const row = channel === null ? -1 : this.#shown.indexOf(channel);
      const [top, end] = row < 0 ? [0, bottom] : [row * LANE, (row + 1) * LANE];
      hatch(pen, x(from), Math.max(x(from) + 4, Math.min(width, x(to))), top, end, colour(this.element, "--bad"));
    }
    for (const [row, name] of this.#shown.entries()) this.#lane(pen, name, row * LANE, x);
    this.#tell();
  }

  /**
   * @param {CanvasRenderingContext2D} pen
   * @param {(ms: number) => number} x
   * @param {number} now
   * @param {number} width
   * @param {number} height
   */
  #axis(pen, x, now, width, height) {
    pen.font = "11px system-ui, sans-serif";
    pen.textBaseline = "bottom";
    pen.textAlign = "center";
    pen.fillStyle = colour(this.element, "--faint");
    pen.strokeStyle = colour(this.element, "--line");
    pen.lineWidth = 1;
    const every = stepOf(this.spanMs / Math.max(1, Math.floor(width / 90)));
    for (let ago = every; ago < this.spanMs; ago += every) {
      const column = Math.round(x(now - ago)) + 0.5;
      stroke(pen, column, 0, column, height - AXIS);
      if (column > 24) pen.fillText(`−${number(ago / 1000)} s`, column, height - 2);
    }
    for (let row = 1; row <= this.#shown.length; row += 1) stroke(pen, 0, row * LANE - 0.5, width, row * LANE - 0.5);
  }

  /**
   * @param {CanvasRenderingContext2D} pen
   * @param {string} name
   * @param {number} top
   * @param {(ms: number) => number} x
   */
  #lane(pen, name, top, x) {
    const { bins = new Map() } = this.#lanes.lanes.get(name) ?? {};
    pen.fillStyle = pen.strokeStyle = this.#ink(name);
    pen.lineWidth = 1;
    for (const [at, { live, replayed }] of bins) {
      const column = Math.round(x(at * this.#lanes.binMs));
      const tall = Math.min(LANE - 4, 8 + 2 * Math.log2(live + replayed));
      const y = Math.round(top + (LANE - tall) / 2);
      if (live) pen.fillRect(column - 1, y, 2, tall);
      else pen.strokeRect(column - 1.5, y + 0.5, 3, tall - 1);
    }
  }

  /** @param {MouseEvent} pointer */
  #under(pointer) {
    const name = this.#shown[Math.floor(pointer.offsetY / LANE)];
    const msOfPixel = this.spanMs / Math.max(1, this.#canvas.clientWidth);
    return name === undefined ? null : this.#lanes.near(name, this.#from + pointer.offsetX * msOfPixel, NEAR * msOfPixel);
  }

  /** @param {MouseEvent} pointer */
  #choose(pointer) {
    const found = this.#under(pointer);
    if (found) this.options.choose?.(found.bin.entry);
  }

  /** @param {PointerEvent} pointer */
  #point(pointer) {
    const found = this.#under(pointer);
    this.#canvas.classList.toggle("choosable", Boolean(found && this.options.choose));
    if (!found) return void (this.#note.textContent = "");
    const { live, replayed, entry } = found.bin;
    const { channel, event } = entry;
    const count = live + replayed > 1 ? say("timelineMany", { n: number(live + replayed) }) : event;
    const words = [this.#label(channel), count, time(found.ms, "short"), ...(replayed ? [say("timelineReplayed")] : [])];
    this.#note.textContent = words.join(" · ");
  }

  /** Describe the timeline in words, for a screen reader. */
  #tell() {
    const now = performance.now();
    if (now - this.#told < TOLD_MS) return;
    this.#told = now;
    let events = 0;
    for (const { bins } of this.#lanes.lanes.values()) for (const { live, replayed } of bins.values()) events += live + replayed;
    this.#canvas.setAttribute("aria-label", say("timelineWords", {
      seconds: number(this.spanMs / 1000), channels: number(this.#shown.length), events: number(events),
      gaps: number(this.#lanes.gaps.length), losses: number(this.#lanes.losses.length),
    }));
  }
}

/** A round number of seconds that is not below a time. @type {(ms: number) => number} */
const stepOf = (ms) => [1000, 2000, 5000, 10_000, 15_000, 30_000, 60_000].find((step) => step >= ms) ?? 60_000;

/**
 * @param {CanvasRenderingContext2D} pen
 * @param {number} left
 * @param {number} right
 * @param {number} top
 * @param {number} bottom
 * @param {string} ink
 */
function hatch(pen, left, right, top, bottom, ink) {
  left = Math.max(left, 0);
  if (right <= left) return;
  pen.save();
  pen.beginPath();
  pen.rect(left, top, right - left, bottom - top);
  pen.clip();
  pen.fillStyle = pen.strokeStyle = ink;
  pen.globalAlpha = 0.1;
  pen.fillRect(left, top, right - left, bottom - top);
  pen.globalAlpha = 0.55;
  pen.lineWidth = 1;
  const tall = bottom - top;
  const first = Math.floor((left - tall) / 7) * 7; // the lines stand still while the edge moves
  for (let x = first; x < right; x += 7) stroke(pen, x, bottom, x + tall, top);
  pen.restore();
}
