// A stream with a connection of its own, read as a client reads that knows no hub: plain streams, and topics of the
// Mercure protocol. Streams of the hub's own form come by web/client/sse.js, over the connection that all tabs share.

import { Backoff } from "../client/backoff.js";
import { EventParser } from "../client/parser.js";
import { Silence } from "../client/silence.js";
import { inSlices } from "../client/slices.js";

/**
 * @typedef {import("../client/sse.js").State} State
 * @typedef {import("../client/sse.js").Problem} Problem
 * @typedef {{event: (event: import("./model.js").Received) => void, state: (state: State) => void,
 *   problem: (problem: Problem) => void}} Listener
 */

/** Statuses of the 4xx that pass. */
const PASSING = new Set([408, 425, 429]);

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
  #stop = new AbortController();
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
    void this.#go();
  }

  /** The address that is asked for. */
  get url() {
    return this.#url.href;
  }

  close() {
    this.#closed = true;
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
      const began = performance.now();
      /** @type {Problem} */
      let problem = { title: "The connection ended", status: 0 };
      try {
        this.#on.state({ name: "connecting", attempts: this.#backoff.failures });
        if (await this.#attempt(this.#stop.signal)) return;
      } catch (error) {
        problem = { title: "No connection", status: 0, detail: error instanceof Error ? error.message : String(error) };
      }
      this.#silence.end();
      if (!this.#closed) await this.#wait(problem, performance.now() - began);
    }
  }

  /**
   * @param {AbortSignal} signal
   * @returns {Promise<boolean>} whether it is over for good
   */
  async #attempt(signal) {
    this.#silence.begin();
    const headers = { Accept: "text/event-stream", ...(this.last === null ? {} : { "Last-Event-ID": this.last }) };
    const response = await fetch(this.#url, { headers, signal, cache: "no-store" });
    this.status = response.status;
    this.headers = [...response.headers];
    if (response.status === 204) this.#on.state({ name: "ended" });
    if (response.status === 204) return true;
    if (!response.ok || !response.body) return this.#refused(response);
    this.#on.state({ name: "live" });
    const parser = new EventParser({ lastEventId: this.last ?? "" });
    await inSlices(response.body, () => this.#silence.heard(), (slice) => {
      for (const { type, data, id, raw } of parser.feed(slice)) {
        this.last = id || this.last;
        const timestamp = new Date().toISOString(); // a plain stream names no time of its events
        this.#on.event({ id: id || null, channel: this.#name, event: type, data, timestamp, raw });
      }
      this.#backoff.retry = parser.retry;
      return !signal.aborted;
    });
    return false;
  }

  /**
   * @param {Response} response
   * @returns {Promise<boolean>} whether it will be refused again
   */
  async #refused(response) {
    /** @type {Problem} */
    const problem = { title: response.statusText, status: response.status, ...(await response.json().catch(() => ({}))) };
    const lasting = response.status >= 400 && response.status < 500 && !PASSING.has(response.status);
    this.#on.problem(problem);
    if (lasting) this.#on.state({ name: "closed", reason: problem.detail ?? problem.title });
    return lasting;
  }

  /**
   * @param {Problem} problem
   * @param {number} lastedMs
   */
  async #wait(problem, lastedMs) {
    const ms = this.#backoff.next({ lastedMs });
    const reason = problem.detail ?? problem.title;
    const attempts = this.#backoff.failures;
    this.#on.state({ name: "waiting", seconds: ms / 1000, nextAttempt: Date.now() + ms, attempts, reason });
    await new Promise((resolve) => {
      const timer = setTimeout(resolve, ms);
      this.#wake = () => resolve(clearTimeout(timer));
    });
  }
}
