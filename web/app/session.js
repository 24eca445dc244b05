// Signing in: a token becomes a cookie that no script can read, this one included. What it grants is remembered for show.

import { LONGEST_TIMER_MS } from "../client/backoff.js";
import { find } from "./dom.js";
import { problemOf, showError, showProblem } from "./problems.js";
import { time } from "./times.js";
import { say } from "./words.js";

const KEY = "sse-hub session";

/** @typedef {{subject: ?string, until: ?string}} Session `until`: ISO 8601 */

/** @returns {?Session} */
function remembered() {
  try {
    const stored = JSON.parse(localStorage.getItem(KEY) ?? "null");
    return stored && typeof stored === "object" ? stored : null;
  } catch {
    return null; // storage is forbidden, or holds something else
  }
}

/** @param {?Session} session */
function remember(session) {
  try {
    if (session) localStorage.setItem(KEY, JSON.stringify(session));
    else localStorage.removeItem(KEY);
  } catch {
    // the cookie is what counts
  }
}

/** @param {?Session} session */
const hasExpired = (session) => Boolean(session?.until) && Date.parse(session?.until ?? "") <= Date.now();

/** Offer to sign in where an answer says that it takes a token. A session that is refused has ended. @param {Response} response */
export function ask(response) {
  if (response.status === 401) document.dispatchEvent(new Event("token-wanted"));
  return response;
}

export class SessionDialog {
  #hub;
  #url;
  #dialog = find("#session", HTMLDialogElement);
  #answer = find("#session-answer", HTMLElement);
  #who = find("#who", HTMLButtonElement);
  #out = find("#sign-out", HTMLButtonElement);
  #timer = 0;

  /** @param {import("../client/sse.js").Hub} hub */
  constructor(hub) {
    this.#hub = hub;
    this.#url = new URL("api/session", hub.base);
    const token = find("#sign-in [name=token]", HTMLInputElement);
    find("#sign-in", HTMLFormElement).addEventListener("submit", (submit) => {
      submit.preventDefault();
      void this.#signIn(token.value.trim());
    });
    this.#out.addEventListener("click", () => void this.#signOut());
    this.#who.addEventListener("click", () => this.#dialog.showModal());
    document.addEventListener("token-wanted", () => this.#wanted());
    document.addEventListener("language", () => this.#show());
    // Somebody has signed in or out in another tab: what is shown here is not for that person.
    addEventListener("storage", ({ key }) => key === KEY && location.reload());
    this.#show();
  }

  /** The hub wants a token: offer it, and open the dialog if it is the first time. */
  #wanted() {
    if (hasExpired(remembered())) remember(null);
    const isNew = this.#who.hidden;
    this.#who.hidden = false;
    this.#show();
    if (isNew && !document.querySelector("dialog[open]")) this.#dialog.showModal();
  }

  #show() {
    const session = remembered();
    clearTimeout(this.#timer);
    if (session && hasExpired(session)) return this.#expire();
    this.#out.hidden = !session;
    if (!session) {
      this.#who.textContent = say("signIn");
      return;
    }
    const who = session.subject ?? say("somebody");
    this.#who.hidden = false;
    this.#who.textContent = who;
    this.#answer.dataset.state = "";
    this.#answer.textContent = session.until
      ? say("signedIn", { who, until: time(session.until, "whole") })
      : say("signedInForever", { who });
    if (session.until) {
      const left = Math.min(Date.parse(session.until) - Date.now(), LONGEST_TIMER_MS);
      this.#timer = Number(setTimeout(() => this.#show(), left));
    }
  }

  #expire() {
    remember(null);
    this.#who.hidden = false;
    this.#who.textContent = say("signIn");
    this.#out.hidden = true;
    this.#answer.dataset.state = "refused";
    this.#answer.textContent = say("expired");
  }

  /** Every stream begins anew, in all tabs, as the person of now; and this page shows nothing of the one before. */
  #beginAnew() {
    this.#hub.renew();
    location.reload();
  }

  /** @param {string} token */
  async #signIn(token) {
    await this.#try(async () => {
      const response = await fetch(this.#url, { method: "POST", headers: { Authorization: `Bearer ${token}` } });
      if (!response.ok) return showProblem(this.#answer, await problemOf(response));
      const { subject = null, until = null } = await response.json();
      remember({ subject, until });
      this.#beginAnew();
    });
  }

  async #signOut() {
    await this.#try(async () => {
      const response = await fetch(this.#url, { method: "DELETE" });
      if (!response.ok) return showProblem(this.#answer, await problemOf(response));
      remember(null);
      this.#beginAnew();
    });
  }

  /** @param {() => Promise<void>} act */
  async #try(act) {
    try {
      await act();
    } catch (error) {
      showError(this.#answer, error);
    }
  }
}
