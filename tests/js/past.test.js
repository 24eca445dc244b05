// Older events that a following wants: what is refused, and what is too much to hold meanwhile.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Follows } from "../../web/client/following.js";
import { connect } from "../../web/client/sse.js";
import { TestHub, until } from "./hub.js";

/** A following with a past, and what comes to it. */
function follow(t, hub, channels, start, options) {
  const found = { got: [], states: [], problems: [], losses: [], tab: connect(hub.url, options) };
  t.after(() => found.tab.close());
  found.following = found.tab.follow(
    channels,
    {
      event: ({ data }) => found.got.push(data),
      state: ({ name }) => found.states.push(name),
      problem: ({ detail }) => found.problems.push(detail),
      lost: (loss) => found.losses.push(loss),
    },
    start,
  );
  found.live = () => until(() => found.states.at(-1) === "live");
  return found;
}

test("a past that is refused is a problem, and what comes from now on comes", async (t) => {
  const refuse = (_, { url }) =>
    url.includes("replay=20000") ? { status: 400, title: "Bad Request", detail: "at most 10000" } : null;
  const hub = await TestHub.run(t, { refuse });
  const found = follow(t, hub, "main", { replay: 20_000 });
  await found.live();
  assert.deepEqual(found.problems, ["at most 10000"]);
  hub.publish("a");
  await until(() => found.got.length === 1);
});

test("a past with an event that is too large is a problem", async (t) => {
  const hub = await TestHub.run(t);
  const id = hub.publish("before");
  hub.publish("x".repeat(17 << 20));
  const found = follow(t, hub, "main", { after: id });
  await found.live();
  assert.match(found.problems[0], /larger than/);
});

const NAMES = Array.from({ length: 150 }, (_, n) => `c${n}`); // two parts
const MANY = 20_003; // more than are held

/**
 * A following of these channels after `id`. The part of its past with the channel `slow` is asked for when `goOn` is
 * called; with `answered`, it is asked for at once, and its answer comes then.
 */
async function followInParts(t, hub, id, { channels = NAMES, slow = "c149", answered = false } = {}) {
  let asked;
  let goOn;
  const reached = new Promise((resolve) => (asked = resolve));
  const gate = new Promise((resolve) => (goOn = resolve));
  const isSlow = ({ searchParams }) => searchParams.has("lastEventId") && searchParams.getAll("channel").includes(slow);
  const fetchSlowly = async (url, options) => {
    const response = answered ? await fetch(url, options) : null;
    if (isSlow(url)) {
      asked();
      await gate;
    }
    return response ?? fetch(url, options);
  };
  const found = follow(t, hub, channels, { after: id }, { fetch: fetchSlowly });
  await reached;
  let live = 0; // by a following that waits for no past
  found.tab.follow(channels.filter((name) => name === "c0" || name === "c149"), { event: () => (live += 1) });
  return { ...found, goOn, seen: (count) => until(() => live === count) };
}

/** Refuse the past of a channel from now on. */
function refusePast(hub, channel) {
  hub.refuse = (channels, { url }) =>
    channels.includes(channel) && url.includes("lastEventId") ? { status: 403, title: "No", detail: "no" } : null;
}

test("what is too much to hold is brought for every part", async (t) => {
  const hub = await TestHub.run(t);
  const id = hub.publish("before");
  const found = await followInParts(t, hub, id);
  const data = Array.from({ length: MANY }, (_, n) => String(n));
  for (const each of data) hub.publish(each, "c0");
  await found.seen(MANY);
  hub.publish("the last", "c149");
  found.goOn();
  await found.live();
  await until(() => found.got.includes("the last"));
  assert.deepEqual(found.got.filter((each) => each !== "the last"), data);
  assert.deepEqual(found.losses, []);
});

test("what comes for a part that is refused does not wait for the others, however much it is", async (t) => {
  const isPast = ({ url }) => url.includes("lastEventId");
  const refuse = (channels, request) =>
    isPast(request) && channels.includes("c0") ? { status: 403, title: "Forbidden", detail: "no past" } : null;
  const hub = await TestHub.run(t, { refuse });
  const id = hub.publish("before");
  const found = await followInParts(t, hub, id);
  const data = Array.from({ length: MANY }, (_, n) => String(n));
  for (const each of data) hub.publish(each, "c0");
  await found.seen(MANY);
  assert.deepEqual(found.got, data);
  found.goOn();
  await found.live();
  assert.deepEqual([found.got, found.problems, found.losses], [data, ["no past"], []]);
});

test("what was too much to hold is lost with a word if the past is refused after that", async (t) => {
  const hub = await TestHub.run(t);
  const id = hub.publish("before");
  const found = await followInParts(t, hub, id);
  for (let n = 0; n < MANY; n += 1) hub.publish(String(n), "c149");
  await found.seen(MANY);
  refusePast(hub, "c149");
  found.goOn();
  await found.live();
  assert.deepEqual([found.problems, found.losses.length], [["no"], 1]);
  assert.deepEqual(found.got, ["20001", "20002"]);
});

test("what was too much to hold is lost with a word if the past is refused when it is asked for again", async (t) => {
  const hub = await TestHub.run(t);
  const id = hub.publish("before");
  const found = await followInParts(t, hub, id, { channels: ["c0"], slow: "c0", answered: true });
  for (let n = 0; n < MANY; n += 1) hub.publish(String(n), "c0");
  await found.seen(MANY);
  refusePast(hub, "c0");
  found.goOn();
  await found.live();
  assert.deepEqual([found.problems, found.losses], [["no"], [{ after: id, next: "20002-0" }]]);
  assert.deepEqual(found.got, ["20001", "20002"]);
});

test("what was too much to hold is lost with a word if a later part is refused", async (t) => {
  const hub = await TestHub.run(t);
  const id = hub.publish("before");
  const found = await followInParts(t, hub, id, { slow: "c0" });
  for (let n = 0; n < MANY; n += 1) hub.publish(String(n), "c149");
  await found.seen(MANY);
  refusePast(hub, "c149");
  found.goOn();
  await found.live();
  assert.deepEqual([found.problems, found.losses], [["no"], [{ after: id, next: "20002-0" }]]);
  assert.deepEqual(found.got, ["20001", "20002"]);
});

test("while one channel cannot be had, no more than a limit is held of the others", async (t) => {
  const hub = await TestHub.run(t, { refuse: () => ({ status: 403, title: "No" }) });
  const [got, losses] = [[], []];
  const home = { settings: { base: hub.url }, leave: () => {}, changed: () => {} };
  const listener = { event: ({ data }) => got.push(data), lost: (loss) => losses.push(loss) };
  const following = new Follows(home, ["busy", "away"], listener, { replay: 20 });
  t.after(() => following.close());
  following.hear(["busy"], { name: "live" });
  following.hear(["away"], { name: "waiting" });
  for (let n = 0; n < MANY; n += 1) following.take({ id: `${n}-0`, channel: "busy", event: "t", data: String(n) }, ["busy"]);
  following.hear(["away"], { name: "live" });
  await until(() => following.state.name === "live");
  assert.deepEqual(got, ["20001", "20002"]); // the past, which would have brought the others, is refused
  assert.deepEqual(losses, [{ after: "", next: "20000-0" }]);
});

test("a following that is closed when its past is refused asks for nothing more", async (t) => {
  const refuse = (channels, { url }) =>
    url.includes("lastEventId") && channels.includes("c0") ? { status: 403, title: "Forbidden" } : null;
  const hub = await TestHub.run(t, { refuse });
  const tab = connect(hub.url);
  t.after(() => tab.close());
  const id = hub.publish("before");
  const other = tab.follow("other", {});
  await new Promise((resolve) => {
    const following = tab.follow(NAMES, { problem: () => resolve(following.close()) }, { after: id });
  });
  hub.publish("after", "other");
  await until(() => hub.asked.at(-1).url.searchParams.getAll("channel").length === 1 && other.state.name === "live");
  const isSecond = ({ searchParams }) => searchParams.has("lastEventId") && searchParams.get("channel") === "c100";
  assert.deepEqual(hub.asked.filter(({ url }) => isSecond(url)), []);
});
