// Signing in: a token becomes a cookie that no script can read, this one included. What it grants is remembered for show.

import { say } from "./words.js";

const KEY = "sse-hub session";
const section = document.querySelector("#session");
const form = document.querySelector("#sign-in");
const out = document.querySelector("#sign-out");
const answer = document.querySelector("#session-answer");
const url = new URL("api/session", document.baseURI);

function remembered() {
  try {
    return JSON.parse(localStorage.getItem(KEY) ?? "null");
  } catch {
    return null; // storage is forbidden, or holds something else
  }
}

function remember(session) {
  try {
    if (session) localStorage.setItem(KEY, JSON.stringify(session));
    else localStorage.removeItem(KEY);
  } catch {
    // the cookie is what counts
  }
}

function show() {
  const session = remembered();
  out.hidden = !session;
  if (!session) return;
  section.hidden = false;
  answer.dataset.state = "";
  answer.textContent = say("signedIn", { who: session.subject ?? "–", until: session.until });
}

async function signIn(token) {
  try {
    const response = await fetch(url, { method: "POST", headers: { Authorization: `Bearer ${token}` } });
    const said = await response.json();
    if (response.ok) {
      remember({ subject: said.subject, until: said.until });
      location.reload(); // every stream begins anew, as whoever this is now
    } else {
      answer.dataset.state = "refused";
      answer.textContent = said.detail ?? said.title;
    }
  } catch (error) {
    answer.dataset.state = "refused";
    answer.textContent = say("unreachable", { why: error.message });
  }
}

async function signOut() {
  await fetch(url, { method: "DELETE" });
  remember(null);
  location.reload();
}

/** Offer to sign in where an answer says that it takes a token. */
export function ask(response) {
  if (response.status === 401) section.hidden = false;
  return response;
}

export function begin() {
  form.addEventListener("submit", (submit) => {
    submit.preventDefault();
    signIn(form.elements.token.value.trim());
  });
  out.addEventListener("click", signOut);
  show();
}
