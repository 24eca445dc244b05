// How a connection stands, in words and as a name that the style sheets know.

import { number, say } from "./words.js";

/**
 * @typedef {import("../client/sse.js").State} State
 * @typedef {import("./stream.js").Stream} Stream
 */

/**
 * What belongs to a state: attempts, progress, a reason. There may be nothing.
 *
 * @param {State} state
 */
export function details({ name, attempts = 0, nextAttempt = 0, reason, replayed = 0, expected }) {
  if (name === "connecting") return attempts ? say("attemptNow", { n: number(attempts + 1) }) : "";
  if (name === "catching") {
    const gaps = { n: number(replayed), expected: number(expected ?? 0) };
    return say(expected ? "caughtOf" : "caught", gaps);
  }
  if (name === "waiting") {
    const seconds = number(Math.max(0, Math.ceil((nextAttempt - Date.now()) / 1000)));
    return say("attemptIn", { n: number(attempts + 1), s: seconds });
  }
  return name === "closed" || name === "ended" ? reason ?? "" : "";
}

/**
 * The state of a stream: `off` if it was closed here, `ended` if its channel has ended.
 *
 * @param {Stream} stream
 */
export function standing({ isOff, ended, state }) {
  if (isOff) return "off";
  return ended === null ? state.name : "ended";
}

/**
 * Why a stream stands as it does; there may be nothing to say.
 *
 * @param {Stream} stream
 */
export function why(stream) {
  const name = standing(stream);
  if (name === "ended") return stream.ended ? say("endedFor", { reason: stream.ended }) : say("endedPlain");
  return name === "live" || name === "off" ? "" : details(stream.state);
}
