// One request for a stream, and what its answer means.

import { addressOf } from "./address.js";
import { EventParser } from "./parser.js";
import { parsed, unlessAborted } from "./surroundings.js";

/** Statuses of the 4xx that pass. */
const PASSING = new Set([408, 425, 429]);
const LONGEST_WAIT_MS = 3_600_000;

/**
 * @typedef {import("./types.js").Problem} Problem
 * @typedef {{base: string, token?: () => string|Promise<string>, credentials?: boolean, fetch?: typeof fetch}} Settings
 */

/** The answer is no stream. */
export class Refusal extends Error {
  /**
   * @param {Problem} problem
   * @param {{atLeastMs: number, lasting: boolean}} options `lasting`: the same request will be refused again
   */
  constructor(problem, { atLeastMs, lasting }) {
    super(problem.detail ?? problem.title);
    this.problem = problem;
    this.atLeastMs = atLeastMs;
    this.lasting = lasting;
  }
}

/**
 * Ask for a stream; the answer is one, or 204: there is nothing more.
 *
 * @param {Settings} settings
 * @param {import("./address.js").Wanted} wanted
 * @param {AbortSignal} signal
 * @param {(fact: {url?: string, status?: number, headers?: [string, string][]}) => void} [note]
 * @returns {Promise<Response>}
 * @throws {Refusal}
 */
export async function request(settings, wanted, signal, note = () => {}) {
  const url = addressOf(settings.base, wanted);
  note({ url: url.href });
  /** @type {Record<string, string>} */
  const headers = { Accept: "text/event-stream" };
  const { token, fetch = globalThis.fetch } = settings;
  if (token) headers.Authorization = `Bearer ${await unlessAborted(token(), signal)}`;
  const credentials = settings.credentials ? "include" : "same-origin";
  // Chromium lets requests for the same address wait for each other, unless nothing may be stored.
  const response = await fetch(url, { headers, credentials, signal, cache: "no-store" });
  note({ status: response.status, headers: [...response.headers] });
  await check(response);
  return response;
}

/**
 * Ask whether the hub takes these channels. The stream is not read; the caller aborts it.
 *
 * @param {Settings} settings
 * @param {import("./address.js").Wanted} wanted
 * @param {AbortSignal} signal
 * @returns {Promise<?Problem>} why it does not; null if it does
 * @throws {unknown} a fault that says nothing of the channels: of the network, the hub or the token
 */
export async function ask(settings, wanted, signal) {
  try {
    const response = await request(settings, wanted, signal);
    if (response.body) await checkBeginning(response.body);
    return null;
  } catch (error) {
    if (error instanceof Refusal && error.lasting && error.problem.status !== 401) return error.problem;
    throw error;
  }
}

/**
 * The hub tells faults that pass by an event, since a browser's EventSource gives up at any status but 200.
 *
 * @param {ReadableStream<Uint8Array>} body
 * @throws {Refusal|Error} if it does not begin as a stream does that goes on
 */
async function checkBeginning(body) {
  const parser = new EventParser();
  const reader = body.getReader();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) throw new Error("The connection ended.");
    const [first] = parser.feed(value);
    if (first?.type === "error") {
      throw new Refusal({ title: "Error", status: 0, ...parsed(first.data) }, { lasting: false, atLeastMs: 0 });
    }
    if (first) return;
  }
}

/**
 * Whether an answer is a stream, or 204.
 *
 * @param {Response} response
 * @throws {Refusal} if it is neither
 */
export async function check(response) {
  const { status, statusText, headers } = response;
  const type = (headers.get("Content-Type") ?? "").toLowerCase();
  if (status === 204 || (status === 200 && type.startsWith("text/event-stream"))) return;
  /** @type {Problem} */
  let problem = { title: statusText || "Refused", status };
  if (type.includes("json")) problem = { ...problem, ...(await response.json().catch(() => ({}))) };
  // A network that asks to sign in answers any request with a page of its own. That passes.
  if (status < 400) problem.detail = `The answer is ${type || "of no type"}, and no event stream.`;
  const lasting = status >= 400 && status < 500 && !PASSING.has(status);
  throw new Refusal(problem, { lasting, atLeastMs: retryAfterMs(headers.get("Retry-After")) });
}

/**
 * Why a request failed: what the hub said, or that there was no answer.
 *
 * @param {unknown} error
 * @returns {Problem}
 */
export function problemIn(error) {
  if (error instanceof Refusal) return error.problem;
  return { title: "No connection", status: 0, detail: error instanceof Error ? error.message : String(error) };
}

/** @param {?string} value of `Retry-After` (RFC 9110, section 10.2.3) */
function retryAfterMs(value) {
  if (!value) return 0;
  const ms = /^\d+$/.test(value) ? Number(value) * 1000 : Date.parse(value) - Date.now();
  return Number.isFinite(ms) ? Math.min(Math.max(ms, 0), LONGEST_WAIT_MS) : 0;
}
