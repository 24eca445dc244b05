// The inspector before anything is chosen: Server-Sent Events in a few lines.

import { block } from "./inspect/code.js";
import { followByCurl, publishByCurl } from "./inspect/commands.js";
import { make, worded } from "./make.js";

const EXAMPLE = "id: 1763949600123-0\nevent: message\ndata: Hello\n\n";

/**
 * @param {string} base address of the hub
 * @returns {HTMLElement}
 */
export function primer(base) {
  const publish = publishByCurl(base, { channel: "main", event: "message", data: "Hello" });
  return make(
    "div", "primer",
    worded("p", "choose"),
    worded("p", "primerWire"), make("pre", "", EXAMPLE),
    worded("p", "primerBreak"),
    worded("p", "primerRead"), block("curl", followByCurl({ base, channels: ["main"] })),
    worded("p", "primerPublish"), block("curl", publish),
  );
}
