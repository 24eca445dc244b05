// One stream after the other: a connection to the hub that comes back by itself, and notices silence.

import { Backoff } from "./backoff.js";
import { beginAttempt, noFacts } from "./facts.js";
import { isAfter } from "./names.js";
import { EventParser, EventTooLarge } from "./parser.js";
import { ask, problemIn, Refusal, request } from "./request.js";
import { Silence } from "./silence.js";
import { inSlices } from "./slices.js";
import { parsed } from "./surroundings.js";

/**
 * @typedef {import("./types.js").State} State
 * @typedef {import("./types.js").Problem} Problem
 * @typedef {import("./types.js").HubEvent} HubEvent
 * @typedef {import("./types.js").End} End
 * @typedef {import("./types.js").StreamFacts} StreamFacts
 * @typedef {import("./address.js").Wanted} Wanted
 * @typedef {import("./request.js").Settings & {silence?: number}} Settings
 * @typedef {HubEvent & {end?: End}} Received an event, and the end of its channel if it is that
 * @typedef {object} Listener
 * @property {(events: Received[]) => void} [events]
 * @property {(state: State) => void} [state]
 * @property {(begin: {id: string, after: ?string, lost: boolean, anew: boolean}) => void} [connected] `anew`: the ids
 *   begin below those known
 * @property {() => void} [live] what comes from now on is new
 * @property {(loss: {after: string, next: string}) => void} [lost]
 * @property {(problem: Problem) => void} [problem]
 * @property {() => void} [closing]
 * @property {() => void} [ended] the hub says that nothing more will come
 * @property {(problem: Problem) => void} [refused] the hub refused what will not pass
 * @property {() => void} [facts] something of `facts` has changed
 */

export class Connection {
  /** @type {?string} the id of the last event that came */
  cursor = null;
  /** @type {State} */
  state = { name: "closed" };
  /** @type {StreamFacts} */
  facts;

  /** @type {Wanted} */
  #wanted = { channels: [] };
  #backoff = new Backoff();
  #run = {}; // a new object for each beginning: what belongs to an older one ends
  #attempt = new AbortController();
  #silence;
  #waiting = 0; // a timer; its handle is an object in Node
  #resume = () => {}; // ends the wait
  #connected = 0;
  #tokenRefused = false;
  #hurried = false; // the next attempt follows at once
  #over = false; // its only channel has ended

  /**
   * @param {Settings} settings
   * @param {Listener} on
   */
  constructor(settings, on) {
    this.settings = settings;
    this.on = on;
    this.#silence = new Silence(settings.silence, () => this.#giveUp());
    this.facts = noFacts(this.#silence.limit);
  }

  /**
   * Open the stream of these channels. `start` says where it begins, if it has no cursor.
   *
   * @param {Wanted} wanted
   */
  open(wanted) {
    this.#wanted = wanted;
    this.renew();
  }

  /** Begin anew at once, after the same cursor: with the cookie and the token of now. */
  renew() {
    this.#stop();
    this.#backoff.reset();
    this.#tokenRefused = false;
    this.#over = false;
    void this.#go((this.#run = {}));
  }

  /** Break the stream off and come back, as after a fault. */
  cut() {
    if (this.state.name !== "waiting") this.#attempt.abort();
  }

  /** The network has changed: what is open is probably dead, and waiting makes no sense. */
  hurry() {
    if (this.state.name === "waiting") this.#resume();
    else if (this.state.name !== "closed" && this.state.name !== "ended") this.#giveUp();
  }

  /** Somebody looks at the page again: a stream that has missed a ping is not waited for. */
  look() {
    if (this.state.name === "waiting" || this.#silence.isSuspicious) this.hurry();
  }

  /** Close for good. */
  close() {
    this.#stop();
    this.#run = {};
    this.state = { name: "closed" };
  }

  /**
   * What the hub has against a stream of these channels; null if it takes them.
   *
   * @param {string[]} channels
   * @param {AbortSignal} signal
   * @returns {Promise<?Problem>}
   * @throws {unknown} a fault that says nothing of them
   */
  async ask(channels, signal) {
    const stop = new AbortController();
    const abort = () => stop.abort(new Error("Nothing came for too long."));
    signal.addEventListener("abort", abort);
    const patience = setTimeout(abort, this.facts.silence * 1000);
    try {
      return await ask(this.settings, { ...this.#wanted, channels, cursor: this.cursor }, stop.signal);
    } finally {
      clearTimeout(patience);
      signal.removeEventListener("abort", abort);
      stop.abort();
    }
  }

  /** Wait and come back, as after a fault of the stream: `ask` has met this one. @param {unknown} error */
  async comeBack(error) {
    const run = (this.#run = {});
    this.#connected = 0;
    this.facts.problem = null; // the refusal that was asked about
    const { problem, atLeastMs } = this.#fault(error);
    if (this.#run !== run) return; // a function of the user did that
    await this.#wait(run, problem, atLeastMs);
    await this.#go(run);
  }

  #stop() {
    this.#attempt.abort();
    this.#resume();
    this.#silence.end();
  }

  /**
   * Attempt after attempt, until one has a lasting answer or something else begins.
   *
   * @param {object} run
   */
  async #go(run) {
    while (this.#run === run) {
      const stop = (this.#attempt = new AbortController());
      this.#connected = 0;
      let problem = { title: "The connection ended", status: 0 };
      let atLeastMs = 0;
      try {
        this.#begin();
        const wanted = { ...this.#wanted, cursor: this.cursor ?? this.#wanted.cursor };
        const response = await request(this.settings, wanted, stop.signal, (fact) => Object.assign(this.facts, fact));
        if (this.#run === run) await this.#read(response, stop.signal);
      } catch (error) {
        if (this.#run !== run) return;
        const lasting = this.#lasting(error);
        if (lasting) return this.#refuse(lasting);
        ({ problem, atLeastMs } = this.#fault(error));
      }
      if (this.#run !== run) return;
      stop.abort();
      this.#silence.end();
      if (this.#over) return this.#end();
      await this.#wait(run, problem, atLeastMs);
    }
  }

  #begin() {
    beginAttempt(this.facts, this.#wanted);
    this.#tell("connecting", { attempts: this.#backoff.failures });
    this.#silence.begin();
  }

  /**
   * @param {Response} response
   * @param {AbortSignal} signal
   */
  async #read(response, signal) {
    if (response.status === 204) this.#over = true;
    if (response.status === 204 || !response.body) return;
    const parser = new EventParser({ lastEventId: this.cursor ?? "" });
    const heard = (/** @type {number} */ bytes) => {
      this.#silence.heard();
      this.facts.heardAt = Date.now();
      this.facts.bytes += bytes;
    };
    await inSlices(response.body, heard, (slice) => {
      if (!signal.aborted) this.#parse(parser, slice, signal);
      return !signal.aborted && !this.#over;
    });
  }

  /**
   * @param {EventParser} parser
   * @param {Uint8Array} bytes
   * @param {AbortSignal} signal
   */
  #parse(parser, bytes, signal) {
    const before = parser.comments;
    const events = parser.feed(bytes);
    if (parser.retry !== null) this.#backoff.retry = this.facts.retry = parser.retry;
    if (parser.comments > before) {
      this.facts.pings += parser.comments - before;
      this.facts.pingedAt = Date.now();
    }
    this.facts.events += events.length;
    /** @type {Received[]} */
    const batch = [];
    const flush = () => {
      if (batch.length) this.on.events?.(batch.splice(0));
    };
    for (const event of events) {
      if (signal.aborted) return;
      if (event.type === "message") {
        batch.push(this.#unwrap(event));
      } else {
        flush();
        this.#control(event);
      }
    }
    if (!signal.aborted) flush();
    this.facts.cursor = this.cursor;
    this.on.facts?.();
  }

  /**
   * An event out of its envelope.
   *
   * @param {import("./parser.js").ParsedEvent} parsedEvent
   * @returns {Received}
   */
  #unwrap({ data, id, raw }) {
    this.cursor = id || this.cursor;
    if (this.state.name === "catching") this.facts.replayed += 1;
    const event = /** @type {Received} */ ({ ...parsed(data), raw }); // the envelope of the hub (docs/protocol.md)
    if (event.event === "end") {
      const { channel, reason } = parsed(event.data);
      const why = typeof reason === "string" ? reason : null;
      if (channel === event.channel) this.#note((event.end = { channel, reason: why, id: event.id }));
    }
    return event;
  }

  /**
   * What the hub says of the stream itself.
   *
   * @param {import("./parser.js").ParsedEvent} event
   */
  #control({ type, data, id, raw }) {
    const value = parsed(data);
    if (type === "connected") this.#begun(id, value);
    else if (type === "live") this.#turnLive();
    else if (type === "lost") this.on.lost?.({ after: String(value.after ?? ""), next: String(value.next ?? id) });
    else if (type === "closing") this.on.closing?.();
    else if (type === "end") this.#endOf(value, id, raw);
    else if (type === "error") {
      this.facts.problem = { title: "Error", status: 0, ...value };
      this.on.problem?.(this.facts.problem);
    }
  }

  /**
   * @param {string} id
   * @param {{lost?: boolean, resumed?: boolean, ping?: number}} said
   */
  #begun(id, { lost = false, ping }) {
    const after = this.cursor;
    const anew = lost && after !== null && !isAfter(id, after) && id !== after;
    const catching = after !== null || Object.keys(this.#wanted.start ?? {}).length > 0;
    this.cursor = id || after;
    this.#connected = performance.now();
    this.#tokenRefused = false;
    this.#silence.ping = typeof ping === "number" && ping > 0 ? ping : null;
    this.#silence.look();
    const { ping: said, limit } = this.#silence;
    Object.assign(this.facts, { connectedAt: Date.now(), problem: null, ping: said, silence: limit });
    const run = this.#run;
    this.on.connected?.({ id, after, lost, anew });
    if (this.#run !== run) return; // it has begun anew
    if (catching) this.#tell("catching");
    else this.#turnLive();
  }

  #turnLive() {
    this.on.live?.();
    this.#tell("live");
  }

  /**
   * @param {{channel?: string, reason?: string}} said
   * @param {string} id
   * @param {Uint8Array} raw
   */
  #endOf({ channel = "", reason }, id, raw) {
    this.cursor = id || this.cursor;
    const [first] = this.#wanted.channels;
    const end = { channel: channel || first, reason: reason ?? null, id: id || null };
    this.#note(end);
    const timestamp = new Date(Number.parseInt(id) || Date.now()).toISOString();
    const data = JSON.stringify({ channel: end.channel, reason: end.reason });
    this.on.events?.([{ id: end.id, channel: end.channel, event: "end", data, timestamp, raw, end }]);
  }

  /** @param {End} end */
  #note({ channel }) {
    const { channels } = this.#wanted;
    this.#over = channels.length === 1 && channels[0] === channel;
  }

  #end() {
    this.#run = {};
    this.#tell("ended");
    this.on.ended?.();
  }

  /** @param {Problem} problem */
  #refuse(problem) {
    this.#run = {};
    this.#attempt.abort();
    this.#silence.end();
    this.facts.problem = problem;
    this.#tell("closed", { reason: problem.detail ?? problem.title });
    this.on.refused?.(problem);
  }

  /**
   * What will not pass by asking again. A token that was refused once is not that: a new one can be had.
   *
   * @param {unknown} error
   * @returns {?Problem}
   */
  #lasting(error) {
    if (error instanceof EventTooLarge) return { title: "Too large", status: 0, detail: error.message };
    if (!(error instanceof Refusal) || !error.lasting) return null;
    if (error.problem.status !== 401 || !this.settings.token || this.#tokenRefused) return error.problem;
    this.#tokenRefused = true;
    return null;
  }

  /**
   * @param {unknown} error
   * @returns {{problem: Problem, atLeastMs: number}}
   */
  #fault(error) {
    if (error instanceof Refusal) this.on.problem?.(error.problem);
    return { problem: problemIn(error), atLeastMs: error instanceof Refusal ? error.atLeastMs : 0 };
  }

  /**
   * @param {object} run
   * @param {Problem} problem
   * @param {number} atLeastMs
   */
  async #wait(run, problem, atLeastMs) {
    const hurried = this.#hurried;
    this.#hurried = false;
    const lastedMs = this.#connected && performance.now() - this.#connected;
    const ms = this.#backoff.next({ lastedMs, atLeastMs });
    this.facts.problem ??= problem;
    const { detail, title } = this.facts.problem; // what the hub said in the stream tells more than its end
    const attempts = this.#backoff.failures;
    this.facts.failures = attempts;
    if (hurried && attempts === 1) return;
    this.facts.nextAttempt = Date.now() + ms;
    const { nextAttempt } = this.facts;
    this.#tell("waiting", { seconds: ms / 1000, nextAttempt, attempts, reason: detail ?? title });
    await new Promise((resolve) => {
      this.#resume = () => resolve(undefined);
      if (this.#run === run) this.#waiting = Number(setTimeout(this.#resume, ms));
    });
    clearTimeout(this.#waiting);
  }

  #giveUp() {
    this.#hurried = true;
    this.#attempt.abort(new Error("Nothing came for too long."));
  }

  /**
   * @param {import("./types.js").StateName} name
   * @param {Partial<State>} more
   */
  #tell(name, more = {}) {
    this.state = this.facts.state = { name, ...more };
    this.facts.cursor = this.cursor;
    this.on.state?.(this.state);
    this.on.facts?.();
  }
}
