// An event on the wire: its lines, what the standard does with each, and its bytes, where the range of the line under
// the pointer or the focus is marked.

import { button, make } from "../make.js";
import { number, say } from "../words.js";
import { parts } from "./characters.js";
import { lines } from "./fields.js";

const LINES = 100; // lines that are shown at once
const LINE_TEXT = 400; // characters of a line that are shown
const ROW = 8; // bytes in a row: as many as fit into a narrow pane
const FIRST = 256; // bytes that are shown at once
const MORE = 2048;

/** @typedef {import("./fields.js").Line} Line */

let numbered = 0; // elements that others refer to have names of their own

/**
 * The bytes of an event as an element. Its list of lines is one stop of the keyboard, and the arrows move in it.
 *
 * @param {Uint8Array} bytes from the beginning of a line to the empty line that ends the event
 * @returns {HTMLElement}
 */
export function wire(bytes) {
  const element = make("div", "wire");
  const found = lines(bytes);
  const dump = new Dump(bytes);
  const summary = say("wireAll", { n: number(bytes.length), lines: number(found.length) });
  element.append(lineList(bytes, found, dump), make("p", "note range", summary), dump.element);
  dump.note = /** @type {HTMLElement} */ (element.children[1]);
  dump.summary = summary;
  element.append(make("p", "note", say("wireStandard")));
  return element;
}

/**
 * @param {Uint8Array} bytes
 * @param {Line[]} found
 * @param {Dump} dump
 */
function lineList(bytes, found, dump) {
  const list = make("ol", "wire-lines");
  list.tabIndex = 0;
  list.setAttribute("role", "listbox");
  list.setAttribute("aria-label", say("wireLines"));
  const name = `wire-${(numbered += 1)}`;
  let chosen = -1;
  const choose = (/** @type {number} */ at) => {
    list.children[chosen]?.setAttribute("aria-selected", "false");
    chosen = at;
    const option = list.children[chosen];
    option?.setAttribute("aria-selected", "true");
    if (option) list.setAttribute("aria-activedescendant", option.id);
    else list.removeAttribute("aria-activedescendant");
    dump.mark(found[chosen] ?? null);
  };
  list.append(...found.slice(0, LINES).map((line, at) => option(bytes, line, `${name}-${at}`, found[at - 1])));
  if (found.length > LINES) list.append(rest(found.length - LINES));
  list.addEventListener("pointerover", ({ target }) => {
    const over = target instanceof Element ? target.closest("[role=option]") : null;
    if (over) choose([...list.children].indexOf(over));
  });
  list.addEventListener("pointerleave", () => document.activeElement === list || choose(-1));
  list.addEventListener("focus", () => choose(Math.max(chosen, 0)));
  list.addEventListener("blur", () => choose(-1));
  list.addEventListener("keydown", (key) => {
    const last = Math.min(found.length, LINES) - 1;
    const at = { ArrowDown: chosen + 1, ArrowUp: chosen - 1, Home: 0, End: last }[key.key];
    if (at === undefined || key.ctrlKey || key.metaKey || key.altKey) return;
    key.preventDefault();
    key.stopPropagation();
    choose(Math.min(Math.max(at, 0), last));
    list.children[chosen]?.scrollIntoView({ block: "nearest" });
  });
  return list;
}

/** @param {number} left lines that are not shown */
function rest(left) {
  const element = make("li", "note", say("moreLines", { n: number(left) }));
  element.setAttribute("role", "presentation");
  return element;
}

/**
 * @param {Uint8Array} bytes
 * @param {Line} line
 * @param {string} id
 * @param {Line} [before] the line above: an effect that it had, too, is not explained again
 */
function option(bytes, line, id, before) {
  const element = make("li", `effect-${line.effect}`);
  element.id = id;
  element.setAttribute("role", "option");
  element.setAttribute("aria-selected", "false");
  const code = make("code");
  if (line.effect === "comment") code.append(make("span", "colon", ":"), ...signs(line.value));
  else if (line.name) code.append(make("span", "field", ...signs(line.name)), make("span", "colon", ":"), " ", ...signs(line.value));
  if (line.end > line.breakAt) code.append(make("span", "unseen-sign break", lineBreak(bytes, line)));
  element.append(code);
  if (before?.effect !== line.effect) {
    element.append(make("span", "effect", say(`effect_${line.effect}`, { value: line.value })));
  }
  return element;
}

/** The name of a line's end. @type {(bytes: Uint8Array, line: Line) => string} */
function lineBreak(bytes, { breakAt, end }) {
  if (end - breakAt === 2) return "CR LF";
  return bytes[breakAt] === 13 ? "CR" : "LF";
}

/** @param {string} text */
function signs(text) {
  const cut = text.length > LINE_TEXT ? `${text.slice(0, LINE_TEXT)}…` : text;
  return parts(cut).map(({ text: part, unseen }) => (unseen ? make("span", "unseen-sign", part) : part));
}

/** Bytes in hexadecimal with their characters beside them. */
class Dump {
  /** Where the words about the range stand. @type {?HTMLElement} */
  note = null;
  summary = "";
  /** @type {HTMLElement[]} two cells for each byte */
  #cells = [];
  #shown = 0;
  /** @type {{start: number, end: number}} */
  #marked = { start: 0, end: 0 };

  /** @param {Uint8Array} bytes */
  constructor(bytes) {
    this.bytes = bytes;
    this.element = make("div", "dump");
    this.element.setAttribute("aria-hidden", "true"); // the lines say the same
    this.#show(FIRST);
  }

  /** @param {number} count bytes more */
  #show(count) {
    const until = Math.min(this.#shown + count, this.bytes.length);
    for (; this.#shown < until; this.#shown += ROW) this.element.append(this.#row(this.#shown, Math.min(this.#shown + ROW, until)));
    this.#shown = until;
    if (until === this.bytes.length) return;
    const more = button("moreMembersUnknown", () => {
      more.remove();
      this.#show(MORE);
      this.mark(this.#marked);
    }, "quiet more");
    more.title = say("moreBytes", { n: number(this.bytes.length - until) });
    more.tabIndex = -1;
    this.element.append(more);
  }

  /**
   * @param {number} from
   * @param {number} until
   */
  #row(from, until) {
    const row = make("div", "dump-row", make("span", "offset", from.toString(16).padStart(4, "0")));
    const bytes = [...this.bytes.subarray(from, until)];
    const hex = bytes.map((byte) => make("span", "byte", byte.toString(16).padStart(2, "0")));
    const text = bytes.map((byte) => make("span", "sign", byte > 0x20 && byte < 0x7f ? String.fromCharCode(byte) : byte === 32 ? " " : "·"));
    row.append(make("span", "hex", ...hex), make("span", "signs", ...text));
    for (const [at, cell] of hex.entries()) this.#cells.push(cell, text[at]);
    return row;
  }

  /** @param {?{start: number, end: number}} range */
  mark(range) {
    for (let at = this.#marked.start; at < this.#marked.end; at += 1) this.#toggle(at, false);
    this.#marked = range ?? { start: 0, end: 0 };
    for (let at = this.#marked.start; at < this.#marked.end; at += 1) this.#toggle(at, true);
    if (!this.note) return;
    const { start, end } = this.#marked;
    const gaps = { from: number(start), to: number(end - 1), n: number(this.bytes.length) };
    this.note.textContent = range ? say("wireBytes", gaps) : this.summary;
  }

  /**
   * @param {number} at
   * @param {boolean} on
   */
  #toggle(at, on) {
    this.#cells[2 * at]?.classList.toggle("marked", on);
    this.#cells[2 * at + 1]?.classList.toggle("marked", on);
  }
}
