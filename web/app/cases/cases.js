// The use cases as presets, opened by a link: `/#case=sensors`. Each says in a sentence what it shows, and how it is
// followed in code.

import { followBySseJs } from "../inspect/commands.js";
import { block } from "../inspect/code.js";
import { make, worded } from "../make.js";
import { translate } from "../words.js";
import { activity } from "./activity.js";
import { answer } from "./answer.js";
import { dashboard } from "./dashboard.js";
import { monitoring } from "./monitoring.js";
import { notifications } from "./notifications.js";
import { sensors } from "./sensors.js";

/**
 * @typedef {import("./place.js").Case} Case
 * @typedef {object} Listed
 * @property {string} name  in the address
 * @property {string} title  key of its title in the dictionary
 * @property {string} about  key of its description
 * @property {Case} open
 * @property {{channels: string[], query: Record<string, string>}} followed  what it follows
 */

/** @type {Listed[]} */
export const CASES = [
  { name: "dashboard", title: "caseDashboard", about: "caseDashboardAbout", open: dashboard, followed: { channels: ["metrics"], query: { replay: "300" } } },
  { name: "notifications", title: "caseNotifications", about: "caseNotificationsAbout", open: notifications, followed: { channels: ["main", "notifications"], query: { replay: "50" } } },
  { name: "monitoring", title: "caseMonitoring", about: "caseMonitoringAbout", open: monitoring, followed: { channels: ["metrics", "main"], query: { replay: "latest" } } },
  { name: "sensors", title: "caseSensors", about: "caseSensorsAbout", open: sensors, followed: { channels: ["main"], query: { replay: "300" } } },
  { name: "activity", title: "caseActivity", about: "caseActivityAbout", open: activity, followed: { channels: ["main"], query: { replay: "50" } } },
  { name: "answer", title: "caseAnswer", about: "caseAnswerAbout", open: answer, followed: { channels: ["answers.42"], query: { from: "start" } } },
];

/**
 * Show a case in an element, until it is closed.
 *
 * @param {HTMLElement} element
 * @param {string} name
 * @param {{hub: import("../../client/types.js").Hub, base: string|URL}} surroundings
 * @returns {{close: () => void}}
 */
export function openCase(element, name, { hub, base }) {
  const listed = CASES.find((each) => each.name === name);
  if (!listed) {
    element.replaceChildren(worded("p", "caseUnknown"), links());
    return { close: () => element.replaceChildren() };
  }
  const address = new URL(base, document.baseURI).href;
  const place = make("div", `case case-${name}`);
  const code = make("details", "case-code", worded("summary", "caseCode"), block("sse.js", followBySseJs({ base: address, ...listed.followed })));
  element.replaceChildren(worded("p", listed.about, "case-about"), place, code);
  const close = listed.open(place, { hub, base: address });
  translate(element);
  return {
    close() {
      close();
      element.replaceChildren();
    },
  };
}

/** Links to all cases. */
export function links() {
  return make("ul", "case-links", ...CASES.map(({ name, title, about }) => {
    const link = worded("a", title);
    link.href = `#case=${name}`;
    return make("li", "", link, worded("span", about, "note"));
  }));
}
