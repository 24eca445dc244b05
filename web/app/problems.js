// Answers of the server in the language of the page. The server's own words follow in English, as they say what would
// be right.

import { say } from "./words.js";

/**
 * @typedef {import("../client/sse.js").Problem} Problem
 */

/**
 * Show why a request failed.
 *
 * @param {HTMLElement} place
 * @param {Problem|Error} fault an error of `fetch`, if the server could not be reached
 */
export function showProblem(place, fault) {
  place.dataset.state = "refused";
  const status = fault instanceof Error ? 0 : fault.status;
  const key = `problem${status}`;
  const words = status === 0 ? say("unreachable") : say(key) === key ? say("problemOther") : say(key);
  const detail = document.createElement("span");
  detail.lang = "en";
  detail.textContent = fault instanceof Error ? fault.message : fault.detail ?? fault.title;
  place.replaceChildren(words, " ", detail);
}

/**
 * Show why a request failed that could not be made.
 *
 * @param {HTMLElement} place
 * @param {unknown} error
 */
export function showError(place, error) {
  showProblem(place, error instanceof Error ? error : new Error(String(error)));
}

/**
 * The problem in an answer that is none of 2xx.
 *
 * @param {Response} response
 * @returns {Promise<Problem>}
 */
export async function problemOf(response) {
  const { status, statusText } = response;
  return { title: statusText || String(status), status, ...(await response.json().catch(() => ({}))) };
}
