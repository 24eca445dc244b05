// Text in which every character can be seen: control characters, and those that turn the direction of what follows,
// are shown by their names. A name of a channel or a type must not look like another.

/** Controls (Cc), marks and overrides of direction, invisible spaces and joiners, lone surrogates. */
const UNSEEN = /[\u0000-\u001f\u007f-\u009f\u00ad\u061c\u180e\u200b-\u200f\u2028-\u202e\u2060-\u206f\ufeff\ufff9-\ufffb]|[\ud800-\udbff](?![\udc00-\udfff])|(?<![\ud800-\udbff])[\udc00-\udfff]/g;
const NAMES = new Map([
  ["\0", "NUL"], ["\t", "TAB"], ["\n", "LF"], ["\r", "CR"], ["\x1b", "ESC"], ["\x7f", "DEL"], ["\xad", "SHY"],
  ["\u200b", "ZWSP"], ["\u200c", "ZWNJ"], ["\u200d", "ZWJ"], ["\u200e", "LRM"], ["\u200f", "RLM"], ["\u202a", "LRE"],
  ["\u202b", "RLE"], ["\u202c", "PDF"], ["\u202d", "LRO"], ["\u202e", "RLO"], ["\u2066", "LRI"], ["\u2067", "RLI"],
  ["\u2068", "FSI"], ["\u2069", "PDI"], ["\ufeff", "BOM"],
]);

/**
 * A text in parts: those that are plain, and names for the characters that cannot be seen.
 *
 * @param {string} text
 * @param {{breaks?: boolean}} options `breaks`: line breaks and tabs are plain
 * @returns {{text: string, unseen: boolean}[]}
 */
export function parts(text, { breaks = false } = {}) {
  /** @type {{text: string, unseen: boolean}[]} */
  const found = [];
  let from = 0;
  for (const { 0: sign, index } of text.matchAll(UNSEEN)) {
    if (breaks && (sign === "\n" || sign === "\t")) continue;
    if (isJoiner(text, index)) continue;
    if (index > from) found.push({ text: text.slice(from, index), unseen: false });
    const code = sign.charCodeAt(0).toString(16).toUpperCase().padStart(4, "0");
    found.push({ text: NAMES.get(sign) ?? `U+${code}`, unseen: true });
    from = index + sign.length;
  }
  if (from < text.length) found.push({ text: text.slice(from), unseen: false });
  return found;
}

/**
 * Whether a zero-width joiner joins two pictographs, as in the sign of a family. That is no trick.
 *
 * @param {string} text
 * @param {number} index
 */
function isJoiner(text, index) {
  if (text[index] !== "\u200d") return false;
  return /\p{Extended_Pictographic}[\ufe0f\u{1f3fb}-\u{1f3ff}]?$/u.test(text.slice(Math.max(0, index - 6), index))
    && /^\p{Extended_Pictographic}/u.test(text.slice(index + 1, index + 3));
}

/**
 * Put a text into an element, isolated in direction, with its unseen characters named. The class is `unseen-sign`.
 *
 * @param {HTMLElement} element
 * @param {string} text
 * @param {{breaks?: boolean}} options `breaks`: line breaks and tabs stay
 */
export function showText(element, text, options = {}) {
  element.dir = "auto";
  element.replaceChildren(
    ...parts(text, options).map(({ text: part, unseen }) => {
      if (!unseen) return part;
      const sign = document.createElement("span");
      sign.className = "unseen-sign";
      sign.textContent = part;
      return sign;
    }),
  );
}
