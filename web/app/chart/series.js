// Points of one quantity over time. They may come in any order, and two of the same moment are one.

/** Most points that are kept: ten a second over five minutes, with some to spare. */
const MOST = 4000;
/** A line is broken where a point is missing: after so many times the usual distance between two … */
const BROKEN = 3;
/** … but not for a delay of less than this. */
const DELAY_MS = 2500;
const USUAL = 64; // distances that are looked at

export class Series {
  /** Unix times in milliseconds, growing. @type {number[]} */
  times = [];
  /** @type {number[]} */
  values = [];

  /** @param {number} keptMs how long a point is kept, counted back from the newest */
  constructor(keptMs) {
    this.keptMs = keptMs;
  }

  /**
   * Add a point. One that is no number, or older than what is kept, is passed over.
   *
   * @param {number} ms
   * @param {unknown} value
   * @returns {boolean} whether there is something new
   */
  add(ms, value) {
    if (typeof value !== "number" || !Number.isFinite(value) || !Number.isFinite(ms)) return false;
    const { times, values } = this;
    const newest = times.at(-1) ?? -Infinity;
    if (ms < newest - this.keptMs) return false;
    if (ms > newest) {
      times.push(ms);
      values.push(value);
      this.#forget();
      return true;
    }
    const at = firstNotBefore(times, ms);
    if (times[at] === ms) values[at] = value;
    else {
      times.splice(at, 0, ms);
      values.splice(at, 0, value);
      this.#forget();
    }
    return true;
  }

  #forget() {
    const { times, values } = this;
    const old = Math.max(firstNotBefore(times, times[times.length - 1] - this.keptMs), times.length - MOST);
    if (old < times.length / 8 && times.length <= MOST) return; // a few at a time cost more than many at once
    times.splice(0, old);
    values.splice(0, old);
  }

  /** The distance between two points, in milliseconds, from which on something is missing. */
  get gapMs() {
    const { times } = this;
    const distances = [];
    for (let at = Math.max(1, times.length - USUAL); at < times.length; at += 1) distances.push(times[at] - times[at - 1]);
    distances.sort((a, b) => a - b);
    return Math.max(BROKEN * (distances[distances.length >> 1] ?? 0), DELAY_MS);
  }

  /**
   * The places of the points in a range of time, with one more at each side.
   *
   * @param {number} from
   * @param {number} to
   * @returns {[first: number, end: number]}
   */
  range(from, to) {
    const first = Math.max(0, firstNotBefore(this.times, from) - 1);
    return [first, Math.min(this.times.length, firstNotBefore(this.times, to) + 1)];
  }

  /**
   * Lowest, highest, mean and newest value in a range of time; null if there is none.
   *
   * @param {number} from
   * @param {number} to
   */
  extent(from, to) {
    let [low, high, sum, count] = [Infinity, -Infinity, 0, 0];
    const end = firstNotBefore(this.times, to + 1);
    for (let at = firstNotBefore(this.times, from); at < end; at += 1) {
      const value = this.values[at];
      if (value < low) low = value;
      if (value > high) high = value;
      sum += value;
      count += 1;
    }
    return count ? { low, high, mean: sum / count, newest: this.values[end - 1] } : null;
  }

  /**
   * The point that is nearest to a moment; null where there is a gap.
   *
   * @param {number} ms
   * @returns {?{ms: number, value: number}}
   */
  near(ms) {
    const after = firstNotBefore(this.times, ms);
    const at = ms - (this.times[after - 1] ?? -Infinity) < (this.times[after] ?? Infinity) - ms ? after - 1 : after;
    const found = this.times[at];
    if (found === undefined || Math.abs(found - ms) > this.gapMs) return null;
    return { ms: found, value: this.values[at] };
  }
}

/**
 * @param {number[]} times that grow
 * @param {number} ms
 * @returns {number} the first place whose time is not before `ms`
 */
function firstNotBefore(times, ms) {
  let [low, high] = [0, times.length];
  while (low < high) {
    const middle = (low + high) >> 1;
    if (times[middle] < ms) low = middle + 1;
    else high = middle;
  }
  return low;
}
