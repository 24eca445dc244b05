// The list of events: the newest first. Only the rows in sight are drawn, once a frame. It stands still while somebody
// reads: then it shows the events of that moment, and says how many have come since.

import { find } from "./dom.js";
import { showEmpty } from "./empty.js";
import { Filters } from "./filters.js";
import { KEPT } from "./model.js";
import { Rows } from "./rows.js";
import { time, zone } from "./times.js";
import { choose } from "./view.js";
import { number, say } from "./words.js";

/**
 * @typedef {import("./model.js").Model} Model
 * @typedef {import("./model.js").Entry} Entry
 */

export class EventList {
  #model;
  #filters;
  #scroller = find("#log", HTMLElement);
  #rows = new Rows(find("#rows", HTMLElement));
  /** Events that pass the filters, oldest first. @type {Entry[]} */
  #matching = [];
  #isDirty = true; // `#matching` has to be made anew
  /** Events of the moment since which the list stands still. @type {?Entry[]} */
  #still = null;
  #isPaused = false;
  #newer = 0;
  #isDue = false;
  #empty = ""; // why the list shows nothing
  #base;

  /**
   * @param {Model} model
   * @param {string} base address of the hub
   */
  constructor(model, base) {
    this.#model = model;
    this.#base = base;
    this.#filters = new Filters(model, () => this.#filter());
    model.on("add", (entry, isNewest) => this.#add(entry, isNewest));
    model.on("drop", (entry) => {
      if (!this.#still && this.#matching[0] === entry) this.#matching.shift();
    });
    model.on("clear", () => this.thaw());
    model.on("select", () => this.#soon());
    model.on("streams", () => this.#soon());
    document.addEventListener("language", () => this.#soon());
    this.#listen();
  }

  /** The events that the list shows, oldest first. */
  get shown() {
    if (this.#isDirty) this.#matching = (this.#still ?? this.#model.events).filter((entry) => this.#filters.passes(entry));
    this.#isDirty = false;
    return this.#matching;
  }

  get isPaused() {
    return this.#isPaused;
  }

  /** Stand still until somebody lets it go on. Events are kept meanwhile, as many as always. */
  pause(paused = !this.#isPaused) {
    this.#isPaused = paused;
    if (paused) this.#freeze();
    else this.thaw();
    this.#soon();
  }

  /** Show the newest events, and go on with them. */
  thaw() {
    this.#isPaused = false;
    this.#still = null;
    this.#newer = 0;
    this.#isDirty = true;
    this.#scroller.scrollTop = 0;
    this.#soon();
  }

  /**
   * Choose the event that is so many rows below the chosen one, and stand still.
   *
   * @param {number} rows
   */
  walk(rows) {
    this.#freeze();
    const { shown } = this;
    const at = shown.lastIndexOf(/** @type {Entry} */ (this.#model.selected));
    const next = at < 0 ? shown.length - 1 : Math.min(Math.max(at - rows, 0), shown.length - 1);
    if (shown[next]) this.reveal(shown[next]);
  }

  /**
   * Choose an event, and bring it into sight.
   *
   * @param {Entry} entry
   */
  reveal(entry) {
    this.#freeze();
    this.#model.select(entry);
    const place = this.shown.length - 1 - this.shown.lastIndexOf(entry);
    if (place < this.shown.length) this.#rows.bringIntoSight(this.#scroller, place);
    this.#soon();
  }

  /**
   * Show only one channel, or those of a pattern.
   *
   * @param {string} channel
   */
  only(channel) {
    this.#filters.set({ channel, type: "", text: "" });
  }

  #listen() {
    this.#scroller.addEventListener("scroll", () => this.#scrolled(), { passive: true });
    new ResizeObserver(() => this.#soon()).observe(this.#scroller);
    this.#rows.onChoose = (entry) => this.reveal(entry);
    this.#scroller.addEventListener("keydown", (key) => this.#key(key));
    find("#newer", HTMLButtonElement).addEventListener("click", () => {
      this.thaw();
      this.#scroller.focus();
    });
    find("#pause-log", HTMLButtonElement).addEventListener("click", () => this.pause());
    find("#clear-log", HTMLButtonElement).addEventListener("click", () => this.#model.clear());
    find("#show-muted", HTMLButtonElement).addEventListener("click", () => {
      choose({ mute: [] });
      this.#model.tell("streams");
      this.#scroller.focus();
    });
  }

  /** @param {KeyboardEvent} key */
  #key(key) {
    const page = Math.max(1, this.#rows.inSight(this.#scroller) - 2);
    const steps = { ArrowDown: 1, ArrowUp: -1, PageDown: page, PageUp: -page, Home: -KEPT, End: KEPT };
    const step = steps[/** @type {keyof typeof steps} */ (key.key)];
    if (!step || key.ctrlKey || key.metaKey || key.altKey) return;
    key.preventDefault();
    this.walk(step);
  }

  #scrolled() {
    if (this.#scroller.scrollTop > 2) this.#freeze();
    else if (this.#still && !this.#isPaused && !this.#isChosen) this.thaw();
    this.#soon();
  }

  get #isChosen() {
    return this.shown.includes(/** @type {Entry} */ (this.#model.selected));
  }

  #freeze() {
    if (this.#still) return;
    if (this.#isDirty) void this.shown;
    this.#still = this.#model.events.slice();
    this.#newer = 0;
  }

  /**
   * @param {Entry} entry
   * @param {boolean} isNewest
   */
  #add(entry, isNewest) {
    this.#filters.see(entry);
    const passes = this.#filters.passes(entry);
    if (this.#still) this.#newer += Number(passes);
    else if (!isNewest) this.#isDirty = true;
    else if (passes && !this.#isDirty) this.#matching.push(entry);
    this.#soon();
  }

  #filter() {
    this.#isDirty = true;
    this.#newer = 0;
    this.#soon();
  }

  #soon() {
    if (this.#isDue) return;
    this.#isDue = true;
    requestAnimationFrame(() => {
      this.#isDue = false;
      this.#draw();
    });
  }

  #draw() {
    const { shown } = this;
    const selected = this.#model.selected;
    const top = this.#rows.draw(this.#scroller, shown, selected);
    find("#log-day", HTMLElement).textContent = top ? time(top.timestamp, "day") : "";
    find("#log-zone", HTMLElement).textContent = zone();
    this.#drawStatus(shown.length);
    this.#drawEmpty(shown.length);
  }

  /** @param {number} shown */
  #drawStatus(shown) {
    const newer = find("#newer", HTMLButtonElement);
    newer.hidden = this.#newer === 0;
    newer.textContent = say("newer", { n: number(this.#newer) });
    find("#log-status", HTMLElement).textContent = [
      say("shown", { shown: number(shown) }),
      say("kept", { kept: number(this.#model.events.length), most: number(KEPT) }),
      say("inAll", { total: number(this.#model.total) }),
      this.#isPaused ? say("paused") : this.#still ? say("standing") : "",
    ].filter(Boolean).join(" · ");
    const pause = find("#pause-log", HTMLButtonElement);
    pause.setAttribute("aria-pressed", String(this.#isPaused));
    pause.dataset.hint = this.#isPaused ? "resumeKey" : "pauseKey";
    pause.title = say(pause.dataset.hint);
    find("use", SVGUseElement, pause).setAttribute("href", this.#isPaused ? "#i-play" : "#i-pause");
    const muted = this.#filters.muted;
    const show = find("#show-muted", HTMLButtonElement);
    show.hidden = muted.length === 0;
    show.textContent = say("mutedShow", { names: muted.join(", ") });
  }

  /** @param {number} shown */
  #drawEmpty(shown) {
    const why = shown ? "" : this.#filters.isNarrow ? "filtered" : "none";
    if (why === this.#empty) return;
    this.#empty = why;
    showEmpty(why, { base: this.#base, clear: () => this.#filters.clear() });
  }
}
