// The keyboard: `/`, space, j and k, Escape, Ctrl+Enter and `?`. A key that somebody types into a field is left alone.

import { find } from "./dom.js";
import { choose, view } from "./view.js";

/**
 * @typedef {object} Commands
 * @property {import("./list.js").EventList} list
 * @property {import("./inspector.js").Inspector} inspector
 * @property {import("./publish.js").PublishForm} publish
 * @property {import("./views.js").Views} views
 */

/** @param {Commands} commands */
export function listenToKeys(commands) {
  document.addEventListener("keydown", (key) => {
    if (key.defaultPrevented || key.isComposing || key.altKey) return;
    const { target } = key;
    if (key.key === "Escape") return escape(commands, target);
    if (key.key === "Enter" && (key.ctrlKey || key.metaKey) && isAtForm()) return void commands.publish.send();
    if (key.ctrlKey || key.metaKey || isTyped(target)) return;
    const act = actions(commands)[key.key];
    if (!act || document.querySelector("dialog[open]")) return;
    if (key.key === " " && (isPressed(target) || !isAtEvents())) return;
    key.preventDefault();
    act();
  });
  // The address holds the view, so a link must not change it.
  find(".skip", HTMLAnchorElement).addEventListener("click", (click) => {
    click.preventDefault();
    showEvents(commands.views);
    find("#log", HTMLElement).focus();
  });
}

/**
 * @param {Commands} commands
 * @returns {Record<string, () => void>}
 */
function actions({ list, views }) {
  const inEvents = (/** @type {() => void} */ act) => () => {
    showEvents(views);
    act();
  };
  return {
    "/": inEvents(() => find("#filters [name=text]", HTMLInputElement).focus()),
    " ": () => list.pause(),
    j: inEvents(() => list.walk(1)),
    k: inEvents(() => list.walk(-1)),
    "?": () => find("#settings", HTMLDialogElement).showModal(),
  };
}

/**
 * @param {Commands} commands
 * @param {EventTarget|null} target
 */
function escape({ list, inspector }, target) {
  if (document.querySelector("dialog[open]")) return; // the browser closes it
  if (isTyped(target) && !(target instanceof HTMLInputElement)) return;
  inspector.close();
  list.thaw();
  find("#log", HTMLElement).focus();
}

/** @param {import("./views.js").Views} views */
function showEvents(views) {
  if (isAtEvents()) return;
  choose({ view: "events", case: "" });
  views.show();
}

/** Whether the form for publishing is in sight. */
const isAtForm = () => view.view === "publish" && !view.case && !document.querySelector("dialog[open]");

/** Whether the list of events is in sight. */
const isAtEvents = () => ["events", "publish"].includes(view.view) && !view.case;

/** Whether space presses this element. @param {EventTarget|null} target */
const isPressed = (target) => target instanceof Element && target.closest("button, a, summary, input, [role=tab]") !== null;

/** @param {EventTarget|null} target */
function isTyped(target) {
  if (target instanceof HTMLInputElement) return !["checkbox", "radio", "button", "submit"].includes(target.type);
  return target instanceof HTMLTextAreaElement || target instanceof HTMLSelectElement;
}
