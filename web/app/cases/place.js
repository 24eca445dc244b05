// What the cases share: who may publish, and the way to the hub.

import { problemOf } from "../problems.js";
import { say } from "../words.js";

/**
 * @typedef {import("../../client/types.js").Hub} Hub
 * @typedef {{hub: Hub, base: string}} Surroundings `base`: address of the hub; ends with a slash
 * @typedef {(element: HTMLElement, surroundings: Surroundings) => () => void} Case  shows itself, and gives its end
 */

/** The hub refuses a request; `status` is that of its answer. */
export class Refused extends Error {
  /**
   * @param {string} message
   * @param {number} status
   */
  constructor(message, status) {
    super(message);
    this.status = status;
  }
}

/**
 * Publish on a channel, or end it.
 *
 * @param {string} base
 * @param {string} channel
 * @param {{data?: string, event?: string, end?: string, method?: string}} what
 * @throws {Refused}
 */
export async function send(base, channel, { data, event, end, method = "POST" }) {
  const url = new URL(`realtime/${encodeURIComponent(channel)}`, base);
  if (event) url.searchParams.set("event", event);
  if (end) url.searchParams.set("end", end);
  const response = await fetch(url, { method, body: data, headers: { "Content-Type": "text/plain" } });
  if (response.ok) return;
  const { detail, title, status } = await problemOf(response);
  throw new Refused(detail ?? title, status);
}

/** An error in words. @param {unknown} error */
export function inWords(error) {
  const why = error instanceof Error ? error.message : String(error);
  if (!(error instanceof Refused)) return say("caseUnreachable", { why });
  return error.status === 401 || error.status === 403 ? say("caseMayNot", { why }) : why;
}
