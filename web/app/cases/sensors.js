// Sensors: every number in the data of any channel, found by its path, in a chart of its own.

import { parsed } from "../../client/surroundings.js";
import { Chart } from "../chart/chart.js";
import { Clock } from "../chart/clock.js";
import { Cursor, cursorControl } from "../chart/cursor.js";
import { numbers } from "../inspect/json.js";
import { make, worded } from "../make.js";
import { number, say, translate } from "../words.js";

const MOST = 24; // charts
const REPLAY = 300;
const LONGEST_DATA = 100_000;
const LONGEST_UNIT = 12;
const NAMES = ["sensor", "device", "name", "room"]; // members that say what a value is of

/** @typedef {import("../../client/types.js").HubEvent} HubEvent */

/** @type {import("./place.js").Case} */
export function sensors(element, { hub }) {
  const shown = new Sensors(element, hub);
  return () => shown.close();
}

class Sensors {
  #clock = new Clock();
  #cursor = new Cursor();
  /** @type {Map<string, Chart>} */
  #charts = new Map();
  /** @type {?import("../../client/types.js").Following} */
  #following = null;
  #passed = 0; // numbers that have no chart
  #place = make("div", "charts");
  #note = make("p", "note");
  #control = cursorControl(this.#cursor, () => this.#clock.now());
  #channel = input("channel", "main", true);
  #type = input("type", "sensor", false);
  #speak = () => this.#tell();

  /**
   * @param {HTMLElement} element
   * @param {import("../../client/types.js").Hub} hub
   */
  constructor(element, hub) {
    this.hub = hub;
    const form = make("form", "case-form",
      labelled("caseChannelOrPattern", this.#channel), labelled("caseType", this.#type), worded("button", "caseShow", "main"));
    form.addEventListener("submit", (submit) => {
      submit.preventDefault();
      this.#begin();
    });
    element.append(form, this.#note, this.#control.element, this.#place);
    translate(element);
    document.addEventListener("language", this.#speak);
    this.#begin();
  }

  close() {
    document.removeEventListener("language", this.#speak);
    this.#control.close();
    this.#end();
  }

  #end() {
    this.#following?.close();
    for (const chart of this.#charts.values()) chart.close();
    this.#charts.clear();
    this.#passed = 0;
  }

  #begin() {
    this.#end();
    const listener = { event: (/** @type {HubEvent} */ event) => this.#show(event), state: () => this.#tell() };
    try {
      this.#following = this.hub.follow(this.#channel.value.trim(), listener, { replay: REPLAY });
      this.#tell();
    } catch (error) {
      this.#note.textContent = error instanceof Error ? error.message : String(error);
    }
  }

  #tell() {
    const state = this.#following?.state;
    if (state?.name === "closed") this.#note.textContent = say("caseRefused", { why: state.reason ?? "" });
    else if (!this.#charts.size) this.#note.textContent = say("caseNoNumbers");
    else this.#note.textContent = this.#passed ? say("caseMoreNumbers", { n: number(MOST) }) : "";
  }

  /** @param {HubEvent} event */
  #show(event) {
    if (this.#type.value && event.event !== this.#type.value) return;
    if (event.data.length > LONGEST_DATA) return;
    const ms = Date.parse(event.timestamp);
    if (this.#following?.state.name === "live") this.#clock.hear(ms);
    for (const { path, value } of numbers(event.data)) this.#chartOf(event, path)?.add(ms, value);
  }

  /**
   * The chart of a number, a new one if there is none; null if there are too many.
   *
   * @param {HubEvent} event
   * @param {string} path
   */
  #chartOf({ channel, data }, path) {
    const members = parsed(data);
    const of = NAMES.map((each) => members[each]).find((each) => typeof each === "string" && each);
    const key = [channel, of, path].join("\n");
    const known = this.#charts.get(key);
    if (known) return known;
    if (this.#charts.size === MOST) {
      this.#passed += 1;
      return null;
    }
    const what = of === undefined ? path || say("caseValue") : path === "value" ? String(of) : `${of} ${path}`;
    const unit = typeof members.unit === "string" && members.unit.length <= LONGEST_UNIT ? members.unit : "";
    const title = (this.#channel.value === channel ? what : `${channel}: ${what}`).slice(0, 80);
    const colour = `--channel-${(this.#charts.size % 8) + 1}`;
    const chart = new Chart({ title, unit, quantities: [{ colour }], clock: this.#clock, cursor: this.#cursor });
    this.#charts.set(key, chart);
    this.#place.append(chart.element);
    this.#tell();
    return chart;
  }
}

/**
 * @param {string} name
 * @param {string} value
 * @param {boolean} required
 */
function input(name, value, required) {
  return Object.assign(make("input"), { name, value, required, autocomplete: "off", spellcheck: false, maxLength: 128 });
}

/**
 * @param {string} words
 * @param {HTMLElement} field
 */
function labelled(words, field) {
  return make("label", "", worded("span", words), field);
}
