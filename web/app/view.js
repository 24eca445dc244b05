// What a person has chosen: kept over a reload, and in the address, so that a view can be shared.

const KEY = "sse-hub view";
const DEFAULTS = { streams: ["main", "metrics"], theme: "system", language: "", type: "", channel: "", text: "" };

function fromAddress() {
  const query = new URLSearchParams(location.hash.slice(1));
  const chosen = Object.fromEntries([...query].filter(([name]) => name in DEFAULTS && name !== "streams"));
  if (query.has("streams")) chosen.streams = query.getAll("streams").filter(Boolean);
  return chosen;
}

function fromStorage() {
  try {
    const stored = JSON.parse(localStorage.getItem(KEY) ?? "{}");
    return Array.isArray(stored.streams ?? []) ? stored : {};
  } catch {
    return {}; // storage is forbidden, or holds something else
  }
}

export const view = { ...DEFAULTS, ...fromStorage(), ...fromAddress() };

/** Change the view, and remember it. */
export function choose(changes) {
  Object.assign(view, changes);
  const query = new URLSearchParams();
  for (const stream of view.streams) query.append("streams", stream);
  for (const [name, value] of Object.entries(view)) {
    if (name !== "streams" && value !== DEFAULTS[name]) query.set(name, value);
  }
  history.replaceState(null, "", `#${query}`);
  try {
    localStorage.setItem(KEY, JSON.stringify(view));
  } catch {
    // the address still has it
  }
}
