// What stands in place of the events while there are none.

import { find } from "./dom.js";
import { block } from "./inspect/code.js";
import { publishByCurl } from "./inspect/commands.js";
import { button, worded } from "./make.js";

/**
 * @param {string} why `none`: no event has come; `filtered`: none passes the filters; nothing: there are events
 * @param {{base: string, clear: () => void}} options `clear` removes the filters
 */
export function showEmpty(why, { base, clear }) {
  const place = find("#log-empty", HTMLElement);
  place.hidden = !why;
  if (why === "filtered") place.replaceChildren(worded("p", "noneMatch"), button("noFilters", clear));
  else {
    const command = publishByCurl(base, { channel: "main", event: "message", data: "Hello" });
    place.replaceChildren(worded("p", "noEvents"), worded("p", "noEventsHint", "note"), block("curl", command));
  }
}
