// The cards: one for each stream that is followed, with its state and its figures.

import { say, number, translate } from "./words.js";
import { choose, view } from "./view.js";

const HISTORY = 50; // events with which a card begins
const TOLD = ["live", "waiting", "closed", "ended"]; // states that are worth a word

const list = document.querySelector("#cards");
const template = document.querySelector("#card").content.firstElementChild;
const announced = document.querySelector("#announced");
const cards = new Map();

/** One stream. */
class Card {
  total = 0;
  bytes = 0;
  reconnects = 0;
  losses = 0;
  last = "";
  latency = null;
  paused = false;
  arrivals = []; // of the last seconds: [second, events]
  state = { name: "connecting" };
  until = 0;
  following = null;

  constructor(hub, name, log) {
    this.hub = hub;
    this.name = name;
    this.log = log;
    this.element = template.cloneNode(true);
    this.element.querySelector("h3").textContent = name;
    this.element.dataset.stream = name;
    translate(this.element);
    for (const button of this.element.querySelectorAll("button")) {
      button.addEventListener("click", () => this[button.name]());
      button.setAttribute("aria-description", name);
    }
    list.append(this.element);
    this.connect({ replay: HISTORY });
  }

  connect(from = this.last ? { after: this.last } : { replay: HISTORY }) {
    if (this.following) return;
    const listener = {
      event: (event) => this.event(event),
      state: (state) => this.hear(state),
      lost: (loss) => this.lost(loss),
      problem: (problem) => this.problem(problem),
      closing: () => this.log.note(this.name, "closing", say("closing")),
    };
    this.following = this.hub.follow([this.name], listener, from);
  }

  disconnect() {
    this.following?.close();
    this.following = null;
    this.state = { name: "closed" };
    this.show();
  }

  /** The button that turns it on and off. */
  power() {
    if (this.following) this.disconnect();
    else this.connect();
    this.show();
  }

  reconnect() {
    this.disconnect();
    this.reconnects += 1;
    this.connect();
  }

  /** Show nothing new; what comes meanwhile is shown when it goes on. */
  pause(paused = !this.paused) {
    this.paused = paused;
    this.log.hold(this.name, paused);
    this.show();
  }

  remove() {
    this.pause(false);
    this.disconnect();
    this.element.remove();
    cards.delete(this.name);
    choose({ streams: [...cards.keys()] });
  }

  // What the hub's connection tells (sse.js, Listener):

  event(event) {
    const second = this.state.name === "live" ? Math.floor(Date.now() / 1000) : 0; // older ones have no rate
    if (this.arrivals.at(-1)?.[0] === second) this.arrivals.at(-1)[1] += 1;
    else this.arrivals.push([second, 1]);
    this.total += 1;
    this.bytes += event.data.length;
    if (event.id) this.last = event.id;
    if (this.state.name === "live") this.latency = Date.now() - Date.parse(event.timestamp);
    this.log.add(event, this.name);
  }

  hear(state) {
    if (state.name === "connecting" && this.state.name === "waiting") this.reconnects += 1;
    if (state.name !== this.state.name && TOLD.includes(state.name)) this.announce(state);
    this.state = state;
    this.until = state.nextAttempt ?? 0;
    this.show();
  }

  lost(loss) {
    this.losses += 1;
    this.log.note(this.name, "lost", say("lost", loss));
  }

  problem({ detail, title }) {
    this.log.note(this.name, "error", detail ?? title);
  }

  announce(state) {
    // Once for all cards, which share a connection; a change that is over at once is not worth a word.
    clearTimeout(Card.announcing);
    Card.announcing = setTimeout(() => (announced.textContent = `${this.name}: ${this.words(state)}`), 1000);
  }

  words(state = this.state) {
    const words = say(state.name, { n: number(Math.max(0, Math.ceil((this.until - Date.now()) / 1000))) });
    return state.reason && state.name !== "waiting" ? `${words}: ${state.reason}` : words;
  }

  show() {
    const field = (name) => this.element.querySelector(`[data-figure="${name}"]`);
    const badge = this.element.querySelector(".state");
    badge.dataset.state = this.paused ? "paused" : this.state.name;
    badge.textContent = this.paused ? say("paused") : this.words();
    this.element.querySelector("[name=pause]").textContent = say(this.paused ? "resume" : "pause");
    this.element.querySelector("[name=power]").textContent = say(this.following ? "disconnect" : "connect");
    field("rate").textContent = number(this.rate(), 1);
    for (const name of ["total", "bytes", "reconnects", "losses"]) field(name).textContent = number(this[name]);
    field("last").textContent = this.last || "–";
    field("latency").textContent = this.latency === null ? "–" : `${number(Math.max(0, this.latency))} ms`;
  }

  /** Events a second, over the last five whole ones. */
  rate() {
    const now = Math.floor(Date.now() / 1000);
    this.arrivals = this.arrivals.filter(([second]) => second >= now - 5);
    return this.arrivals.reduce((sum, [second, count]) => sum + (second < now ? count : 0), 0) / 5;
  }
}

/** Follow a stream in a card of its own; nothing happens if there is one. */
export function add(hub, name, log) {
  if (!cards.has(name)) cards.set(name, new Card(hub, name, log));
  choose({ streams: [...cards.keys()] });
}

/** Set the cards up: those of the view, the form for more, the buttons for all. */
export function begin(hub, log) {
  for (const name of [...view.streams]) add(hub, name, log);
  const form = document.querySelector("#add");
  form.addEventListener("submit", (submit) => {
    submit.preventDefault();
    for (const name of form.elements.channel.value.split(/[\s,]+/).filter(Boolean)) add(hub, name, log);
    form.reset();
  });
  const every = (act) => () => [...cards.values()].forEach(act);
  document.querySelector("#pause-all").addEventListener("click", () => {
    const paused = [...cards.values()].some((card) => !card.paused);
    every((card) => card.pause(paused))();
  });
  document.querySelector("#connect-all").addEventListener("click", every((card) => card.connect()));
  document.querySelector("#disconnect-all").addEventListener("click", every((card) => card.disconnect()));
  document.querySelector("#reconnect-all").addEventListener("click", every((card) => card.reconnect()));
  document.querySelector("#cut").addEventListener("click", () => hub.cut());
  setInterval(() => {
    every((card) => card.show())();
    document.querySelector("#leads").textContent = say(hub.leads ? "leads" : "follows");
  }, 500);
}
