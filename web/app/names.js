// The channels that exist, offered wherever one can be named.

import { find } from "./dom.js";
import { list } from "./pages.js";
import { ask } from "./session.js";

const PERIOD_MS = 5000;
const OFFERED = 5000; // names; of more, a person types the beginning
const REST = 20; // the list of a large hub is long: times that reading took, until it is read again

/** Offer them from now on. */
export async function offerNames() {
  const began = performance.now();
  if (!document.hidden) await read();
  setTimeout(offerNames, Math.max(PERIOD_MS, REST * (performance.now() - began)));
}

async function read() {
  try {
    /** @type {?{entries: {name: string}[]}} */
    const answer = await list("api/channels", "channels", { most: OFFERED, check: ask });
    const names = (answer?.entries ?? []).map(({ name }) => name);
    const offered = find("#channels", HTMLDataListElement);
    if ([...offered.options].map(({ value }) => value).join() === names.join()) return;
    offered.replaceChildren(...names.map((name) => new Option(name, name)));
  } catch {
    // the connection bar says that the server is away
  }
}
