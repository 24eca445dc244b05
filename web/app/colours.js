// One colour for each channel, which its row, its events, its lane and its charts share.

export const COLOURS = 8;
const MOST_KNOWN = 1000; // channels whose colours are kept; a hub may have one for each user

/** @type {Map<string, number>} */
const known = new Map();

/**
 * The number of a channel's colour, from 1 to 8: in the order in which channels are first seen.
 *
 * @param {string} channel
 */
export function colourOf(channel) {
  let colour = known.get(channel);
  if (colour === undefined) {
    if (known.size >= MOST_KNOWN) known.clear();
    colour = (known.size % COLOURS) + 1;
    known.set(channel, colour);
  }
  return colour;
}

/**
 * The colour for the DOM: it follows the theme.
 *
 * @param {string} channel
 */
export const colourVariable = (channel) => `var(--channel-${colourOf(channel)})`;

/**
 * The colour for a canvas, in the theme of now. Ask again after the event `theme` of the document.
 *
 * @param {string} channel
 */
export function paint(channel) {
  return getComputedStyle(document.documentElement).getPropertyValue(`--channel-${colourOf(channel)}`).trim();
}
