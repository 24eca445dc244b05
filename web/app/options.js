// The dialog for a stream with options: where it begins, which types, how often, in which form, and topics of the
// Mercure protocol.

import { find, put } from "./dom.js";
import { HISTORY, isOwn, textOf } from "./specs.js";
import { say } from "./words.js";

/**
 * @typedef {import("./specs.js").Spec} Spec
 * @typedef {import("./stream.js").Stream} Stream
 */

export class StreamOptions {
  #follow;
  #dialog = find("#options", HTMLDialogElement);
  #form = find("#stream-options", HTMLFormElement);
  #note = find("#options-note", HTMLElement);
  /** The stream that is to be changed. @type {Stream|undefined} */
  #replaced;

  /**
   * @param {(text: string, replaced?: Stream) => string} follow gives why the stream is not followed; nothing if it is
   */
  constructor(follow) {
    this.#follow = follow;
    find("#open-options", HTMLButtonElement).addEventListener("click", () => this.open());
    this.#form.addEventListener("input", () => this.#show());
    this.#form.addEventListener("submit", (submit) => {
      submit.preventDefault();
      const refused = this.#follow(textOf(this.#spec()), this.#replaced);
      if (refused) this.#tell(refused, { isBad: true });
      else this.#dialog.close();
    });
    document.addEventListener("language", () => this.#show());
  }

  /** @param {Stream} [replaced] that is to be changed */
  open(replaced) {
    this.#replaced = replaced;
    this.#form.reset();
    if (replaced) this.#fill(replaced.spec);
    this.#show();
    this.#dialog.showModal();
  }

  /** @param {string} name */
  #field(name) {
    const field = this.#form.elements.namedItem(name);
    if (field instanceof HTMLInputElement || field instanceof HTMLSelectElement) return field;
    throw new TypeError(`the form has no field ${name}`);
  }

  /** @param {Spec} spec */
  #fill({ name, topics, begin, replay, after, types, conflate, form }) {
    const values = {
      protocol: topics.length ? "mercure" : "hub", name, begin, replay: String(replay), after, types: types.join(", "),
      conflate: conflate ? String(conflate) : "", form,
    };
    for (const [key, value] of Object.entries(values)) this.#field(key).value = value;
  }

  /** @returns {Spec} */
  #spec() {
    const value = (/** @type {string} */ name) => this.#field(name).value.trim();
    const isMercure = value("protocol") === "mercure";
    const begin = /** @type {Spec["begin"]} */ (isMercure && value("begin") !== "after" ? "now" : value("begin"));
    return {
      name: value("name"),
      topics: isMercure ? value("name").split(/\s+/).filter(Boolean) : [],
      begin,
      replay: Number(value("replay") || HISTORY),
      after: begin === "after" ? value("after") : "",
      types: isMercure ? [] : value("types").split(",").map((type) => type.trim()).filter(Boolean),
      conflate: isMercure ? 0 : Number(value("conflate")),
      form: isMercure || value("form") === "plain" ? "plain" : "envelope",
    };
  }

  /** Only fields that mean something are there. */
  #show() {
    const spec = this.#spec();
    const { begin } = spec;
    const isMercure = this.#field("protocol").value === "mercure";
    const isShown = {
      begin: !isMercure, replay: !isMercure && begin === "replay", after: begin === "after", types: !isMercure,
      conflate: !isMercure, form: !isMercure,
    };
    for (const [name, shown] of Object.entries(isShown)) {
      const field = this.#field(name);
      field.disabled = !shown;
      const label = field.closest("label");
      if (label) label.hidden = !shown;
    }
    this.#field("after").toggleAttribute("required", begin === "after");
    this.#tell(say(isOwn(spec) ? "ownConnection" : "sharedConnection"));
  }

  /**
   * @param {string} words
   * @param {{isBad?: boolean}} options
   */
  #tell(words, { isBad = false } = {}) {
    put(this.#note, words);
    this.#note.classList.toggle("bad", isBad);
  }
}
