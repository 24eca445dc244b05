// The response that carries a stream: its address, its status and its headers, as far as a browser shows them to a page.

import { make, worded } from "./make.js";

/**
 * Which response it is; other headers come with another one.
 *
 * @param {Partial<import("../client/sse.js").StreamFacts>|null} facts
 */
export const responseOf = (facts) => [facts?.status, facts?.url, facts?.headers?.length].join(" ");

/**
 * @param {Partial<import("../client/sse.js").StreamFacts>|null} facts
 * @param {boolean} isOld whether it is about an event of a response that has ended
 * @returns {HTMLElement}
 */
export function headersOf(facts, isOld = false) {
  const element = make("div", "headers");
  element.dataset.of = responseOf(facts);
  if (!facts?.status) {
    element.append(worded("p", "noHeaders", "note"));
    return element;
  }
  const { pathname, search } = new URL(facts.url ?? "", document.baseURI);
  const list = make("dl");
  for (const [name, value] of facts.headers ?? []) list.append(make("div", "", make("dt", "", name), make("dd", "", value)));
  const line = make("code", "line", `GET ${pathname}${search}`);
  const status = make("code", "line", String(facts.status));
  element.append(worded("p", isOld ? "headersOld" : "headersOf", "note"), line, status, list, worded("p", "headersHidden", "note"));
  return element;
}
