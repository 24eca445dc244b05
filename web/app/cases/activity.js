// An activity feed: who did what, the newest first, under the day on which it was.

import { showText } from "../inspect/characters.js";
import { make, worded } from "../make.js";
import { summary } from "../summaries.js";
import { time } from "../times.js";
import { say, spoken } from "../words.js";

const MOST = 200;
const REPLAY = 50;
const LOOK_MS = 15_000; // "2 minutes ago" is said anew
/** Types of events that describe the hub. Nobody did anything. */
const QUIET = new Set(["heartbeat", "metrics", "sensor"]);
const SIZES = /** @type {const} */ ([[86_400, "day"], [3600, "hour"], [60, "minute"]]);

/** @type {import("./place.js").Case} */
export function activity(element, { hub }) {
  const list = make("ol", "feed");
  const empty = worded("p", "caseNoActivity", "note");
  element.append(empty, list);
  const following = hub.follow("main", {
    event: (event) => {
      if (QUIET.has(event.event)) return;
      empty.hidden = true;
      add(list, event);
    },
  }, { replay: REPLAY });
  const look = () => {
    for (const each of list.querySelectorAll("time")) each.textContent = ago(Date.parse(each.dateTime));
    for (const day of list.querySelectorAll("h3")) day.textContent = time(Number(day.dataset.day), "day");
  };
  const looking = setInterval(look, LOOK_MS);
  document.addEventListener("language", look);
  return () => {
    following.close();
    clearInterval(looking);
    document.removeEventListener("language", look);
  };
}

/**
 * @param {HTMLElement} list
 * @param {import("../../client/types.js").HubEvent} event
 */
function add(list, event) {
  const ms = Date.parse(event.timestamp);
  const when = make("time", "note", ago(ms));
  when.dateTime = event.timestamp;
  when.title = time(ms, "whole");
  const words = make("span", "feed-words");
  showText(words, summary(event) || say("emptyData"));
  const type = make("span", "feed-type", event.event);
  const item = make("li", "", make("span", "feed-mark"), words, type, when);
  item.dataset.type = event.event;
  const day = new Date(ms).setHours(0, 0, 0, 0);
  const head = list.querySelector("h3");
  if (Number(head?.dataset.day) === day) head?.parentElement?.after(item);
  else {
    const title = make("h3", "", time(day, "day"));
    title.dataset.day = String(day);
    list.prepend(make("li", "feed-day", title), item);
  }
  if (list.childElementCount > MOST) list.lastElementChild?.remove();
}

/** @param {number} ms */
function ago(ms) {
  const seconds = Math.max(0, (Date.now() - ms) / 1000);
  const format = new Intl.RelativeTimeFormat(spoken(), { numeric: "auto" });
  for (const [size, unit] of SIZES) if (seconds >= size) return format.format(-Math.floor(seconds / size), unit);
  return say("caseJustNow");
}
