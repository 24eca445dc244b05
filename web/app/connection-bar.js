// The connection bar: how the connection stands that all tabs share, and what is known of it.

import { pageNow } from "./chart/clock.js";
import { find, put } from "./dom.js";
import { details } from "./states.js";
import { seconds } from "./times.js";
import { number, say } from "./words.js";

const TICK_MS = 500;
const SUSPICIOUS = 1.5; // pings without a byte after which the figures are shown as stale
const ANNOUNCED_MS = 1000; // a change that is over sooner is not worth a word
/** The worst first: of several streams, the worst is shown. */
const WORST = ["waiting", "connecting", "catching", "live", "ended", "closed"];

/**
 * @typedef {import("../client/sse.js").StreamFacts} StreamFacts
 * @typedef {Partial<StreamFacts> & {state: import("../client/sse.js").State}} Facts
 * @typedef {import("../client/sse.js").Hub} Hub
 * @typedef {import("./model.js").Model} Model
 */

export class ConnectionBar {
  #hub;
  #model;
  #section = find("#connection", HTMLElement);
  #announced = find("#announced", HTMLElement);
  #told = "";
  #telling = 0;
  /** When the connection went down: Unix milliseconds by the clock of the page. @type {?number} */
  #down = null;
  #wasLive = false;

  /**
   * @param {Hub} hub
   * @param {Model} model
   */
  constructor(hub, model) {
    this.#hub = hub;
    this.#model = model;
    hub.watch(() => this.#show());
    model.on("state", ({ state }) => {
      this.#wasLive ||= state.name === "live"; // the facts come at most four times a second
      this.#show();
    });
    model.on("streams", () => this.#show());
    document.addEventListener("language", () => this.#show());
    find("#cut", HTMLButtonElement).addEventListener("click", () => {
      hub.cut();
      for (const stream of model.streams) stream.cut();
    });
    find("#power", HTMLButtonElement).addEventListener("click", () => this.#switch());
    setInterval(() => this.#show(), TICK_MS);
    this.#show();
  }

  /** Whether all streams were disconnected here. */
  get isOff() {
    return this.#model.streams.length > 0 && this.#model.streams.every(({ isOff }) => isOff);
  }

  #switch() {
    const isOff = this.isOff;
    for (const stream of this.#model.streams) isOff ? stream.connect() : stream.disconnect();
    this.#show();
    document.dispatchEvent(new Event("power"));
  }

  /** The stream that stands worst; null if none is followed. @returns {?Facts} */
  get #worst() {
    const own = this.#model.streams.filter(({ isOwn, isOff }) => isOwn && !isOff);
    const open = [...this.#hub.streams, ...own.map(({ facts, state }) => ({ ...facts, state }))];
    // Before the first request, and once all are refused or have ended, there is no connection that could tell.
    const all = open.length ? open : this.#model.streams.map(({ state }) => ({ state }));
    return WORST.map((name) => all.find(({ state }) => state.name === name)).find(Boolean) ?? null;
  }

  #show() {
    const facts = this.#worst;
    const { isOff } = this;
    const name = isOff || !facts ? "off" : isStale(facts) ? "stale" : facts.state.name;
    this.#section.dataset.state = name;
    this.#freshen(["live", "catching", "connecting"].includes(name));
    put(find("#connection-state", HTMLElement), say(`state_${name}`));
    put(find("#connection-why", HTMLElement), this.#why(name, facts));
    find("#connection-why", HTMLElement).lang = name === "closed" ? "en" : ""; // what the server says is in English
    put(find("#connection-cursor", HTMLElement), facts?.cursor ?? "–");
    put(find("#connection-ping", HTMLElement), pinged(facts));
    put(find("#connection-retry", HTMLElement), facts?.retry ? `${number(facts.retry)} ms` : "–");
    put(find("#connection-tab", HTMLElement), say(this.#hub.leads ? "leads" : "follows"));
    put(find("#power", HTMLElement), say(isOff ? "connect" : "disconnect"));
    find("#cut", HTMLButtonElement).disabled = ["off", "waiting", "closed", "ended"].includes(name);
    find("#power", HTMLButtonElement).disabled = this.#model.streams.length === 0;
    this.#announce(name);
    this.#noteGap(name);
  }

  /**
   * @param {string} name
   * @param {?Facts} facts
   */
  #why(name, facts) {
    if (name === "off") return this.#model.streams.length ? "" : say("noStreams");
    if (!facts) return "";
    if (name === "waiting") return [details(facts.state), reasonOf(facts, this.#wasLive)].filter(Boolean).join(" · ");
    if (name !== "stale") return details(facts.state);
    const silent = (Date.now() - (facts.heardAt ?? 0)) / 1000;
    return say("silentFor", { time: seconds(silent), ping: seconds(facts.ping ?? 0) });
  }

  /**
   * Everything that is not of now turns grey (page.css); what is drawn is drawn anew.
   *
   * @param {boolean} isFresh
   */
  #freshen(isFresh) {
    const { dataset } = document.documentElement;
    if (dataset.fresh === String(isFresh)) return;
    dataset.fresh = String(isFresh);
    document.dispatchEvent(new Event("theme"));
  }

  /** @param {string} name */
  #announce(name) {
    if (name === this.#told) return;
    this.#told = name;
    clearTimeout(this.#telling);
    this.#telling = setTimeout(() => {
      this.#announced.textContent = say("announcedState", { state: say(`state_${name}`) });
    }, ANNOUNCED_MS);
  }

  /** @param {string} name */
  #noteGap(name) {
    const isUp = name === "live" || name === "catching" || name === "stale";
    if (isUp && this.#down !== null) this.#model.tell("gap", this.#down, pageNow());
    if (isUp) this.#down = null;
    else if (this.#wasLive && this.#down === null) {
      this.#down = pageNow();
      this.#model.tell("gap", this.#down, null);
    }
    this.#wasLive ||= isUp;
  }
}

/**
 * Whether a ping is overdue. The client gives the connection up after three.
 *
 * @param {Facts} facts
 */
function isStale({ state, heardAt, ping }) {
  if (state.name !== "live" && state.name !== "catching") return false;
  return Boolean(heardAt && ping) && Date.now() - (heardAt ?? 0) > SUSPICIOUS * (ping ?? 0) * 1000;
}

/**
 * Why it waits: what the server said, or that there is none. The browser's own words are in a language of its own.
 *
 * @param {Facts} facts
 * @param {boolean} wasLive whether there was a connection
 */
function reasonOf({ problem, state, status, connectedAt, failures = 0 }, wasLive) {
  if (!problem) return state.reason ?? "";
  if (problem.status) return problem.detail ?? problem.title;
  if (status === 200 && !connectedAt) return say("nothingCame");
  return say(wasLive && failures <= 1 ? "brokeOff" : "unreachable");
}

/** @param {?Facts} facts */
function pinged(facts) {
  if (!facts) return "–";
  if (facts.pingedAt) return say("ago", { time: seconds((Date.now() - facts.pingedAt) / 1000) });
  return facts.ping ? say("noPing", { ping: seconds(facts.ping) }) : "–";
}
