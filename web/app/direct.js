// A stream with a connection of its own, read as a client reads that knows no hub: plain streams, and topics of the
// Mercure protocol. Streams of the hub's own form come by web/client/sse.js, over the connection that all tabs share.

import { Backoff } from "../client/backoff.js";
import { EventParser, EventTooLarge } from "../client/parser.js";
import { check, problemIn, Refusal } from "../client/request.js";
import { Silence } from "../client/silence.js";
import { inSlices } from "../client/slices.js";

/**
 * @typedef {import("../client/sse.js").State} State
 * @typedef {import("../client/sse.js").Problem} Problem
 * @typedef {{event: (event: import("./model.js").Received) => void, state: (state: State) => void,
 *   problem: (problem: Problem) => void}} Listener
 */

export class Direct {
  /** @type {?string} */
  last;
  /** Headers of the last answer, as far as a page may read them. @type {[string, string][]} */
  headers = [];
  /** @type {?number} */
  status = null;

  #url;
  #name;
  #on;
  #closed = false;
  #connected = 0; // by the monotonic clock
  #stop = new AbortController();
  #listening = new AbortController();
  #wake = () => {};
  #backoff = new Backoff();
  #silence = new Silence(undefined, () => this.#stop.abort());

  /**
   * @param {URL} url
   * @param {string} name which the events have as their channel
   * @param {Listener} on
   * @param {?string} after a cursor
   */
  constructor(url, name, on, after = null) {
    this.#url = url;
    this.#name = name;
    this.#on = on;
    this.last = after;
    this.#listen();
    void this.#go();
  }

  /** A page in the cache of the browser must not hold one of the six connections to a host. */
  #listen() {
    if (!globalThis.document) return;
    const { signal } = this.#listening;
    addEventListener("pagehide", () => this.cut(), { signal });
    addEventListener("pageshow", () => this.#wake(), { signal });
  }

  /** The address that is asked for. */
  get url() {
    return this.#url.href;
  }

  close() {
    this.#closed = true;
    this.#listening.abort();
    this.#stop.abort();
    this.#silence.end();
    this.#wake();
  }

  /** Break the connection, as a network would. */
  cut() {
    this.#stop.abort();
  }

  async #go() {
    while (!this.#closed) {
      this.#stop = new AbortController();
      this.#connected = 0;
      /** @type {Problem} */
      let problem = { title: "The connection ended", status: 0 };
      let atLeastMs = 0;
      try {
        this.#on.state({ name: "connecting", attempts: this.#backoff.failures });
        if (await this.#attempt(this.#stop.signal)) return;
      } catch (error) {
        if (this.#closed || this.#isLasting(error)) return;
        problem = problemIn(error);
        if (error instanceof Refusal) atLeastMs = error.atLeastMs;
      } finally {
        this.#silence.end();
        this.#stop.abort(); // an answer that is not read to its end would hold its connection
      }
      if (!this.#closed) await this.#wait(problem, atLeastMs);
    }
  }

  /**
   * @param {AbortSignal} signal
   * @returns {Promise<boolean>} whether it is over for good
   * @throws {Refusal}
   */
  async #attempt(signal) {
    this.#silence.begin();
    const headers = new Headers({ Accept: "text/event-stream" });
    if (this.last !== null) headers.set("Last-Event-ID", inBytes(this.last));
    const response = await fetch(this.#url, { headers, signal, cache: "no-store" });
    this.status = response.status;
    this.headers = [...response.headers];
    await check(response);
    if (response.status === 204) this.#on.state({ name: "ended" });
    if (response.status === 204 || !response.body) return response.status === 204;
    this.#connected = performance.now();
    this.#on.state({ name: "live" });
    const parser = new EventParser({ lastEventId: this.last ?? "" });
    await inSlices(response.body, () => this.#silence.heard(), (slice) => {
      if (!signal.aborted) this.#parse(parser, slice);
      return !signal.aborted;
    });
    return false;
  }

  /**
   * @param {EventParser} parser
   * @param {Uint8Array} bytes
   */
  #parse(parser, bytes) {
    for (const { type, data, id, raw } of parser.feed(bytes)) {
      this.last = id || this.last;
      const timestamp = new Date().toISOString(); // a plain stream names no time of its events
      this.#on.event({ id: id || null, channel: this.#name, event: type, data, timestamp, raw });
    }
    if (parser.retry !== null) this.#backoff.retry = parser.retry;
  }

  /**
   * Say why an attempt failed, as far as the server gave a reason; whether it would fail again.
   *
   * @param {unknown} error
   */
  #isLasting(error) {
    const isLasting = error instanceof EventTooLarge || (error instanceof Refusal && error.lasting);
    const { detail, title } = problemIn(error);
    if (error instanceof Refusal) this.#on.problem(error.problem);
    if (isLasting) this.#on.state({ name: "closed", reason: detail ?? title });
    return isLasting;
  }

  /**
   * @param {Problem} problem
   * @param {number} atLeastMs
   */
  async #wait(problem, atLeastMs) {
    const ms = this.#backoff.next({ lastedMs: this.#connected && performance.now() - this.#connected, atLeastMs });
    const reason = problem.detail ?? problem.title;
    const attempts = this.#backoff.failures;
    this.#on.state({ name: "waiting", seconds: ms / 1000, nextAttempt: Date.now() + ms, attempts, reason });
    await new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => resolve(clearTimeout(timer));
    });
  }
}

/**
 * A text as a header carries it: each byte of its UTF-8 is a character (WHATWG HTML, section 9.2.3). `fetch` takes none
 * above U+00FF, and would send the others as Latin-1.
 *
 * @param {string} text
 */
const inBytes = (text) => Array.from(new TextEncoder().encode(text), (byte) => String.fromCharCode(byte)).join("");
