// Times in the language of the page and in one zone: that of the browser.

import { say, spoken } from "./words.js";

/** @type {Map<string, Intl.DateTimeFormat>} */
const formats = new Map();

/** @type {Record<string, Intl.DateTimeFormatOptions>} */
const FORMS = {
  clock: { hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3, hourCycle: "h23" },
  short: { hour: "2-digit", minute: "2-digit", second: "2-digit", hourCycle: "h23" },
  day: { weekday: "long", day: "numeric", month: "long" },
  whole: { dateStyle: "medium", timeStyle: "medium" },
};

/**
 * A time as text: `clock` with milliseconds, `short` with seconds, `day` the date, `whole` both.
 *
 * @param {string|number} when ISO 8601, or Unix milliseconds
 * @param {"clock"|"short"|"day"|"whole"} form
 */
export function time(when, form) {
  const date = new Date(when);
  if (Number.isNaN(date.getTime())) return String(when);
  const key = `${spoken()} ${form}`;
  const format = formats.get(key) ?? new Intl.DateTimeFormat(locale(), FORMS[form]);
  formats.set(key, format);
  return format.format(date);
}

/** The language of the page as this person's country writes it, if the browser says which one. */
function locale() {
  const language = spoken().slice(0, 2);
  return navigator.languages.find((each) => each.startsWith(language)) ?? spoken();
}

/** The zone of all times: an IANA name. */
export const zone = () => Intl.DateTimeFormat().resolvedOptions().timeZone;

/**
 * Seconds as words: "4 s", "3 min".
 *
 * @param {number} seconds
 */
export function seconds(seconds) {
  const whole = Math.max(0, Math.round(seconds));
  if (whole < 120) return `${whole} s`;
  return whole < 7200 ? `${Math.round(whole / 60)} min` : `${Math.round(whole / 3600)} h`;
}

/**
 * Bytes as words: "1.2 kB".
 *
 * @param {number} bytes
 */
export function bytes(bytes) {
  for (const [size, unit] of /** @type {const} */ ([[1e9, "GB"], [1e6, "MB"], [1e3, "kB"]])) {
    if (bytes >= size) return `${(bytes / size).toLocaleString(spoken(), { maximumFractionDigits: 1 })} ${unit}`;
  }
  return say(bytes === 1 ? "oneByte" : "manyBytes", { n: String(bytes) });
}
