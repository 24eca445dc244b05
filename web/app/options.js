// The dialog for a stream with options: where it begins, which types, how often, in which form, and topics of the
// Mercure protocol.

import { find } from "./dom.js";
import { HISTORY, textOf } from "./specs.js";
import { say } from "./words.js";

/** @typedef {import("./specs.js").Spec} Spec */

export class StreamOptions {
  #follow;
  #dialog = find("#options", HTMLDialogElement);
  #form = find("#stream-options", HTMLFormElement);
  #note = find("#options-note", HTMLElement);
  /** Called before the stream is followed that takes the place of another. */
  #replaces = () => {};

  /** @param {(text: string) => boolean} follow gives whether the stream is followed */
  constructor(follow) {
    this.#follow = follow;
    find("#open-options", HTMLButtonElement).addEventListener("click", () => this.open());
    this.#form.addEventListener("input", () => this.#show());
    this.#form.addEventListener("submit", (submit) => {
      submit.preventDefault();
      this.#replaces();
      this.#follow(textOf(this.#spec()));
      this.#dialog.close();
    });
    document.addEventListener("language", () => this.#show());
  }

  /**
   * @param {Spec} [spec] of a stream that is to be changed
   * @param {() => void} [replaces]
   */
  open(spec, replaces = () => {}) {
    this.#replaces = replaces;
    this.#form.reset();
    if (spec) this.#fill(spec);
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
    const { topics, begin, form, types } = this.#spec();
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
    const isOwn = form === "plain" || types.length > 0 || topics.length > 0;
    this.#note.textContent = say(isOwn ? "ownConnection" : "sharedConnection");
  }
}
