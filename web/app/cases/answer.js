// An answer that streams, as that of a language model does: a run on a channel of its own, with an end. The log is the
// state: after a reload, everything is read from the start, and the producer goes on after the last word that is there.

import { randomName } from "../../client/surroundings.js";
import { button, make, worded } from "../make.js";
import { say, translate } from "../words.js";
import { inWords, Refused, send } from "./place.js";

const KEY = "sse-hub answer";
const WORD_MS = 110;
const LONGEST = 100_000; // characters that are shown

/** @typedef {{channel: string, words: string[]}} Run `words`: what this tab's producer says, as far as it is the producer */

/** @type {import("./place.js").Case} */
export function answer(element, { hub, base }) {
  const text = make("p", "answer-text");
  const state = make("p", "note answer-state");
  state.setAttribute("role", "status");
  const ask = button("caseAsk", () => begin(newRun()), "main");
  const stop = button("caseStop", () => end("cancelled"));
  const channel = make("code", "answer-channel");
  element.append(
    worded("p", "caseQuestion", "answer-question"), text, state,
    make("div", "case-form", ask, stop, channel), worded("p", "caseAnswerHint", "note"),
  );
  translate(element);
  /** @type {?Run} */
  let run = null;
  /** @type {?import("../../client/types.js").Following} */
  let following = null;
  let received = 0;
  let stopping = new AbortController();
  /** @type {[key: string, gaps?: Record<string, string>]} */
  let words = ["caseAnswerNone"];

  /** @param {string} key @param {Record<string, string>} [gaps] */
  function tell(key, gaps) {
    words = [key, gaps];
    state.textContent = say(key, gaps);
    stop.disabled = key !== "caseAnswerRuns";
    ask.disabled = key === "caseAnswerRuns";
    element.dataset.state = key;
  }

  /** @param {Run} next */
  function begin(next) {
    leave();
    run = next;
    received = 0;
    text.textContent = "";
    channel.textContent = run.channel;
    remember(run);
    tell("caseAnswerRuns");
    let producing = false;
    following = hub.follow(run.channel, {
      event: ({ event, data }) => {
        if (event !== "message") return;
        received += 1;
        if ((text.textContent ?? "").length < LONGEST) text.append(data);
      },
      state: ({ name, reason }) => {
        if (name === "live" && !producing) {
          producing = true;
          void produce();
        }
        if (name === "closed") tell("caseRefused", { why: reason ?? "" });
      },
      end: ({ reason }) => {
        stopping.abort();
        tell("caseAnswerEnded", { reason: say(`reason_${reason ?? "done"}`) });
      },
    }, { from: "start" });
  }

  /** Say the words that the log does not have yet. The hub refuses them once somebody has ended the run. */
  async function produce() {
    if (!run) return;
    const { channel: name, words: left } = run;
    const { signal } = (stopping = new AbortController());
    try {
      for (const word of left.slice(received)) {
        if (signal.aborted) return;
        await send(base, name, { data: word });
        await new Promise((resolve) => setTimeout(resolve, WORD_MS));
      }
      if (!signal.aborted && left.length) await end("done");
    } catch (error) {
      if (!(error instanceof Refused && error.status === 409)) tell("caseAnswerFailed", { why: inWords(error) });
    }
  }

  /** @param {string} reason */
  async function end(reason) {
    if (!run) return;
    stopping.abort();
    try {
      await send(base, run.channel, { end: reason });
    } catch (error) {
      if (!(error instanceof Refused && error.status === 409)) tell("caseAnswerFailed", { why: inWords(error) });
    }
  }

  /** The run before is forgotten, at the hub, too. */
  function newRun() {
    if (run) void send(base, run.channel, { method: "DELETE" }).catch(() => {});
    return { channel: `answers.${randomName().slice(0, 12)}`, words: say("caseAnswerText").split(/(?<= )/) };
  }

  function leave() {
    stopping.abort();
    following?.close();
    following = null;
  }

  const known = remembered();
  if (known) begin(known);
  else tell("caseAnswerNone");
  const speak = () => (state.textContent = say(...words));
  document.addEventListener("language", speak);
  return () => {
    document.removeEventListener("language", speak);
    leave();
  };
}

/** @returns {?Run} the run of this tab before it was reloaded */
function remembered() {
  try {
    const run = JSON.parse(sessionStorage.getItem(KEY) ?? "null");
    return typeof run?.channel === "string" && Array.isArray(run.words) ? run : null;
  } catch {
    return null; // storage is forbidden
  }
}

/** @param {Run} run */
function remember(run) {
  try {
    sessionStorage.setItem(KEY, JSON.stringify(run));
  } catch {
    // after a reload, the run is not found again
  }
}
