// Which events the list shows: by channel, type and text, and without the streams that are hidden.

import { covers } from "../client/names.js";
import { find } from "./dom.js";
import { choose, view } from "./view.js";
import { specOf } from "./specs.js";

const OFFERED = 200; // channels and types that are offered
const FIELDS = /** @type {const} */ (["channel", "type", "text"]);

/**
 * @typedef {import("./model.js").Model} Model
 * @typedef {import("./model.js").Entry} Entry
 */

export class Filters {
  #model;
  #changed;
  #seen = { channel: new Set(), type: new Set() };
  /** @type {(channel: string) => boolean} */
  #channel = () => true;
  /** @type {(type: string) => boolean} */
  #type = () => true;
  #text = "";
  /** By channel: whether it is hidden. @type {Map<string, boolean>} */
  #hidden = new Map();

  /**
   * @param {Model} model
   * @param {() => void} changed called when other events pass
   */
  constructor(model, changed) {
    this.#model = model;
    this.#changed = changed;
    const form = find("#filters", HTMLFormElement);
    form.addEventListener("submit", (submit) => submit.preventDefault());
    for (const name of FIELDS) {
      this.#field(name).addEventListener("input", () => {
        choose({ [name]: this.#field(name).value });
        this.#read();
      });
    }
    model.on("streams", () => this.#read());
    document.addEventListener("view", () => this.#read());
    this.#read();
  }

  /** Whether one of the fields holds something back. */
  get isNarrow() {
    return Boolean(view.channel || view.type || view.text);
  }

  /** Names of the streams that are hidden. */
  get muted() {
    const followed = this.#model.streams.map(({ text }) => text);
    return view.mute.filter((text) => followed.includes(text)).map((text) => specOf(text).name);
  }

  clear() {
    choose({ channel: "", type: "", text: "" });
    this.#read();
  }

  /** @param {Partial<Pick<import("./view.js").View, "channel"|"type"|"text">>} values */
  set(values) {
    choose(values);
    this.#read();
  }

  /**
   * Whether the list shows this event.
   *
   * @param {Entry} entry
   */
  passes({ id, channel, event, data }) {
    const isHere = this.#channel(channel) && this.#type(event) && !this.#isHidden(channel);
    return isHere && (!this.#text || this.#finds(data, id ?? "", event === "message" ? "" : event));
  }

  /** Whether one of these has the text. The usual type is none of them: it would find nearly all. @param {string[]} texts */
  #finds(...texts) {
    return texts.some((each) => each.toLowerCase().includes(this.#text));
  }

  /**
   * Offer what was seen.
   *
   * @param {Entry} entry
   */
  see({ channel, event }) {
    this.#offer("channel", channel);
    this.#offer("type", event);
  }

  /**
   * @param {"channel"|"type"|"text"} name
   */
  #field(name) {
    return find(`#filters [name=${name}]`, HTMLInputElement);
  }

  #read() {
    for (const name of FIELDS) if (this.#field(name).value !== view[name]) this.#field(name).value = view[name];
    this.#channel = this.#test(view.channel, this.#seen.channel);
    this.#type = this.#test(view.type, this.#seen.type);
    this.#text = view.text.toLowerCase();
    this.#hidden.clear();
    this.#changed();
  }

  /**
   * A name that was seen, or a pattern, means just that; anything else is the beginning of a name that is being typed.
   *
   * @param {string} wanted
   * @param {Set<string>} seen
   * @returns {(name: string) => boolean}
   */
  #test(wanted, seen) {
    if (!wanted) return () => true;
    if (wanted.includes("*") || seen.has(wanted)) return (name) => covers(wanted, name);
    const low = wanted.toLowerCase();
    return (name) => name.toLowerCase().startsWith(low);
  }

  /**
   * A channel is hidden if a hidden stream covers it, unless a stream of exactly its name is shown.
   *
   * @param {string} channel
   */
  #isHidden(channel) {
    const known = this.#hidden.get(channel);
    if (known !== undefined) return known;
    const isShown = this.#model.streams.some(({ name, text }) => name === channel && !view.mute.includes(text));
    const isHidden = !isShown && this.muted.some((name) => covers(name, channel));
    if (this.#hidden.size > OFFERED) this.#hidden.clear();
    this.#hidden.set(channel, isHidden);
    return isHidden;
  }

  /**
   * @param {"channel"|"type"} name
   * @param {string} value
   */
  #offer(name, value) {
    const seen = this.#seen[name];
    if (seen.has(value) || seen.size >= OFFERED) return;
    seen.add(value);
    find(`#seen-${name}s`, HTMLDataListElement).append(new Option(value, value));
    if (value === view[name]) this.#read();
  }
}
