// The list of streams: a row for each, with its state, its rate, and whether its events are shown.

import { Sparkline } from "./chart/sparkline.js";
import { colourOf } from "./colours.js";
import { copyOf, find, put } from "./dom.js";
import { showText } from "./inspect/characters.js";
import { isKnown, specOf, textOf } from "./specs.js";
import { standing, why } from "./states.js";
import { Stream } from "./stream.js";
import { choose, view } from "./view.js";
import { number, say } from "./words.js";

const PERIOD_MS = 1000;
const MOST_OWN = 2; // streams with a connection of their own: a browser opens six to a server

/** @typedef {{stream: Stream, element: HTMLElement, sparkline: Sparkline}} Row */

export class StreamList {
  #hub;
  #model;
  #place = find("#stream-rows", HTMLElement);
  #answer = find("#add-answer", HTMLElement);
  /** @type {Map<string, Row>} */
  #rows = new Map();

  /**
   * @param {import("../client/sse.js").Hub} hub
   * @param {import("./model.js").Model} model
   */
  constructor(hub, model) {
    this.#hub = hub;
    this.#model = model;
    for (const text of [...view.streams]) this.#add(text);
    this.#keep();
    const form = find("#add", HTMLFormElement);
    const field = find("#add input", HTMLInputElement);
    form.addEventListener("submit", (submit) => {
      submit.preventDefault();
      const names = field.value.split(/[\s,]+/).filter(Boolean);
      if (names.every((name) => this.follow(name))) form.reset();
    });
    model.on("state", (stream) => this.#show(this.#rows.get(stream.text)));
    model.on("select", () => this.#mark());
    document.addEventListener("language", () => this.#showAll());
    document.addEventListener("view", () => this.#adopt());
    setInterval(() => this.#tick(), PERIOD_MS);
  }

  /**
   * Follow a stream; nothing happens if it is followed already. Otherwise the reason is shown.
   *
   * @param {string} text see specs.js
   * @returns {boolean} whether it is followed now
   */
  follow(text) {
    const spec = specOf(text);
    const isName = isKnown(text) && (spec.topics.length > 0 || /^[^\s/,?]+$/.test(spec.name));
    const isOwn = spec.form === "plain" || spec.types.length > 0;
    const owned = this.#model.streams.filter(({ isOwn: own }) => own).length;
    let refused = isName ? "" : say("notAName", { name: text.slice(0, 100) });
    if (isOwn && owned >= MOST_OWN && !this.#rows.has(textOf(spec))) refused = say("tooManyOwn", { n: number(MOST_OWN) });
    this.#answer.textContent = refused;
    this.#answer.hidden = !refused;
    if (refused) return false;
    this.#add(text);
    this.#keep();
    return true;
  }

  /** @param {Stream} stream */
  remove(stream) {
    const row = this.#rows.get(stream.text);
    if (!row) return;
    const next = row.element.nextElementSibling ?? row.element.previousElementSibling;
    this.#drop(row);
    this.#keep();
    const focus = next?.querySelector("button") ?? document.querySelector("#add input");
    if (focus instanceof HTMLElement) focus.focus();
  }

  /** @param {Stream} stream */
  toggleMute({ text }) {
    const isMuted = view.mute.includes(text);
    choose({ mute: isMuted ? view.mute.filter((each) => each !== text) : [...view.mute, text] });
    this.#showAll();
    this.#model.tell("streams");
  }

  /** @param {string} text */
  #add(text) {
    const stream = new Stream(this.#hub, this.#model, text);
    if (this.#rows.has(stream.text)) return stream.disconnect();
    const element = copyOf("#stream-row");
    const canvas = find("canvas", HTMLCanvasElement, element);
    element.dataset.stream = stream.text;
    element.dataset.colour = String(colourOf(stream.name));
    showText(find(".name", HTMLElement, element), stream.name);
    const row = { stream, element, sparkline: new Sparkline(canvas, { colour: `--channel-${colourOf(stream.name)}` }) };
    find(".stream", HTMLButtonElement, element).addEventListener("click", () => this.#model.select(stream));
    find(".mute", HTMLButtonElement, element).addEventListener("click", () => this.toggleMute(stream));
    this.#rows.set(stream.text, row);
    this.#model.streams.push(stream);
    this.#place.append(element);
    this.#show(row);
  }

  /** @param {Row} row */
  #drop({ stream, element, sparkline }) {
    stream.disconnect();
    sparkline.close();
    element.remove();
    this.#rows.delete(stream.text);
    this.#model.streams.splice(this.#model.streams.indexOf(stream), 1);
    if (this.#model.selected === stream) this.#model.select(null);
  }

  /** The address has changed: follow what it names, and nothing else. */
  #adopt() {
    const wanted = view.streams.map((text) => textOf(specOf(text)));
    for (const [text, row] of [...this.#rows]) if (!wanted.includes(text)) this.#drop(row);
    for (const text of wanted) if (!this.#rows.has(text)) this.#add(text);
    this.#showAll();
    this.#model.tell("streams");
  }

  #keep() {
    choose({ streams: [...this.#rows.keys()] });
    this.#model.tell("streams");
  }

  #tick() {
    for (const row of this.#rows.values()) {
      row.sparkline.add(row.stream.lastSecond());
      this.#model.tell("state", row.stream);
    }
  }

  #showAll() {
    for (const row of this.#rows.values()) this.#show(row);
  }

  #mark() {
    for (const { stream, element } of this.#rows.values()) {
      const button = find(".stream", HTMLButtonElement, element);
      if (stream === this.#model.selected) button.setAttribute("aria-current", "true");
      else button.removeAttribute("aria-current");
    }
  }

  /** @param {Row|undefined} row */
  #show(row) {
    if (!row) return;
    const { stream, element } = row;
    const name = standing(stream);
    const reason = why(stream);
    const rate = number(stream.rate(), 1);
    element.dataset.state = name;
    const isLive = name === "live";
    put(find(".word", HTMLElement, element), isLive ? say("state_live") : "");
    put(find(".rate", HTMLElement, element), isLive ? rate : say(`state_${name}`));
    put(find(".unit", HTMLElement, element), isLive ? say("rate") : "");
    const words = find(".why", HTMLElement, element);
    put(words, reason);
    words.lang = name === "closed" ? "en" : ""; // what the server says is in English
    words.title = reason;
    find(".stream", HTMLButtonElement, element).title = stream.name;
    const mute = find(".mute", HTMLButtonElement, element);
    const isMuted = view.mute.includes(stream.text);
    mute.setAttribute("aria-pressed", String(isMuted));
    mute.setAttribute("aria-label", say("muteStream", { name: stream.name }));
    mute.title = say(isMuted ? "unmute" : "mute");
  }
}
