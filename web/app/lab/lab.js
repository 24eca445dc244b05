// The lab: seven experiments that show what a stream does when something goes wrong. Each plays on a timeline, with the
// bytes beside it.

import { pageNow } from "../chart/clock.js";
import { parts } from "../inspect/characters.js";
import { button, make, worded } from "../make.js";
import { Timeline } from "../timeline/timeline.js";
import { number, say, spoken, translate } from "../words.js";
import * as real from "./experiments.js";
import * as simulated from "./simulated.js";
import { Refused, Stage } from "./stage.js";

const LONGEST_MS = 60_000; // an experiment that is not over by then will not be
const MOST_ENTRIES = 300; // of the bytes that are shown
const LONGEST_ENTRY = 2000;
const SPAN_MS = 20_000;

/**
 * @typedef {import("./experiments.js").Experiment} Experiment
 * @typedef {{name: string, run: Experiment, simulated: boolean}} Listed  `labTitle_…`, `labFirst_…` and `labSecond_…` are its words
 */

/** @type {Listed[]} */
export const EXPERIMENTS = [
  { name: "cut", run: real.cut, simulated: false },
  { name: "behind", run: simulated.behind, simulated: true },
  { name: "lose", run: real.lose, simulated: false },
  { name: "full", run: simulated.full, simulated: true },
  { name: "restart", run: simulated.restart, simulated: true },
  { name: "tabs", run: real.tabs, simulated: false },
  { name: "proxy", run: real.proxy, simulated: false },
];

/** The colours of the lanes; those of tabs have the second. */
const INKS = { labPublished: 1, labArrived: 2, labDirect: 2, labBuffered: 3, labQuick: 2, labSlow: 3 };

/**
 * Show the lab in an element, until it is closed.
 *
 * @param {HTMLElement} element
 * @param {{base: string|URL}} options `base`: address of the hub; ends with a slash
 * @returns {{close: () => Promise<void>}}
 */
export function lab(element, { base }) {
  const address = new URL(base, document.baseURI).href;
  const list = make("ul", "lab-list");
  const place = make("div", "lab-place");
  /** @type {?Bench} */
  let bench = null;
  const choose = (/** @type {Listed} */ listed) => {
    void bench?.close();
    bench = new Bench(listed, address);
    place.replaceChildren(bench.element);
    for (const each of list.querySelectorAll("button")) each.setAttribute("aria-pressed", String(each.name === listed.name));
  };
  list.append(...EXPERIMENTS.map((listed) => {
    const press = button(`labTitle_${listed.name}`, () => choose(listed), "lab-choose");
    press.name = listed.name;
    return make("li", "", press);
  }));
  // Its own element: the lab may be opened again while the hub has yet to answer the end of an experiment.
  const root = make("div", "lab", worded("p", "labAbout", "lab-about"), make("div", "lab-split", list, place));
  translate(root);
  element.append(root);
  choose(EXPERIMENTS[0]);
  const leave = () => void bench?.close();
  addEventListener("pagehide", leave);
  return {
    async close() {
      removeEventListener("pagehide", leave);
      root.remove();
      await bench?.close();
    },
  };
}

/** One experiment: its words, its buttons, and where it plays. */
class Bench {
  element = make("article", "lab-bench");

  /** @type {?Stage} */
  #stage = null;
  #start = button("labStart", () => this.#run(), "main");
  #cancel = button("labCancel", () => this.#stage?.close());
  #progress = make("progress");
  #step = make("p", "lab-step");
  #result = make("p", "lab-result");
  #lanes = make("div", "lab-timeline");
  #bytes = make("div", "lab-bytes");
  #began = 0;
  /** @type {Timeline<import("../timeline/timeline.js").Shown>} */
  #timeline;
  #decoder = new TextDecoder();

  /**
   * @param {Listed} listed
   * @param {string} base
   */
  constructor(listed, base) {
    this.listed = listed;
    this.base = base;
    const { name } = listed;
    this.#progress.value = 0;
    this.#progress.dataset.label = "labProgress";
    this.#step.setAttribute("role", "status");
    this.#result.setAttribute("role", "status");
    this.#bytes.tabIndex = 0;
    this.#bytes.setAttribute("role", "group");
    this.#bytes.dataset.label = "labBytes";
    this.#cancel.disabled = true;
    const words = make("div", "lab-words");
    words.append(
      worded("h3", `labTitle_${name}`),
      worded("p", `labFirst_${name}`),
      worded("p", `labSecond_${name}`),
      worded("p", listed.simulated ? "labSimulated" : name === "proxy" ? "labSimulatedProxy" : "labReal", "note lab-kind"),
      make("div", "lab-controls", this.#start, this.#cancel, this.#progress),
      this.#step, this.#result,
      worded("h4", "labTimeline"), this.#lanes,
    );
    this.element.append(words, make("div", "lab-words", worded("h4", "labBytes"), this.#bytes));
    translate(this.element);
    this.#timeline = this.#newTimeline();
  }

  #newTimeline() {
    this.#lanes.replaceChildren();
    const ink = (/** @type {string} */ lane) => {
      const channel = Object.hasOwn(INKS, lane) ? INKS[/** @type {keyof typeof INKS} */ (lane)] : 2;
      return getComputedStyle(this.element).getPropertyValue(`--channel-${channel}`).trim() || "currentcolor";
    };
    const label = (/** @type {string} */ lane) => {
      const [key, n] = lane.split(" ");
      return say(key, { n: number(Number(n)) });
    };
    return new Timeline(this.#lanes, { colour: ink, label, spanMs: SPAN_MS, lanes: ["labPublished"] });
  }

  async close() {
    await this.#stage?.close();
    this.#timeline.close();
  }

  async #run() {
    this.#timeline.close();
    this.#timeline = this.#newTimeline();
    this.#bytes.replaceChildren();
    this.#result.textContent = "";
    this.#result.removeAttribute("data-state");
    this.#began = performance.now();
    const stage = (this.#stage = new Stage(this.base, this.#show));
    let tooLong = false;
    const limit = setTimeout(() => {
      tooLong = true;
      void stage.close();
    }, LONGEST_MS);
    this.#running(true);
    try {
      this.#end("seen", await this.listed.run(stage));
      this.#progress.value = 1;
    } catch (error) {
      const cancelled = stage.signal.aborted && !tooLong;
      this.#end(cancelled ? "cancelled" : "failed", tooLong ? say("labTooLong") : cancelled ? say("labCancelled") : reason(error));
    }
    clearTimeout(limit);
    await stage.close();
    this.#timeline.hold();
    this.#running(false);
  }

  /** @param {boolean} running */
  #running(running) {
    this.element.dataset.state = running ? "running" : "idle";
    const focused = document.activeElement;
    this.#start.disabled = running;
    this.#cancel.disabled = !running;
    if (focused === this.#start && running) this.#cancel.focus();
    if (focused === this.#cancel && !running) this.#start.focus();
    if (running) this.#progress.value = 0;
  }

  /**
   * @param {string} state
   * @param {string} words
   */
  #end(state, words) {
    this.#step.textContent = "";
    this.#result.dataset.state = state;
    this.#result.textContent = words;
  }

  /** @type {import("./stage.js").Show} */
  #show = {
    progress: (done, all) => (this.#progress.value = done / all),
    say: (words) => (this.#step.textContent = words),
    wire: (direction, text) => this.#write(direction, typeof text === "string" ? text : this.#decoder.decode(text, { stream: true })),
    tick: (lane, replayed) => {
      const timestamp = new Date(pageNow()).toISOString();
      this.#timeline.add({ id: null, channel: lane, event: say(replayed ? "timelineReplayed" : "state_live"), timestamp }, { replayed });
    },
    gap: (from, to) => this.#timeline.gap(from, to),
    lost: (lane, loss) => this.#timeline.lost({ channel: lane, ...loss }),
  };

  /**
   * @param {string} direction
   * @param {string} text
   */
  #write(direction, text) {
    const bytes = this.#bytes;
    const atEnd = bytes.scrollHeight - bytes.scrollTop - bytes.clientHeight < 40;
    const seconds = (performance.now() - this.#began) / 1000;
    const cut = text.length > LONGEST_ENTRY ? `${text.slice(0, LONGEST_ENTRY)}…` : text;
    const body = make("pre", "", ...parts(cut, { breaks: true }).map(({ text: part, unseen }) => (unseen ? make("span", "unseen-sign", part) : part)));
    bytes.append(make("div", `lab-entry ${direction}`, make("span", "lab-time", secondsOf(seconds)), body));
    if (bytes.childElementCount > MOST_ENTRIES) bytes.firstElementChild?.remove();
    if (atEnd) bytes.scrollTop = bytes.scrollHeight;
  }
}

/** Seconds, all with as many digits, so that they stand below each other. @param {number} seconds */
const secondsOf = (seconds) => `${seconds.toLocaleString(spoken(), { minimumFractionDigits: 2, maximumFractionDigits: 2 })} s`;

/** @param {unknown} error */
function reason(error) {
  const why = error instanceof Error ? error.message : String(error);
  return say(error instanceof Refused ? "labRefused" : "labFailed", { why });
}
