// One connection, its topics, and how far each of them has come.

import { fits, MOST_CHANNELS } from "./address.js";
import { Connection } from "./connection.js";
import { channelOf, conflateOf, covers, isAfter, lower } from "./names.js";

const MOST_ROUTES = 1000;

/**
 * @typedef {import("./connection.js").Received} Received
 * @typedef {import("./types.js").Problem} Problem
 * @typedef {import("./types.js").State} State
 * @typedef {{kind: "events", events: {event: Received, topics: string[]}[], topics: string[], cursor: ?string}
 *   | {kind: "state", topics: string[], state: State, cursor: ?string}
 *   | {kind: "lost", topics: string[], after: string, next: string, anew: boolean}
 *   | {kind: "problem", topics: string[], problem: Problem}
 *   | {kind: "closing", topics: string[]}
 *   | {kind: "ended", topics: string[]}} Message what comes, and for which topics. Of the
 *   topics of `events`, everything up to `cursor` has come, and so it has of those of a state `live`
 * @typedef {object} Home all streams of the tab
 * @property {import("./connection.js").Settings} settings
 * @property {(message: Message) => void} pass
 * @property {() => void} factsChanged
 * @property {(stream: Stream, problem: Problem) => Promise<void>} sortOut the hub refuses this stream
 * @property {(stream: Stream) => void} noteEnd the hub says that nothing more will come by this stream
 * @property {(stream: Stream, after: ?string) => boolean} separate events after this cursor are gone: the topics that
 *   had come further may have lost nothing; gives whether they are asked for apart
 * @property {(id: string) => void} beginAnew the ids of the hub begin anew after this one
 */

export class Stream {
  /** @type {Set<string>} */
  topics = new Set();
  /** Topics that wait for `live`: what comes before it is older than the wish for them. @type {Set<string>} */
  fresh = new Set();
  /** By topic: how far it had come before the stream went back for another one. @type {Map<string, string>} */
  #reached = new Map();
  /** By channel: the topics that its events belong to. @type {Map<string, string[]>} */
  #routes = new Map();
  asking = new AbortController();

  /**
   * @param {Home} home
   * @param {number} conflate
   */
  constructor(home, conflate) {
    this.conflate = conflate;
    const { pass } = home;
    this.connection = new Connection(home.settings, {
      events: (events) => this.#pass(events, pass),
      state: (state) => {
        if (state.name === "closed" || state.name === "ended") return; // said for each topic, below
        pass({ kind: "state", topics: [...this.topics], state, cursor: this.connection.cursor });
      },
      connected: ({ id, after, lost, anew }) => {
        if (lost && !anew && home.separate(this, after)) return;
        const topics = this.#settled;
        if (anew) {
          this.#reached.clear(); // these ids are higher than all that will come
          home.beginAnew(id);
        }
        if (lost && topics.length) pass({ kind: "lost", topics, after: after ?? "", next: id, anew });
      },
      live: () => this.fresh.clear(),
      lost: (loss) => pass({ kind: "lost", topics: this.#settled, ...loss, anew: false }),
      problem: (problem) => pass({ kind: "problem", topics: [...this.topics], problem }),
      closing: () => pass({ kind: "closing", topics: [...this.topics] }),
      ended: () => home.noteEnd(this),
      refused: (problem) => void home.sortOut(this, problem),
      facts: home.factsChanged,
    });
  }

  get #settled() {
    return [...this.topics].filter((topic) => !this.fresh.has(topic));
  }

  get channels() {
    return [...this.topics].map(channelOf);
  }

  /**
   * Whether there is room for these topics.
   *
   * @param {string[]} topics
   */
  takes(topics, most = MOST_CHANNELS) {
    const isAlike = topics.every((topic) => conflateOf(topic) === this.conflate);
    return isAlike && fits([...this.channels, ...topics.map(channelOf)], most);
  }

  /**
   * Take a topic, from the next beginning on.
   *
   * @param {string} topic
   * @param {?string} cursor where it goes on; null if it begins now
   */
  add(topic, cursor) {
    this.topics.add(topic);
    if (cursor === null) this.fresh.add(topic);
    else this.#goOnAfter(topic, cursor);
  }

  /** @param {string} topic */
  remove(topic) {
    this.topics.delete(topic);
    this.fresh.delete(topic);
  }

  /**
   * Where a topic goes on; null if it begins now.
   *
   * @param {string} topic
   */
  cursorOf(topic) {
    if (this.fresh.has(topic)) return null;
    const { cursor } = this.connection;
    const reached = this.#reached.get(topic) ?? cursor;
    return reached !== null && isAfter(reached, cursor) ? reached : cursor;
  }

  /**
   * Let a topic go on after a cursor, if it has come further. The others keep theirs.
   *
   * @param {string} topic
   * @param {?string} cursor
   * @returns {boolean} whether it goes back, from the next beginning on
   */
  goBack(topic, cursor) {
    const reached = this.cursorOf(topic);
    if (cursor === null || (reached !== null && !isAfter(reached, cursor))) return false;
    this.#goOnAfter(topic, cursor);
    return true;
  }

  /**
   * @param {string} topic
   * @param {string} cursor
   */
  #goOnAfter(topic, cursor) {
    this.fresh.delete(topic);
    this.#noteCursors();
    this.#reached.set(topic, cursor);
    this.connection.cursor = lower(this.connection.cursor, cursor);
  }

  /**
   * The topics that had come further than this cursor, and how far.
   *
   * @param {?string} cursor
   */
  ahead(cursor) {
    return [...this.#reached].filter(([topic, reached]) => this.topics.has(topic) && isAfter(reached, cursor));
  }

  #noteCursors() {
    const cursors = this.#settled.map((topic) => /** @type {const} */ ([topic, this.cursorOf(topic)]));
    this.#reached.clear();
    for (const [topic, cursor] of cursors) if (cursor !== null) this.#reached.set(topic, cursor);
  }

  open() {
    this.asking.abort();
    this.asking = new AbortController();
    this.#routes.clear();
    this.#noteCursors();
    // The topic for which the stream was wound back may be gone.
    const cursor = [...this.#reached.values()].reduce(lower, /** @type {?string} */ (null));
    this.connection.cursor = cursor;
    if (cursor === null) this.fresh.clear();
    this.connection.open({ channels: this.channels, conflate: this.conflate });
  }

  close() {
    this.asking.abort();
    this.connection.close();
  }

  /**
   * @param {Received[]} events
   * @param {(message: Message) => void} pass
   */
  #pass(events, pass) {
    const found = [];
    for (const event of events) {
      let topics = this.#topicsOf(event.channel);
      if (this.fresh.size) topics = topics.filter((topic) => !this.fresh.has(topic));
      if (topics.length) found.push({ event, topics });
    }
    if (found.length) pass({ kind: "events", events: found, topics: this.#settled, cursor: this.connection.cursor });
  }

  /** @param {string} channel */
  #topicsOf(channel) {
    const known = this.#routes.get(channel);
    if (known) return known;
    if (this.#routes.size >= MOST_ROUTES) this.#routes.clear();
    const topics = [...this.topics].filter((topic) => covers(channelOf(topic), channel));
    this.#routes.set(channel, topics);
    return topics;
  }
}
