// The charts: figures of the hub and its host, and each sensor that sends values.

import { Chart } from "./chart.js";
import { copyOf, find } from "./dom.js";
import { number, say, translate } from "./words.js";

const REPLAY = 300; // five minutes of figures that come every second
const FIGURES = [
  "cpu_percent", "memory_percent", "network_received_bytes_per_second", "network_sent_bytes_per_second",
  "requests_per_second", "error_rate", "deliveries_per_second",
];
const SENSORS = 12; // charts at most; a thousand sensors are no page

const SIZES = /** @type {const} */ ([[1e9, "G"], [1e6, "M"], [1e3, "k"]]);

/** @param {number} value */
function short(value) {
  for (const [size, sign] of SIZES) {
    if (Math.abs(value) >= size) return `${number(value / size, 1)} ${sign}`;
  }
  return number(value, Math.abs(value) < 1 ? 3 : 1);
}

/** @param {number} value */
const plain = (value) => number(value, 1);

/**
 * @param {Element} parent
 * @param {string} name of a figure of the hub, or of a sensor
 * @param {string} [unit] of a sensor
 */
function make(parent, name, unit) {
  const element = copyOf("#chart");
  const title = find("figcaption .name", HTMLElement, element);
  if (unit === undefined) title.dataset.words = name;
  title.textContent = unit === undefined ? say(name) : `${name}${unit ? `, ${unit}` : ""}`;
  element.dataset.figure = name;
  parent.append(element);
  translate(element);
  return new Chart(element, unit === undefined ? short : plain);
}

/**
 * Begin to draw.
 *
 * @param {ReturnType<typeof import("../client/sse.js").connect>} hub
 */
export function begin(hub) {
  const place = find("#charts", HTMLElement);
  const charts = new Map(FIGURES.map((name) => [name, make(place, name)]));
  hub.follow(["metrics"], {
    event: ({ event, data, timestamp }) => {
      if (event !== "metrics") return;
      const values = read(data);
      for (const [name, chart] of charts) chart.add(Date.parse(timestamp), values[name]);
    },
  }, { replay: REPLAY });

  /** @type {Map<string, Chart>} */
  const sensors = new Map();
  hub.follow(["main"], {
    event: ({ event, data, timestamp }) => {
      if (event !== "sensor") return;
      const { sensor, value, unit } = read(data);
      if (typeof sensor !== "string" || (!sensors.has(sensor) && sensors.size === SENSORS)) return;
      const chart = sensors.get(sensor) ?? make(find("#sensor-charts", HTMLElement), sensor, String(unit ?? ""));
      sensors.set(sensor, chart);
      chart.add(Date.parse(timestamp), value);
    },
  }, { replay: REPLAY });
}

/**
 * @param {string} data
 * @returns {Record<string, unknown>}
 */
function read(data) {
  try {
    return JSON.parse(data) ?? {};
  } catch {
    return {}; // somebody publishes something else there
  }
}
