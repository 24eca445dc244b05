// The bytes of a body, in slices between which others have their turn: a page has to draw 60 times a second.

import { turn } from "./surroundings.js";

const SLICE_BYTES = 1 << 14;
const BUSY_MS = 8;

/**
 * Read to the end, or until `take` says that it is enough. The next bytes are read when these have been taken. So a
 * page that cannot keep up slows the stream down, and fills no memory.
 *
 * @param {ReadableStream<Uint8Array>} body
 * @param {(bytes: number) => void} heard
 * @param {(slice: Uint8Array) => boolean} take gives whether to go on
 */
export async function inSlices(body, heard, take) {
  const reader = body.getReader();
  let began = performance.now();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    heard(value.length);
    for (let at = 0; at < value.length; at += SLICE_BYTES) {
      if (!take(value.subarray(at, at + SLICE_BYTES))) return;
      if (performance.now() - began > BUSY_MS) {
        await turn();
        began = performance.now();
      }
    }
  }
}
