// Experiments with the real hub. Each publishes a few dozen small events on a channel of its own, and gives the words
// for what was seen.

import { randomName } from "../../client/surroundings.js";
import { number, say } from "../words.js";
import { buffering } from "./tap.js";

/** @typedef {import("./stage.js").Stage} Stage */

/** Gives back what was seen. @typedef {(stage: Stage) => Promise<string>} Experiment */

const EVENTS = 12;
const EVERY_MS = 500;

/** Cut the connection and resume. @type {Experiment} */
export async function cut(stage) {
  const channel = stage.channel();
  const hub = stage.connect();
  /** @type {number[]} */
  const seen = [];
  let replayed = 0;
  let state = "";
  stage.step("labConnecting");
  stage.follow(hub, channel, {
    state: (name) => (state = name),
    event: ({ data }, old) => {
      seen.push(JSON.parse(data).n);
      replayed += Number(old);
    },
  });
  await stage.until(() => state === "live");
  for (let n = 1; n <= EVENTS; n += 1) {
    if (n === 5) {
      stage.step("labCutting");
      hub.cut();
    }
    await stage.publish(channel, { n });
    stage.show.progress(n, EVENTS + 1);
    await stage.pause(EVERY_MS);
  }
  stage.step("labWaitingForAll");
  await stage.until(() => seen.length >= EVENTS);
  const whole = seen.every((n, at) => n === at + 1) && seen.length === EVENTS;
  return say(whole ? "labCutSeen" : "labCutFailed", { n: number(EVENTS), replayed: number(replayed) });
}

/** Lose events and be told. @type {Experiment} */
export async function lose(stage) {
  const channel = stage.channel();
  const hub = stage.connect();
  /** @type {number[]} */
  const seen = [];
  /** @type {{after: string, next: string}[]} */
  const losses = [];
  let state = "";
  stage.step("labConnecting");
  stage.follow(hub, channel, {
    state: (name) => (state = name),
    event: ({ data }) => seen.push(JSON.parse(data).n),
    lost: (loss) => losses.push(loss),
  });
  await stage.until(() => state === "live");
  for (let n = 1; n <= 8; n += 1) {
    if (n === 4) {
      stage.step("labCutting");
      hub.cut();
      await stage.until(() => state !== "live");
    }
    await stage.publish(channel, { n });
    stage.show.progress(n, 9);
    if (n === 6) {
      stage.step("labForgetting");
      await stage.forget(channel, true);
    }
    await stage.pause(n < 4 || n > 6 ? EVERY_MS : 100);
  }
  stage.step("labWaitingForAll");
  await stage.until(() => seen.includes(8) && losses.length > 0);
  return say("labLoseSeen", { seen: seen.join(", "), ...losses[0] });
}

/** Seven tabs with one connection. @type {Experiment} */
export async function tabs(stage) {
  if (!navigator.locks || !globalThis.BroadcastChannel) return say("labTabsInsecure");
  const channel = stage.channel();
  const identity = `lab ${randomName()}`;
  let requests = 0;
  const way = (/** @type {RequestInfo|URL} */ resource, /** @type {RequestInit|undefined} */ options) => {
    requests += 1;
    return fetch(resource, options);
  };
  const counts = new Array(7).fill(0);
  const states = new Array(7).fill("");
  stage.step("labTabsOpening");
  const hubs = counts.map((_, at) => {
    const hub = stage.connect({ way, shared: true, identity });
    stage.follow(hub, channel, {
      lane: `labTab ${at + 1}`, state: (name) => (states[at] = name), event: () => (counts[at] += 1),
    });
    return hub;
  });
  await stage.until(() => states.every((name) => name === "live"));
  await stage.pause(800); // the newcomers have been let in, and the last beginning is over
  const before = requests;
  for (let n = 1; n <= 6; n += 1) {
    await stage.publish(channel, { n });
    stage.show.progress(n, 13);
    await stage.pause(EVERY_MS);
  }
  await stage.until(() => counts.every((count) => count === 6));
  const leader = hubs.findIndex(({ leads }) => leads);
  stage.step("labTabsClosing", { n: number(leader + 1) });
  hubs[leader].close();
  for (let n = 7; n <= 12; n += 1) {
    await stage.publish(channel, { n });
    stage.show.progress(n, 13);
    await stage.pause(EVERY_MS);
  }
  await stage.until(() => counts.every((count, at) => at === leader || count === 12));
  const next = hubs.findIndex(({ leads }, at) => leads && at !== leader);
  return say("labTabsSeen", { before: number(before), leader: number(leader + 1), next: number(next + 1) });
}

/** A proxy that buffers. @type {Experiment} */
export async function proxy(stage) {
  const channel = stage.channel();
  const direct = stage.connect({ watched: false });
  const buffered = stage.connect({ way: buffering(1500) });
  const states = { direct: "", buffered: "" };
  let [late, worst, count] = [0, 0, 0];
  /** @type {Map<number, number>} */
  const publishedAt = new Map();
  stage.step("labProxyConnecting");
  stage.follow(direct, channel, { lane: "labDirect", state: (name) => (states.direct = name) });
  stage.follow(buffered, channel, {
    lane: "labBuffered",
    state: (name) => (states.buffered = name),
    event: ({ data }) => {
      const { n } = JSON.parse(data);
      const waited = performance.now() - (publishedAt.get(n) ?? performance.now());
      late += waited;
      worst = Math.max(worst, waited);
      count += 1;
    },
  });
  await stage.until(() => states.direct === "live");
  stage.step("labProxyPublishing");
  for (let n = 1; n <= 30; n += 1) {
    publishedAt.set(n, performance.now());
    await stage.publish(channel, { n, text: "A small event, as most are." });
    stage.show.progress(n, 31);
    await stage.pause(300);
  }
  if (!count) return say("labProxyNothing");
  return say("labProxySeen", { n: number(count), mean: number(late / count / 1000, 1), worst: number(worst / 1000, 1), left: number(30 - count) });
}
