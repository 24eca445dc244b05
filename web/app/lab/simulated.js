// Experiments with a hub in the page: no visitor may make the real one full or restart it, and a browser reads tens of
// megabytes on behalf of a page that does not read.

import { number, say } from "../words.js";
import { PageHub } from "./hub.js";

/**
 * @typedef {import("./stage.js").Stage} Stage
 * @typedef {import("./experiments.js").Experiment} Experiment
 */

/** Fall behind and be fed from the log. @type {Experiment} */
export async function behind(stage) {
  const hub = new PageHub("lab.simulated", { buffered: 6 });
  stage.later(() => hub.stop());
  let open = () => {};
  let gate = Promise.resolve();
  const slow = valve(hub.fetch, () => gate);
  const counts = { slow: 0, quick: 0 };
  const states = { slow: "", quick: "" };
  let fell = false;
  stage.step("labConnecting");
  stage.follow(stage.connect({ way: slow }), "lab.simulated", {
    lane: "labSlow", state: (name) => (states.slow = name), event: () => (counts.slow += 1),
  });
  stage.follow(stage.connect({ way: hub.fetch, watched: false }), "lab.simulated", {
    lane: "labQuick", state: (name) => (states.quick = name), event: () => (counts.quick += 1),
  });
  await stage.until(() => states.slow === "live" && states.quick === "live");
  const all = 40;
  for (let n = 1; n <= all; n += 1) {
    if (n === 8) {
      stage.step("labStopsReading");
      gate = new Promise((resolve) => (open = () => resolve(undefined)));
      stage.later(() => open());
    }
    hub.publish({ n });
    stage.published();
    stage.show.progress(n, all + 1);
    const late = [...hub.readers].some(({ live }) => !live);
    if (late && !fell) {
      fell = true;
      stage.step("labFellBehind", { n: number(n) });
    }
    if (n === 30) {
      stage.step("labReadsAgain", { slow: number(counts.slow), quick: number(counts.quick) });
      open();
    }
    await stage.pause(150);
  }
  await stage.until(() => counts.slow === all && [...hub.readers].every(({ live }) => live));
  return say("labBehindSeen", { n: number(all) });
}

/** A hub that is full. @type {Experiment} */
export async function full(stage) {
  const hub = new PageHub("lab.simulated", { places: 1, retry: 1500 });
  stage.later(() => hub.stop());
  const other = new AbortController();
  stage.later(() => other.abort());
  await hub.fetch("https://simulated.invalid/stream", { signal: other.signal }); // takes the only place
  const seen = { state: "", attempts: 0, events: 0 };
  stage.step("labFullConnecting");
  const page = stage.connect({ way: hub.fetch });
  stage.follow(page, "lab.simulated", {
    state: (name) => {
      seen.state = name;
      seen.attempts += Number(name === "waiting");
      stage.show.progress(Math.min(seen.attempts, 3), 4);
    },
    event: () => (seen.events += 1),
  });
  await stage.until(() => seen.attempts >= 2);
  stage.step("labFullLeaves");
  other.abort();
  await stage.until(() => seen.state === "live");
  const { attempts } = seen;
  for (let n = 1; n <= 3; n += 1) {
    hub.publish({ n });
    stage.published();
    await stage.pause(400);
  }
  await stage.until(() => seen.events === 3);
  return say("labFullSeen", { n: number(attempts) });
}

/** A hub that restarts. @type {Experiment} */
export async function restart(stage) {
  const hub = new PageHub("lab.simulated", { retry: 1200 });
  stage.later(() => hub.stop());
  /** @type {number[]} */
  const seen = [];
  let state = "";
  let replayed = 0;
  let waits = 0;
  stage.step("labConnecting");
  stage.follow(stage.connect({ way: hub.fetch }), "lab.simulated", {
    state: (name) => {
      waits += Number(name === "waiting");
      state = name;
    },
    event: ({ data }, old) => {
      seen.push(JSON.parse(data).n);
      replayed += Number(old);
    },
  });
  await stage.until(() => state === "live");
  for (let n = 1; n <= 12; n += 1) {
    if (n === 5) {
      stage.step("labRestartStops");
      hub.stop();
      await stage.pause(2500);
    }
    if (n === 8) {
      stage.step("labRestartStarts");
      hub.up = true;
    }
    hub.publish({ n });
    stage.published(); // another node takes what is published meanwhile, into the same store
    stage.show.progress(n, 13);
    await stage.pause(500);
  }
  await stage.until(() => seen.length === 12);
  return say("labRestartSeen", { replayed: number(replayed), waits: number(waits) });
}

/**
 * A way with a reader that can stop reading.
 *
 * @param {typeof fetch} way
 * @param {() => Promise<void>} gate  resolves when the reader may go on
 * @returns {typeof fetch}
 */
function valve(way, gate) {
  return async (resource, options) => {
    const { body, status, headers } = await way(resource, options);
    const waiting = new TransformStream(
      {
        async transform(chunk, out) {
          await gate();
          out.enqueue(chunk);
        },
      },
      { highWaterMark: 1 },
      { highWaterMark: 0 },
    );
    return new Response(body?.pipeThrough(waiting), { status, headers });
  };
}
