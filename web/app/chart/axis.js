// Axes that fit the data: round numbers, from a little below the lowest value to a little above the highest.

/** Beyond, a difference of two numbers is infinite; a height of less than its reciprocal is none. */
const LARGEST = 1e300;

/**
 * @param {number} low
 * @param {number} high
 * @param {number} count ticks that are wanted, about
 * @param {number} least  the smallest distance between two ticks; also the height where all values are zero
 * @returns {{low: number, high: number, step: number, ticks: number[]}}
 */
export function axis(low, high, count = 3, least = 0) {
  const [from, to] = [low, high].map((value) => Math.min(Math.max(value, -LARGEST), LARGEST));
  [low, high] = widened(from, to, least || 1);
  const step = Math.max(least, niceStep((high - low) / count));
  const first = Math.floor(low / step + 1e-9);
  const last = Math.ceil(high / step - 1e-9);
  const ticks = [];
  for (let at = first; at <= last; at += 1) ticks.push(at * step);
  return { low: first * step, high: last * step, step, ticks };
}

/**
 * The range with zero in it where zero is near, and with some height where all values are equal.
 *
 * @param {number} low
 * @param {number} high
 * @param {number} tall
 * @returns {[low: number, high: number]}
 */
function widened(low, high, tall) {
  if (low > 0 && low < 0.5 * high) low = 0;
  if (high < 0 && high > 0.5 * low) high = 0;
  if (high - low > Math.max(Math.abs(high) * 1e-9, 1 / LARGEST)) return [low, high];
  const height = Math.abs(high) * 0.1;
  return height < 1 / LARGEST ? [0, tall] : [low - height / 2, high + height / 2];
}

/** The smallest of 1, 2, 2.5 and 5 times a power of ten that is not below a width. @type {(width: number) => number} */
function niceStep(width) {
  const power = 10 ** Math.floor(Math.log10(width));
  return power * ([1, 2, 2.5, 5].find((each) => each * power >= width * (1 - 1e-9)) ?? 10);
}

/** Digits after the point that tell ticks of this distance apart. @type {(step: number) => number} */
export function digitsOf(step) {
  for (let digits = 0; digits < 8; digits += 1) {
    if (Math.abs(step * 10 ** digits - Math.round(step * 10 ** digits)) < 1e-6 * 10 ** digits * step) return digits;
  }
  return 8;
}
