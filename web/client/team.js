// The tabs of an origin that share one connection: who leads, what all want, and what the leader passes on. Used by
// sse.js.

import { Connection } from "./connection.js";
import { isAfter } from "./names.js";

const GATHERING_MS = 50; // what others want comes within a few; several changes make one reconnect
const LOOK_MS = 5000;

export class Team {
  #id = crypto.randomUUID();
  #wants = new Map(); // by tab: the channels that it wants; the leader's knowledge
  #cursors = new Map();
  #mine = [];
  #timer = null;
  #connection = null;
  #release = null;
  #channel = null;
  #closed = false;
  #open = ""; // the channels of the connection
  #last = { name: "connecting" };

  /** Whether this tab holds the connection. */
  leads = false;

  /**
   * @param {string} base
   * @param {object} options of `connect`
   * @param {object} on `cursor` gives this tab's; `event`, `state`, `notice` take what comes
   */
  constructor(base, options, on) {
    this.base = base;
    this.options = options;
    this.on = on;
    this.name = `sse-hub ${base}`;
    // A tab that gives a token must not lend it to the others, which may be somebody else's.
    if (options.shared === false || options.token || !("locks" in navigator) || !("BroadcastChannel" in window)) {
      queueMicrotask(() => this.#lead());
      return;
    }
    this.#channel = new BroadcastChannel(this.name);
    this.#channel.addEventListener("message", ({ data }) => this.#hear(data));
    navigator.locks.request(`${this.name} ${this.#id}`, () => new Promise(() => {})); // held while this tab lives
    navigator.locks.request(this.name, () => this.#lead());
    addEventListener("pagehide", () => this.#say({ kind: "bye" }));
  }

  /** Say which channels this tab wants from now on. */
  want(channels) {
    this.#mine = channels;
    this.#wantAloud();
  }

  /** Break the connection that all share. */
  cut() {
    if (this.leads) this.#connection.cut();
    else this.#say({ kind: "cut" });
  }

  close() {
    this.#say({ kind: "bye" });
    this.#closed = true;
    this.#connection?.close();
    this.#channel?.close();
    this.#release?.();
  }

  #say(message) {
    if (this.#channel && !this.#closed) this.#channel.postMessage({ from: this.#id, ...message });
  }

  #wantAloud() {
    if (this.leads) this.#note(this.#id, this.#mine, this.on.cursor());
    else this.#say({ kind: "want", channels: this.#mine, cursor: this.on.cursor() });
  }

  /** Become the leader; the promise lasts as long as this tab leads. */
  #lead() {
    if (this.#closed) return undefined;
    this.leads = true;
    this.#connection = new Connection(this.base, this.options, {
      event: (event) => this.#pass({ kind: "event", event }),
      state: (state) => this.#pass({ kind: "state", state }),
      lost: (loss) => this.#pass({ kind: "notice", name: "lost", value: loss }),
      problem: (problem) => this.#pass({ kind: "notice", name: "problem", value: problem }),
      closing: () => this.#pass({ kind: "notice", name: "closing" }),
    });
    this.#say({ kind: "lead" });
    this.#note(this.#id, this.#mine, this.on.cursor());
    addEventListener("online", () => this.#connection.hurry());
    if (this.#channel) setInterval(() => this.#bury(), LOOK_MS);
    return new Promise((release) => (this.#release = release));
  }

  #hear({ from, kind, ...message }) {
    if (this.leads) {
      if (kind === "want") {
        this.#note(from, message.channels, message.cursor);
        this.#say({ kind: "state", state: { ...this.#last, cursor: undefined } });
      } else if (kind === "bye") this.#forget(from);
      else if (kind === "cut") this.#connection.cut();
    } else if (kind === "lead") this.#wantAloud();
    else this.#take({ kind, ...message });
  }

  #pass(message) {
    if (message.kind === "state") this.#last = message.state;
    this.#say(message);
    this.#take(message);
  }

  #take({ kind, event, state, name, value }) {
    if (kind === "event") this.on.event(event);
    else if (kind === "state") this.on.state(state);
    else if (kind === "notice") this.on.notice(name, value);
  }

  #note(tab, channels, cursor) {
    this.#wants.set(tab, channels);
    if (cursor) this.#cursors.set(tab, cursor);
    this.#reopenSoon();
  }

  #forget(tab) {
    this.#cursors.delete(tab);
    if (this.#wants.delete(tab)) this.#reopenSoon();
  }

  /** Forget tabs that went without a word: each holds a lock while it lives. */
  async #bury() {
    const { held } = await navigator.locks.query();
    const alive = new Set(held.map(({ name }) => name));
    for (const tab of [...this.#wants.keys()]) {
      if (tab !== this.#id && !alive.has(`${this.name} ${tab}`)) this.#forget(tab);
    }
  }

  #reopenSoon() {
    clearTimeout(this.#timer);
    this.#timer = setTimeout(() => this.#reopen(), GATHERING_MS);
  }

  #reopen() {
    const wanted = [...new Set([...this.#wants.values()].flat())].sort();
    const open = this.#connection.name !== "closed";
    if (open && wanted.join() === this.#open) return;
    this.#open = wanted.join();
    if (!this.#connection.cursor) {
      // A new leader begins where the tab is that has seen least; the others drop what they have.
      for (const cursor of this.#cursors.values()) {
        if (!this.#connection.cursor || isAfter(this.#connection.cursor, cursor)) this.#connection.cursor = cursor;
      }
    }
    if (wanted.length) this.#connection.open(wanted);
    else {
      this.#connection.close();
      this.#pass({ kind: "state", state: { name: "closed" } });
    }
  }

}
