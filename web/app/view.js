// What a person has chosen: in the address, so that a view can be shared and the browser's back button works; and kept
// over a reload.

import { LANGUAGES } from "./words.js";

const KEY = "sse-hub view";
const VIEWS = ["events", "streams", "figures", "lab", "publish"];
const THEMES = ["system", "light", "dark"];
const LONGEST = 2000; // characters of one value of an address
const MOST = 200; // streams of an address

/**
 * @typedef {object} View
 * @property {string[]} streams  see specs.js
 * @property {string} view  `events`, `streams` (on a telephone), `figures`, `lab` or `publish`
 * @property {string} case  a preset, or nothing
 * @property {string} theme
 * @property {string} language  nothing: that of the browser
 * @property {string} type
 * @property {string} channel
 * @property {string} text
 * @property {string[]} mute  streams whose events are not shown in the list
 */

/** @type {View} */
const DEFAULTS = {
  streams: ["main", "metrics"], view: "events", case: "", theme: "system", language: "", type: "", channel: "", text: "",
  mute: ["metrics"],
};
const LISTS = /** @type {const} */ (["streams", "mute"]);

/** Values that are there; anything else in an address is passed over. @type {Partial<Record<keyof View, readonly string[]>>} */
const ALLOWED = { view: VIEWS, theme: THEMES, language: ["", ...LANGUAGES] };

/**
 * @param {Record<string, unknown>} values
 * @returns {Partial<View>}
 */
function checked(values) {
  return Object.fromEntries(
    Object.entries(values).filter(([name, value]) => {
      if (!Object.hasOwn(DEFAULTS, name)) return false;
      if (LISTS.some((list) => list === name)) return Array.isArray(value) && value.every((each) => typeof each === "string");
      return typeof value === "string" && (ALLOWED[/** @type {keyof View} */ (name)]?.includes(value) ?? true);
    }),
  );
}

/** @returns {Partial<View>} */
function fromAddress() {
  const query = new URLSearchParams(location.hash.slice(1));
  /** @type {Record<string, unknown>} */
  const chosen = Object.fromEntries([...query].filter(([, value]) => value.length <= LONGEST));
  for (const name of LISTS) {
    delete chosen[name];
    const given = query.getAll(name).filter((each) => each.length <= LONGEST);
    if (query.has(name)) chosen[name] = given.filter(Boolean).slice(0, MOST);
  }
  return checked(chosen);
}

/** @returns {Partial<View>} */
function fromStorage() {
  try {
    return checked(JSON.parse(localStorage.getItem(KEY) ?? "{}") ?? {});
  } catch {
    return {}; // storage is forbidden, or holds something else
  }
}

/** @type {View} */
export const view = { ...DEFAULTS, ...fromStorage(), view: "events", case: "", ...fromAddress() };

/** @returns {string} */
function address() {
  const query = new URLSearchParams();
  for (const stream of view.streams) query.append("streams", stream);
  if (view.mute.join() !== DEFAULTS.mute.join()) for (const each of view.mute.length ? view.mute : [""]) query.append("mute", each);
  for (const [name, value] of Object.entries(view)) {
    if (typeof value === "string" && value !== DEFAULTS[/** @type {keyof View} */ (name)]) query.set(name, value);
  }
  return `#${query}`;
}

/**
 * Change the view, and remember it. A step to another view is one that the browser can take back.
 *
 * @param {Partial<View>} changes
 */
export function choose(changes) {
  const isStep = ["view", "case"].some((name) => {
    const key = /** @type {"view"|"case"} */ (name);
    return changes[key] !== undefined && changes[key] !== view[key];
  });
  Object.assign(view, changes);
  attempt(() => localStorage.setItem(KEY, JSON.stringify({ ...view, view: undefined, case: undefined })));
  // Safari takes a hundred changes of the address in half a minute, and a person who types makes one with each key.
  attempt(() => (isStep ? history.pushState(null, "", address()) : history.replaceState(null, "", address())));
}

/** Do what a browser may refuse. What was chosen counts all the same. @param {() => void} act */
function attempt(act) {
  try {
    act();
  } catch (error) {
    if (!(error instanceof DOMException)) throw error;
  }
}

// Somebody has written another address, or gone back.
addEventListener("hashchange", () => {
  const { theme, language, streams, mute } = view;
  Object.assign(view, { ...DEFAULTS, theme, language, streams, mute }, fromAddress());
  document.dispatchEvent(new Event("view"));
});
