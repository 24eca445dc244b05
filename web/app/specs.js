// A stream as text, which an address can hold: `main`, `sensors.*?replay=latest&conflate=250`, or a topic of the Mercure
// protocol: `.well-known/mercure?topic=…`. No channel name has a `?` or a `/`, so nothing is ambiguous. The parameters
// are those of the hub.

const MERCURE = ".well-known/mercure";
const PARAMETERS = ["replay", "from", "lastEventId", "event", "conflate", "plain", "topic"];
export const HISTORY = 50; // events with which a stream begins, unless it says something else

/**
 * @typedef {object} Spec
 * @property {string} name  the channel or pattern, or the topics
 * @property {string[]} topics  of the Mercure protocol; otherwise none
 * @property {"now"|"replay"|"latest"|"start"|"after"} begin
 * @property {number} replay  events, with `begin` "replay"
 * @property {string} after  an id, with `begin` "after"
 * @property {string[]} types  all, if there is none
 * @property {number} conflate  milliseconds; 0: every event
 * @property {"envelope"|"plain"} form
 */

/**
 * @param {string} text
 * @returns {Spec}
 */
export function specOf(text) {
  const mark = text.indexOf("?");
  const path = mark < 0 ? text : text.slice(0, mark);
  const query = new URLSearchParams(mark < 0 ? "" : text.slice(mark + 1));
  const topics = path === MERCURE ? query.getAll("topic") : [];
  const replay = query.get("replay");
  const after = query.get("lastEventId") ?? "";
  return {
    name: topics.length ? topics.join(" ") : path,
    topics,
    begin: beginOf(replay, after, query.get("from")),
    replay: /^\d{1,6}$/.test(replay ?? "") ? Number(replay) : HISTORY,
    after,
    types: query.getAll("event").filter(Boolean),
    conflate: /^\d{1,6}$/.test(query.get("conflate") ?? "") ? Number(query.get("conflate")) : 0,
    form: query.get("plain") === "1" || topics.length ? "plain" : "envelope",
  };
}

/**
 * Whether all parameters in a text are those of a stream. An address may have others; they are passed over.
 *
 * @param {string} text
 */
export function isKnown(text) {
  const mark = text.indexOf("?");
  const query = new URLSearchParams(mark < 0 ? "" : text.slice(mark + 1));
  return [...query.keys()].every((name) => PARAMETERS.includes(name));
}

/** Whether a stream needs a connection of its own. The others share one. @param {Spec} spec */
export const isOwn = ({ form, types }) => form === "plain" || types.length > 0;

/**
 * @param {?string} replay
 * @param {string} after
 * @param {?string} from
 * @returns {Spec["begin"]}
 */
function beginOf(replay, after, from) {
  if (after) return "after";
  if (from === "start") return "start";
  if (replay === "latest") return "latest";
  return replay === "0" ? "now" : "replay";
}

/**
 * What the hub is asked for, as parameters of an address.
 *
 * @param {Spec} spec
 * @returns {[string, string][]}
 */
export function queryOf({ topics, begin, replay, after, types, conflate, form }) {
  /** @type {[string, string][]} */
  const query = topics.map((topic) => ["topic", topic]);
  if (begin === "replay") query.push(["replay", String(replay)]);
  if (begin === "latest") query.push(["replay", "latest"]);
  if (begin === "start") query.push(["from", "start"]);
  if (begin === "after") query.push(["lastEventId", after]);
  for (const type of types) query.push(["event", type]);
  if (conflate) query.push(["conflate", String(conflate)]);
  if (form === "plain" && !topics.length) query.push(["plain", "1"]);
  return topics.length ? query.filter(([name]) => name === "topic" || name === "lastEventId") : query;
}

/**
 * @param {Spec} spec
 * @returns {string}
 */
export function textOf(spec) {
  const query = queryOf(spec).filter(([name, value]) => name !== "replay" || value !== String(HISTORY));
  if (spec.begin === "now" && !spec.topics.length) query.unshift(["replay", "0"]);
  const search = String(new URLSearchParams(query));
  const path = spec.topics.length ? MERCURE : spec.name;
  return search ? `${path}?${search}` : path;
}

/**
 * The address of a stream that has a connection of its own, without the cursor.
 *
 * @param {Spec} spec
 * @param {string} base
 */
export function ownAddress(spec, base) {
  const url = new URL(spec.topics.length ? MERCURE : "stream", base);
  if (!spec.topics.length) url.searchParams.append("channel", spec.name);
  for (const [name, value] of queryOf(spec)) if (name !== "lastEventId") url.searchParams.append(name, value);
  return url;
}

/**
 * The stream as code in other languages asks for it, with the cursor in its address.
 *
 * @param {Spec} spec
 * @param {string} base
 * @returns {import("./inspect/commands.js").Followed}
 */
export function followedOf(spec, base) {
  const isMercure = spec.topics.length > 0;
  /** @type {Record<string, string[]>} */
  const query = {};
  for (const [name, value] of queryOf(spec)) {
    const key = isMercure && name === "lastEventId" ? "lastEventID" : name; // as that protocol spells it
    query[key] = [...(query[key] ?? []), value];
  }
  return isMercure ? { base, path: MERCURE, channels: [], query } : { base, channels: [spec.name], query };
}
