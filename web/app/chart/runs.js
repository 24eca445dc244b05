// From points to the lines that a chart draws.

/** @typedef {import("./series.js").Series} Series */

/**
 * The lines of a series as pixels, broken at gaps. Of the points in one column of pixels, the first, the lowest, the
 * highest and the last are enough.
 *
 * @param {Series} series
 * @param {number} from
 * @param {number} to
 * @param {(ms: number) => number} x
 * @param {(value: number) => number} y
 * @returns {number[][]} for each line: x, y, x, y, …
 */
export function runs(series, from, to, x, y) {
  const { times, values, gapMs } = series;
  const [first, end] = series.range(from, to);
  /** @type {number[][]} */
  const found = [];
  /** @type {number[]} */
  let run = [];
  for (let at = first; at < end; ) {
    if (at > first && times[at] - times[at - 1] > gapMs) {
      found.push(run);
      run = [];
    }
    const until = endOfColumn(Math.floor(x(times[at])) + 1, x, from, to);
    let [low, high, last] = [at, at, at];
    while (last + 1 < end && times[last + 1] < until && times[last + 1] - times[last] <= gapMs) {
      last += 1;
      if (values[last] < values[low]) low = last;
      if (values[last] > values[high]) high = last;
    }
    let before = -1;
    for (const each of low < high ? [at, low, high, last] : [at, high, low, last]) {
      if (each !== before) run.push(x(times[each]), y(values[each]));
      before = each;
    }
    at = last + 1;
  }
  if (run.length) found.push(run);
  return found;
}

/**
 * The time at which a column of pixels ends. (The scale is a line, so two of its points tell all.)
 *
 * @param {number} column
 * @param {(ms: number) => number} x
 * @param {number} from
 * @param {number} to
 */
function endOfColumn(column, x, from, to) {
  const [left, right] = [x(from), x(to)];
  return right > left ? from + ((column - left) / (right - left)) * (to - from) : Infinity;
}
