// The tabs of an origin that share connections: one leads and opens them for all, and passes on what comes.
//
// The leader holds a Web Lock. When its tab is closed, the lock goes to another. A tab that hangs (an `alert`, an
// endless loop, a frozen page) keeps its lock, so the others ask for a sign of life and steal the lock if none comes.
// Every leadership has a term, and messages of an earlier one are ignored.
//
// All tabs have the same cookie, but a stream has the cookie of its beginning. So a tab that joins takes nothing until
// the leader has begun its streams anew, and so does everybody when somebody has signed in or out.

import { lower } from "./names.js";
import { Streams } from "./streams.js";
import { randomName } from "./surroundings.js";

/** What several tabs want comes within a few milliseconds; together it costs one beginning. */
const GATHERING_MS = 50;
/** After a silence of so long, a tab asks whether somebody leads. */
const QUIET_MS = 2000;
/** A leader that does not answer for so long hangs. */
const PATIENCE_MS = 3000;
/** How often the leader looks for tabs that went without a word. */
const LOOK_MS = 5000;
const FACTS_MS = 250;

/**
 * @typedef {import("./streams.js").Message} Message
 * @typedef {import("./types.js").StreamFacts} StreamFacts
 * @typedef {[topic: string, cursor: ?string][]} Wants
 * @typedef {{wants: () => Wants, take: (message: Message) => void, facts: (facts: StreamFacts[]) => void}} Member
 * @typedef {Message | {kind: "want"|"renew", wants: Wants} | {kind: "bye"|"cut"|"ask"|"here"|"lead"|"hurry"|"look"}
 *   | {kind: "welcome", to: string[]} | {kind: "facts", facts: StreamFacts[]}} Spoken
 */

export class Team {
  /** Whether this tab holds the connections. */
  leads = false;

  #id = randomName();
  /** By tab: what it wants; the leader's knowledge. @type {Map<string, Map<string, ?string>>} */
  #members = new Map();
  /** Tabs that wait for the next beginning. @type {Set<string>} */
  #newcomers = new Set();
  /** @type {?BroadcastChannel} */
  #channel = null;
  /** @type {?Streams} */
  #streams = null;
  #term = 0; // of the leadership that this tab knows
  #accepted = false; // whether the streams of that leadership were begun with this tab's cookie
  #renewing = false;
  /** @type {() => void} */
  #release = () => {};
  #standing = new AbortController(); // for the lock
  #membership = new AbortController(); // for everything that ends when this tab leaves
  #gathering = 0;
  #telling = 0;
  #heard = 0;
  #asked = 0;
  #ticked = 0;

  /**
   * @param {import("./connection.js").Settings} settings
   * @param {{shared: boolean, name: string}} options
   * @param {Member} on
   */
  constructor(settings, { shared, name }, on) {
    this.settings = settings;
    this.shared = shared;
    this.name = name;
    this.on = on;
    this.#join();
  }

  /** What this tab wants has changed. */
  want() {
    if (this.leads) this.#note(this.#id);
    else this.#say({ kind: "want", wants: this.on.wants() });
  }

  /** The cookie or the token of before counts no longer. */
  renew() {
    if (this.leads) return this.#renew();
    this.#accepted = false;
    // What is on its way is not taken any more, so the leader has to know what this tab has seen.
    this.#say({ kind: "renew", wants: this.on.wants() });
  }

  cut() {
    if (this.leads) this.#streams?.cut();
    else this.#say({ kind: "cut" });
  }

  /** The network has changed. */
  hurry() {
    if (this.leads) this.#streams?.hurry();
    else this.#say({ kind: "hurry" });
  }

  /** Somebody looks at this tab. */
  look() {
    if (this.leads) this.#streams?.look();
    else {
      this.#say({ kind: "look" });
      this.#ticked = performance.now();
      this.#ask();
    }
  }

  /** Be in no team while the page is in the cache of the browser, or frozen. */
  leave() {
    if (this.#membership.signal.aborted) return;
    this.#say({ kind: "bye" });
    this.#membership.abort();
    this.#standing.abort();
    this.#stepDown();
    this.#release();
    this.#channel?.close();
    this.#channel = null;
  }

  comeBack() {
    if (this.#membership.signal.aborted) this.#join();
  }

  #join() {
    this.#membership = new AbortController();
    this.#term = 0;
    this.#accepted = false;
    if (this.shared && this.#openChannel()) {
      void this.#live();
      void this.#stand();
      this.want();
      const ticking = setInterval(() => this.#tick(), QUIET_MS / 2);
      this.#membership.signal.addEventListener("abort", () => clearInterval(ticking));
      this.#ticked = this.#heard = performance.now();
    } else {
      this.#lead();
    }
  }

  /** Whether this browser lets tabs talk to each other: plain http and some frames do not. */
  #openChannel() {
    try {
      if (!navigator.locks) return false;
      this.#channel = new BroadcastChannel(this.name);
    } catch {
      return false;
    }
    this.#channel.onmessage = ({ data }) => this.#hear(data);
    return true;
  }

  /** Hold a lock of this tab's own, by which the leader sees that it lives. */
  async #live() {
    const { signal } = this.#membership;
    const left = new Promise((resolve) => signal.addEventListener("abort", resolve));
    await navigator.locks.request(this.#lockOf(this.#id), { signal }, () => left).catch(() => {});
  }

  /** @param {string} tab */
  #lockOf(tab) {
    return `${this.name} ${tab}`;
  }

  /**
   * Stand for leadership until this tab leaves.
   *
   * @param {{steal?: boolean}} options
   */
  async #stand({ steal = false } = {}) {
    const membership = this.#membership;
    this.#standing.abort();
    const standing = (this.#standing = new AbortController());
    const options = steal ? { steal } : { signal: standing.signal };
    let isDenied = false;
    try {
      await navigator.locks.request(this.name, options, () => {
        if (membership.signal.aborted) return undefined;
        this.#lead();
        return new Promise((resolve) => (this.#release = () => resolve(undefined)));
      });
    } catch (error) {
      isDenied = !isAbort(error); // otherwise somebody has stolen the lock, or this tab stands in another way
    }
    if (membership.signal.aborted || this.#standing !== standing) return;
    this.#stepDown();
    if (isDenied) return this.#leadAlone();
    this.want();
    void this.#stand();
  }

  /** This browser gives the page no locks, as in a sandboxed frame. To ask again would bring the same error at once. */
  #leadAlone() {
    this.#channel?.close();
    this.#channel = null;
    this.#lead();
  }

  #lead() {
    this.leads = true;
    this.#accepted = true;
    this.#term = Math.max(this.#term + 1, Date.now());
    this.#members.clear();
    this.#streams = new Streams(this.settings, (message) => this.#pass(message), () => this.#tellFacts());
    const looking = this.#channel && setInterval(() => void this.#bury(), LOOK_MS);
    this.#membership.signal.addEventListener("abort", () => looking && clearInterval(looking));
    this.#stopLooking = () => looking && clearInterval(looking);
    this.#say({ kind: "lead" });
    this.#note(this.#id);
  }

  #stopLooking = () => {};

  #stepDown() {
    this.leads = false;
    this.#accepted = false;
    this.#stopLooking();
    clearTimeout(this.#gathering);
    clearTimeout(this.#telling);
    this.#gathering = this.#telling = 0;
    this.#streams?.close();
    this.#streams = null;
    this.#newcomers.clear();
  }

  /** @param {Spoken} message */
  #say(message) {
    this.#channel?.postMessage({ from: this.#id, term: this.#term, ...message });
  }

  /** @param {{from: string, term: number} & Spoken} message */
  #hear({ from, term, ...message }) {
    if (this.leads) {
      this.#hearMember(from, message);
    } else if (term >= this.#term && isLeaders(message.kind)) {
      this.#heard = performance.now();
      this.#asked = 0;
      if (term > this.#term) {
        this.#term = term;
        this.#accepted = false;
        this.want();
      }
      this.#hearLeader(message);
    }
  }

  /**
   * @param {string} from
   * @param {Spoken} message
   */
  #hearMember(from, message) {
    if (message.kind === "want") this.#note(from, new Map(message.wants));
    else if (message.kind === "bye") this.#forget(from);
    else if (message.kind === "ask") this.#say({ kind: "here" });
    else if (message.kind === "cut") this.#streams?.cut();
    else if (message.kind === "hurry") this.#streams?.hurry();
    else if (message.kind === "look") this.#streams?.look();
    else if (message.kind === "renew") {
      this.#newcomers.add(from);
      if (message.wants) this.#members.set(from, new Map(message.wants)); // older versions do not say it
      this.#renew();
    }
  }

  /** @param {Spoken} message */
  #hearLeader(message) {
    if (message.kind === "welcome") {
      if (message.to.includes(this.#id)) this.#accepted = true;
    } else if (this.#accepted) {
      if (message.kind === "facts") this.on.facts(message.facts);
      else this.#take(message);
    }
  }

  /** @param {Spoken} message */
  #take(message) {
    if (isMessage(message)) this.on.take(message);
  }

  /** @param {Message} message */
  #pass(message) {
    this.#say(message);
    this.#take(message);
  }

  #tellFacts() {
    if (this.#telling || !this.#streams) return;
    this.#telling = Number(
      setTimeout(() => {
        this.#telling = 0;
        const facts = this.#streams?.facts ?? [];
        this.#say({ kind: "facts", facts });
        this.on.facts(facts);
      }, FACTS_MS),
    );
  }

  /**
   * Note what a tab wants, and begin soon. One that is new has yet to be welcomed, and may have seen less than others.
   *
   * @param {string} tab
   * @param {Map<string, ?string>} wants
   */
  #note(tab, wants = new Map(this.on.wants())) {
    if (!this.#members.has(tab)) this.#newcomers.add(tab);
    this.#members.set(tab, wants);
    this.#beginSoon();
  }

  /** @param {string} tab */
  #forget(tab) {
    this.#newcomers.delete(tab);
    if (this.#members.delete(tab)) this.#beginSoon();
  }

  #renew() {
    this.#renewing = true;
    clearTimeout(this.#gathering);
    this.#gathering = 0;
    this.#begin();
  }

  #beginSoon() {
    this.#gathering ||= Number(setTimeout(() => this.#begin(), GATHERING_MS));
  }

  /** Open what all want now. */
  #begin() {
    this.#gathering = 0;
    if (!this.#streams) return;
    /** @type {Map<string, ?string>} */
    const wanted = new Map();
    for (const [tab, wants] of this.#members) {
      const isNew = this.#newcomers.has(tab);
      for (const [topic, cursor] of wants) {
        const known = wanted.get(topic) ?? null;
        wanted.set(topic, isNew ? lower(known, cursor) : known);
      }
    }
    const others = [...this.#newcomers].filter((tab) => tab !== this.#id);
    const renew = this.#renewing || others.length > 0;
    this.#renewing = false;
    this.#newcomers.clear();
    if (renew) this.#say({ kind: "welcome", to: [...this.#members.keys()] });
    this.#streams.want(wanted, { renew });
    this.#streams.repeat(); // a tab that wants what is open already does not know its state
  }

  /** Forget tabs that went without a word. */
  async #bury() {
    const known = [...this.#members.keys()]; // a tab that joins meanwhile may be missing in the answer
    const { held = [] } = await navigator.locks.query();
    const alive = new Set(held.map(({ name }) => name));
    for (const tab of known) {
      if (tab !== this.#id && !alive.has(this.#lockOf(tab))) this.#forget(tab);
    }
  }

  /** Look whether the leader gives signs of life. */
  #tick() {
    const now = performance.now(); // the wall clock may be set
    const slept = now - this.#ticked > 2 * QUIET_MS; // this tab, so others may have spoken
    this.#ticked = now;
    if (this.leads) return;
    if (slept) this.#asked = 0;
    if (this.#asked && now - this.#asked > PATIENCE_MS) {
      this.#asked = 0;
      this.#heard = now;
      void this.#stand({ steal: true });
    } else if (now - this.#heard > QUIET_MS && !this.#asked) this.#ask();
  }

  #ask() {
    this.#asked = performance.now() + Math.random() * 500; // not all at once
    this.#say({ kind: "ask" });
  }
}

/** @param {unknown} error */
const isAbort = (error) => error instanceof DOMException && error.name === "AbortError";

/** @param {Spoken["kind"]} kind */
function isLeaders(kind) {
  return !["want", "bye", "cut", "renew", "ask", "hurry", "look"].includes(kind);
}

/**
 * @param {Spoken} spoken
 * @returns {spoken is Message}
 */
function isMessage(spoken) {
  return ["events", "state", "lost", "problem", "closing", "ended"].includes(spoken.kind);
}
