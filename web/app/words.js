// The words of the page in each of its languages, and putting them where they belong. The dictionaries are in words/.

import { EVENTS } from "./words/events.js";
import { INSPECTOR } from "./words/inspector.js";
import { PAGE } from "./words/page.js";
import { PARTS } from "./words/parts.js";
import { PUBLISH } from "./words/publish.js";
import { SESSION } from "./words/session.js";
import { STATES } from "./words/states.js";
import { STREAMS } from "./words/streams.js";

/** @type {Record<string, [english: string, portuguese: string]>} */
const WORDS = { ...EVENTS, ...INSPECTOR, ...PAGE, ...PARTS, ...PUBLISH, ...SESSION, ...STATES, ...STREAMS };

export const LANGUAGES = /** @type {const} */ (["en", "pt-BR"]);
let at = 0;

/** The language that the page speaks. */
export const spoken = () => LANGUAGES[at];

/** Every key of the dictionaries. */
export const keys = () => Object.keys(WORDS);

/**
 * The words for a key, with its gaps filled.
 *
 * @param {string} key
 * @param {Record<string, string>} gaps
 */
export function say(key, gaps = {}) {
  const words = WORDS[key]?.[at] ?? key;
  return words.replace(/\{(\w+)\}/g, (_, name) => gaps[name] ?? "");
}

/**
 * A number as this language writes it.
 *
 * @param {number} value
 */
export function number(value, digits = 0) {
  return value.toLocaleString(spoken(), { maximumFractionDigits: digits });
}

/** The language of the page that fits the browser's best. */
export function browserLanguage() {
  return navigator.language.startsWith("pt") ? "pt-BR" : "en";
}

/**
 * Speak this language from now on, everywhere below `root`. The document gets the event `language`.
 *
 * @param {string} name
 * @param {ParentNode} root
 */
export function speak(name, root = document) {
  at = Math.max(0, LANGUAGES.findIndex((each) => each === name));
  document.documentElement.lang = spoken();
  translate(root);
  document.dispatchEvent(new Event("language"));
}

/** Attributes that carry words: how an element names them, and where they go. */
const PLACES = /** @type {const} */ ([
  ["label", ["aria-label"]],
  ["hint", ["aria-label", "title"]],
  ["title", ["title"]],
  ["placeholder", ["placeholder"]],
]);

/**
 * Put the words into the elements that name them: `data-words` as text, `data-label` as label, `data-hint` as label and
 * title, `data-title` as title, `data-placeholder` as placeholder.
 *
 * @param {ParentNode} root
 */
export function translate(root) {
  for (const element of /** @type {NodeListOf<HTMLElement>} */ (root.querySelectorAll("[data-words]"))) {
    element.textContent = say(element.dataset.words ?? "");
  }
  for (const [name, attributes] of PLACES) {
    for (const element of /** @type {NodeListOf<HTMLElement>} */ (root.querySelectorAll(`[data-${name}]`))) {
      for (const attribute of attributes) element.setAttribute(attribute, say(element.dataset[name] ?? ""));
    }
  }
}
