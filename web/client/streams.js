// The streams of the tab that leads: which topics share one, and which are refused.
//
// A topic stays on the stream that it was given to. So what comes for it comes in order, from one place, and an event
// is known by the topics of its stream that it belongs to.

import { MOST_CHANNELS } from "./address.js";
import { channelOf, conflateOf, isAfter, lower } from "./names.js";
import { Stream } from "./stream.js";

/** A browser opens six connections to a host over HTTP/1.1. Some are for requests, and for followings in the past. */
const MOST_STREAMS = 4;
/** Refusals that may concern one of several channels, or their number. Others concern the request as a whole. */
const DIVISIBLE = new Set([400, 403, 413, 414, 431]);

/**
 * @typedef {import("./types.js").Problem} Problem
 * @typedef {import("./stream.js").Message} Message
 */

export class Streams {
  /** @type {Set<Stream>} */
  #open = new Set();
  /** By topic: why it is refused. @type {Map<string, Problem>} */
  #refused = new Map();
  /** By topic that is wanted and has lost its stream: how far it had come. @type {Map<string, string>} */
  #left = new Map();
  #most = MOST_CHANNELS; // channels of one stream; less where the hub takes less

  /**
   * @param {import("./connection.js").Settings} settings
   * @param {(message: Message) => void} pass
   * @param {() => void} factsChanged
   */
  constructor(settings, pass, factsChanged) {
    this.settings = settings;
    this.pass = pass;
    this.factsChanged = factsChanged;
  }

  /** @returns {import("./types.js").StreamFacts[]} */
  get facts() {
    return [...this.#open].map(({ connection }) => ({ ...connection.facts }));
  }

  /**
   * Follow these topics from now on.
   *
   * @param {Map<string, ?string>} wanted by topic: the cursor of a tab that may have seen less of it than came
   *   here; null where no tab has
   * @param {{renew?: boolean}} options `renew`: begin anew, with the cookie of now, whatever was refused
   */
  want(wanted, { renew = false } = {}) {
    if (renew) this.#refused.clear();
    const changed = new Set(renew ? this.#open : []);
    for (const topic of [...this.#refused.keys()]) if (!wanted.has(topic)) this.#refused.delete(topic);
    for (const topic of [...this.#left.keys()]) if (!wanted.has(topic)) this.#left.delete(topic);
    for (const stream of this.#open) {
      for (const topic of stream.topics) {
        if (wanted.has(topic)) continue;
        stream.remove(topic);
        changed.add(stream);
      }
    }
    for (const [topic, seen] of [...wanted].sort(([a], [b]) => (a < b ? -1 : 1))) {
      if (this.#refused.has(topic)) continue;
      const known = [...this.#open].find(({ topics }) => topics.has(topic));
      const cursor = lower(seen, this.#left.get(topic) ?? null);
      const stream = known ?? this.#place(topic, cursor);
      if (stream && (!known || known.goBack(topic, cursor))) changed.add(stream);
    }
    for (const stream of changed) this.#begin(stream);
    this.factsChanged();
  }

  /** Give the state of each topic again, for a tab that has joined. */
  repeat() {
    for (const { topics, connection } of this.#open) {
      if (connection.state.name === "closed") continue; // which of its topics are refused is yet to be found out
      this.pass({ kind: "state", topics: [...topics], state: connection.state, cursor: connection.cursor });
    }
    for (const [topic, problem] of this.#refused) this.#tellRefused(topic, problem);
  }

  cut() {
    for (const { connection } of this.#open) connection.cut();
  }

  hurry() {
    for (const { connection } of this.#open) connection.hurry();
  }

  look() {
    for (const { connection } of this.#open) connection.look();
  }

  close() {
    for (const stream of this.#open) stream.close();
    this.#open.clear();
  }

  /** @param {Stream} stream */
  #begin(stream) {
    if (stream.topics.size) return stream.open();
    stream.close();
    this.#open.delete(stream);
  }

  /**
   * The stream for a topic that has none; null if there is no room for it.
   *
   * @param {string} topic
   * @param {?string} cursor where it goes on; null if it begins now
   */
  #place(topic, cursor) {
    let stream = [...this.#open].find((each) => each.takes([topic], this.#most));
    if (!stream && this.#open.size >= MOST_STREAMS && !this.#join()) {
      this.#refuse(topic, {
        title: "Too many channels",
        status: 0,
        detail:
          `${MOST_STREAMS} connections to the hub are full, and a browser has six for a host. ` +
          "A pattern covers many channels.",
      }, cursor);
      return null;
    }
    this.#left.delete(topic);
    if (!stream) this.#open.add((stream = new Stream(this, conflateOf(topic))));
    stream.add(topic, cursor);
    return stream;
  }

  /**
   * Find out what of a stream is refused: one channel must not cost the others theirs.
   *
   * @param {Stream} stream
   * @param {Problem} problem
   */
  async sortOut(stream, problem) {
    const topics = [...stream.topics];
    const { signal } = stream.asking;
    if (topics.length > 1 && DIVISIBLE.has(problem.status)) {
      let refused;
      try {
        refused = await this.#refusedAmong(stream, topics, signal);
      } catch (error) {
        // Without all answers, nothing is known: that there are too many channels least of all.
        return void (signal.aborted || stream.connection.comeBack(error));
      }
      if (signal.aborted) return;
      for (const [topic, why] of refused) this.#drop(stream, topic, why);
      if (!refused.size) this.#divide(stream);
      else this.#begin(stream);
    } else {
      for (const topic of topics) this.#drop(stream, topic, problem);
      this.#begin(stream);
    }
    this.factsChanged();
  }

  /**
   * @param {Stream} stream
   * @param {string[]} topics all of which together are refused
   * @param {AbortSignal} signal
   * @returns {Promise<Map<string, Problem>>} those that are refused alone
   * @throws {unknown} a fault that passes
   */
  async #refusedAmong(stream, topics, signal) {
    /** @type {Map<string, Problem>} */
    const refused = new Map();
    const middle = Math.ceil(topics.length / 2);
    for (const half of [topics.slice(0, middle), topics.slice(middle)]) {
      if (signal.aborted) break;
      const problem = await stream.connection.ask(half.map(channelOf), signal);
      if (problem && half.length === 1) refused.set(half[0], problem);
      else if (problem) {
        for (const [topic, why] of await this.#refusedAmong(stream, half, signal)) refused.set(topic, why);
      }
    }
    return refused;
  }

  /**
   * No channel is refused alone, so there are too many: give half of them to other streams.
   *
   * @param {Stream} stream
   */
  #divide(stream) {
    const topics = [...stream.topics];
    this.#most = Math.min(this.#most, Math.ceil(topics.length / 2));
    const changed = new Set([stream]);
    for (const topic of topics.slice(this.#most)) {
      const cursor = stream.cursorOf(topic);
      stream.remove(topic);
      const other = this.#place(topic, cursor);
      if (other) changed.add(other);
    }
    for (const each of changed) this.#begin(each);
  }

  /**
   * A stream that went back for some of its topics has lost events, and the hub does not say of which. Ask for those
   * that had come further by a stream of their own, if there is room for one.
   *
   * @param {Stream} stream
   * @param {?string} after the cursor that was sent
   * @returns {boolean} whether the stream begins anew
   */
  separate(stream, after) {
    const ahead = stream.ahead(after);
    if (!ahead.length || this.#open.size >= MOST_STREAMS) return false;
    const other = new Stream(this, stream.conflate);
    this.#open.add(other);
    for (const [topic, cursor] of ahead) {
      stream.remove(topic);
      other.add(topic, cursor);
    }
    stream.connection.cursor = after; // `connected` has moved it
    for (const each of [stream, other]) this.#begin(each);
    return true;
  }

  /** Make one stream of two that were separated. @returns {boolean} whether there are any */
  #join() {
    for (const stream of this.#open) {
      const other = [...this.#open].find((each) => each !== stream && stream.takes([...each.topics], this.#most));
      if (!other) continue;
      for (const topic of [...other.topics]) {
        stream.add(topic, other.cursorOf(topic));
        other.remove(topic);
      }
      for (const each of [stream, other]) this.#begin(each);
      return true;
    }
    return false;
  }

  /**
   * The ids of the hub begin anew after this one. Of a topic that has no stream now, nothing would come later until
   * they have passed its cursor.
   *
   * @param {string} id
   */
  beginAnew(id) {
    for (const [topic, cursor] of this.#left) {
      if (!isAfter(cursor, id)) continue;
      this.#left.set(topic, id);
      this.pass({ kind: "lost", topics: [topic], after: cursor, next: id, anew: true });
    }
  }

  /** @param {Stream} stream */
  noteEnd(stream) {
    this.#open.delete(stream);
    this.pass({ kind: "ended", topics: [...stream.topics] });
  }

  /**
   * @param {Stream} stream
   * @param {string} topic
   * @param {Problem} problem
   */
  #drop(stream, topic, problem) {
    const cursor = stream.cursorOf(topic);
    stream.remove(topic);
    this.#refuse(topic, problem, cursor);
  }

  /**
   * @param {string} topic
   * @param {Problem} problem
   * @param {?string} cursor where it goes on if it is asked for again; null if it has yet to begin
   */
  #refuse(topic, problem, cursor) {
    this.#refused.set(topic, problem);
    if (cursor !== null) this.#left.set(topic, cursor);
    this.pass({ kind: "problem", topics: [topic], problem });
    this.#tellRefused(topic, problem);
  }

  /**
   * @param {string} topic
   * @param {Problem} problem
   */
  #tellRefused(topic, { detail, title }) {
    this.pass({ kind: "state", topics: [topic], state: { name: "closed", reason: detail ?? title }, cursor: null });
  }
}
