// A stream and an event as code: what one types elsewhere to get what the page shows.

import { button, make, worded } from "../make.js";
import { say } from "../words.js";
import * as commands from "./commands.js";

/**
 * @typedef {import("./commands.js").Followed} Followed
 * @typedef {import("./commands.js").Published} Published
 * @typedef {{stream?: Followed, event?: Published & {base: string}, token?: boolean}} Coded `token`: the hub wants one
 */

const SHOWN_MS = 1500;
const MOST_SHOWN = 4000; // characters; all of it is copied

/**
 * @param {Coded} coded
 * @returns {HTMLElement}
 */
export function asCode({ stream, event, token = false }) {
  const element = make("div", "as-code");
  if (event) {
    element.append(worded("h3", "codePublish"), block("curl", commands.publishByCurl(event.base, event)));
    element.append(worded("p", "codePublishNote", "note"));
  }
  if (stream) {
    element.append(worded("h3", "codeFollow"), ...commands.waysToFollow(stream).map(([name, code]) => block(name, code)));
  }
  if (token) element.append(worded("p", "codeToken", "note"));
  return element;
}

/**
 * A piece of code with its name, and a button that copies it whole.
 *
 * @param {string} name
 * @param {string} code
 */
export function block(name, code) {
  const shown = make("code", "", code.length > MOST_SHOWN ? `${code.slice(0, MOST_SHOWN)}…` : code);
  const pre = make("pre", "", shown);
  pre.tabIndex = 0;
  const element = make("figure", "code-block", make("figcaption", "", make("span", "", name)), pre);
  const press = copyButton("copy", code);
  press.setAttribute("aria-description", name);
  element.firstElementChild?.append(press);
  return element;
}

/**
 * A button that copies a text, and says for a moment whether it has.
 *
 * @param {string} key of its words
 * @param {string} text
 */
export function copyButton(key, text) {
  const press = button(key, async () => {
    press.textContent = say((await copyText(text, press)) ? "copied" : "notCopied");
    setTimeout(() => (press.textContent = say(key)), SHOWN_MS);
  });
  return press;
}

/**
 * Copy a text as it is. On plain http there is no clipboard for pages, and a field that is selected takes its place.
 *
 * @param {string} text
 * @param {HTMLElement} back  gets the focus again
 * @returns {Promise<boolean>} whether the text was copied
 */
async function copyText(text, back) {
  try {
    await navigator.clipboard.writeText(text);
    return true;
  } catch {
    const field = make("textarea", "unseen");
    field.value = text;
    document.body.append(field);
    field.select();
    const copied = document.execCommand("copy");
    field.remove();
    back.focus();
    return copied;
  }
}
