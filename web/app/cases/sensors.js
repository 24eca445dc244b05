// Sensors: every number in the data of any channel, found by its path, in a chart of its own.

import { Chart } from "../chart/chart.js";
import { Clock } from "../chart/clock.js";
import { Cursor, cursorControl } from "../chart/cursor.js";
import { numbers } from "../inspect/json.js";
import { make, worded } from "../make.js";
import { number, say, translate } from "../words.js";
import { parsed } from "./place.js";

const MOST = 24; // charts
const REPLAY = 300;
const LONGEST_DATA = 100_000;
const NAMES = ["sensor", "device", "name", "room"]; // members that say what a value is of

/** @type {import("./place.js").Case} */
export function sensors(element, { hub }) {
  const [clock, cursor] = [new Clock(), new Cursor()];
  /** @type {Map<string, Chart>} */
  const charts = new Map();
  const place = make("div", "charts");
  const note = make("p", "note");
  const control = cursorControl(cursor, () => clock.now());
  const channel = input("channel", "main", true);
  const type = input("type", "sensor", false);
  const form = make("form", "case-form",
    labelled("caseChannelOrPattern", channel), labelled("caseType", type), worded("button", "caseShow", "main"));
  element.append(form, note, control.element, place);
  /** @type {?import("../../client/types.js").Following} */
  let following = null;
  let passed = 0;

  function tell(state = following?.state) {
    if (state?.name === "closed") note.textContent = say("caseRefused", { why: state.reason ?? "" });
    else if (!charts.size) note.textContent = say("caseNoNumbers");
    else note.textContent = passed ? say("caseMoreNumbers", { n: number(MOST) }) : "";
  }

  /** @param {import("../../client/types.js").HubEvent} event */
  function show(event) {
    if (type.value && event.event !== type.value) return;
    if (event.data.length > LONGEST_DATA) return;
    const ms = Date.parse(event.timestamp);
    if (following?.state.name === "live") clock.hear(ms);
    for (const { path, value } of numbers(event.data)) chartOf(event, path)?.add(ms, value);
  }

  /**
   * @param {import("../../client/types.js").HubEvent} event
   * @param {string} path
   */
  function chartOf({ channel: name, data }, path) {
    const members = parsed(data);
    const of = NAMES.map((each) => members[each]).find((each) => typeof each === "string" && each);
    const key = [name, of, path].join("\n");
    const known = charts.get(key);
    if (known) return known;
    if (charts.size === MOST) {
      passed += 1;
      return null;
    }
    const what = of === undefined ? path || say("caseValue") : path === "value" ? String(of) : `${of} ${path}`;
    const unit = typeof members.unit === "string" && members.unit.length <= 12 ? members.unit : "";
    const title = channel.value === name ? what : `${name}: ${what}`;
    const colour = `--channel-${(charts.size % 8) + 1}`;
    const chart = new Chart({ title: title.slice(0, 80), unit, quantities: [{ colour }], clock, cursor });
    charts.set(key, chart);
    place.append(chart.element);
    tell();
    return chart;
  }

  function begin() {
    following?.close();
    for (const chart of charts.values()) chart.close();
    charts.clear();
    passed = 0;
    try {
      following = hub.follow(channel.value.trim(), { event: show, state: tell }, { replay: REPLAY });
      tell();
    } catch (error) {
      note.textContent = error instanceof Error ? error.message : String(error);
    }
  }

  form.addEventListener("submit", (submit) => {
    submit.preventDefault();
    begin();
  });
  translate(element);
  begin();
  const speak = () => tell();
  document.addEventListener("language", speak);
  return () => {
    document.removeEventListener("language", speak);
    following?.close();
    control.close();
    for (const chart of charts.values()) chart.close();
  };
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
