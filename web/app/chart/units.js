// Values with their units, as the language of the page writes them: "1.9 MB/s".

import { spoken } from "../words.js";
import { digitsOf } from "./axis.js";

const PREFIXES = /** @type {const} */ ([[1e12, "T"], [1e9, "G"], [1e6, "M"], [1e3, "k"]]);
/** Units before which a prefix is usual. */
const PREFIXED = new Set(["B", "B/s", "bit/s", "W", "Wh", "V", "A", "Hz", "J"]);
const LARGE = 100_000; // other values are shortened from here on

/** @type {Map<string, Intl.NumberFormat>} */
const formats = new Map();

/** @param {number} value @param {number} digits after the point, at most @param {number} [least] at least */
function plain(value, digits, least = 0) {
  const key = `${spoken()} ${digits} ${least}`;
  let format = formats.get(key);
  if (!format) {
    format = new Intl.NumberFormat(spoken(), { maximumFractionDigits: digits, minimumFractionDigits: least });
    formats.set(key, format);
  }
  return format.format(value === 0 ? 0 : value);
}

/** @type {(value: number, unit: string) => readonly [size: number, sign: string]} */
function prefix(value, unit) {
  if (!PREFIXED.has(unit) && Math.abs(value) < LARGE) return [1, ""];
  return PREFIXES.find(([size]) => Math.abs(value) >= size * 0.9995) ?? [1, ""];
}

/** @type {(text: string, sign: string, unit: string) => string} */
const joined = (text, sign, unit) => (sign || unit ? `${text}\u202f${sign}${unit}` : text);

/**
 * A value with its unit. `ratio` is shown in per cent.
 *
 * @param {number} value
 * @param {string} unit
 */
export function withUnit(value, unit) {
  if (unit === "ratio") return withUnit(value * 100, "%");
  const [size, sign] = prefix(value, unit);
  const scaled = Math.abs(value / size);
  return joined(plain(value / size, scaled >= 100 ? 1 : scaled >= 1 || scaled === 0 ? 2 : 3), sign, unit);
}

/**
 * The labels of an axis: all with the same prefix and the same digits, and the unit at each.
 *
 * @param {readonly number[]} ticks
 * @param {number} step
 * @param {string} unit
 * @returns {string[]}
 */
export function labels(ticks, step, unit) {
  if (unit === "ratio") return labels(ticks.map((tick) => tick * 100), step * 100, "%");
  const [size, sign] = prefix(Math.max(...ticks.map(Math.abs)), unit);
  const digits = digitsOf(step / size);
  return ticks.map((tick) => joined(plain(tick / size, digits, digits), sign, unit));
}
