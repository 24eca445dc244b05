// How long to wait before the next attempt. No I/O, no clock.

const FIRST_MS = 1000;
const LONGEST_MS = 30_000;
/** A connection that lasted so long was a good one. A server that takes each and ends it at once is not. */
const GOOD_MS = 5000;
/** Most milliseconds of a timer. `setTimeout` does not wait at all for more, so a long wait would be a storm. */
export const LONGEST_TIMER_MS = 2 ** 31 - 1;

export class Backoff {
  /** The reconnection time in milliseconds that the hub last named, one for each connection. @type {?number} */
  retry = null;
  /** Attempts that failed since the last good connection. */
  failures = 0;

  /** @param {() => number} random from 0 to 1; a thousand clients must not come back in the same moment */
  constructor(random = Math.random) {
    this.random = random;
  }

  /**
   * Milliseconds to wait after an attempt that failed. After a good connection that is what the server named; after
   * further failures it is doubled each time.
   *
   * @param {{lastedMs?: number, atLeastMs?: number}} attempt how long it was connected; what `Retry-After` said
   */
  next({ lastedMs = 0, atLeastMs = 0 } = {}) {
    if (lastedMs >= GOOD_MS) this.failures = 0;
    this.failures += 1;
    return Math.min(Math.max(this.#ownMs(), this.retry ?? 0, atLeastMs), LONGEST_TIMER_MS);
  }

  /** What this client waits by itself: nothing, where the first failure has a time that the server named. */
  #ownMs() {
    if (this.failures === 1 && this.retry !== null) return 0;
    const most = Math.min(Math.max(this.retry ?? 0, FIRST_MS) * 2 ** (this.failures - 1), LONGEST_MS);
    return most * (0.5 + this.random() / 2);
  }

  /** Forget failures: what follows is no repetition. */
  reset() {
    this.failures = 0;
  }
}
