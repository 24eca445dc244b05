// What a person has chosen: kept over a reload, and in the address, so that a view can be shared.

const KEY = "sse-hub view";

/**
 * @typedef {{streams: string[], theme: string, language: string, type: string, channel: string, text: string}} View
 * @type {View}
 */
const DEFAULTS = { streams: ["main", "metrics"], theme: "system", language: "", type: "", channel: "", text: "" };

/** @returns {Partial<View>} */
function fromAddress() {
  const query = new URLSearchParams(location.hash.slice(1));
  /** @type {Partial<View>} */
  const chosen = Object.fromEntries([...query].filter(([name]) => name in DEFAULTS && name !== "streams"));
  if (query.has("streams")) chosen.streams = query.getAll("streams").filter(Boolean);
  return chosen;
}

/** @returns {Partial<View>} */
function fromStorage() {
  try {
    const stored = JSON.parse(localStorage.getItem(KEY) ?? "{}");
    return Array.isArray(stored.streams ?? []) ? stored : {};
  } catch {
    return {}; // storage is forbidden, or holds something else
  }
}

/** @type {View} */
export const view = { ...DEFAULTS, ...fromStorage(), ...fromAddress() };

/**
 * Change the view, and remember it.
 *
 * @param {Partial<View>} changes
 */
export function choose(changes) {
  Object.assign(view, changes);
  const query = new URLSearchParams();
  for (const stream of view.streams) query.append("streams", stream);
  for (const [name, value] of Object.entries(view)) {
    if (name !== "streams" && value !== DEFAULTS[/** @type {keyof View} */ (name)]) query.set(name, String(value));
  }
  history.replaceState(null, "", `#${query}`);
  try {
    localStorage.setItem(KEY, JSON.stringify(view));
  } catch {
    // the address still has it
  }
}
