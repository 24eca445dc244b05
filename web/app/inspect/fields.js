// The bytes of an event, line by line, and what the standard does with each (WHATWG HTML, sections 9.2.5 and 9.2.6).

const LF = 10;
const CR = 13;
const COLON = 58;
const SPACE = 32;

/**
 * What the standard does with a line:
 * - `comment`: it begins with a colon and is passed over;
 * - `data`, `type`, `id`, `retry`: it goes to that buffer, or sets that time;
 * - `idIgnored`: the id has a NUL; `retryIgnored`: there is something else than digits;
 * - `unknown`: no field of the standard has this name; it is passed over;
 * - `dispatch`: an empty line; the event goes to the page; `nothing`: there are no data, so nothing goes to the page.
 *
 * @typedef {"comment"|"data"|"type"|"id"|"idIgnored"|"retry"|"retryIgnored"|"unknown"|"dispatch"|"nothing"} Effect
 * @typedef {object} Line
 * @property {number} start  its first byte
 * @property {number} end  the byte after its line break
 * @property {number} valueAt  where its value begins
 * @property {number} breakAt  where its line break begins
 * @property {string} name  of the field; empty for a comment and an empty line
 * @property {string} value
 * @property {Effect} effect
 */

const utf8 = new TextDecoder("utf-8", { ignoreBOM: true }); // a mark in a line is text

/**
 * @param {Uint8Array} bytes from the beginning of a line
 * @returns {Line[]}
 */
export function lines(bytes) {
  /** @type {Line[]} */
  const found = [];
  let hasData = false;
  for (let start = 0; start < bytes.length; ) {
    let breakAt = start;
    while (breakAt < bytes.length && bytes[breakAt] !== LF && bytes[breakAt] !== CR) breakAt += 1;
    const pair = bytes[breakAt] === CR && bytes[breakAt + 1] === LF;
    const end = Math.min(breakAt + (pair ? 2 : 1), bytes.length);
    const line = readLine(bytes, start, breakAt, end, hasData);
    hasData = line.effect === "data" || (hasData && line.effect !== "dispatch");
    found.push(line);
    start = end;
  }
  return found;
}

/**
 * @param {Uint8Array} bytes
 * @param {number} start
 * @param {number} breakAt
 * @param {number} end
 * @param {boolean} hasData whether a line of data came before it
 * @returns {Line}
 */
function readLine(bytes, start, breakAt, end, hasData) {
  const content = bytes.subarray(start, breakAt);
  const colon = content.indexOf(COLON);
  if (!content.length) {
    return { start, end, breakAt, valueAt: breakAt, name: "", value: "", effect: hasData ? "dispatch" : "nothing" };
  }
  const after = colon < 0 ? content.length : colon + (content[colon + 1] === SPACE ? 2 : 1);
  const name = utf8.decode(content.subarray(0, colon < 0 ? content.length : colon));
  const value = utf8.decode(content.subarray(after));
  return { start, end, breakAt, valueAt: start + after, name, value, effect: effectOf(name, value, colon === 0) };
}

/**
 * @param {string} name
 * @param {string} value
 * @param {boolean} comment
 * @returns {Effect}
 */
function effectOf(name, value, comment) {
  if (comment) return "comment";
  if (name === "data") return "data";
  if (name === "event") return "type";
  if (name === "id") return value.includes("\0") ? "idIgnored" : "id";
  if (name === "retry") return /^[0-9]+$/.test(value) ? "retry" : "retryIgnored";
  return "unknown";
}

/**
 * The bytes that the hub sends for an event to a reader without an envelope (docs/protocol.md, "Subscribing").
 *
 * @param {{id: ?string, event: string, data: string}} event
 * @returns {Uint8Array}
 */
export function frame({ id, event, data }) {
  const head = [...(id === null ? [] : [`id: ${id}`]), ...(event === "message" ? [] : [`event: ${event}`])];
  const body = data.split(/\r\n|\r|\n/).map((line) => `data: ${line}`);
  return new TextEncoder().encode([...head, ...body, "", ""].join("\n"));
}
