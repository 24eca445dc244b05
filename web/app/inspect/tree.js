// Data as a tree. It shows what was sent: the digits of numbers, the escapes of strings, both of two equal keys. A
// part is read when it is opened, and a page of members at a time, so that no data are too deep or too large.

import { button, make } from "../make.js";
import { number, say } from "../words.js";
import { showText } from "./characters.js";
import { fault, members, root } from "./json.js";

const PAGE = 100; // members that are shown at once
const COUNTED = 1000; // members that are counted; beyond, there are "more"
const TEXT = 2000; // characters of a string that are shown at once
const AT_ONCE = { characters: 600, depth: 3 }; // what is small is open from the beginning
const DEEPEST_STEP = 12; // levels that are indented; beyond, the width is spent

/**
 * @typedef {import("./json.js").Value} Value
 * @typedef {import("./json.js").Member} Member
 */

/**
 * The data of an event as an element: a tree if they are JSON, otherwise the text, with a note where JSON ends.
 *
 * @param {string} text
 * @returns {HTMLElement}
 */
export function tree(text) {
  const element = make("div", "tree");
  const value = root(text);
  if (value) {
    const list = make("ul");
    list.append(item(text, { key: null, index: 0, value }, 0));
    element.append(list);
    return element;
  }
  if (/^\s*[[{"]/.test(text)) element.append(make("p", "note", say("notJson", { at: number(fault(text) + 1) })));
  if (text) element.append(paged(text, "text", { breaks: true }));
  else element.append(make("p", "note", say("emptyData")));
  return element;
}

/**
 * @param {string} text
 * @param {Member} member
 * @param {number} depth
 * @param {boolean} again whether this key came before
 */
function item(text, { key, index, value }, depth, again = false) {
  const element = make("li");
  const name = depth === 0 ? [] : [nameOf(key, index, again)];
  if (value.kind === "object" || value.kind === "array") element.append(branch(text, value, name, depth));
  else element.append(...name, paged(text.slice(value.start, value.end), value.kind));
  return element;
}

/**
 * @param {?string} key
 * @param {number} index
 * @param {boolean} again
 */
function nameOf(key, index, again) {
  const name = make("span", key === null ? "index" : "key");
  if (key === null) name.textContent = String(index);
  else showText(name, /^"[^"\\]*"$/.test(key) ? key.slice(1, -1) : key);
  if (again) {
    name.classList.add("again");
    name.title = say("sameKey");
  }
  const colon = make("span", "colon", ": ");
  const both = make("span");
  both.append(name, colon);
  return both;
}

/**
 * @param {string} text
 * @param {Value} value an object or an array
 * @param {Node[]} name
 * @param {number} depth
 */
function branch(text, value, name, depth) {
  const element = document.createElement("details");
  const head = document.createElement("summary");
  head.append(...name, make("span", "bracket", value.kind === "object" ? "{ }" : "[ ]"), " ", sizeOf(text, value));
  element.append(head);
  if (depth < DEEPEST_STEP) element.classList.add("step");
  const open = () => element.childElementCount === 1 && element.append(page(text, members(text, value), depth + 1));
  element.addEventListener("toggle", () => element.open && open());
  if (depth === 0 || (value.end - value.start <= AT_ONCE.characters && depth < AT_ONCE.depth)) {
    open();
    element.open = true;
  }
  return element;
}

/**
 * @param {string} text
 * @param {Value} value
 */
function sizeOf(text, value) {
  let count = 0;
  for (const _ of members(text, value)) if ((count += 1) > COUNTED) break;
  const words = count === 1 ? say("oneMember") : say("manyMembers", { n: count > COUNTED ? `> ${number(COUNTED)}` : number(count) });
  return make("span", "size", words);
}

/**
 * The next members, and a button for those after them.
 *
 * @param {string} text
 * @param {Generator<Member>} rest
 * @param {number} depth
 */
function page(text, rest, depth) {
  const list = make("ul");
  /** @type {Set<string>} */
  const keys = new Set();
  const add = () => {
    for (let count = 0; count < PAGE; count += 1) {
      const { value: member, done } = rest.next();
      if (done) return;
      list.append(item(text, member, depth, member.key !== null && keys.has(member.key)));
      if (member.key !== null) keys.add(member.key);
    }
    const last = make("li");
    last.append(button("moreMembersUnknown", () => {
      const before = list.childElementCount - 1;
      last.remove();
      add();
      const next = list.children[before]?.querySelector("summary, button");
      if (next instanceof HTMLElement) next.focus();
    }));
    list.append(last);
  };
  add();
  return list;
}

/**
 * A text of any length: its beginning, and a button for more.
 *
 * @param {string} source
 * @param {string} kind
 * @param {{breaks?: boolean}} options
 */
function paged(source, kind, options = {}) {
  const element = make("span", `value ${kind}`);
  let shown = Math.min(source.length, TEXT);
  const show = () => {
    const body = make("span");
    showText(body, source.slice(0, shown), options);
    element.replaceChildren(body);
    if (shown === source.length) return;
    const more = button("moreMembersUnknown", () => {
      shown = Math.min(source.length, shown * 10);
      show();
    }, "quiet more");
    more.title = say("moreText", { n: number(source.length - shown) });
    element.append(more);
  };
  show();
  return element;
}
