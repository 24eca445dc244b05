// The view of figures: what the hub publishes about itself and its host, in charts that share one cursor.

import { parsed } from "../../client/surroundings.js";
import { make, worded } from "../make.js";
import { number, say, translate } from "../words.js";
import { Chart } from "./chart.js";
import { Clock } from "./clock.js";
import { Cursor, cursorControl } from "./cursor.js";
import { withUnit } from "./units.js";

const REPLAY = 300; // five minutes of figures that come every second
const LOOK_MS = 1000;
const PATIENCE_MS = 5000; // without figures for so long, the view says so

/**
 * @typedef {import("../../client/types.js").Hub} Hub
 * @typedef {{words: string, unit: string, quantities: {words?: string, colour: string, figure: string}[]}} Shown
 */

/** @type {Shown[]} */
const SHOWN = [
  { words: "figureCpu", unit: "%", quantities: [{ figure: "cpu_percent", colour: "--channel-1" }] },
  { words: "figureMemory", unit: "%", quantities: [{ figure: "memory_percent", colour: "--channel-2" }] },
  {
    words: "figureNetwork", unit: "B/s", quantities: [
      { words: "figureIn", figure: "network_received_bytes_per_second", colour: "--channel-1" },
      { words: "figureOut", figure: "network_sent_bytes_per_second", colour: "--channel-3" },
    ],
  },
  {
    words: "figureEvents", unit: "/s", quantities: [
      { words: "figurePublished", figure: "events_per_second", colour: "--channel-1" },
      { words: "figureDelivered", figure: "deliveries_per_second", colour: "--channel-3" },
    ],
  },
  { words: "figureRequests", unit: "/s", quantities: [{ figure: "requests_per_second", colour: "--channel-4" }] },
  { words: "figureErrors", unit: "ratio", quantities: [{ figure: "error_rate", colour: "--channel-5" }] },
  { words: "figureSubscribers", unit: "", quantities: [{ figure: "subscribers", colour: "--channel-6" }] },
];

/**
 * Show the figures in an element, until it is closed.
 *
 * @param {HTMLElement} element
 * @param {Hub} hub
 * @returns {{close: () => void}}
 */
export function figures(element, hub) {
  const clock = new Clock();
  const cursor = new Cursor();
  const shown = SHOWN.map((each) => ({ ...each, chart: new Chart({ ...each, clock, cursor }) }));
  const control = cursorControl(cursor, () => clock.now());
  const note = worded("p", "figuresWaiting", "note figures-note");
  const charts = make("div", "charts", ...shown.map(({ chart }) => chart.element));
  const table = tableOf(shown);
  element.replaceChildren(control.element, note, charts, table.element);
  translate(element);
  const began = performance.now();
  let newest = -Infinity;
  let why = "";
  const following = hub.follow("metrics", {
    event: ({ event, data, timestamp }) => {
      if (event !== "metrics") return;
      const values = parsed(data);
      const ms = Date.parse(timestamp);
      if (following.state.name === "live") clock.hear(ms);
      for (const { quantities, chart } of shown) quantities.forEach(({ figure }, at) => chart.add(ms, values[figure], at));
      newest = performance.now();
      look();
    },
    state: ({ name, reason }) => {
      why = name === "closed" ? reason ?? "" : "";
      look();
    },
  }, { replay: REPLAY });

  function look() {
    const silent = performance.now() - Math.max(newest, began);
    charts.hidden = control.element.hidden = table.element.hidden = newest === -Infinity;
    if (why) note.textContent = say("figuresRefused", { why });
    else if (newest === -Infinity) note.textContent = say(silent < PATIENCE_MS ? "figuresWaiting" : "figuresNone");
    else note.textContent = silent < PATIENCE_MS ? "" : say("figuresStopped", { n: number(Math.floor(silent / 1000)) });
    note.hidden = !note.textContent;
  }
  look();
  const looking = setInterval(look, LOOK_MS);
  document.addEventListener("language", look);
  return {
    close() {
      clearInterval(looking);
      document.removeEventListener("language", look);
      following.close();
      control.close();
      table.close();
      for (const { chart } of shown) chart.close();
      element.replaceChildren();
    },
  };
}

/**
 * The figures of the charts as a table, which is written when it is opened and every five seconds while it is open.
 *
 * @param {(Shown & {chart: Chart})[]} shown
 */
function tableOf(shown) {
  const body = make("tbody");
  const head = make("tr", "", ...["figuresName", "figuresNow", "figuresLow", "figuresMean", "figuresHigh"].map((key) => {
    const cell = worded("th", key);
    cell.scope = "col";
    return cell;
  }));
  const table = make("table", "", make("thead", "", head), body);
  const element = make("details", "figures-table", worded("summary", "figuresTable"), make("div", "wide-table", table));
  const write = () => element.open && body.replaceChildren(...shown.flatMap(rows));
  element.addEventListener("toggle", write);
  const writing = setInterval(write, PATIENCE_MS);
  return { element, close: () => clearInterval(writing) };
}

/** @param {Shown & {chart: Chart}} shown */
function rows({ words, unit, quantities, chart }) {
  return quantities.map((quantity, at) => {
    const extent = chart.series[at].extent(...chart.window);
    const name = make("th", "", quantity.words ? `${say(words)}: ${say(quantity.words)}` : say(words));
    name.scope = "row";
    const values = extent ? [extent.newest, extent.low, extent.mean, extent.high] : [];
    return make("tr", "", name, ...values.map((value) => make("td", "", withUnit(value, unit))));
  });
}
