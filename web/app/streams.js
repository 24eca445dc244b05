// The list of streams: a row for each, with its state, its rate, and whether its events are shown.

import { Sparkline } from "./chart/sparkline.js";
import { colourOf } from "./colours.js";
import { copyOf, find, put } from "./dom.js";
import { showText } from "./inspect/characters.js";
import { isKnown, isOwn, specOf, textOf } from "./specs.js";
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
    this.#addAll(view.streams);
    this.#keep();
    const form = find("#add", HTMLFormElement);
    const field = find("#add input", HTMLInputElement);
    form.addEventListener("submit", (submit) => {
      submit.preventDefault();
      const names = field.value.split(/[\s,]+/).filter(Boolean);
      const refused = names.reduce((why, name) => why || this.follow(name), "");
      this.#tell(refused);
      if (!refused) form.reset();
    });
    model.on("state", (stream) => this.#show(this.#rows.get(stream.text)));
    model.on("select", () => this.#mark());
    document.addEventListener("language", () => this.#showAll());
    document.addEventListener("view", () => this.#adopt());
    setInterval(() => this.#tick(), PERIOD_MS);
  }

  /**
   * Follow a stream; nothing happens if it is followed already.
   *
   * @param {string} text see specs.js
   * @param {Stream} [replaced] whose place it takes
   * @returns {string} why it is not followed; nothing if it is
   */
  follow(text, replaced) {
    const spec = specOf(text);
    const isName = isKnown(text) && (spec.topics.length > 0 || /^[^\s/,?]+$/.test(spec.name));
    if (!isName) return say("notAName", { name: text.slice(0, 100) });
    if (!this.#hasRoomFor(spec, replaced)) return tooManyOwn();
    if (replaced) this.remove(replaced);
    this.#add(text);
    this.#keep();
    return "";
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

  /**
   * Whether there is a connection for a stream.
   *
   * @param {import("./specs.js").Spec} spec
   * @param {Stream} [replaced] whose place it takes
   */
  #hasRoomFor(spec, replaced) {
    if (!isOwn(spec) || this.#rows.has(textOf(spec))) return true;
    return this.#model.streams.filter((stream) => stream.isOwn && stream !== replaced).length < MOST_OWN;
  }

  /** Follow what an address names, if there are connections for it. @param {readonly string[]} texts */
  #addAll(texts) {
    let refused = "";
    for (const text of texts) {
      if (this.#hasRoomFor(specOf(text))) this.#add(text);
      else refused = tooManyOwn();
    }
    this.#tell(refused);
  }

  /** @param {string} refused why a stream is not followed; nothing if all are */
  #tell(refused) {
    this.#answer.textContent = refused;
    this.#answer.hidden = !refused;
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
    this.#addAll(wanted.filter((text) => !this.#rows.has(text)));
    this.#showAll();
    this.#keep();
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

const tooManyOwn = () => say("tooManyOwn", { n: number(MOST_OWN) });
