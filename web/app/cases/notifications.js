// Notifications: a list with what is unread, a toast for each new one, the number of unread ones in the title, and the
// browser's own notifications while the page is hidden.

import { parsed } from "../../client/surroundings.js";
import { showText } from "../inspect/characters.js";
import { button, make, worded } from "../make.js";
import { summary } from "../summaries.js";
import { time } from "../times.js";
import { number, say, translate } from "../words.js";
import { inWords, send } from "./place.js";

const MOST = 100;
const REPLAY = 50;
const TOASTS = 3;
const TOAST_MS = 6000;
const LEVELS = ["info", "success", "warning", "error"];
const CHANNEL = "notifications";

/** @typedef {import("../../client/types.js").HubEvent} HubEvent */

/** @type {import("./place.js").Case} */
export function notifications(element, { hub, base }) {
  const notices = new Notices();
  const toasts = make("div", "toasts");
  toasts.setAttribute("role", "status");
  const answer = make("p", "note");
  answer.setAttribute("role", "status");
  const following = hub.follow(["main", CHANNEL], {
    event: (event) => {
      if (event.event !== "notification") return;
      const isNew = following.state.name === "live";
      notices.add(event, isNew);
      if (!isNew) return;
      toast(toasts, event);
      notify(event);
    },
    state: ({ name }) => (element.dataset.state = name),
  }, { replay: REPLAY });
  const publish = async () => void (answer.textContent = await testBy(base));
  const buttons = [button("caseReadAll", () => notices.readAll()), permission(), button("caseTest", publish, "main")];
  element.append(make("div", "case-form", notices.count, ...buttons), answer, notices.none, notices.list, toasts);
  translate(element);
  notices.tell();
  const speak = () => notices.tell();
  document.addEventListener("language", speak);
  return () => {
    document.removeEventListener("language", speak);
    following.close();
    document.title = notices.title;
  };
}

/** The list, and how much of it is unread. */
class Notices {
  list = make("ol", "notices");
  count = make("strong");
  none = worded("p", "caseNoNotices", "note");
  /** The title of the page without a number. */
  title = document.title;
  #unread = 0;

  constructor() {
    this.list.tabIndex = -1;
  }

  tell() {
    const unread = this.#unread;
    this.count.textContent = say(unread === 1 ? "caseOneUnread" : "caseUnread", { n: number(unread) });
    document.title = unread ? `(${unread}) ${this.title}` : this.title;
    this.none.hidden = this.list.childElementCount > 0;
  }

  /**
   * @param {HubEvent} event
   * @param {boolean} isNew
   */
  add(event, isNew) {
    const item = itemOf(event);
    if (isNew) {
      item.dataset.unread = "";
      this.#unread += 1;
      item.append(button("caseMarkRead", () => {
        this.#read(item);
        this.list.focus();
      }));
    }
    this.list.prepend(item);
    const last = this.list.lastElementChild;
    if (this.list.childElementCount > MOST && last) {
      this.#read(/** @type {HTMLElement} */ (last));
      last.remove();
    }
    this.tell();
  }

  readAll() {
    for (const item of this.list.children) this.#read(/** @type {HTMLElement} */ (item));
  }

  /** @param {HTMLElement} item */
  #read(item) {
    if (item.dataset.unread === undefined) return;
    delete item.dataset.unread;
    item.querySelector("button")?.remove();
    this.#unread -= 1;
    this.tell();
  }
}

/** Publish a notification; gives why that failed, or an empty text. @param {string} base */
async function testBy(base) {
  const data = JSON.stringify({ level: "info", title: say("caseTestTitle"), message: say("caseTestText") });
  try {
    await send(base, CHANNEL, { data, event: "notification" });
    return "";
  } catch (error) {
    return inWords(error);
  }
}

/** An event as a line of the list. @param {HubEvent} event */
function itemOf(event) {
  const words = make("span", "notice-words");
  showText(words, summary(event));
  const item = make("li", "", words, make("time", "note", time(event.timestamp, "short")));
  item.dataset.level = levelOf(event);
  return item;
}

/** @param {HubEvent} event */
function levelOf({ data }) {
  const { level } = parsed(data);
  return typeof level === "string" && LEVELS.includes(level) ? level : "info";
}

/**
 * Show an event for some seconds, unless a pointer or the focus is on it.
 *
 * @param {HTMLElement} place
 * @param {HubEvent} event
 */
function toast(place, event) {
  const words = make("span");
  showText(words, summary(event));
  const element = make("div", "toast", words);
  element.dataset.level = levelOf(event);
  const close = () => element.remove();
  const cross = button("caseClose", close);
  element.append(cross);
  let timer = setTimeout(close, TOAST_MS);
  element.addEventListener("pointerenter", () => clearTimeout(timer));
  element.addEventListener("pointerleave", () => (timer = setTimeout(close, TOAST_MS)));
  element.addEventListener("focusin", () => clearTimeout(timer));
  place.append(element);
  if (place.childElementCount > TOASTS) place.firstElementChild?.remove();
}

/** The browser's own notification, while the page cannot be seen. @param {HubEvent} event */
function notify(event) {
  if (!document.hidden || !("Notification" in globalThis) || Notification.permission !== "granted") return;
  try {
    new Notification(summary(event).slice(0, 100), { tag: event.id ?? undefined });
  } catch {
    // Chromium on Android has notifications only for service workers
  }
}

/** The button that asks for the browser's notifications, or a word on why there are none. */
function permission() {
  if (!isSecureContext || !("Notification" in globalThis)) return worded("span", "caseNoNotification", "note");
  const place = make("span");
  const show = () => {
    const { permission: given } = Notification;
    if (given === "default") place.replaceChildren(button("caseAllow", () => Notification.requestPermission().then(show)));
    else place.replaceChildren(worded("span", given === "granted" ? "caseAllowed" : "caseDenied", "note"));
  };
  show();
  return place;
}
