// "Fall behind": a second connection that stops reading, so that one can see what a slow subscriber costs the others
// (nothing), and what it is told (what it lost).

import { EventParser } from "../client/parser.js";
import { randomName } from "../client/surroundings.js";
import { number, say } from "./words.js";

const EVENT_BYTES = 4000;
const BATCH = 200;
const MOST = 160; // batches, 128 MB; browser and kernels take in some 70 MB on behalf of whoever does not read
const MORE = 8; // batches after that: more events than the log keeps by default

/** Read a stream to the first event that `until` is true of; give each to `take`. */
async function read(reader, take) {
  const parser = new EventParser();
  for (;;) {
    const { done, value } = await reader.read();
    if (done) return;
    for (const { type, data } of parser.feed(value)) if (take(type, data)) return;
  }
}

async function post(channel, query, body, type) {
  const url = new URL(`realtime/${channel}${query}`, document.baseURI);
  const response = await fetch(url, { method: "POST", headers: { "Content-Type": type }, body });
  if (!response.ok) throw new Error((await response.json()).detail);
}

/** Whether the hub feeds somebody from the log, as its own figures say. */
async function somebodyIsBehind() {
  const response = await fetch(new URL("metrics", document.baseURI), { headers: { Accept: "text/plain" } });
  return Number(/^sse_subscribers_behind (\S+)/m.exec(await response.text())?.[1]) > 0;
}

async function fallBehind(told) {
  const channel = `behind-${randomName().slice(0, 8)}`;
  const stop = new AbortController();
  const stream = await fetch(new URL(`realtime/${channel}`, document.baseURI), { signal: stop.signal });
  const reader = stream.body.getReader();
  await reader.read(); // `connected`; from here on it does not read
  const body = `${"x".repeat(EVENT_BYTES)}\n`.repeat(BATCH);
  let sent = 0;
  for (let left = MOST; left > 0; left -= 1) {
    await post(channel, "", body, "application/x-ndjson");
    sent += BATCH;
    if (left > MORE && sent % (5 * BATCH) === 0) {
      told(say("behindRunning", { n: number((sent * EVENT_BYTES) / 1e6) }));
      if (await somebodyIsBehind()) left = MORE + 1;
    }
  }
  await post(channel, "?event=last", "", "text/plain");
  let got = 0;
  let lost = null;
  await read(reader, (type, data) => {
    if (type === "lost") lost = JSON.parse(data);
    got += type === "message";
    return type === "last";
  });
  stop.abort();
  const outcome = lost ? say("behindLost", lost) : say("behindNone");
  told(say("behindDone", { read: number(got), sent: number(sent), lost: outcome }));
}

export function begin() {
  const button = document.querySelector("#behind");
  const answer = document.querySelector("#behind-answer");
  button.addEventListener("click", async () => {
    button.disabled = true;
    try {
      await fallBehind((words) => (answer.textContent = words));
    } catch (error) {
      answer.textContent = error.message;
    }
    button.disabled = false;
  });
}
