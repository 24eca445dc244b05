// The inspector: an event in four ways, or a stream. On a telephone it is a sheet over the rest.

import { colourOf } from "./colours.js";
import { find } from "./dom.js";
import { headersOf, responseOf } from "./headers.js";
import { showText } from "./inspect/characters.js";
import { asCode, copyButton } from "./inspect/code.js";
import { tree } from "./inspect/tree.js";
import { frame } from "./inspect/fields.js";
import { wire } from "./inspect/wire.js";
import { make, worded } from "./make.js";
import { primer } from "./primer.js";
import { specOf } from "./specs.js";
import { Stream } from "./stream.js";
import { StreamDetails } from "./stream-details.js";
import { tabs } from "./tabs.js";
import { bytes, time } from "./times.js";
import { say } from "./words.js";

/**
 * @typedef {import("./model.js").Model} Model
 * @typedef {import("./model.js").Entry} Entry
 * @typedef {import("./stream-details.js").Actions} Actions
 */

export class Inspector {
  #model;
  #base;
  #actions;
  #place = find("#inspected", HTMLElement);
  #sheet = find("#inspector", HTMLElement);
  /** The tab that was chosen last. */
  #tab = "wire";
  /** @type {?StreamDetails} */
  #details = null;
  /** What had the focus before the sheet was opened. @type {?Element} */
  #before = null;

  /**
   * @param {Model} model
   * @param {string} base address of the hub
   * @param {Actions} actions of a stream
   */
  constructor(model, base, actions) {
    this.#model = model;
    this.#base = base;
    this.#actions = actions;
    model.on("select", () => this.#show());
    model.on("state", (stream) => {
      this.#details?.show(stream);
      this.#renewHeaders(stream);
    });
    model.on("streams", () => this.#details?.show());
    document.addEventListener("language", () => this.#show());
    find("#close-sheet", HTMLButtonElement).addEventListener("click", () => this.close());
    this.#show();
  }

  /** Whether it lies over the rest as a sheet. */
  get isSheet() {
    return matchMedia("(max-width: 999px)").matches;
  }

  /** Open it as a sheet, where it is one. */
  open() {
    if (!this.isSheet || this.#sheet.dataset.open === "true") return;
    this.#before = document.activeElement;
    this.#sheet.dataset.open = "true";
    find("#close-sheet", HTMLButtonElement).focus();
  }

  close() {
    if (this.#sheet.dataset.open !== "true") return;
    this.#sheet.dataset.open = "false";
    const before = this.#before instanceof HTMLElement && this.#before.isConnected ? this.#before : find("#log", HTMLElement);
    before.focus();
  }

  #show() {
    const { selected } = this.#model;
    this.#details = null;
    if (selected instanceof Stream) {
      this.#details = new StreamDetails(selected, this.#base, this.#actions);
      this.#place.replaceChildren(this.#details.element);
    } else if (selected) this.#place.replaceChildren(this.#head(selected), this.#tabs(selected));
    else this.#place.replaceChildren(primer(this.#base));
  }

  /**
   * Another response may carry the stream now.
   *
   * @param {Stream} stream
   */
  #renewHeaders(stream) {
    const { selected } = this.#model;
    const shown = this.#place.querySelector(".headers");
    const isItsOwn = selected === stream || (selected && "stream" in selected && selected.stream === stream.text);
    if (!(shown instanceof HTMLElement) || !isItsOwn || shown.dataset.of === responseOf(stream.facts)) return;
    shown.replaceWith(headersOf(stream.facts, selected !== stream && "replayed" in selected && selected.replayed));
  }

  /** @param {Entry} entry */
  #head(entry) {
    const title = make("h2", "title");
    title.dataset.colour = String(colourOf(entry.channel));
    const channel = make("span", "channel");
    const type = make("span", "type");
    showText(channel, entry.channel);
    showText(type, entry.event);
    title.append(channel, " ", type);
    const copy = copyButton("copyData", entry.data);
    const facts = make("dl", "facts", ...factsOf(entry).map(([key, value]) => fact(key, value)));
    return make("header", "", title, facts, ...(entry.note ? [worded("p", "noteOfPage", "note")] : []), copy);
  }

  /** @param {Entry} entry */
  #tabs(entry) {
    const stream = this.#model.streams.find(({ text }) => text === entry.stream);
    const { channel, event, data } = entry;
    const isUpdate = specOf(entry.stream).topics.length > 0; // of the Mercure protocol: it belongs to no channel
    /** @type {[string, () => HTMLElement][]} */
    const all = [
      ["wire", () => wireOf(entry)],
      ["parsed", () => tree(data)],
      ["headers", () => headersOf(stream?.facts ?? null, entry.replayed)],
      ["code", () => asCode({
        stream: stream?.asFollowed(),
        event: isUpdate ? undefined : { base: this.#base, channel, event, data, ephemeral: entry.id === null },
      })],
    ];
    return tabs(entry.note ? all.filter(([name]) => name === "parsed") : all, this.#tab, (name) => (this.#tab = name));
  }
}

/**
 * The bytes as they came to this page; and as they come to readers that do not ask for envelopes.
 *
 * @param {Entry} entry
 */
function wireOf(entry) {
  const plain = frame(entry);
  if (!entry.raw) return wire(plain);
  if (entry.raw.length === plain.length) return wire(entry.raw);
  return make("div", "", wire(plain), worded("p", "wireEnvelope", "note"), wire(entry.raw));
}

/**
 * @param {Entry} entry
 * @returns {[string, string][]}
 */
function factsOf(entry) {
  /** @type {[string, string][]} */
  const facts = [["id", entry.id ?? say("noId")], ["sentAt", time(entry.timestamp, "whole")]];
  if (entry.raw) facts.push(["size", bytes(entry.raw.length)]);
  if (!entry.note) facts.push(["came", say(entry.replayed ? "cameReplayed" : "cameLive")]);
  return facts;
}

/**
 * @param {string} key
 * @param {string} value
 */
function fact(key, value) {
  return make("div", "", worded("dt", key), make("dd", "", value));
}
