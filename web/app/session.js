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

/** Every stream begins anew, in all tabs, as whoever this is now; and this page shows nothing of the one before. */
function beginAnew(hub) {
  hub.renew();
  location.reload();
}

async function signIn(hub, token) {
  try {
    const response = await fetch(url, { method: "POST", headers: { Authorization: `Bearer ${token}` } });
    const said = await response.json();
    if (response.ok) {
      remember({ subject: said.subject, until: said.until });
      beginAnew(hub);
    } else {
      answer.dataset.state = "refused";
      answer.textContent = said.detail ?? said.title;
    }
  } catch (error) {
    answer.dataset.state = "refused";
    answer.textContent = say("unreachable", { why: error.message });
  }
}

async function signOut(hub) {
  await fetch(url, { method: "DELETE" });
  remember(null);
  beginAnew(hub);
}

/** Offer to sign in where an answer says that it takes a token. */
export function ask(response) {
  if (response.status === 401) section.hidden = false;
  return response;
}

export function begin(hub) {
  form.addEventListener("submit", (submit) => {
    submit.preventDefault();
    signIn(hub, form.elements.token.value.trim());
  });
  out.addEventListener("click", () => signOut(hub));
  // Somebody has signed in or out in another tab: what is shown here is not for whoever that is.
  addEventListener("storage", ({ key }) => key === KEY && location.reload());
  show();
}
