// Publishing from the page, and the same as a line for a shell.

import { copy } from "./copy.js";
import { ask } from "./session.js";
import { number, say } from "./words.js";

const form = document.querySelector("#publish");
const answer = document.querySelector("#answer");
const line = document.querySelector("#curl");

/** What the form asks for: a request to the hub. */
function request() {
  const { form: kind, message, event, channel, ephemeral } = Object.fromEntries(new FormData(form));
  if (kind === "broadcast") {
    const url = new URL("api/broadcast", document.baseURI);
    return { url, type: "application/json", body: JSON.stringify({ message: parsed(message), event, channel }) };
  }
  const url = new URL(`realtime/${encodeURIComponent(channel)}`, document.baseURI);
  if (event !== "message") url.searchParams.set("event", event);
  if (ephemeral) url.searchParams.set("ephemeral", "1");
  return { url, type: "text/plain", body: message };
}

/** A message that is JSON goes out as JSON, any other as text. */
function parsed(text) {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

const quote = (text) => `'${text.replaceAll("'", `'\\''`)}'`;

function show() {
  const { url, type, body } = request();
  form.elements.ephemeral.disabled = form.elements.form.value === "broadcast";
  line.textContent = `curl -H ${quote(`Content-Type: ${type}`)} --data-binary ${quote(body)} ${quote(url.href)}`;
}

async function send() {
  const { url, type, body } = request();
  try {
    const response = ask(await fetch(url, { method: "POST", headers: { "Content-Type": type }, body }));
    const said = await response.json();
    answer.dataset.state = response.ok ? "published" : "refused";
    answer.textContent = response.ok
      ? say("wentTo", { id: said.id ?? say("ephemeral"), n: number(said.subscribers) })
      : said.detail ?? said.title;
  } catch (error) {
    answer.dataset.state = "refused";
    answer.textContent = say("unreachable", { why: error.message });
  }
}

export function begin() {
  form.addEventListener("input", show);
  form.addEventListener("submit", (submit) => {
    submit.preventDefault();
    send();
  });
  document.querySelector("#copy-curl").addEventListener("click", ({ target }) => copy(line, target));
  show();
}
