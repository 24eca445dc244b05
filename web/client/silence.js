// How long nothing has come, and what happens when that is too long.

/** Pings without which a connection is taken for dead. */
const PINGS = 3;
/** Seconds between two pings where the hub does not say: its default. */
const PING = 15;
/** Milliseconds between two looks, at most: a timer sleeps with the machine, and is late by all of that. */
const LOOK_MS = 5000;

export class Silence {
  /** Seconds between two pings, as the hub says. @type {?number} */
  ping = null;

  #timer = 0;
  #heard = 0; // by the monotonic clock, which may stand still while the machine sleeps
  #heardAt = 0; // by the wall clock, which may be set

  /**
   * @param {number|undefined} limit seconds, in place of three pings
   * @param {() => void} tooLong called once after each `begin`
   */
  constructor(limit, tooLong) {
    this.given = limit;
    this.tooLong = tooLong;
  }

  /** Seconds that are too long. */
  get limit() {
    return this.given ?? PINGS * (this.ping ?? PING);
  }

  /** Whether a ping is overdue. */
  get isSuspicious() {
    return this.#silentMs > 1500 * (this.ping ?? PING);
  }

  /** Milliseconds since something came, by the clock that says more: a beginning too many loses nothing. */
  get #silentMs() {
    return Math.max(performance.now() - this.#heard, Date.now() - this.#heardAt);
  }

  begin() {
    this.heard();
    this.look();
  }

  /** Something has come. No timer is set anew for it: thousands may come in a second. */
  heard() {
    this.#heard = performance.now();
    this.#heardAt = Date.now();
  }

  /** Look whether it is too long; look again when it can be. */
  look() {
    clearTimeout(this.#timer);
    const leftMs = this.limit * 1000 - this.#silentMs;
    if (leftMs <= 0) this.tooLong();
    else this.#timer = Number(setTimeout(() => this.look(), Math.min(leftMs, LOOK_MS)));
  }

  end() {
    clearTimeout(this.#timer);
  }
}
