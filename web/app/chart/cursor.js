// One cursor over all charts of a view: a moment that all of them show. A pointer, a finger or the keyboard moves it.

import { make, button, worded } from "../make.js";
import { time } from "../times.js";
import { say, translate } from "../words.js";
import { SHORTEST_MS, SPAN_MS, STEP_MS } from "./span.js";

export class Cursor {
  /** The moment: Unix milliseconds of the hub; null for now. @type {?number} */
  at = null;
  /** The oldest point of all charts. */
  #oldest = Infinity;
  /** @type {Set<() => void>} */
  #listeners = new Set();

  /** A chart has a point of this time. @param {number} ms */
  hear(ms) {
    if (ms < this.#oldest) this.#oldest = ms;
  }

  /** Milliseconds that the charts show, up to now. @param {number} now */
  spanMs(now) {
    const needed = Math.ceil((now - this.#oldest) / STEP_MS) * STEP_MS;
    return Math.min(Math.max(needed || 0, SHORTEST_MS), SPAN_MS);
  }

  /** @param {?number} ms */
  set(ms) {
    if (ms === this.at) return;
    this.at = ms;
    for (const listener of this.#listeners) listener();
  }

  /** @param {() => void} listener @returns {() => void} ends it */
  watch(listener) {
    this.#listeners.add(listener);
    return () => void this.#listeners.delete(listener);
  }

  /**
   * Let pointers over an element move the cursor. A mouse leaves it behind as it found it; a finger leaves it where it
   * is, and a second tap takes it away.
   *
   * @param {HTMLElement} element
   * @param {(x: number) => number} timeAt the moment at so many pixels from the left
   */
  follow(element, timeAt) {
    let had = false;
    element.addEventListener("pointermove", (pointer) => this.set(timeAt(pointer.offsetX)));
    element.addEventListener("pointerdown", (pointer) => {
      had = this.at !== null;
      this.set(timeAt(pointer.offsetX));
    });
    element.addEventListener("pointerleave", ({ pointerType }) => pointerType === "mouse" && this.set(null));
    element.addEventListener("click", (click) => {
      if (had && /** @type {PointerEvent} */ (click).pointerType === "touch") this.set(null);
    });
  }
}

/**
 * The cursor as a slider: for the keyboard and for screen readers.
 *
 * @param {Cursor} cursor
 * @param {() => number} now  the Unix time of the hub's clock
 * @returns {{element: HTMLElement, close: () => void}}
 */
export function cursorControl(cursor, now) {
  const slider = make("input", "cursor");
  Object.assign(slider, { type: "range", min: String(-SPAN_MS / 1000), max: "0", step: "1", value: "0" });
  slider.dataset.label = "chartMoment";
  const shown = make("span", "cursor-time");
  const reset = button("cursorReset", () => {
    slider.value = "0";
    cursor.set(null);
  });
  const show = () => {
    const { at } = cursor;
    const words = at === null ? say("cursorNow") : time(at, "short");
    slider.setAttribute("aria-valuetext", words);
    shown.textContent = words;
    if (document.activeElement === reset && at === null) slider.focus();
    reset.hidden = at === null;
    slider.min = String(-cursor.spanMs(now()) / 1000);
    if (document.activeElement !== slider) slider.value = String(at === null ? 0 : (at - now()) / 1000);
  };
  slider.addEventListener("input", () => cursor.set(slider.value === "0" ? null : now() + Number(slider.value) * 1000));
  slider.addEventListener("keydown", ({ key }) => {
    if (key !== "Escape") return;
    slider.value = "0";
    cursor.set(null);
  });
  const element = make("div", "cursor-control", worded("span", "chartMoment"), slider, shown, reset);
  translate(element);
  show();
  return { element, close: cursor.watch(show) };
}
