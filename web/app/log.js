// The events: thousands are kept, and only the rows that can be seen are drawn, once a frame.

import { copy } from "./copy.js";
import { say, number } from "./words.js";
import { choose, view } from "./view.js";
import { covers } from "../client/names.js";

const KEPT = 5000;
const ROW = 30; // height of a row in pixels, as page.css has it

const scroller = document.querySelector("#log");
const rows = document.querySelector("#rows");
const template = document.querySelector("#row").content.firstElementChild;
const details = document.querySelector("#details");
const status = document.querySelector("#log-status");
const filters = document.querySelector("#filters");

/** All that came to any stream, newest first on the screen. */
export class EventLog {
  #kept = []; // oldest first
  #ids = new Set();
  #matching = [];
  #total = 0;
  #since = 0; // events since the last frame
  #undrawn = 0;
  #paused = false;
  #held = new Map(); // by stream: what came while its card is paused
  #due = false;
  #chosen = null;
  #pool = [];
  #types = new Set();
  #channels = new Set();

  constructor() {
    for (const name of ["type", "channel", "text"]) {
      const field = filters.elements[name];
      if (field.tagName === "SELECT" && view[name]) this.#offer(field, view[name]);
      field.value = view[name];
      field.addEventListener("input", () => {
        choose({ [name]: field.value });
        this.#filter();
      });
    }
    filters.addEventListener("submit", (submit) => submit.preventDefault());
    scroller.addEventListener("scroll", () => this.#soon(), { passive: true });
    new ResizeObserver(() => this.#soon()).observe(scroller);
    rows.addEventListener("click", ({ target }) => this.#open(target.closest("[role=option]")?.event));
    scroller.addEventListener("keydown", (key) => this.#move(key));
    document.querySelector("#pause-log").addEventListener("click", () => this.pause());
    document.querySelector("#clear-log").addEventListener("click", () => this.clear());
    details.querySelector("button").addEventListener("click", ({ target }) => copy(details.querySelector("pre"), target));
  }

  /** Events that pass the filters, oldest first. */
  get matching() {
    return this.#matching;
  }

  add(event, stream) {
    if (this.#held.has(stream)) {
      const held = this.#held.get(stream);
      held.push(event);
      if (held.length > KEPT) held.shift();
      return;
    }
    if (event.id !== null) {
      if (this.#ids.has(event.id)) return; // another stream has it, too
      this.#ids.add(event.id);
    }
    this.#total += 1;
    this.#since += 1;
    this.#kept.push(event);
    if (this.#matches(event)) this.#matching.push(event);
    if (this.#kept.length > KEPT * 1.2 && !this.#paused) this.#trim();
    if (!this.#types.has(event.event)) this.#offer(filters.elements.type, event.event, this.#types);
    if (!this.#channels.has(event.channel)) this.#offer(filters.elements.channel, event.channel, this.#channels);
    this.#soon();
  }

  /** A line that no channel brought: a loss, an error, a farewell. */
  note(stream, kind, words) {
    this.add({ id: null, channel: stream, event: kind, data: words, timestamp: new Date().toISOString(), note: true }, null);
  }

  /** Keep what comes to a stream until it is let go. */
  hold(stream, held) {
    if (held) this.#held.set(stream, this.#held.get(stream) ?? []);
    else {
      const events = this.#held.get(stream) ?? [];
      this.#held.delete(stream);
      for (const event of events) this.add(event, stream);
    }
  }

  /** Stand still, though events go on coming: nothing is lost up to what is kept. */
  pause(paused = !this.#paused) {
    this.#paused = paused;
    this.#still = paused ? this.#matching.slice() : null;
    this.#sinceStill = this.#total;
    document.querySelector("#pause-log").textContent = say(paused ? "resume" : "pause");
    document.querySelector("#pause-log").setAttribute("aria-pressed", paused);
    if (!paused) this.#trim();
    this.#soon();
  }

  #still = null;
  #sinceStill = 0;

  clear() {
    this.#kept = [];
    this.#ids.clear();
    this.#filter();
  }

  #trim() {
    const gone = this.#kept.splice(0, Math.max(0, this.#kept.length - KEPT));
    for (const { id } of gone) this.#ids.delete(id);
    if (gone.length) this.#filter();
  }

  #matches({ event, channel, data }) {
    return (
      (!view.type || event === view.type) &&
      (!view.channel || covers(view.channel, channel)) &&
      (!view.text || data.toLowerCase().includes(view.text.toLowerCase()))
    );
  }

  #filter() {
    this.#matching = this.#kept.filter((event) => this.#matches(event));
    if (this.#paused) this.#still = this.#matching.slice();
    this.#soon();
  }

  #offer(field, value, known = new Set()) {
    known.add(value);
    if (known.size > 200 || [...field.options].some((option) => option.value === value)) return;
    field.append(new Option(value, value));
  }

  #soon() {
    if (this.#due) return;
    this.#due = true;
    // A tab in the background draws nothing, so it must not wait for a frame to forget.
    requestAnimationFrame(() => {
      this.#due = false;
      this.#draw();
    });
  }

  #draw() {
    const shown = this.#still ?? this.#matching;
    rows.style.setProperty("--height", `${shown.length * ROW}px`);
    const first = Math.floor(scroller.scrollTop / ROW);
    const count = Math.min(Math.ceil(scroller.clientHeight / ROW) + 1, shown.length - first);
    this.#undrawn += Math.max(0, this.#since - count);
    this.#since = 0;
    while (this.#pool.length < count) this.#pool.push(rows.appendChild(template.cloneNode(true)));
    this.#pool.forEach((row, at) => {
      const event = at < count ? shown[shown.length - 1 - first - at] : undefined;
      row.hidden = !event;
      if (event) this.#fill(row, event, first + at);
    });
    status.textContent = [
      say("shown", { shown: number(shown.length), kept: number(this.#kept.length), total: number(this.#total) }),
      this.#undrawn ? say("undrawn", { n: number(this.#undrawn) }) : "",
      this.#paused ? say("pausedWith", { n: number(this.#total - this.#sinceStill) }) : "",
    ].filter(Boolean).join(" · ");
  }

  #fill(row, event, place) {
    row.style.setProperty("--top", `${place * ROW}px`);
    row.setAttribute("aria-selected", event === this.#chosen);
    if (row.event === event) return;
    row.event = event;
    row.dataset.type = event.event;
    row.querySelector("time").textContent = new Date(event.timestamp).toLocaleTimeString();
    row.querySelector(".channel").textContent = event.channel;
    row.querySelector(".type").textContent = event.event;
    row.querySelector(".data").textContent = event.data.slice(0, 500);
  }

  #move(key) {
    const step = { ArrowDown: 1, ArrowUp: -1 }[key.key];
    if (!step) return;
    key.preventDefault();
    const shown = this.#still ?? this.#matching;
    const at = shown.lastIndexOf(this.#chosen);
    const next = at < 0 ? shown.length - 1 : Math.min(Math.max(at - step, 0), shown.length - 1);
    this.#open(shown[next]);
    const top = (shown.length - 1 - next) * ROW;
    if (top < scroller.scrollTop) scroller.scrollTop = top;
    else if (top > scroller.scrollTop + scroller.clientHeight - ROW) scroller.scrollTop = top - scroller.clientHeight + ROW;
  }

  #open(event) {
    if (!event) return;
    this.#chosen = event;
    details.dataset.type = event.event;
    details.querySelector("h3").textContent = `${event.channel} · ${event.event}`;
    details.querySelector("p").textContent = `${event.id ?? "–"} · ${event.timestamp}`;
    details.querySelector("pre").textContent = readable(event.data);
    details.querySelector("button").hidden = false;
    this.#soon();
  }

}

function readable(data) {
  try {
    return JSON.stringify(JSON.parse(data), null, 2);
  } catch {
    return data;
  }
}
