// A following in this tab: its part of the shared connection, and the older events that it wants.

import { channelOf, covers, isAfter, topicOf } from "./names.js";
import { Past } from "./past.js";
import { call } from "./surroundings.js";

/** Most events that are held while older ones come. */
const MOST_HELD = 20_000;
const MOST_ROUTES = 1000;
/** The worst first: of several channels, the worst state is shown. */
const WORST = /** @type {const} */ (["closed", "waiting", "connecting", "catching", "live"]);

/**
 * @typedef {import("./types.js").Following} Following
 * @typedef {import("./types.js").State} State
 * @typedef {import("./types.js").End} End
 * @typedef {import("./connection.js").Received} Received
 * @typedef {import("./connection.js").Settings} Settings
 * @typedef {{settings: Settings, leave: (following: Follows) => void, changed: () => void}} Home
 */

/** @implements {Following} */
export class Follows {
  /** @type {?string} */
  last = null;
  /** @type {State} */
  state = { name: "connecting" };
  /** @type {string[]} */
  topics;

  #home;
  #listener;
  #options;
  /** By topic: how the shared connection stands. @type {Map<string, State>} */
  #states = new Map();
  /** Channels that have ended. @type {Set<string>} */
  #ended = new Set();
  /** By topic: the id up to which the past has come. @type {Map<string, ?string>} */
  #floors = new Map();
  /** By channel: the topic by which its events come. @type {Map<string, string|undefined>} */
  #routes = new Map();
  /** Events that wait until older ones have come. @type {?{event: Received, topic: string}[]} */
  #held = null;
  /** Topics whose past is refused: what comes of them waits for nothing. @type {Set<string>} */
  #pastless = new Set();
  #dropped = ""; // the id of the last event that was too much to hold
  /** @type {?Past} */
  #past = null;
  #pending = false; // whether the past has yet to be asked for
  #closed = false;

  /**
   * @param {Home} home
   * @param {string[]} channels
   * @param {import("./types.js").Listener} listener
   * @param {import("./types.js").FollowOptions} options
   */
  constructor(home, channels, listener, options) {
    check(channels, options);
    this.channels = channels;
    this.topics = channels.map((channel) => topicOf(channel, options.conflate));
    this.#home = home;
    this.#listener = listener;
    this.#options = options;
    this.last = options.after ?? null;
    this.#pending = Boolean(options.after || options.replay || options.from);
    if (this.#pending) this.#held = [];
  }

  /** Topics that have not ended. */
  get wanted() {
    return this.topics.filter((topic) => !this.#ended.has(channelOf(topic)));
  }

  /**
   * Begin, with what is known of the shared connection.
   *
   * @param {Map<string, State>} known
   */
  begin(known) {
    call(this.#listener.state?.bind(this.#listener), this.state);
    for (const [topic, state] of known) this.hear([topic], state);
  }

  /**
   * Take an event of the shared connection that is new for these topics.
   *
   * @param {Received} event
   * @param {string[]} topics
   */
  take(event, topics) {
    const topic = this.#topicOf(event.channel);
    if (this.#closed || topic === undefined || !topics.includes(topic)) return;
    if (!this.#held || this.#pastless.has(topic)) return this.#giveNew(event, topic);
    this.#held.push({ event, topic });
    if (this.#held.length > MOST_HELD) {
      this.#past?.bringMore(); // one that has yet to begin brings it anyway
      this.#dropped = event.id ?? this.#dropped;
      this.#held.length = 0;
    }
  }

  /**
   * Hear how the shared connection stands.
   *
   * @param {string[]} topics
   * @param {State} state
   */
  hear(topics, state) {
    const mine = this.topics.filter((topic) => topics.includes(topic));
    for (const topic of mine) this.#states.set(topic, state);
    if (!mine.length || this.#closed) return;
    if (this.#pending && this.#isOpen) this.#bringPast();
    this.#show();
  }

  /**
   * The hub has begun its ids anew, for these topics.
   *
   * @param {string[]} topics
   */
  forget(topics) {
    for (const topic of topics) this.#floors.delete(topic);
    if (!this.#past || !topics.some((topic) => this.topics.includes(topic))) return;
    this.#past.close();
    this.#past = null;
    this.#held = [];
    this.#dropped = "";
    this.#pastless.clear();
    this.#pending = true;
  }

  /**
   * The hub says that nothing more will come of these topics.
   *
   * @param {string[]} topics
   */
  end(topics) {
    const mine = this.topics.filter((topic) => topics.includes(topic));
    for (const topic of mine) this.#states.set(topic, { name: "ended" });
    if (!mine.length || this.#closed) return;
    if (this.#pending && this.#isOpen) this.#bringPast();
    else if (!this.#held) this.#endAll(mine);
    this.#show();
  }

  /** @param {import("./types.js").Loss} loss */
  lost({ after, next }) {
    call(this.#listener.lost?.bind(this.#listener), { after, next });
  }

  /** @param {import("./types.js").Problem} problem */
  problem(problem) {
    call(this.#listener.problem?.bind(this.#listener), problem);
  }

  closing() {
    call(this.#listener.closing?.bind(this.#listener));
  }

  close() {
    this.#closed = true;
    this.#past?.close();
    this.#held = null;
    this.#home.leave(this);
  }

  /** Whether each topic comes by the shared connection, or never will: from then on nothing can slip through. */
  get #isOpen() {
    const names = this.topics.map((topic) => this.#states.get(topic)?.name);
    const isSettled = names.every((name) => name === "live" || name === "ended" || name === "closed");
    return isSettled && names.some((name) => name !== "closed");
  }

  #bringPast() {
    this.#pending = false;
    const { after, conflate = 0, replay, from } = this.#options;
    /** @type {Record<string, string>} */
    const start = from ? { from } : replay ? { replay: String(replay) } : {};
    const channels = this.topics.filter((topic) => this.#states.get(topic)?.name !== "closed").map(channelOf);
    const lacks = this.#dropped !== "";
    const past = new Past(this.#home.settings, { channels, conflate, start, cursor: after ?? null, lacks }, {
      event: (event) => {
        const topic = this.#topicOf(event.channel);
        if (topic === undefined) return;
        // Now, too: a past that ends or is refused never says how far it has come.
        if (event.id !== null) this.#floors.set(topic, event.id);
        this.#give(event);
      },
      reached: (parts, cursor) => this.#reach(parts, cursor),
      lost: (loss) => this.lost(loss),
      problem: (problem) => this.problem(problem),
      refused: (parts, more) => this.#doWithout(parts.map((channel) => topicOf(channel, conflate)), more),
      ended: (parts) => this.#endAll(parts.map((channel) => topicOf(channel, conflate))),
      progress: () => this.#show(),
      done: () => this.#release(),
    });
    this.#past = past;
    past.begin();
  }

  /**
   * @param {string[]} channels
   * @param {?string} cursor
   */
  #reach(channels, cursor) {
    for (const channel of channels) this.#floors.set(topicOf(channel, this.#options.conflate), cursor);
  }

  /**
   * The past of these topics is refused. What is held of them waits no longer: if it had to be dropped, nothing would
   * bring it.
   *
   * @param {string[]} topics
   * @param {boolean} dropped whether some of it may have been
   */
  #doWithout(topics, dropped) {
    if (this.#closed) return;
    const held = this.#held ?? [];
    const isMine = (/** @type {{topic: string}} */ { topic }) => topics.includes(topic);
    this.#held = held.filter((each) => !isMine(each));
    for (const topic of topics) this.#pastless.add(topic);
    if (dropped) this.lost({ after: this.last ?? "", next: this.#dropped });
    for (const { event, topic } of held.filter(isMine)) this.#giveNew(event, topic);
  }

  #release() {
    const held = this.#held ?? [];
    this.#held = this.#past = null;
    this.#pastless.clear();
    for (const { event, topic } of held) this.#giveNew(event, topic);
    this.#endAll(this.topics.filter((topic) => this.#states.get(topic)?.name === "ended"));
    this.#show();
  }

  /**
   * Give an event of the shared connection, unless the past has brought it.
   *
   * @param {Received} event
   * @param {string} topic
   */
  #giveNew(event, topic) {
    if (event.id === null || this.#isNew(event.id, topic)) this.#give(event);
  }

  /** @param {Received} received */
  #give(received) {
    if (this.#closed) return;
    const { end, raw, ...event } = received;
    this.last = event.id ?? this.last;
    if (end) return this.#noteEnd(end);
    call(this.#listener.event?.bind(this.#listener), this.#options.raw ? { ...event, raw } : event);
  }

  /**
   * @param {string} id
   * @param {string} topic
   */
  #isNew(id, topic) {
    const floor = this.#floors.get(topic);
    return !floor || isAfter(id, floor);
  }

  /** @param {End} end */
  #noteEnd(end) {
    if (this.#ended.has(end.channel)) return;
    // Of a pattern's channels none is remembered: one that is forgotten by the hub may be used and end again.
    if (this.channels.includes(end.channel)) this.#ended.add(end.channel);
    call(this.#listener.end?.bind(this.#listener), end);
    this.#show(end.reason ?? undefined);
    this.#home.changed();
  }

  /** @param {string[]} topics */
  #endAll(topics) {
    for (const topic of topics) this.#noteEnd({ channel: channelOf(topic), reason: null, id: null });
  }

  /** @param {string} channel */
  #topicOf(channel) {
    if (this.#routes.has(channel)) return this.#routes.get(channel);
    if (this.#routes.size >= MOST_ROUTES) this.#routes.clear();
    const topic = this.topics.find((each) => covers(channelOf(each), channel));
    this.#routes.set(channel, topic);
    return topic;
  }

  /** @param {string} [reason] */
  #show(reason) {
    const state = this.#stateNow(reason);
    if (JSON.stringify(state) === JSON.stringify(this.state)) return;
    this.state = state;
    call(this.#listener.state?.bind(this.#listener), state);
  }

  /**
   * @param {string} [reason]
   * @returns {State}
   */
  #stateNow(reason) {
    const left = this.wanted;
    if (!left.length && this.state.name === "ended") return this.state;
    if (!left.length) return { name: "ended", ...(reason ? { reason } : {}) };
    const states = left.map((topic) => this.#states.get(topic) ?? { name: /** @type {const} */ ("connecting") });
    const worst = WORST.map((name) => states.find((state) => state.name === name)).find(Boolean);
    if (!this.#past || worst?.name === "closed") return worst ?? { name: "catching" };
    const { replay } = this.#options;
    const expected = typeof replay === "number" ? { expected: replay } : {};
    return { name: "catching", replayed: this.#past.replayed, ...expected };
  }
}

/**
 * @param {string[]} channels
 * @param {import("./types.js").FollowOptions} options
 * @throws {TypeError}
 */
function check(channels, { replay, from, after, conflate }) {
  if (!channels.length) throw new TypeError("follow() takes at least one channel or pattern.");
  const wrong = channels.find((name) => typeof name !== "string" || /^$|\s/.test(name));
  if (wrong !== undefined) throw new TypeError(`${quoted(wrong)} is no channel or pattern: they hold no white space.`);
  if ([replay, from, after].filter(Boolean).length > 1) {
    throw new TypeError("Only one of replay, from and after can be given: each says where a following begins.");
  }
  if (from !== undefined && from !== "start") throw new TypeError(`from is ${quoted(from)}; it can be "start".`);
  if (replay !== undefined && replay !== "latest" && !(Number.isInteger(replay) && replay >= 0)) {
    throw new TypeError(`replay is ${quoted(replay)}; it takes a whole number or "latest".`);
  }
  if (conflate !== undefined && !(Number.isInteger(conflate) && conflate >= 0)) {
    throw new TypeError(`conflate is ${quoted(conflate)}; it takes milliseconds, a whole number.`);
  }
}

/** @param {unknown} value */
function quoted(value) {
  return JSON.stringify(value);
}
