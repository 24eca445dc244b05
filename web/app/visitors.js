// Who is connected, for whoever may see that.

import { list } from "./pages.js";
import { number, say, translate } from "./words.js";

const PERIOD_MS = 3000;
const SHOWN = 200;

const section = document.querySelector("#subscribers");
const body = section.querySelector("tbody");
const more = document.querySelector("#more-subscribers");
const template = document.querySelector("#visitor").content.firstElementChild;

function row(visitor) {
  const element = template.cloneNode(true);
  const { channels, since, lag, queued_bytes: queued, subject } = visitor;
  const shown = {
    ...visitor, channels: channels.join(" "), since: new Date(since).toLocaleTimeString(), lag: number(lag, 1),
    queued_bytes: number(queued), subject: subject ?? "–",
  };
  for (const field of element.querySelectorAll("[data-field]")) field.textContent = shown[field.dataset.field];
  element.querySelector("button").addEventListener("click", async () => {
    await fetch(`api/subscribers/${encodeURIComponent(visitor.id)}`, { method: "DELETE" });
    look();
  });
  translate(element);
  return element;
}

/** Look who is there; say whether it is worth looking again. */
async function look() {
  if (document.hidden) return true;
  try {
    let status = 200;
    const answer = await list("api/subscribers", "subscribers", {
      check: (response) => {
        status = response.status;
        return response;
      },
    });
    section.hidden = !answer;
    if (!answer) return status !== 401 && status !== 403;
    const subscribers = answer.entries;
    body.replaceChildren(...subscribers.slice(0, SHOWN).map(row));
    more.textContent = subscribers.length > SHOWN ? say("moreSubscribers", { n: number(subscribers.length - SHOWN) }) : "";
  } catch {
    // the streams say that the server is away
  }
  return true;
}

export async function begin() {
  if (await look()) {
    setTimeout(begin, PERIOD_MS);
  }
}
