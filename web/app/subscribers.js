// The list of subscribers, for an administrator. Rows stay in their places while a person reads or uses them.

import { copyOf, find } from "./dom.js";
import { showText } from "./inspect/characters.js";
import { list } from "./pages.js";
import { problemOf, showError, showProblem } from "./problems.js";
import { time } from "./times.js";
import { number, say } from "./words.js";

const PERIOD_MS = 3000;
const REST = 20; // of a large hub: times that reading took, until it is read again
const SHOWN = 200;
const SURE_MS = 4000; // for which a button asks whether it is meant

/**
 * @typedef {{id: string, address: string, channels: string[], since: string, lag: number, queued_bytes: number,
 *   subject: ?string}} Subscriber
 */

export class Subscribers {
  #section = find("#subscribers", HTMLElement);
  #body = find("#subscribers tbody", HTMLElement);
  #more = find("#more-subscribers", HTMLElement);
  #answer = find("#subscribers-answer", HTMLElement);
  /** @type {Map<string, HTMLElement>} */
  #rows = new Map();
  #timer = 0;
  #isOpen = false;

  /** Look, again and again, until it is closed. */
  open() {
    if (this.#isOpen) return;
    this.#isOpen = true;
    void this.#look();
  }

  close() {
    this.#isOpen = false;
    clearTimeout(this.#timer);
  }

  async #look() {
    const began = performance.now();
    const mayLook = document.hidden || (await this.#read());
    clearTimeout(this.#timer);
    if (!this.#isOpen || !mayLook) return;
    this.#timer = Number(setTimeout(() => this.#look(), Math.max(PERIOD_MS, REST * (performance.now() - began))));
  }

  /** @returns {Promise<boolean>} whether it is worth looking again */
  async #read() {
    let status = 200;
    try {
      /** @type {?{entries: Subscriber[], more: boolean}} */
      const answer = await list("api/subscribers", "subscribers", {
        check: (response) => {
          status = response.status;
          return response;
        },
      });
      this.#section.hidden = !answer;
      if (answer) this.#show(answer.entries);
    } catch {
      // the connection bar says that the server is away
    }
    return status !== 401 && status !== 403;
  }

  /** @param {Subscriber[]} subscribers */
  #show(subscribers) {
    const shown = subscribers.slice(0, SHOWN);
    const ids = new Set(shown.map(({ id }) => id));
    for (const [id, row] of this.#rows) if (!ids.has(id)) this.#remove(id, row);
    for (const subscriber of shown) {
      const row = this.#rows.get(subscriber.id) ?? this.#make(subscriber);
      fill(row, subscriber);
    }
    const rest = subscribers.length - shown.length;
    this.#more.textContent = rest > 0 ? say("moreSubscribers", { n: number(rest) }) : "";
  }

  /**
   * @param {string} id
   * @param {HTMLElement} row
   */
  #remove(id, row) {
    const hadFocus = row.contains(document.activeElement);
    const next = (row.nextElementSibling ?? row.previousElementSibling)?.querySelector("button");
    row.remove();
    this.#rows.delete(id);
    if (hadFocus) (next ?? find("#views [data-view=figures]", HTMLButtonElement)).focus();
  }

  /** @param {Subscriber} subscriber */
  #make(subscriber) {
    const row = copyOf("#visitor");
    const button = find("button", HTMLButtonElement, row);
    let sure = 0;
    const ask = () => {
      clearTimeout(sure);
      button.dataset.sure = "";
      button.textContent = say("end");
    };
    button.addEventListener("click", () => {
      if (button.dataset.sure === "yes") return void this.#end(subscriber).finally(ask);
      button.dataset.sure = "yes";
      button.textContent = say("endReally");
      sure = Number(setTimeout(ask, SURE_MS));
    });
    this.#rows.set(subscriber.id, row);
    this.#body.append(row);
    return row;
  }

  /** @param {Subscriber} subscriber */
  async #end({ id, address }) {
    try {
      const response = await fetch(`api/subscribers/${encodeURIComponent(id)}`, { method: "DELETE" });
      if (!response.ok && response.status !== 404) return showProblem(this.#answer, await problemOf(response));
      this.#answer.dataset.state = "";
      this.#answer.textContent = say("endedStream", { address });
      await this.#read();
    } catch (error) {
      showError(this.#answer, error);
    }
  }
}

/**
 * @param {HTMLElement} row
 * @param {Subscriber} subscriber
 */
function fill(row, { address, channels, since, lag, queued_bytes: queued, subject }) {
  /** @type {Record<string, string>} */
  const values = {
    address, channels: channels.join(" "), since: time(since, "short"), lag: number(lag, 1), queued: number(queued),
    subject: subject ?? "–",
  };
  for (const cell of /** @type {NodeListOf<HTMLElement>} */ (row.querySelectorAll("[data-field]"))) {
    const key = cell.dataset.field ?? "";
    cell.dataset.name = say(key);
    if (cell.title !== values[key]) showText(cell, values[key]);
    cell.title = values[key];
  }
  const button = find("button", HTMLButtonElement, row);
  if (button.dataset.sure !== "yes" && button.textContent !== say("end")) button.textContent = say("end");
  button.setAttribute("aria-description", say("endStream", { address, channels: channels.join(" ") }));
}
