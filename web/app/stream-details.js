// A stream in the inspector: how it stands, its figures, what can be done with it, its response, and its code.

import { colourOf } from "./colours.js";
import { headersOf } from "./headers.js";
import { showText } from "./inspect/characters.js";
import { asCode } from "./inspect/code.js";
import { button, make, worded } from "./make.js";
import { standing, why } from "./states.js";
import { tabs } from "./tabs.js";
import { bytes } from "./times.js";
import { view } from "./view.js";
import { number, say } from "./words.js";

/**
 * @typedef {import("./stream.js").Stream} Stream
 * @typedef {{remove: (stream: Stream) => void, mute: (stream: Stream) => void, only: (stream: Stream) => void,
 *   change: (stream: Stream) => void}} Actions
 */

export class StreamDetails {
  element = make("div", "stream-details");

  #stream;
  #state = make("p", "state");
  #figures = make("dl", "facts");
  #power = button("disconnect", () => (this.#stream.isOff ? this.#stream.connect() : this.#stream.disconnect()));
  #mute;

  /**
   * @param {Stream} stream
   * @param {string} base
   * @param {Actions} actions
   */
  constructor(stream, base, actions) {
    this.#stream = stream;
    const title = make("h2", "title");
    title.dataset.colour = String(colourOf(stream.name));
    const name = make("span", "channel");
    showText(name, stream.name);
    title.append(name);
    this.#mute = button("mute", () => actions.mute(stream));
    const buttons = make(
      "div", "buttons", this.#power, button("reconnect", () => stream.reconnect()), this.#mute,
      button("onlyThis", () => actions.only(stream)), button("change", () => actions.change(stream)),
      button("remove", () => actions.remove(stream)),
    );
    const note = worded("p", stream.isOwn ? "ownConnection" : "sharedConnection", "note");
    this.element.append(make("header", "", title, this.#state, this.#figures, buttons, note), tabs([
      ["headers", () => headersOf(stream.facts)],
      ["code", () => asCode({ stream: stream.asFollowed() })],
    ], "headers", () => {}));
    this.show();
  }

  /** @param {Stream} [stream] nothing happens if it is another one */
  show(stream = this.#stream) {
    if (stream !== this.#stream) return;
    const name = standing(stream);
    this.#state.dataset.state = name;
    this.#state.textContent = [say(`state_${name}`), why(stream)].filter(Boolean).join(": ");
    this.#power.textContent = say(stream.isOff ? "connect" : "disconnect");
    const muted = view.mute.includes(stream.text);
    this.#mute.textContent = say(muted ? "unmute" : "mute");
    const figures = figuresOf(stream);
    if (this.#figures.childElementCount !== figures.length) {
      this.#figures.replaceChildren(...figures.map(([key]) => make("div", "", worded("dt", key), make("dd"))));
      const delay = this.#figures.querySelector('[data-words="delay"]');
      if (delay instanceof HTMLElement) delay.title = say("delayWhy");
    }
    figures.forEach(([key, value], at) => {
      const cell = this.#figures.children[at].lastElementChild;
      if (cell instanceof HTMLElement) cell.dataset.figure = key;
      if (cell && cell.textContent !== value) cell.textContent = value;
    });
  }
}

/**
 * @param {Stream} stream
 * @returns {[string, string][]}
 */
function figuresOf(stream) {
  const { total, bytes: received, reconnects, losses, delay, last } = stream;
  return [
    ["total", number(total)], ["rate", number(stream.rate(), 1)], ["received", bytes(received)],
    ["reconnects", number(reconnects)], ["losses", number(losses)],
    ["delay", delay === null ? "–" : `${number(delay)} ms`], ["last", last ?? "–"],
  ];
}
