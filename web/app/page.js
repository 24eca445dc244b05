// The page: one connection to the hub, and the parts that show what it brings. What comes from outside becomes text,
// never markup.

import * as behind from "./behind.js";
import { csv, ndjson, save } from "./files.js";
import * as figures from "./figures.js";
import { EventLog } from "./log.js";
import { list } from "./pages.js";
import * as publish from "./publish.js";
import * as session from "./session.js";
import { connect } from "../client/sse.js";
import * as streams from "./streams.js";
import { choose, view } from "./view.js";
import * as visitors from "./visitors.js";
import { browserLanguage, speak } from "./words.js";

const OFFERED_MS = 5000;
const OFFERED = 5000; // names that are offered; of more, a person types the beginning
const REST = 20; // the lists of a large hub are long: times that reading one took, until it is read again

const theme = document.querySelector("#theme");
const language = document.querySelector("#language");

function dress() {
  document.documentElement.dataset.theme = view.theme;
  theme.value = view.theme;
}

/** Offer the channels that exist wherever one can be named. */
async function offer() {
  const began = performance.now();
  if (!document.hidden) await readNames();
  setTimeout(offer, Math.max(OFFERED_MS, REST * (performance.now() - began)));
}

async function readNames() {
  try {
    const { entries = [] } = (await list("api/channels", "channels", { most: OFFERED, check: session.ask })) ?? {};
    const names = entries.map(({ name }) => name);
    const offered = document.querySelector("#channels");
    if ([...offered.options].map(({ value }) => value).join() !== names.join()) {
      offered.replaceChildren(...names.map((name) => new Option(name, name)));
    }
  } catch {
    // the streams say that the server is away
  }
}

dress();
language.value = view.language || browserLanguage();
speak(language.value);
theme.addEventListener("input", () => {
  choose({ theme: theme.value });
  dress();
});
language.addEventListener("input", () => {
  choose({ language: language.value });
  speak(language.value);
});

const hub = connect(".");
const log = new EventLog();
document.querySelector("#save-ndjson").addEventListener("click", () => {
  save("events.ndjson", "application/x-ndjson", ndjson(log.matching));
});
document.querySelector("#save-csv").addEventListener("click", () => save("events.csv", "text/csv", csv(log.matching)));

session.begin(hub);
streams.begin(hub, log);
figures.begin(hub);
publish.begin();
behind.begin();
visitors.begin();
offer();
