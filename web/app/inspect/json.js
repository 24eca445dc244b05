// JSON as it was sent (RFC 8259): every number with its digits, every key, also where two are equal. A value is a
// range of the text. Nothing is read before somebody asks for it, and nothing here calls itself, so that a text of
// open brackets costs as little as another text of its length.

/**
 * @typedef {"object"|"array"|"string"|"number"|"literal"} Kind
 * @typedef {{kind: Kind, start: number, end: number}} Value a range of the text; `end` is the place after it
 * @typedef {{key: ?string, index: number, value: Value}} Member `key` is as it was sent, with quotes; null in an array
 */

const SPACE = /[ \t\n\r]*/y;
const NUMBER = /-?(?:0|[1-9][0-9]*)(?:\.[0-9]+)?(?:[eE][+-]?[0-9]+)?/y;
const LITERAL = /true|false|null/y;
const ESCAPE = /\\(?:["\\/bfnrt]|u[0-9a-fA-F]{4})/y;
const QUOTE = 34;
const BACKSLASH = 92;
/** Most characters that are read; the hub takes a megabyte, and that is read in some 10 ms. */
const LONGEST = 2 << 20;

/**
 * @param {RegExp} pattern that is sticky
 * @param {string} text
 * @param {number} at
 * @returns {number} where the match ends; -1 if there is none
 */
function match(pattern, text, at) {
  pattern.lastIndex = at;
  return pattern.test(text) ? pattern.lastIndex : -1;
}

/** @type {(text: string, at: number) => number} */
const skip = (text, at) => match(SPACE, text, at);

/**
 * Where a string ends that begins here; -1 if it is none.
 *
 * @param {string} text
 * @param {number} at
 */
function stringEnd(text, at) {
  if (text.charCodeAt(at) !== QUOTE) return -1;
  at += 1;
  for (;;) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) return at + 1;
    if (code === BACKSLASH) {
      at = match(ESCAPE, text, at);
      if (at < 0) return -1;
    } else if (code >= 0x20) at += 1;
    else return -1; // a control character, or the end of the text (NaN)
  }
}

/** Where a number, a string or a literal ends; -1 if there is none. @type {(text: string, at: number) => number} */
function scalarEnd(text, at) {
  if (text.charCodeAt(at) === QUOTE) return stringEnd(text, at);
  const end = match(NUMBER, text, at);
  return end >= 0 ? end : match(LITERAL, text, at);
}

/**
 * The place at which a text stops to be JSON; -1 if it is JSON.
 *
 * @param {string} text
 */
export function fault(text) {
  if (text.length > LONGEST) return LONGEST;
  const open = new Uint8Array(text.length + 1); // by depth: whether it is an object
  let depth = 0;
  let at = skip(text, 0);
  let wants = "value"; // or "key", "comma"; after an opening bracket also its end
  let fresh = false;
  for (;;) {
    const sign = text[at];
    const closes = (sign === "]" && open[depth] === 0) || (sign === "}" && open[depth] === 1);
    if (depth > 0 && closes && (fresh || wants === "comma")) {
      depth -= 1;
      at += 1;
      wants = "comma";
    } else if (wants === "comma") {
      if (depth === 0) return at === text.length ? -1 : at;
      if (sign !== ",") return at;
      at += 1;
      wants = open[depth] ? "key" : "value";
    } else if (wants === "key") {
      const end = stringEnd(text, at);
      if (end < 0) return at;
      at = skip(text, end);
      if (text[at] !== ":") return at;
      at += 1;
      wants = "value";
    } else if (sign === "[" || sign === "{") {
      depth += 1;
      open[depth] = sign === "{" ? 1 : 0;
      at = skip(text, at + 1);
      wants = sign === "{" ? "key" : "value";
      fresh = true;
      continue;
    } else {
      const end = scalarEnd(text, at);
      if (end < 0) return at;
      at = end;
      wants = "comma";
    }
    fresh = false;
    at = skip(text, at);
  }
}

/**
 * The value of a text that is JSON; null if it is not.
 *
 * @param {string} text
 * @returns {?Value}
 */
export function root(text) {
  return fault(text) < 0 ? valueAt(text, skip(text, 0)) : null;
}

/**
 * @param {string} text that is JSON
 * @param {number} start
 * @returns {Value}
 */
function valueAt(text, start) {
  const sign = text[start];
  if (sign === "{") return { kind: "object", start, end: bracketEnd(text, start) };
  if (sign === "[") return { kind: "array", start, end: bracketEnd(text, start) };
  const kind = sign === '"' ? "string" : /[-0-9]/.test(sign) ? "number" : "literal";
  return { kind, start, end: scalarEnd(text, start) };
}

/** Where a bracket closes that opens here. @type {(text: string, at: number) => number} */
function bracketEnd(text, at) {
  let depth = 0;
  for (; at < text.length; at += 1) {
    const code = text.charCodeAt(at);
    if (code === QUOTE) at = stringEnd(text, at) - 1;
    else if (code === 0x5b || code === 0x7b) depth += 1;
    else if ((code === 0x5d || code === 0x7d) && --depth === 0) return at + 1;
  }
  return text.length;
}

/**
 * The members of an object or an array, one after the other, without a look into them.
 *
 * @param {string} text that is JSON
 * @param {Value} value of it
 * @returns {Generator<Member>}
 */
export function* members(text, { kind, start, end }) {
  if (kind !== "object" && kind !== "array") return;
  let at = skip(text, start + 1);
  for (let index = 0; at < end - 1; index += 1) {
    let key = null;
    if (kind === "object") {
      const after = stringEnd(text, at);
      key = text.slice(at, after);
      at = skip(text, skip(text, after) + 1); // after the colon
    }
    const value = valueAt(text, at);
    yield { key, index, value };
    at = skip(text, value.end);
    if (text[at] === ",") at = skip(text, at + 1);
  }
}

/**
 * The text of a string as it is meant, without quotes and escapes.
 *
 * @param {string} source as it was sent
 * @returns {string}
 */
export const decoded = (source) => JSON.parse(source);

/**
 * The members of an object by name; of equal names, the last (as `JSON.parse` does). Strings are as they are meant,
 * all other values as they were sent.
 *
 * @param {string} text
 * @param {number} most members that are looked at
 * @returns {?Map<string, {kind: Kind, text: string}>} null if the text is no object
 */
export function fields(text, most = 100) {
  const value = root(text);
  if (value?.kind !== "object") return null;
  const found = new Map();
  for (const { key, index, value: each } of members(text, value)) {
    if (index >= most) break;
    const source = text.slice(each.start, each.end);
    found.set(decoded(key ?? '""'), { kind: each.kind, text: each.kind === "string" ? decoded(source) : source });
  }
  return found;
}

/**
 * The numbers in a text by their paths (`reading.values[0]`), as far as they are numbers that can be drawn.
 *
 * @param {string} text
 * @param {{most?: number, deepest?: number}} limits of what is looked for: numbers, and levels
 * @returns {{path: string, value: number}[]}
 */
export function numbers(text, { most = 20, deepest = 4 } = {}) {
  const value = root(text);
  /** @type {{path: string, value: number}[]} */
  const found = [];
  if (!value) return found;
  /** @type {{path: string, value: Value, depth: number}[]} */
  const open = [{ path: "", value, depth: 0 }];
  for (let looked = 0; open.length && found.length < most && looked < 50 * most; looked += 1) {
    const { path, value: each, depth } = /** @type {NonNullable<typeof open[0]>} */ (open.shift());
    if (each.kind === "number") {
      const number = Number(text.slice(each.start, each.end));
      if (Number.isFinite(number)) found.push({ path, value: number });
    } else if (depth < deepest) {
      for (const { key, index, value: member } of members(text, each)) {
        if (index >= 5 * most) break;
        open.push({ path: key === null ? `${path}[${index}]` : `${path && `${path}.`}${decoded(key)}`, value: member, depth: depth + 1 });
      }
    }
  }
  return found;
}
