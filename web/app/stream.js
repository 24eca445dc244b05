// One stream that the page follows: how it stands, and its figures.

import { connect, covers } from "../client/sse.js";
import { pageNow } from "./chart/clock.js";
import { Direct } from "./direct.js";
import { followedOf, isOwn, ownAddress, specOf, textOf } from "./specs.js";
import { say } from "./words.js";

const RATE_SECONDS = 5;

/**
 * @typedef {import("../client/sse.js").State} State
 * @typedef {import("../client/sse.js").Hub} Hub
 * @typedef {import("../client/sse.js").StreamFacts} StreamFacts
 * @typedef {import("./model.js").Received} Received
 */

export class Stream {
  total = 0;
  bytes = 0;
  /** Connections that came after the first one. A failed attempt is none. */
  reconnects = 0;
  losses = 0;
  /** @type {?string} the id of the last event */
  last = null;
  /** @type {State} */
  state = { name: "connecting" };
  /** Milliseconds from the publish to here, above the fastest event. Two clocks that differ cancel out. @type {?number} */
  delay = null;
  /** Whether somebody has closed it here. */
  isOff = false;
  /** @type {?string} why the channel has ended */
  ended = null;

  #hub;
  #model;
  /** @type {Hub|null} */
  #ownHub = null;
  /** @type {{close: () => void, last: ?string}|null} */
  #following = null;
  #wasLive = false;
  #fastest = Infinity;
  /** The cursor after which events are gone, until it is known where the stream goes on. @type {?string} */
  #openLoss = null;
  #told = ""; // the problem of which there is a note since it was live
  /** Events by second, of the last seconds. @type {[second: number, events: number][]} */
  #arrivals = [];

  /**
   * @param {Hub} hub
   * @param {import("./model.js").Model} model
   * @param {string} text see specs.js
   */
  constructor(hub, model, text) {
    this.#hub = hub;
    this.#model = model;
    this.spec = specOf(text);
    this.text = textOf(this.spec);
    this.name = this.spec.name;
    this.connect();
  }

  /** Whether it has a connection of its own. The others share one. */
  get isOwn() {
    return isOwn(this.spec);
  }

  /** What there is to know about the connection that brings it. @returns {Partial<StreamFacts>|null} */
  get facts() {
    if (this.#following instanceof Direct) {
      const { headers, status, url } = this.#following;
      return { headers, status, url, cursor: this.last };
    }
    const streams = (this.#ownHub ?? this.#hub).streams;
    return streams.find(({ channels, conflate }) => channels.includes(this.name) && conflate === this.spec.conflate) ?? null;
  }

  /** @param {string} channel */
  covers(channel) {
    return this.name === channel || covers(this.name, channel);
  }

  connect() {
    if (this.#following) return;
    this.isOff = false;
    this.#hear({ name: "connecting" });
    try {
      this.#following = this.#follow();
    } catch (error) {
      this.#hear({ name: "closed", reason: error instanceof Error ? error.message : String(error) });
    }
  }

  #follow() {
    const { form, name } = this.spec;
    const after = this.last ?? (this.spec.begin === "after" ? this.spec.after : null);
    const listener = {
      event: (/** @type {Received} */ event) => this.#take(event),
      state: (/** @type {State} */ state) => this.#hear(state),
      problem: (/** @type {import("../client/sse.js").Problem} */ problem) => this.#problem(problem),
    };
    if (form === "plain") return new Direct(ownAddress(this.spec, this.#hub.base), name, listener, after);
    return this.#hubOf().follow([name], {
      ...listener,
      lost: (loss) => this.#lost(loss),
      end: ({ channel, reason, id }) => this.#end(channel, reason, id),
      closing: () => this.#note("closing", say("closing")),
    }, { ...this.#beginning(after), raw: true });
  }

  /** The hub's connection for all, or one of its own where the stream wants only some types. */
  #hubOf() {
    const { types } = this.spec;
    if (!types.length) return this.#hub;
    this.#ownHub = connect(this.#hub.base, {
      shared: false,
      fetch: (input, init) => {
        const url = new URL(String(input));
        for (const type of types) url.searchParams.append("event", type);
        return fetch(url, init);
      },
    });
    return this.#ownHub;
  }

  /**
   * @param {?string} after
   * @returns {import("../client/sse.js").FollowOptions}
   */
  #beginning(after) {
    const { begin, replay, conflate } = this.spec;
    const rate = conflate ? { conflate } : {};
    if (after) return { after, ...rate };
    if (begin === "start") return { from: "start", ...rate };
    if (begin === "latest") return { replay: "latest", ...rate };
    return begin === "replay" ? { replay, ...rate } : rate;
  }

  /** Close it; a later `connect` goes on where it was. */
  disconnect() {
    this.#close();
    this.isOff = true;
    this.#hear({ name: "closed" });
  }

  reconnect() {
    this.#close();
    this.connect();
  }

  /** Break its connection, if it has one of its own. */
  cut() {
    if (this.#following instanceof Direct) this.#following.cut();
    this.#ownHub?.cut();
  }

  #close() {
    this.#following?.close();
    this.#ownHub?.close();
    this.#following = this.#ownHub = null;
  }

  /** Events a second, over the last whole seconds. */
  rate() {
    const now = Math.floor(pageNow() / 1000);
    this.#arrivals = this.#arrivals.filter(([second]) => second >= now - RATE_SECONDS);
    return this.#arrivals.reduce((sum, [second, count]) => sum + (second < now ? count : 0), 0) / RATE_SECONDS;
  }

  /** Events of the last whole second. */
  lastSecond() {
    const before = Math.floor(pageNow() / 1000) - 1;
    return this.#arrivals.find(([second]) => second === before)?.[1] ?? 0;
  }

  /** The stream as the code in other languages asks for it. */
  asFollowed() {
    return followedOf(this.spec, this.#hub.base);
  }

  /** @param {Received} event */
  #take(event) {
    const isLive = this.state.name === "live";
    this.total += 1;
    this.bytes += event.raw?.length ?? 0;
    if (event.id) this.last = event.id;
    if (isLive) this.#count(event);
    if (event.id && this.#openLoss !== null) {
      this.#model.tell("lost", { after: this.#openLoss, next: event.id });
      this.#openLoss = null;
    }
    const own = this.spec.form === "plain";
    const foreign = this.spec.topics.length > 0 || (own && event.id === null); // a plain stream names no times
    this.#model.add(event, { stream: this.text, replayed: !isLive, own, foreign });
  }

  /** @param {Received} event */
  #count({ timestamp }) {
    const now = pageNow();
    const second = Math.floor(now / 1000);
    const last = this.#arrivals.at(-1);
    if (last?.[0] === second) last[1] += 1;
    else this.#arrivals.push([second, 1]);
    if (this.#arrivals.length > 2 * RATE_SECONDS) this.#arrivals.shift();
    const age = now - Date.parse(timestamp);
    if (!Number.isFinite(age) || this.spec.form === "plain") return;
    this.#fastest = Math.min(this.#fastest, age);
    this.delay = age - this.#fastest;
  }

  /** @param {State} state */
  #hear(state) {
    if (state.name === "live" && this.state.name !== "live") {
      if (this.#wasLive) this.reconnects += 1;
      this.#wasLive = true;
      this.#told = "";
    }
    if (state.name === "ended") this.ended ??= state.reason ?? "";
    this.state = state;
    this.#model.tell("state", this);
  }

  /** @param {import("../client/sse.js").Loss} loss */
  #lost(loss) {
    this.losses += 1;
    // Where the hub knows no next event yet, it repeats the cursor. The next event that comes is the end of the loss.
    const isOpen = loss.next === loss.after || !loss.after;
    const words = isOpen ? say("lostOpen", { after: loss.after || "–" }) : say("lost", { after: loss.after, next: loss.next });
    this.#model.add(this.#event("lost", words), { stream: this.text, note: true, ...(isOpen ? {} : { before: loss.next }) });
    if (isOpen) this.#openLoss = loss.after;
    else this.#model.tell("lost", loss);
    this.#model.tell("state", this);
  }

  /**
   * @param {string} channel
   * @param {?string} reason
   * @param {?string} id
   */
  #end(channel, reason, id) {
    if (channel === this.name) this.ended = reason ?? "";
    if (id === null) return; // the end itself is not retained any more
    const data = JSON.stringify({ channel, reason });
    const timestamp = new Date(Number.parseInt(id)).toISOString();
    this.#model.add({ id, channel, event: "end", data, timestamp }, { stream: this.text, replayed: this.state.name !== "live" });
  }

  /** @param {import("../client/sse.js").Problem} problem */
  #problem({ detail, title }) {
    const words = detail ?? title;
    if (words !== this.#told) this.#note("error", words); // each attempt of many fails for the same reason
    this.#told = words;
  }

  /**
   * @param {string} kind
   * @param {string} words
   */
  #note(kind, words) {
    this.#model.add(this.#event(kind, words), { stream: this.text, note: true });
  }

  /**
   * @param {string} event
   * @param {string} data
   * @returns {Received}
   */
  #event(event, data) {
    return { id: null, channel: this.name, event, data, timestamp: new Date().toISOString() };
  }
}
