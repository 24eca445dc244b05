// Making elements. Text becomes text, never markup.

import { say } from "./words.js";

/**
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} name
 * @param {string} [classes]
 * @param {...(Node|string)} children
 * @returns {HTMLElementTagNameMap[T]}
 */
export function make(name, classes = "", ...children) {
  const element = document.createElement(name);
  if (classes) element.className = classes;
  element.append(...children);
  return element;
}

/**
 * An element with words of the dictionary, which follow the language of the page.
 *
 * @template {keyof HTMLElementTagNameMap} T
 * @param {T} name
 * @param {string} key
 * @param {string} [classes]
 * @returns {HTMLElementTagNameMap[T]}
 */
export function worded(name, key, classes = "") {
  const element = make(name, classes, say(key));
  element.dataset.words = key;
  return element;
}

/**
 * A button with words of the dictionary.
 *
 * @param {string} key
 * @param {() => unknown} act
 * @param {string} [classes]
 */
export function button(key, act, classes = "quiet") {
  const element = worded("button", key, classes);
  element.type = "button";
  element.addEventListener("click", act);
  return element;
}
