// Ids, channel names and topics, as the hub compares them.

/**
 * Whether the id `a` comes after `b`. Ids are pairs of integers, so they are not compared as text.
 *
 * @param {string} a
 * @param {?string|undefined} b null for no id, which is before all
 */
export function isAfter(a, b) {
  if (!b) return true;
  const [aMs = "", aSequence = ""] = a.split("-");
  const [bMs = "", bSequence = ""] = b.split("-");
  return aMs === bMs ? isGreater(aSequence, bSequence) : isGreater(aMs, bMs);
}

/**
 * The lower one of two ids; null is none.
 *
 * @param {?string} a
 * @param {?string} b
 */
export function lower(a, b) {
  if (a === null || b === null) return a ?? b;
  return isAfter(a, b) ? b : a;
}

/**
 * Whether a whole number is greater than another: its digits are more, or come later. No length is too long.
 *
 * @param {string} a
 * @param {string} b
 */
function isGreater(a, b) {
  return a.length === b.length ? a > b : a.length > b.length;
}

/**
 * Whether a channel is meant by a name or pattern, in which `*` is any run of characters.
 *
 * @param {string} pattern
 * @param {string} channel
 */
export function covers(pattern, channel) {
  const parts = pattern.split("*");
  const first = /** @type {string} */ (parts.shift());
  const last = parts.pop();
  if (last === undefined) return pattern === channel;
  const end = channel.length - last.length;
  if (end < first.length || !channel.startsWith(first) || !channel.endsWith(last)) return false;
  let at = first.length;
  for (const part of parts) {
    const found = channel.indexOf(part, at);
    if (found < 0 || found + part.length > end) return false;
    at = found + part.length;
  }
  return true;
}

/**
 * A topic is a channel or pattern, and how it is wanted: with `conflate`, a space and its milliseconds follow the name.
 * (A name holds no space.) Topics that are wanted in the same way can share a stream.
 *
 * @param {string} channel
 * @param {?number|undefined} conflate
 */
export function topicOf(channel, conflate) {
  return conflate ? `${channel} ${conflate}` : channel;
}

/** @param {string} topic */
export function channelOf(topic) {
  return topic.replace(/ \d+$/, "");
}

/**
 * @param {string} topic
 * @returns {number} 0 if it is not conflated
 */
export function conflateOf(topic) {
  return Number(/ (\d+)$/.exec(topic)?.[1] ?? 0);
}
