// What a timeline shows, as data: for each channel the events of the last minute in narrow bins, so that a thousand
// events cost no more than one; and the times without a connection, and the losses.

const BINS = 1200; // over the width of the timeline
const MOST_BINS = 2 * BINS; // of a lane
const MOST_LANES = 40;
/** The lane of all channels that have none of their own. No channel has an empty name. */
export const OTHERS = "";
const MOST_RANGES = 100;

/**
 * @template E
 * @typedef {{live: number, replayed: number, entry: E}} Bin `entry`: the newest event in it
 */
/**
 * @template E
 * @typedef {{name: string, bins: Map<number, Bin<E>>, newest: number}} Lane
 */
/**
 * @typedef {{from: number, to: number, channel: ?string}} Range  Unix milliseconds; infinite where an end is unknown
 */

/** @type {(bins: Map<number, unknown>, first: number) => void} */
function dropBefore(bins, first) {
  for (const at of bins.keys()) if (at < first) bins.delete(at);
}

/** @template E events */
export class Lanes {
  /** In the order in which the channels appeared. @type {Map<string, Lane<E>>} */
  lanes = new Map();
  /** Times without a connection. @type {Range[]} */
  gaps = [];
  /** @type {Range[]} */
  losses = [];

  /**
   * @param {number} spanMs time that is shown
   * @param {readonly string[]} fixed names of lanes that are there from the beginning
   */
  constructor(spanMs, fixed = []) {
    this.spanMs = spanMs;
    this.binMs = spanMs / BINS;
    for (const name of fixed) this.lanes.set(name, { name, bins: new Map(), newest: Infinity });
  }

  /**
   * @param {string} channel
   * @param {number} ms
   * @param {boolean} replayed
   * @param {E} entry
   */
  add(channel, ms, replayed, entry) {
    const lane = this.#laneOf(channel, ms);
    const at = Math.floor(ms / this.binMs);
    const bin = lane.bins.get(at) ?? { live: 0, replayed: 0, entry };
    bin[replayed ? "replayed" : "live"] += 1;
    bin.entry = entry;
    lane.bins.set(at, bin);
    lane.newest = Math.max(lane.newest, ms);
    // While the timeline is not drawn, nobody calls `forget`.
    if (lane.bins.size > MOST_BINS) dropBefore(lane.bins, Math.max(...lane.bins.keys()) - BINS);
  }

  /**
   * @param {string} channel
   * @param {number} ms
   * @returns {Lane<E>}
   */
  #laneOf(channel, ms) {
    const isFull = this.lanes.size >= MOST_LANES && !this.lanes.has(channel);
    const name = isFull ? OTHERS : channel;
    const known = this.lanes.get(name);
    if (known) return known;
    const lane = { name, bins: new Map(), newest: ms };
    this.lanes.set(name, lane);
    return lane;
  }

  /**
   * A time without a connection: `to` is null while it lasts.
   *
   * @param {number} from
   * @param {?number} to
   */
  gap(from, to) {
    const known = this.gaps.find((gap) => gap.from === from);
    if (known) known.to = to ?? Infinity;
    else this.gaps.push({ from, to: to ?? Infinity, channel: null });
    if (this.gaps.length > MOST_RANGES) this.gaps.shift();
  }

  /**
   * Events between two ids are gone.
   *
   * @param {{channel?: string, after: string, next: string}} loss
   */
  lost({ channel, after, next }) {
    const [from, to] = [Number.parseInt(after), Number.parseInt(next)];
    this.losses.push({ from: from || -Infinity, to: to || Infinity, channel: channel ?? null });
    if (this.losses.length > MOST_RANGES) this.losses.shift();
  }

  /** Forget what is older than the timeline. A lane stays for as long as another span. @param {number} from */
  forget(from) {
    const first = Math.floor(from / this.binMs);
    for (const [name, { bins, newest }] of this.lanes) {
      dropBefore(bins, first);
      if (newest < from - this.spanMs) this.lanes.delete(name);
    }
    this.gaps = this.gaps.filter(({ to }) => to >= from);
    this.losses = this.losses.filter(({ to }) => to >= from);
  }

  clear() {
    this.lanes.clear();
    this.gaps = [];
    this.losses = [];
  }

  /**
   * The bin that is nearest to a moment.
   *
   * @param {string} channel
   * @param {number} ms
   * @param {number} withinMs
   * @returns {?{ms: number, bin: Bin<E>}}
   */
  near(channel, ms, withinMs) {
    const bins = this.lanes.get(channel)?.bins;
    if (!bins) return null;
    const middle = Math.floor(ms / this.binMs);
    for (let away = 0; away * this.binMs <= withinMs; away += 1) {
      for (const at of [middle - away, middle + away]) {
        const bin = bins.get(at);
        if (bin) return { ms: at * this.binMs, bin };
      }
    }
    return null;
  }
}
