// The address of a stream, and how much fits into one.

/** Most channels of one connection, and stars in its patterns: the hub's `--max-channels-per-connection`. */
export const MOST_CHANNELS = 100;
/** Most bytes of one address. The hub and nginx take a request line of about 8 kB, and a cursor comes with it. */
export const MOST_BYTES = 6000;

/**
 * @typedef {{channels: string[], conflate?: number, start?: Record<string, string>, cursor?: ?string}} Wanted
 */

/**
 * @param {string} base
 * @param {Wanted} wanted
 */
export function addressOf(base, { channels, conflate = 0, start = {}, cursor = null }) {
  const url = new URL("stream", base);
  for (const channel of channels) url.searchParams.append("channel", channel);
  url.searchParams.set("envelope", "1");
  if (conflate) url.searchParams.set("conflate", String(conflate));
  // The cursor is no header: across origins, a header would need a preflight.
  const beginning = cursor ? { lastEventId: cursor } : start;
  for (const [name, value] of Object.entries(beginning)) url.searchParams.set(name, value);
  return url;
}

/**
 * Whether one address can name these channels.
 *
 * @param {string[]} channels
 * @param {number} most channels
 */
export function fits(channels, most = MOST_CHANNELS) {
  const stars = channels.reduce((sum, channel) => sum + channel.split("*").length - 1, 0);
  const bytes = channels.reduce((sum, channel) => sum + "&channel=".length + encodeURIComponent(channel).length, 0);
  return channels.length <= 1 || (channels.length <= most && stars <= MOST_CHANNELS && bytes <= MOST_BYTES);
}

/**
 * Parts of a list of channels that fit into an address each, in order.
 *
 * @param {string[]} channels
 */
export function inParts(channels) {
  /** @type {string[][]} */
  const parts = [];
  for (const channel of channels) {
    const last = parts.at(-1);
    if (last && fits([...last, channel])) last.push(channel);
    else parts.push([channel]);
  }
  return parts;
}
