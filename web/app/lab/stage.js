// What an experiment has to work with: a way to the hub that is watched, channels of its own, a timeline, and an end
// that leaves nothing behind.

import { connect } from "../../client/sse.js";
import { randomName } from "../../client/surroundings.js";
import { problemOf } from "../problems.js";
import { pageNow } from "../chart/clock.js";
import { say } from "../words.js";
import { tapped } from "./tap.js";

const LANES = ["labPublished", "labArrived"];

/** The hub does not let this visitor do what the experiment needs. */
export class Refused extends Error {}

/**
 * @typedef {import("../../client/types.js").Hub} Hub
 * @typedef {import("../../client/types.js").HubEvent} HubEvent
 * @typedef {import("../../client/types.js").Options} Options
 * @typedef {import("./tap.js").Fetch} Fetch
 * @typedef {object} Show  where the stage shows what happens
 * @property {(done: number, all: number) => void} progress
 * @property {(words: string) => void} say  the step that is under way
 * @property {(direction: "out"|"in"|"note", text: string|Uint8Array) => void} wire
 * @property {(lane: string, replayed: boolean) => void} tick  something happens now
 * @property {(from: number, to: ?number) => void} gap
 * @property {(lane: string, loss: {after: string, next: string}) => void} lost
 */

export class Stage {
  /** @type {(() => void|Promise<unknown>)[]} */
  #cleaning = [];
  #stop = new AbortController();

  /**
   * @param {string} base address of the hub
   * @param {Show} show
   */
  constructor(base, show) {
    this.base = base;
    this.show = show;
  }

  get signal() {
    return this.#stop.signal;
  }

  /** Words of the dictionary: the step that is under way. @param {string} key @param {Record<string, string>} [gaps] */
  step(key, gaps) {
    const words = say(key, gaps);
    this.show.say(words);
    this.show.wire("note", words);
  }

  /**
   * Wait for so many milliseconds.
   *
   * @param {number} ms
   * @throws the reason of the signal, if the experiment is cancelled meanwhile
   */
  pause(ms) {
    return this.#unlessCancelled((done) => {
      const timer = setTimeout(done, ms);
      return () => clearTimeout(timer);
    });
  }

  /**
   * Wait until something is true. Look again whenever `changed` is called.
   *
   * @param {() => boolean} condition
   */
  until(condition) {
    return this.#unlessCancelled((done) => {
      const look = () => condition() && done();
      const timer = setInterval(look, 50);
      look();
      return () => clearInterval(timer);
    });
  }

  /** @param {(done: () => void) => () => void} begin */
  async #unlessCancelled(begin) {
    this.signal.throwIfAborted();
    await new Promise((resolve, reject) => {
      let end = () => {};
      const cancelled = () => {
        end();
        reject(this.signal.reason);
      };
      this.signal.addEventListener("abort", cancelled, { once: true });
      end = begin(() => {
        this.signal.removeEventListener("abort", cancelled);
        queueMicrotask(() => end());
        resolve(undefined);
      });
    });
  }

  /** A new channel of the real hub, which is forgotten at the end. */
  channel() {
    const name = `lab.${randomName().slice(0, 12)}`;
    this.#cleaning.push(() => this.forget(name));
    return name;
  }

  /**
   * A hub as one tab has it, over a way that is watched.
   *
   * @param {Options & {way?: Fetch, watched?: boolean}} options
   */
  connect({ way, watched = true, ...options } = {}) {
    const watcher = {
      asked: (/** @type {string} */ line) => this.show.wire("out", line),
      answered: (/** @type {string} */ line) => this.show.wire("in", line),
      bytes: (/** @type {Uint8Array} */ bytes) => this.show.wire("in", bytes),
    };
    const hub = connect(this.base, { shared: false, ...options, fetch: watched ? tapped(watcher, way) : way });
    this.#cleaning.push(() => hub.close());
    return hub;
  }

  /**
   * Follow a channel and show what comes.
   *
   * @param {Hub} hub
   * @param {string} channel
   * @param {{lane?: string, event?: (event: HubEvent, replayed: boolean) => void, lost?: (loss: {after: string, next: string}) => void, state?: (name: string) => void}} listener
   */
  follow(hub, channel, { lane = LANES[1], event, lost, state } = {}) {
    let without = 0; // since when there is no connection
    let live = false;
    let before = "";
    /** Of a loss, the client knows the end only when the next event comes. @type {?string} */
    let gone = null;
    const following = hub.follow(channel, {
      event: (each) => {
        this.show.tick(lane, !live);
        if (gone !== null && each.id) {
          const loss = { after: gone, next: each.id };
          gone = null;
          this.show.lost(lane, loss);
          lost?.(loss);
        }
        event?.(each, !live);
      },
      state: ({ name, reason }) => {
        if (live && name !== "live") this.show.gap((without = pageNow()), null);
        if (without && (name === "live" || name === "catching")) {
          this.show.gap(without, pageNow());
          without = 0;
        }
        live = name === "live";
        if (name !== before) this.show.wire("note", say("labState", { state: say(`state_${name}`), why: name === "waiting" ? reason ?? "" : "" }).trim());
        before = name;
        state?.(name);
      },
      lost: ({ after }) => (gone ??= after),
    });
    return following;
  }

  /**
   * Publish a value on a channel of the real hub.
   *
   * @param {string} channel
   * @param {unknown} value
   * @returns {Promise<{id: string}>}
   * @throws {Refused}
   */
  async publish(channel, value) {
    const data = JSON.stringify(value);
    const answer = await this.#ask("POST", channel, data);
    this.published();
    return answer;
  }

  /** Show that an event was published. */
  published() {
    this.show.tick(LANES[0], false);
  }

  /**
   * Let the hub forget a channel.
   *
   * @param {string} channel
   * @param {boolean} [shown]
   */
  async forget(channel, shown = false) {
    if (shown) return this.#ask("DELETE", channel);
    // It goes out even if the page is being left.
    await fetch(this.#address(channel), { method: "DELETE", keepalive: true }).catch(() => {});
  }

  /**
   * @param {"POST"|"DELETE"} method
   * @param {string} channel
   * @param {string} [body]
   */
  async #ask(method, channel, body) {
    this.show.wire("out", `${method} /realtime/${channel}${body === undefined ? "" : `\n\n${body}`}`);
    const headers = { "Content-Type": "text/plain" };
    const response = await fetch(this.#address(channel), { method, body, headers, signal: this.signal });
    if (response.ok) return response.status === 204 ? {} : response.json();
    const { status, detail, title } = await problemOf(response);
    throw new Refused(`${status} ${detail ?? title}`);
  }

  /** @param {string} channel */
  #address(channel) {
    return new URL(`realtime/${encodeURIComponent(channel)}`, this.base);
  }

  /** @param {() => void|Promise<unknown>} act done at the end */
  later(act) {
    this.#cleaning.push(act);
  }

  /** End what the experiment has begun, the last first. */
  async close() {
    this.#stop.abort(new DOMException("The experiment was cancelled.", "AbortError"));
    for (const clean of this.#cleaning.splice(0).reverse()) await clean();
  }
}
