// The rows of the list of events: a few elements, which show those of thousands of events that are in sight.

import { colourOf } from "./colours.js";
import { copyOf, find } from "./dom.js";
import { parts, showText } from "./inspect/characters.js";
import { summary } from "./summaries.js";
import { time } from "./times.js";
import { spoken } from "./words.js";

const HEIGHT = 32; // pixels, as events.css has it
const LONGEST = 400; // characters of a row

/** A telephone has no room for milliseconds. */
const isNarrow = matchMedia("(max-width: 700px)");

/** @typedef {import("./model.js").Entry} Entry */

export class Rows {
  /** @type {(entry: Entry) => void} */
  onChoose = () => {};

  #place;
  /** @type {HTMLElement[]} */
  #pool = [];
  /** What a row shows: the entry, and the language in which it does. @type {WeakMap<HTMLElement, {entry: Entry, language: string}>} */
  #filled = new WeakMap();

  /** @param {HTMLElement} place */
  constructor(place) {
    this.#place = place;
    place.addEventListener("click", ({ target }) => {
      const row = target instanceof Element ? target.closest("[role=option]") : null;
      const filled = row instanceof HTMLElement ? this.#filled.get(row) : undefined;
      if (filled) this.onChoose(filled.entry);
    });
  }

  /** @param {HTMLElement} scroller */
  inSight(scroller) {
    return Math.floor(scroller.clientHeight / HEIGHT);
  }

  /**
   * @param {HTMLElement} scroller
   * @param {number} place from the top
   */
  bringIntoSight(scroller, place) {
    const top = place * HEIGHT;
    if (top < scroller.scrollTop) scroller.scrollTop = top;
    else if (top > scroller.scrollTop + scroller.clientHeight - HEIGHT) scroller.scrollTop = top - scroller.clientHeight + HEIGHT;
  }

  /**
   * Draw the rows in sight.
   *
   * @param {HTMLElement} scroller
   * @param {readonly Entry[]} shown oldest first
   * @param {unknown} selected
   * @returns {Entry|undefined} the topmost one
   */
  draw(scroller, shown, selected) {
    this.#place.style.setProperty("--height", `${shown.length * HEIGHT}px`);
    const first = Math.min(Math.floor(scroller.scrollTop / HEIGHT), Math.max(0, shown.length - 1));
    const count = Math.min(Math.ceil(scroller.clientHeight / HEIGHT) + 1, shown.length - first);
    while (this.#pool.length < count) this.#pool.push(this.#make());
    let active = "";
    this.#pool.forEach((row, at) => {
      const index = shown.length - 1 - first - at;
      const entry = at < count ? shown[index] : undefined;
      row.hidden = !entry;
      if (!entry) return;
      this.#fill(row, entry, shown[index + 1]);
      row.style.setProperty("--top", `${(first + at) * HEIGHT}px`);
      row.setAttribute("aria-selected", String(entry === selected));
      row.setAttribute("aria-posinset", String(first + at + 1));
      row.setAttribute("aria-setsize", String(shown.length));
      if (entry === selected) active = row.id;
    });
    if (active) scroller.setAttribute("aria-activedescendant", active);
    else scroller.removeAttribute("aria-activedescendant");
    return shown[shown.length - 1 - first];
  }

  #make() {
    const row = copyOf("#row");
    row.id = `row-${this.#pool.length}`;
    this.#place.append(row);
    return row;
  }

  /**
   * @param {HTMLElement} row
   * @param {Entry} entry
   * @param {Entry|undefined} newer the one above it
   */
  #fill(row, entry, newer) {
    const day = find(".day", HTMLElement, row);
    const begins = newer !== undefined && dayOf(newer) !== dayOf(entry);
    day.hidden = !begins;
    if (begins) day.textContent = time(entry.timestamp, "day");
    const filled = this.#filled.get(row);
    if (filled?.entry === entry && filled.language === spoken()) return;
    this.#filled.set(row, { entry, language: spoken() });
    row.dataset.type = entry.event;
    row.dataset.colour = String(colourOf(entry.channel));
    row.dataset.replayed = String(entry.replayed);
    row.dataset.note = String(entry.note === true);
    find("time", HTMLTimeElement, row).textContent = time(entry.timestamp, isNarrow.matches ? "short" : "clock");
    showText(find(".channel", HTMLElement, row), entry.channel);
    showText(find(".type", HTMLElement, row), entry.event);
    showText(find(".data", HTMLElement, row), lineOf(entry));
  }
}

/** @param {Entry} entry */
function dayOf({ timestamp }) {
  return new Date(timestamp).toDateString();
}

/**
 * What an event says, in one line.
 *
 * @param {Entry} entry
 */
export function lineOf(entry) {
  const line = entry.note ? entry.data : summary(entry);
  return line.slice(0, LONGEST);
}

/**
 * A text with its unseen characters named, for titles and labels.
 *
 * @param {string} text
 */
export const plainText = (text) => parts(text).map(({ text: part }) => part).join("");
