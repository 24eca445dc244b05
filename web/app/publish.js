// Publishing from the page, and the same as a line for a shell.

import { find } from "./dom.js";
import { block } from "./inspect/code.js";
import { publishByCurl, quoted, segment } from "./inspect/commands.js";
import { problemOf, showError, showProblem } from "./problems.js";
import { ask } from "./session.js";
import { make, worded } from "./make.js";
import { number, say } from "./words.js";

/**
 * @typedef {{url: URL, type: string, body: string, line: string}} Publication `line`: for a shell
 */

export class PublishForm {
  #base;
  #form = find("#publish", HTMLFormElement);
  #answer = find("#answer", HTMLElement);
  #code = find("#publish-code", HTMLElement);

  /** @param {string} base address of the hub */
  constructor(base) {
    this.#base = base;
    this.#form.addEventListener("input", () => this.#show());
    this.#form.addEventListener("submit", (submit) => {
      submit.preventDefault();
      void this.send();
    });
    this.#show();
  }

  async send() {
    const button = find("#send", HTMLButtonElement);
    if (button.disabled || !this.#form.reportValidity()) return;
    button.disabled = true;
    const { url, type, body } = this.#publication();
    try {
      const response = ask(await fetch(url, { method: "POST", headers: { "Content-Type": type }, body }));
      if (response.ok) this.#published(await response.json());
      else showProblem(this.#answer, await problemOf(response));
    } catch (error) {
      showError(this.#answer, error);
    }
    button.disabled = false;
  }

  /** @param {{id?: ?string, ids?: string[], count?: number, subscribers?: number}} answer */
  #published({ id, ids, count, subscribers = 0 }) {
    this.#answer.dataset.state = "published";
    const who = id ?? say("ephemeralWent");
    if (ids?.[0] && count !== 1) {
      this.#answer.textContent = say("wentMany", { count: number(count ?? 0), first: ids[0], last: ids[1] });
    } else this.#answer.textContent = say(subscribers === 1 ? "wentToOne" : "wentTo", { id: who, n: number(subscribers) });
  }

  #fields() {
    const data = new FormData(this.#form);
    const text = (/** @type {string} */ name) => String(data.get(name) ?? "");
    return {
      channel: text("channel").trim(), event: text("event").trim(), form: text("form"), end: text("end"),
      // A form sends CR LF for each line break (HTML, section 4.10.21.4). What was typed has LF.
      message: text("message").replaceAll("\r\n", "\n"), ephemeral: text("ephemeral") === "1",
    };
  }

  /** @returns {Publication} */
  #publication() {
    const { channel, event, form, end, message, ephemeral } = this.#fields();
    if (form === "broadcast") {
      const url = new URL("api/broadcast", this.#base);
      const body = `{"message":${asJson(message)},"event":${JSON.stringify(event)},"channel":${JSON.stringify(channel)}}`;
      return { url, type: "application/json", body, line: curl(url, "application/json", body) };
    }
    const url = new URL(`realtime/${segment(channel)}`, this.#base);
    if (event !== "message") url.searchParams.set("event", event);
    if (ephemeral) url.searchParams.set("ephemeral", "1");
    if (end) url.searchParams.set("end", end);
    const type = form === "lines" ? "application/x-ndjson" : "text/plain";
    const isPlain = form === "raw" && !end;
    const line = isPlain ? publishByCurl(this.#base, { channel, event, data: message, ephemeral }) : curl(url, type, message);
    return { url, type, body: message, line };
  }

  #show() {
    const form = this.#fields().form;
    for (const name of ["ephemeral", "end"]) {
      const field = this.#form.elements.namedItem(name);
      if (field instanceof HTMLInputElement || field instanceof HTMLSelectElement) {
        field.disabled = form === "broadcast" || (name === "end" && form === "lines");
      }
    }
    this.#code.replaceChildren(worded("h3", "sameWithCurl"), make("div", "as-code", block("curl", this.#publication().line)));
  }
}

/**
 * @param {URL} url
 * @param {string} type
 * @param {string} body
 */
function curl(url, type, body) {
  return `curl ${quoted(url.href)} -H ${quoted(`Content-Type: ${type}`)} --data-raw ${quoted(body)}`;
}

/**
 * A message that is JSON goes out as it was typed, because JavaScript would change some numbers. Any other is a string.
 *
 * @param {string} text
 */
function asJson(text) {
  try {
    JSON.parse(text);
    return text;
  } catch {
    return JSON.stringify(text);
  }
}
