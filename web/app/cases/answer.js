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
export function answer(element, surroundings) {
  const run = new Answer(element, surroundings);
  return () => run.close();
}

class Answer {
  /** @type {?Run} */
  #run = null;
  /** @type {?import("../../client/types.js").Following} */
  #following = null;
  #received = 0;
  #producing = new AbortController();
  /** @type {[key: string, gaps?: Record<string, string>]} */
  #words = ["caseAnswerNone"];

  #text = make("p", "answer-text");
  #state = make("p", "note answer-state");
  #channel = make("code", "answer-channel");
  #ask = button("caseAsk", () => this.#begin(this.#newRun()), "main");
  #stop = button("caseStop", () => this.#end("cancelled"));
  #speak = () => void (this.#state.textContent = say(...this.#words));

  /**
   * @param {HTMLElement} element
   * @param {import("./place.js").Surroundings} surroundings
   */
  constructor(element, { hub, base }) {
    this.element = element;
    this.hub = hub;
    this.base = base;
    this.#state.setAttribute("role", "status");
    element.append(
      worded("p", "caseQuestion", "answer-question"), this.#text, this.#state,
      make("div", "case-form", this.#ask, this.#stop, this.#channel), worded("p", "caseAnswerHint", "note"),
    );
    translate(element);
    const known = remembered();
    if (known) this.#begin(known);
    else this.#tell("caseAnswerNone");
    document.addEventListener("language", this.#speak);
  }

  close() {
    document.removeEventListener("language", this.#speak);
    this.#leave();
  }

  #leave() {
    this.#producing.abort();
    this.#following?.close();
    this.#following = null;
  }

  /** @param {string} key @param {Record<string, string>} [gaps] */
  #tell(key, gaps) {
    this.#words = [key, gaps];
    this.#speak();
    this.#stop.disabled = key !== "caseAnswerRuns";
    this.#ask.disabled = key === "caseAnswerRuns";
    this.element.dataset.state = key;
  }

  /** The run before is forgotten, at the hub, too. @returns {Run} */
  #newRun() {
    if (this.#run) void send(this.base, this.#run.channel, { method: "DELETE" }).catch(() => {});
    return { channel: `answers.${randomName().slice(0, 12)}`, words: say("caseAnswerText").split(/(?<= )/) };
  }

  /** @param {Run} run */
  #begin(run) {
    this.#leave();
    this.#run = run;
    this.#received = 0;
    this.#text.textContent = "";
    this.#channel.textContent = run.channel;
    remember(run);
    this.#tell("caseAnswerRuns");
    let begun = false;
    this.#following = this.hub.follow(run.channel, {
      event: ({ event, data }) => event === "message" && this.#take(data),
      state: ({ name, reason }) => {
        if (name === "live" && !begun) {
          begun = true;
          void this.#produce(run);
        }
        if (name === "closed") this.#tell("caseRefused", { why: reason ?? "" });
      },
      end: ({ reason }) => {
        this.#producing.abort();
        this.#tell("caseAnswerEnded", { reason: say(`reason_${reason ?? "done"}`) });
      },
    }, { from: "start" });
  }

  /** @param {string} word */
  #take(word) {
    this.#received += 1;
    if ((this.#text.textContent ?? "").length < LONGEST) this.#text.append(word);
  }

  /**
   * Say the words that the log does not have yet. The hub refuses them once somebody has ended the run.
   *
   * @param {Run} run
   */
  async #produce({ channel, words }) {
    const { signal } = (this.#producing = new AbortController());
    try {
      for (const word of words.slice(this.#received)) {
        if (signal.aborted) return;
        await send(this.base, channel, { data: word });
        await new Promise((resolve) => setTimeout(resolve, WORD_MS));
      }
      if (!signal.aborted && words.length) await this.#end("done");
    } catch (error) {
      this.#fail(error);
    }
  }

  /** @param {string} reason */
  async #end(reason) {
    if (!this.#run) return;
    this.#producing.abort();
    try {
      await send(this.base, this.#run.channel, { end: reason });
    } catch (error) {
      this.#fail(error);
    }
  }

  /** What a request failed by; that the run has ended is said by its end. @param {unknown} error */
  #fail(error) {
    if (!(error instanceof Refused && error.status === 409)) this.#tell("caseAnswerFailed", { why: inWords(error) });
  }
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
