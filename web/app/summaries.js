// A readable line for an event, in place of its data. Numbers have the digits that were sent.

import { fields, members, root } from "./inspect/json.js";
import { say } from "./words.js";

const LONGEST_READ = 16_384; // characters; longer data are shown by their beginning
const LONGEST = 300; // characters of a line
const MEMBERS = 8; // of an object of no known kind

/**
 * @typedef {{event: string, data: string}} Described
 * @typedef {Map<string, {kind: import("./inspect/json.js").Kind, text: string}>} Fields
 * @typedef {(fields: Fields) => string} Describe  gives an empty text for data of another shape
 */

/** @type {(fields: Fields, name: string) => string} */
const text = (found, name) => {
  const field = found.get(name);
  return field && field.kind !== "object" && field.kind !== "array" && field.text !== "null" ? field.text : "";
};

/** Parts that are there, with something between them. @type {(between: string, ...parts: string[]) => string} */
const joined = (between, ...parts) => parts.filter(Boolean).join(between);

/** By type: data that the hub and its demonstration feed publish. @type {Record<string, Describe>} */
const TYPES = {
  sensor: (found) => {
    const value = joined(" ", text(found, "value"), text(found, "unit"));
    return text(found, "value") && joined(" ", text(found, "sensor") || text(found, "name"), value);
  },
  notification: (found) => joined(": ", text(found, "title"), text(found, "message")),
  metrics: (found) => {
    const figures = [
      ["cpu_percent", "CPU", "%"], ["memory_percent", "RAM", "%"], ["requests_per_second", "", "req/s"],
      ["deliveries_per_second", "", say("summaryDeliveries")],
    ];
    return joined(" · ", ...figures.map(([name, before, unit]) => text(found, name) && joined(" ", before, text(found, name), unit)), subscribers(found));
  },
  heartbeat: (found) => {
    const uptime = text(found, "uptime");
    return joined(" · ", uptime && say("summaryUptime", { n: uptime }), subscribers(found));
  },
  end: (found) => text(found, "reason") && say("summaryEnd", { reason: text(found, "reason") }),
  lost: (found) => text(found, "next") && say("summaryLost", { after: text(found, "after"), next: text(found, "next") }),
  connected: (found) => found.has("lost") ? say(text(found, "lost") === "true" ? "summaryConnectedLost" : "summaryConnected") : "",
  error: problem,
};

/** @type {Describe} */
function subscribers(found) {
  const count = text(found, "subscribers");
  return count && say(count === "1" ? "summarySubscriber" : "summarySubscribers", { n: count });
}

/** A problem document (RFC 9457). @type {Describe} */
function problem(found) {
  if (!text(found, "title")) return "";
  return joined(": ", joined(" ", text(found, "status"), text(found, "title")), text(found, "detail"));
}

/** What many programs send as a message. @type {Describe} */
function message(found) {
  const words = ["message", "text", "body", "content"].map((name) => text(found, name)).find(Boolean) ?? "";
  const by = ["user", "author", "from", "name", "actor", "level", "title"].map((name) => text(found, name)).find(Boolean) ?? "";
  return words && joined(": ", by, words);
}

/**
 * The members of any object: `key value · key value`.
 *
 * @param {string} source that is JSON
 */
function object(source) {
  const value = root(source);
  if (!value || value.kind !== "object") return "";
  const shown = [];
  for (const { key, value: each } of members(source, value)) {
    if (shown.length === MEMBERS) {
      shown.push("…");
      break;
    }
    const part = source.slice(each.start, each.end);
    const short = each.kind === "string" ? part.slice(1, -1) : each.kind === "object" ? "{…}" : each.kind === "array" ? "[…]" : part;
    if (key !== '"timestamp"') shown.push(`${(key ?? "").slice(1, -1)} ${short}`);
  }
  return shown.join(" · ");
}

/**
 * A line for an event. It is never empty, unless the data are.
 *
 * @param {Described} event
 * @returns {string}
 */
export function summary({ event, data }) {
  if (data.length > LONGEST_READ) return firstLine(data.slice(0, LONGEST));
  const found = fields(data);
  if (!found) return firstLine(string(data));
  const known = Object.hasOwn(TYPES, event) ? TYPES[event](found) : "";
  return firstLine(known || message(found) || problem(found) || object(data) || data);
}

/** A text in quotes is shown without them. @type {(data: string) => string} */
const string = (data) => (root(data)?.kind === "string" ? JSON.parse(data) : data);

/** @param {string} whole */
function firstLine(whole) {
  const lines = whole.trim().split(/\r\n|\r|\n/, 100);
  const line = lines[0].length > LONGEST ? `${lines[0].slice(0, LONGEST)}…` : lines[0];
  if (lines.length === 1) return line;
  const more = lines.length === 100 ? "99+" : String(lines.length - 1);
  return `${line} ${say(more === "1" ? "summaryLine" : "summaryLines", { n: more })}`;
}
