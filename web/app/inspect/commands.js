// Commands and programs that do what the page does: follow this stream, publish this event.

/**
 * @typedef {object} Followed a stream, as the address of the hub has it
 * @property {string} base  address of the hub; ends with a slash
 * @property {string} [path]  of its streams; `stream`, unless it is that of the Mercure protocol
 * @property {readonly string[]} channels  names and patterns; none, with topics of the Mercure protocol
 * @property {Record<string, string|readonly string[]>} [query]  `replay`, `from`, `event`, `conflate`, `lastEventId`, …
 * @typedef {{channel: string, event: string, data: string, ephemeral?: boolean}} Published
 */

/** One argument of a program has at most 131,072 bytes on Linux, and a character up to three; longer data go through a pipe. */
const LONGEST_ARGUMENT = 40_000;
/** Control characters that a shell or a terminal takes for something else. A line break and a tab are none. */
const UNSAFE = /[\u0000-\u0008\u000b-\u001f\u007f]/;

/**
 * A text as one word of a POSIX shell (IEEE Std 1003.1, section 2.2.2).
 *
 * @param {string} text without NUL
 */
export const quoted = (text) => (/^[\w@%+=:,./-]+$/.test(text) ? text : `'${text.replaceAll("'", "'\\''")}'`);

/** A text as a literal of JavaScript and of Python, both of which read that of JSON. @type {(text: string) => string} */
const literal = (text) => JSON.stringify(text).replace(
  /[\u007f-\u009f\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff]/g,
  (sign) => `\\u${sign.charCodeAt(0).toString(16).padStart(4, "0")}`,
);

/** A name in a path. `.` and `..` would be folders. @type {(name: string) => string} */
export const segment = (name) => (/^\.+$/.test(name) ? name.replaceAll(".", "%2E") : encodeURIComponent(name));

/**
 * The address of the event stream.
 *
 * @param {Followed} stream
 */
export function streamAddress({ base, path = "stream", channels, query = {} }) {
  const search = new URLSearchParams(channels.map((name) => ["channel", name]));
  for (const [name, value] of Object.entries(query)) {
    for (const each of Array.isArray(value) ? value : [value]) search.append(name, each);
  }
  return `${base}${path}?${String(search).replaceAll("%2C", ",").replaceAll("*", "%2A")}`;
}

/** @type {(stream: Followed) => string} */
export const followByCurl = (stream) => `curl -N ${quoted(streamAddress(stream))}`;

/** @type {(stream: Followed) => string} */
export function followByEventSource(stream) {
  const types = [stream.query?.event ?? []].flat();
  const listen = (types.length ? types : ["message"]).map(
    (type) => `source.addEventListener(${literal(type)}, ({ data, lastEventId }) => console.log(lastEventId, data));`,
  );
  return [`const source = new EventSource(${literal(streamAddress(stream))});`, ...listen].join("\n");
}

/** @type {(stream: Followed) => string} */
export function followBySseJs({ base, channels, query = {} }) {
  const { replay, from, conflate, lastEventId } = query;
  const types = [query.event ?? []].flat();
  // The client takes all types; the shared connection brings them anyway.
  const isWanted = types.length ? `[${types.map(literal).join(", ")}].includes(event) && ` : "";
  const options = [
    replay === undefined ? "" : `replay: ${/^\d+$/.test(String(replay)) ? replay : literal(String(replay))}`,
    from === undefined ? "" : `from: ${literal(String(from))}`,
    lastEventId === undefined ? "" : `after: ${literal(String(lastEventId))}`,
    conflate === undefined ? "" : `conflate: ${Number(conflate)}`,
  ].filter(Boolean);
  return [
    `import { connect } from ${literal(`${base}web/client/sse.js`)};`,
    "",
    `const hub = connect(${literal(base)});`,
    `hub.follow([${channels.map(literal).join(", ")}], {`,
    `  event: ({ id, channel, event, data }) => ${isWanted}console.log(id, channel, event, data),`,
    "  lost: ({ after, next }) => console.warn(\"events are gone between\", after, next),",
    options.length ? `}, { ${options.join(", ")} });` : "});",
  ].join("\n");
}

/** @type {(stream: Followed) => string} */
export const followByPython = (stream) => [
  "import asyncio",
  "",
  "from sse_client import EventSource",
  "",
  "",
  "async def main():",
  `    async with EventSource(${literal(streamAddress(stream))}) as events:`,
  "        async for event in events:",
  "            print(event.last_event_id, event.type, event.data)",
  "",
  "",
  "asyncio.run(main())",
].join("\n");

/**
 * All ways to follow a stream, by their names. The browser client follows channels; topics of the Mercure protocol are
 * none.
 *
 * @param {Followed} stream
 * @returns {[name: string, code: string][]}
 */
export function waysToFollow(stream) {
  return [
    ["curl", followByCurl(stream)],
    ["EventSource", followByEventSource(stream)],
    .../** @type {[string, string][]} */ (stream.channels.length ? [["sse.js", followBySseJs(stream)]] : []),
    ["Python", followByPython(stream)],
  ];
}

/**
 * The event as a command that publishes it again, byte for byte, in any POSIX shell.
 *
 * `--data-raw` takes an `@` at the beginning as it stands, and keeps line breaks. Data with control characters, or
 * too long for one argument, go through `printf`, which is a part of the shell.
 *
 * @param {string} base
 * @param {Published} event
 */
export function publishByCurl(base, { channel, event, data, ephemeral = false }) {
  const search = new URLSearchParams();
  if (event !== "message") search.append("event", event);
  if (ephemeral) search.append("ephemeral", "1");
  const address = quoted(`${base}realtime/${segment(channel)}${search.size ? `?${search}` : ""}`);
  const options = `${/^\.+$/.test(channel) ? "--path-as-is " : ""}-H 'Content-Type: text/plain'`;
  if (UNSAFE.test(data) || data.length > LONGEST_ARGUMENT) {
    return `printf ${quoted(printed(data))} | curl ${address} ${options} --data-binary @-`;
  }
  return `curl ${address} ${options} --data-raw ${quoted(data)}`;
}

/** A text as a format of `printf` (IEEE Std 1003.1): octal escapes for control characters. @type {(text: string) => string} */
function printed(text) {
  return text
    .replaceAll("\\", "\\\\")
    .replaceAll("%", "%%")
    .replace(/[\u0000-\u0008\u000b-\u001f\u007f]/g, (sign) => `\\${sign.charCodeAt(0).toString(8).padStart(3, "0")}`)
    .replace(/^-/, "\\055"); // not an option
}
