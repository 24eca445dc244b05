// A dashboard: values and not a history. Tiles with the newest figures, charts of the last minutes, and the newest
// event of each channel, at most once a second.

import { parsed } from "../../client/surroundings.js";
import { Chart } from "../chart/chart.js";
import { Clock } from "../chart/clock.js";
import { Cursor } from "../chart/cursor.js";
import { withUnit } from "../chart/units.js";
import { showText } from "../inspect/characters.js";
import { make, worded } from "../make.js";
import { summary } from "../summaries.js";
import { time } from "../times.js";
import { say } from "../words.js";

const TILES = /** @type {const} */ ([
  ["subscribers", "figureSubscribers", ""], ["events_per_second", "caseEventsRate", "/s"],
  ["deliveries_per_second", "caseDeliveriesRate", "/s"], ["requests_per_second", "figureRequests", "/s"],
  ["cpu_percent", "figureCpu", "%"], ["memory_percent", "figureMemory", "%"],
]);
const CHANNELS = 30; // rows at most
const CONFLATE_MS = 1000;

/** @type {import("./place.js").Case} */
export function dashboard(element, { hub }) {
  const [clock, cursor] = [new Clock(), new Cursor()];
  const tiles = TILES.map(([figure, words, unit]) => {
    const value = make("dd", "tile-value", "–");
    return { figure, unit, value, element: make("div", "tile", worded("dt", words), value) };
  });
  const charts = [
    { chart: new Chart({ words: "figureCpu", unit: "%", quantities: [{ colour: "--channel-1" }], clock, cursor }), figures: ["cpu_percent"] },
    {
      chart: new Chart({
        words: "figureNetwork", unit: "B/s", clock, cursor,
        quantities: [{ words: "figureIn", colour: "--channel-1" }, { words: "figureOut", colour: "--channel-3" }],
      }),
      figures: ["network_received_bytes_per_second", "network_sent_bytes_per_second"],
    },
    { chart: new Chart({ words: "figureEvents", unit: "/s", quantities: [{ colour: "--channel-3" }], clock, cursor }), figures: ["deliveries_per_second"] },
  ];
  const none = worded("p", "figuresNone", "note");
  const newest = new Newest();
  element.append(
    make("dl", "tiles", ...tiles.map((tile) => tile.element)), none,
    make("div", "charts", ...charts.map(({ chart }) => chart.element)),
    worded("h3", "caseNewest"), newest.element,
  );
  const figures = hub.follow("metrics", {
    event: ({ event, data, timestamp }) => {
      if (event !== "metrics") return;
      none.hidden = true;
      const values = parsed(data);
      const ms = Date.parse(timestamp);
      if (figures.state.name === "live") clock.hear(ms);
      for (const { figure, unit, value } of tiles) {
        const number = values[figure];
        value.textContent = typeof number === "number" ? withUnit(number, unit) : "–";
      }
      for (const { chart, figures: names } of charts) names.forEach((name, at) => chart.add(ms, values[name], at));
    },
  }, { replay: 300 });
  const all = hub.follow("*", { event: (event) => newest.show(event) }, { replay: "latest", conflate: CONFLATE_MS });
  return () => {
    figures.close();
    all.close();
    for (const { chart } of charts) chart.close();
  };
}

/** The newest event of each channel, as a table. */
class Newest {
  #body = make("tbody");
  /** @type {Map<string, HTMLElement[]>} */
  #rows = new Map();

  constructor() {
    const head = ["caseChannel", "caseWhen", "caseWhat"].map((key) => Object.assign(worded("th", key), { scope: "col" }));
    this.element = make("div", "wide-table", make("table", "newest", make("thead", "", make("tr", "", ...head)), this.#body));
  }

  /** @param {import("../../client/types.js").HubEvent} event */
  show(event) {
    let cells = this.#rows.get(event.channel);
    if (!cells) {
      if (this.#rows.size === CHANNELS) return;
      const name = make("th");
      name.scope = "row";
      showText(name, event.channel);
      cells = [make("td", "when"), make("td", "what")];
      this.#rows.set(event.channel, cells);
      const row = make("tr", "", name, ...cells);
      const after = [...this.#rows.keys()].sort().indexOf(event.channel);
      this.#body.insertBefore(row, this.#body.children[after] ?? null);
    }
    const [when, what] = cells;
    when.textContent = time(event.timestamp, "short");
    showText(what, summary(event) || say("emptyData"));
  }
}
