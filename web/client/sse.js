/**
 * Events of an SSE hub: one connection for all channels of a tab, and for all tabs of an origin.
 *
 *     import { connect } from "./sse.js";
 *
 *     const hub = connect("https://hub.example.org/");
 *     const following = hub.follow(["main", "sensors.*"], {
 *       event: ({ id, channel, event, data, timestamp }) => console.log(channel, data),
 *       lost: ({ after, next }) => console.warn("events are gone", after, next),
 *     });
 *     following.close();
 *
 * types.d.ts describes all of it. The parts: `parser.js` reads bytes, `request.js` asks for a stream, `connection.js`
 * has one after the other, `stream.js` sorts what comes by channels, `streams.js` has several of these, `team.js`
 * shares them between tabs, `past.js` brings older events, and `following.js` hands them out.
 */

import { Follows } from "./following.js";
import { covers, isAfter, lower } from "./names.js";
import { baseAddress, call } from "./surroundings.js";
import { Team } from "./team.js";

export { covers, isAfter };

/**
 * @typedef {import("./types.js").Hub} Hub
 * @typedef {import("./types.js").StreamFacts} StreamFacts
 */

/**
 * A hub as this tab has it.
 *
 * @implements {Hub}
 */
class TabHub {
  /** @type {StreamFacts[]} */
  streams = [];

  /** @type {Set<Follows>} */
  #followings = new Set();
  /** By topic: the id up to which everything has come here. @type {Map<string, ?string>} */
  #cursors = new Map();
  /** By topic: how the shared connection stands. @type {Map<string, import("./types.js").State>} */
  #states = new Map();
  /** @type {Set<(streams: readonly StreamFacts[]) => void>} */
  #watchers = new Set();
  #listening = new AbortController();
  #team;

  /**
   * @param {string|URL} base
   * @param {import("./types.js").Options} options
   */
  constructor(base, options) {
    this.base = new URL(base, baseAddress()).href;
    const { shared = true, identity = "", token } = options;
    this.settings = { ...options, base: this.base };
    // A tab that gives a token must not lend its connection to tabs that may be somebody else's.
    const mayShare = shared && Boolean(globalThis.document) && (!token || identity !== "");
    const name = ["sse-hub", this.base, identity].filter(Boolean).join(" ");
    this.#team = new Team(this.settings, { shared: mayShare, name }, {
      wants: () => this.#wants(),
      take: (message) => this.#take(message),
      facts: (streams) => this.#note(streams),
    });
    this.#listen();
  }

  get leads() {
    return this.#team.leads;
  }

  /**
   * @param {string|readonly string[]} channels
   * @param {import("./types.js").Listener} listener
   * @param {import("./types.js").FollowOptions} options
   * @returns {import("./types.js").Following}
   */
  follow(channels, listener, options = {}) {
    const names = typeof channels === "string" ? [channels] : [...channels];
    const home = {
      settings: this.settings,
      leave: (/** @type {Follows} */ each) => this.#followings.delete(each) && this.#want(),
      changed: () => this.#want(),
    };
    const following = new Follows(home, names, listener, options);
    this.#followings.add(following);
    following.begin(this.#states);
    this.#want();
    return following;
  }

  /** @param {(streams: readonly StreamFacts[]) => void} listener */
  watch(listener) {
    this.#watchers.add(listener);
    return () => void this.#watchers.delete(listener);
  }

  renew() {
    this.#team.renew();
  }

  cut() {
    this.#team.cut();
  }

  close() {
    for (const following of [...this.#followings]) following.close();
    this.#listening.abort();
    this.#watchers.clear();
    this.#team.leave();
  }

  #want() {
    const wanted = new Set([...this.#followings].flatMap((each) => each.wanted));
    for (const topic of this.#cursors.keys()) if (!wanted.has(topic)) this.#cursors.delete(topic);
    for (const topic of this.#states.keys()) if (!wanted.has(topic)) this.#states.delete(topic);
    for (const topic of wanted) if (!this.#cursors.has(topic)) this.#cursors.set(topic, null);
    this.#team.want();
  }

  /** @returns {[string, ?string][]} */
  #wants() {
    return [...this.#cursors];
  }

  /** @param {import("./streams.js").Message} message */
  #take(message) {
    if (message.kind === "events") {
      for (const { event, topics } of message.events) this.#event(event, topics);
      this.#raise(message);
      return;
    }
    const { topics } = message;
    const concerned = [...this.#followings].filter((each) => topics.some((topic) => each.topics.includes(topic)));
    if (message.kind === "state") this.#state(message);
    else if (message.kind === "lost") {
      if (message.anew) this.#beginAnew(message);
      for (const each of concerned) each.lost(message);
    } else if (message.kind === "problem") for (const each of concerned) each.problem(message.problem);
    else if (message.kind === "closing") for (const each of concerned) each.closing();
    else if (message.kind === "ended") for (const each of concerned) each.end(message.topics);
  }

  /**
   * @param {import("./connection.js").Received} event
   * @param {string[]} topics
   */
  #event(event, topics) {
    const { id } = event;
    const isNew = (/** @type {string} */ topic) =>
      this.#cursors.has(topic) && (id === null || isAfter(id, this.#cursors.get(topic)));
    const mine = topics.filter(isNew);
    if (!mine.length) return;
    if (id !== null) for (const topic of mine) this.#cursors.set(topic, id);
    for (const following of [...this.#followings]) following.take(event, mine);
  }

  /** @param {{topics: string[], state: import("./types.js").State, cursor: ?string}} message */
  #state({ topics, state, cursor }) {
    for (const topic of topics) {
      if (this.#cursors.has(topic)) this.#states.set(topic, state);
    }
    if (state.name === "live") this.#raise({ topics, cursor });
    for (const following of [...this.#followings]) following.hear(topics, state);
  }

  /**
   * Everything of these topics up to a cursor has come: a tab that has to lead goes on from there. Without this, a
   * quiet topic would wind the busy ones of its stream back, to events that the hub may not have any more.
   *
   * @param {{topics: string[], cursor: ?string}} message
   */
  #raise({ topics, cursor }) {
    if (!topics || !cursor) return; // a leader of an older version says neither
    /** @type {?string|undefined} */
    let passed; // most topics are at the same id: to compare each of a hundred took 50 µs for every message
    for (const topic of topics) {
      const mine = this.#cursors.get(topic);
      if (mine === undefined || (mine !== passed && !isAfter(cursor, mine))) continue;
      passed = mine;
      this.#cursors.set(topic, cursor);
    }
  }

  /**
   * The ids of the hub begin below those that are known: it is another one, or has lost its past. A filter for events
   * that came already would let nothing pass.
   *
   * @param {{topics: string[], next: string}} loss
   */
  #beginAnew({ topics, next }) {
    for (const topic of topics) {
      if (this.#cursors.has(topic)) this.#cursors.set(topic, lower(this.#cursors.get(topic) ?? null, next));
    }
    for (const following of [...this.#followings]) following.forget(topics);
  }

  /** @param {StreamFacts[]} streams */
  #note(streams) {
    this.streams = streams;
    for (const watcher of [...this.#watchers]) call(watcher, streams);
  }

  /** Hear of the network and of the page, where there are any. */
  #listen() {
    if (typeof addEventListener !== "function") return;
    const { signal } = this.#listening;
    // Offline, an attempt fails at once, so that the state is told at once, too. A hub on this machine answers it.
    for (const change of ["online", "offline"]) addEventListener(change, () => this.#team.hurry(), { signal });
    // A page in the cache of the browser, or a frozen one, must not hold what others wait for.
    addEventListener("pagehide", () => this.#team.leave(), { signal });
    addEventListener("pageshow", () => this.#team.comeBack(), { signal });
    globalThis.document?.addEventListener("freeze", () => this.#team.leave(), { signal });
    globalThis.document?.addEventListener("resume", () => this.#team.comeBack(), { signal });
    globalThis.document?.addEventListener(
      "visibilitychange",
      () => document.visibilityState === "visible" && this.#team.look(),
      { signal },
    );
  }
}

/** @type {typeof import("./sse.js").connect} */
export const connect = (base = ".", options = {}) => new TabHub(base, options);
