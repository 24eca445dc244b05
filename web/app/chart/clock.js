// The hub's clock, as far as this page can tell: the browser's may differ from it by minutes, and may be set.

/** Less than that is the way of the event, and no difference of clocks. */
const TOLERANCE_MS = 1500;

/**
 * Unix milliseconds by a clock that goes on evenly, whatever is done to that of the machine. While the machine sleeps it
 * may stand still; then the hub's clock is ahead by so much more.
 */
export const pageNow = () => performance.timeOrigin + performance.now();

/**
 * When the hub accepted an event, in Unix milliseconds: an id of the hub says it, and the timestamp of an event without
 * one. It is null where neither is a time of the hub: a publisher of the Mercure protocol gives an update any id.
 *
 * @param {{id: ?string, timestamp: string, foreign?: boolean}} event
 */
export function acceptedAt({ id, timestamp, foreign = false }) {
  if (foreign || (id !== null && !/^\d{13}-\d+$/.test(id))) return null;
  const ms = id === null ? Date.parse(timestamp) : Number.parseInt(id);
  return Number.isNaN(ms) ? null : ms;
}

export class Clock {
  /** Milliseconds by which the hub's clock is ahead. @type {?number} */
  #ahead = null;

  /**
   * A live event was accepted at this time of the hub.
   *
   * @param {number} ms Unix time
   * @param {number} now Unix time of this page
   */
  hear(ms, now = pageNow()) {
    // The event that took the shortest way tells most about the difference.
    this.#ahead = Math.max(this.#ahead ?? -Infinity, ms - now);
  }

  /** The Unix time that the hub's clock shows now, in milliseconds. @param {number} now that of this browser */
  now(now = pageNow()) {
    return now + this.ahead;
  }

  /** Milliseconds by which the hub's clock is ahead of that of this browser; 0 for a small difference. */
  get ahead() {
    const ahead = this.#ahead ?? 0;
    return Math.abs(ahead) < TOLERANCE_MS ? 0 : ahead;
  }
}
