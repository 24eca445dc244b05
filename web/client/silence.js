// How long nothing has come, and what happens when that is too long.

/** Pings without which a connection is taken for dead. */
const PINGS = 3;
/** Seconds between two pings where the hub does not say: its default. */
const PING = 15;

export class Silence {
  /** Seconds between two pings, as the hub says. @type {?number} */
  ping = null;

  #timer = 0;
  #heard = 0; // by the monotonic clock

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
    return performance.now() - this.#heard > 1500 * (this.ping ?? PING);
  }

  begin() {
    this.heard();
    this.look();
  }

  /** Something has come. No timer is set anew for it: thousands may come in a second. */
  heard() {
    this.#heard = performance.now();
  }

  /** Look whether it is too long; look again when it can be. */
  look() {
    clearTimeout(this.#timer);
    const left = this.#heard + this.limit * 1000 - performance.now();
    if (left <= 0) this.tooLong();
    else this.#timer = Number(setTimeout(() => this.look(), left));
  }

  end() {
    clearTimeout(this.#timer);
  }
}
