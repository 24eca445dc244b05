// What there is to know about a stream; types.d.ts describes each fact.

/** @typedef {import("./types.js").StreamFacts} StreamFacts */

/** What is true of each attempt when it begins. */
const ATTEMPT = {
  nextAttempt: null, connectedAt: null, status: null, problem: null,
  bytes: 0, events: 0, replayed: 0, pings: 0, pingedAt: null,
};

/**
 * @param {number} silence seconds
 * @returns {StreamFacts}
 */
export function noFacts(silence) {
  return {
    ...ATTEMPT, channels: [], conflate: 0, url: "", headers: [], state: { name: "closed" }, attempts: 0, failures: 0,
    heardAt: null, ping: null, silence, retry: null, cursor: null,
  };
}

/**
 * Another attempt begins, for these channels.
 *
 * @param {StreamFacts} facts
 * @param {import("./address.js").Wanted} wanted
 */
export function beginAttempt(facts, { channels, conflate = 0 }) {
  Object.assign(facts, { ...ATTEMPT, attempts: facts.attempts + 1, headers: [], channels, conflate });
}
