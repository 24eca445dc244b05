// Finding elements of the page. Each is there and of its type, or the page is broken and says so at once.

/**
 * The first element that matches.
 *
 * @template {Element} T
 * @param {string} selector
 * @param {new () => T} type
 * @param {ParentNode} [root]
 * @returns {T}
 * @throws {TypeError} if there is none of this type
 */
export function find(selector, type, root = document) {
  const element = root.querySelector(selector);
  if (!(element instanceof type)) throw new TypeError(`the page has no ${type.name} ${selector}`);
  return element;
}

/**
 * A copy of the element in a `<template>`.
 *
 * @param {string} selector
 * @returns {HTMLElement}
 */
export function copyOf(selector) {
  const element = find(selector, HTMLTemplateElement).content.firstElementChild?.cloneNode(true);
  if (!(element instanceof HTMLElement)) throw new TypeError(`the template ${selector} is empty`);
  return element;
}

/**
 * Put a text into an element. One that is there already is not put again: a screen reader would begin anew.
 *
 * @param {HTMLElement} element
 * @param {string} text
 */
export function put(element, text) {
  if (element.textContent !== text) element.textContent = text;
}
