// Monitoring: is all well? Figures with limits, the health of the hub, and what has given an alarm.

import { parsed } from "../../client/surroundings.js";
import { withUnit } from "../chart/units.js";
import { showText } from "../inspect/characters.js";
import { make, worded } from "../make.js";
import { summary } from "../summaries.js";
import { time } from "../times.js";
import { say, translate } from "../words.js";

const HEALTH_MS = 10_000;
const STALE_MS = 10_000; // figures that are older say nothing
const LOOK_MS = 1000;
const ALARMS = 50;

/** @typedef {"ok"|"warning"|"critical"|"unknown"} Verdict */

/** Figure, its words, its unit, and where it becomes a warning and critical. */
const CHECKS = /** @type {const} */ ([
  ["cpu_percent", "figureCpu", "%", 80, 95], ["memory_percent", "figureMemory", "%", 85, 95],
  ["error_rate", "figureErrors", "ratio", 0.01, 0.05], ["subscribers", "figureSubscribers", "", 5000, 9000],
]);

/** A line of the list of checks. */
class Check {
  /** @type {Verdict} */
  verdict = "unknown";
  #since = Date.now();
  #state = make("span", "check-state");
  #value = make("td", "check-value", "–");
  #sinceCell = make("td", "note");

  /** @param {string} words @param {string} [limits] */
  constructor(words, limits = "") {
    const name = worded("th", words);
    name.scope = "row";
    this.element = make("tr", "", name, make("td", "", this.#state), this.#value, make("td", "note check-limits", limits), this.#sinceCell);
    this.show();
  }

  /**
   * @param {Verdict} verdict
   * @param {string} value
   */
  set(verdict, value) {
    if (verdict !== this.verdict) this.#since = Date.now();
    this.verdict = verdict;
    this.#value.textContent = value;
    this.show();
  }

  show() {
    this.#state.dataset.verdict = this.verdict;
    this.#state.textContent = say(`verdict_${this.verdict}`);
    this.#sinceCell.textContent = time(this.#since, "short");
  }
}

/** @type {import("./place.js").Case} */
export function monitoring(element, { hub, base }) {
  const health = new Check("caseHealth");
  const checks = CHECKS.map(([figure, words, unit, warning, critical]) => {
    const limits = `≥ ${withUnit(warning, unit)} · ≥ ${withUnit(critical, unit)}`;
    return { figure, unit, warning, critical, line: new Check(words, limits) };
  });
  const overall = make("p", "overall");
  overall.setAttribute("role", "status");
  const alarms = make("ol", "alarms");
  const noAlarms = worded("p", "caseNoAlarms", "note");
  const lines = [health, ...checks.map(({ line }) => line)];
  element.append(overall, make("div", "wide-table", tableOf(lines)), worded("h3", "caseAlarms"), noAlarms, alarms);
  let heard = -Infinity;

  function look() {
    if (performance.now() - heard > STALE_MS) for (const { line } of checks) line.set("unknown", "–");
    const verdicts = lines.map(({ verdict }) => verdict);
    const worst = /** @type {Verdict[]} */ (["critical", "warning", "unknown", "ok"]).find((each) => verdicts.includes(each)) ?? "ok";
    const words = say(`overall_${worst}`);
    if (overall.textContent !== words) overall.textContent = words; // what is said once is not said again
    overall.dataset.verdict = worst;
  }

  const ask = () => askHealth(base, health).then(look);

  const figures = hub.follow("metrics", {
    event: ({ event, data }) => {
      if (event !== "metrics") return;
      heard = performance.now();
      const values = parsed(data);
      for (const { figure, unit, warning, critical, line } of checks) {
        const value = values[figure];
        if (typeof value !== "number") line.set("unknown", "–");
        else line.set(value >= critical ? "critical" : value >= warning ? "warning" : "ok", withUnit(value, unit));
      }
      look();
    },
  }, { replay: "latest" });

  const messages = followAlarms(hub, alarms, noAlarms);
  const speak = () => {
    for (const line of lines) line.show();
    look();
  };
  translate(element);
  look();
  void ask();
  const timers = [setInterval(look, LOOK_MS), setInterval(ask, HEALTH_MS)];
  document.addEventListener("language", speak);
  return () => {
    timers.forEach(clearInterval);
    document.removeEventListener("language", speak);
    figures.close();
    messages.close();
  };
}

/**
 * Put what gives an alarm into a list, the newest first.
 *
 * @param {import("../../client/types.js").Hub} hub
 * @param {HTMLElement} alarms
 * @param {HTMLElement} none shown while there are none
 */
function followAlarms(hub, alarms, none) {
  return hub.follow("main", {
    event: (event) => {
      const alarm = alarmOf(event);
      if (!alarm) return;
      none.hidden = true;
      alarms.prepend(alarm);
      if (alarms.childElementCount > ALARMS) alarms.lastElementChild?.remove();
    },
  }, { replay: 200 });
}

/**
 * Ask the hub how it is.
 *
 * @param {string} base
 * @param {Check} health
 */
async function askHealth(base, health) {
  try {
    const response = await fetch(new URL("health", base));
    const { status = "", reason = "" } = await response.json();
    health.set(response.ok ? "ok" : "critical", [status, reason].filter(Boolean).join(": "));
  } catch {
    health.set("critical", say("caseNoAnswer"));
  }
}

/** @param {Check[]} lines */
function tableOf(lines) {
  const keys = ["caseCheck", "caseState", "caseColumnValue", "caseLimits", "caseSinceWhen"];
  const head = keys.map((key) => Object.assign(worded("th", key), { scope: "col" }));
  return make("table", "checks", make("thead", "", make("tr", "", ...head)), make("tbody", "", ...lines.map(({ element }) => element)));
}

/** An event as a line of the alarms; null if it is none. @param {import("../../client/types.js").HubEvent} event */
function alarmOf(event) {
  const { level } = parsed(event.data);
  const grave = event.event === "error" || level === "error" || level === "critical";
  if (!grave && level !== "warning") return null;
  const words = make("span", "");
  showText(words, summary(event));
  const item = make("li", "", make("time", "note", time(event.timestamp, "short")), words);
  item.dataset.verdict = grave ? "critical" : "warning";
  return item;
}
