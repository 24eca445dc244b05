// The streams of a tab that leads, without a team.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Streams } from "../../web/client/streams.js";
import { TestHub, until } from "./hub.js";

/** Streams of a hub, and what comes by them. */
function streamsOf(t, hub) {
  const messages = [];
  const streams = new Streams({ base: hub.url }, (message) => messages.push(message), () => {});
  t.after(() => streams.close());
  const data = (topic) =>
    messages
      .flatMap(({ events = [] }) => events)
      .filter(({ topics }) => topics.includes(topic))
      .map(({ event }) => event.data);
  return { streams, messages, data };
}

test("a tab gets what it lacks of a channel that has yet to begin for others", async (t) => {
  const hub = await TestHub.run(t);
  const seen = hub.publish("seen");
  hub.publish("missed", "other");
  const { streams, data } = streamsOf(t, hub);
  streams.want(new Map([["main", seen]]));
  streams.want(new Map([["main", null], ["other", null]]));
  streams.want(new Map([["main", null], ["other", seen]]));
  await until(() => data("other").length === 1);
  assert.deepEqual(data("other"), ["missed"]);
});

test("a channel that has yet to begin is not taken for one of which everything has come", async (t) => {
  const hub = await TestHub.run(t);
  const seen = hub.publish("seen");
  hub.publish("a");
  hub.publish("older than the wish", "other");
  const { streams, messages, data } = streamsOf(t, hub);
  const complete = () => messages.filter(({ kind }) => kind === "events").at(-1);
  streams.want(new Map([["main", seen], ["quiet", seen]]));
  streams.want(new Map([["main", null], ["quiet", null], ["other", null]]));
  await until(() => messages.some(({ state }) => state?.name === "live"));
  assert.deepEqual([complete().topics, data("other")], [["main", "quiet"], []]);
  hub.publish("b");
  await until(() => complete().cursor === "4-0");
  assert.deepEqual(complete().topics, ["main", "quiet", "other"]);
});

/** Streams with a busy channel and a quiet one that was refused while the hub forgot what the busy one had had. */
async function streamsWithALoss(t) {
  const hub = await TestHub.run(t);
  const found = streamsOf(t, hub);
  const wanted = new Map([["busy", null], ["quiet", null]]);
  const live = () => until(() => found.messages.at(-1)?.state?.name === "live");
  found.streams.want(wanted);
  await live();
  hub.publish("a", "quiet");
  await until(() => found.data("quiet").length === 1);
  hub.refuse = (channels) => (channels.includes("quiet") ? { status: 403, title: "Forbidden" } : null);
  hub.cut();
  await live();
  hub.publish("b", "quiet");
  hub.publish("c", "busy");
  await until(() => found.data("busy").length === 1);
  hub.trim("busy");
  hub.refuse = () => null;
  found.streams.want(wanted, { renew: true });
  await until(() => found.data("quiet").length === 2);
  return { ...found, hub, wanted, losses: found.messages.filter(({ kind }) => kind === "lost") };
}

test("a channel that was refused for long does not let those beside it report a loss", async (t) => {
  const { hub, data, losses } = await streamsWithALoss(t);
  await until(() => hub.streams.size === 2);
  for (const channel of ["busy", "quiet"]) hub.publish("d", channel);
  await until(() => data("busy").length === 2 && data("quiet").length === 3);
  assert.deepEqual([data("busy"), data("quiet"), losses], [["c", "d"], ["a", "b", "d"], []]);
});

test("channels that were separated share a stream again when there is no other room", async (t) => {
  const { hub, streams, messages, data, wanted } = await streamsWithALoss(t);
  const others = ["x 100", "x 200", "x 300"].map((topic) => /** @type {const} */ ([topic, null]));
  streams.want(new Map([...wanted, ...others]));
  await until(() => hub.streams.size === 4);
  assert.deepEqual(streams.facts.map(({ channels }) => channels.length).sort(), [1, 1, 1, 2]);
  for (const channel of ["busy", "quiet"]) hub.publish("d", channel);
  await until(() => data("busy").at(-1) === "d" && data("quiet").at(-1) === "d");
  assert.deepEqual(messages.filter(({ kind }) => kind === "problem").length, 1);
});

test("a channel is not closed because a tab joins while another one is found to be refused", async (t) => {
  const hub = await TestHub.run(t);
  const { streams, messages } = streamsOf(t, hub);
  const wanted = new Map([["main", null], ["secret", null]]);
  hub.refuse = (channels) => {
    if (channels.length === 1) {
      streams.want(wanted);
      streams.repeat();
    }
    return channels.includes("secret") ? { status: 403, title: "Forbidden" } : null;
  };
  streams.want(wanted);
  await until(() => messages.some(({ state }) => state?.name === "live"));
  const closed = messages.filter(({ state }) => state?.name === "closed").flatMap(({ topics }) => topics);
  assert.deepEqual([...new Set(closed)], ["secret"]);
});

/** What may happen to a question, other than an answer about its channels. */
const FAULTS = {
  "a hub that is away": () => ({ status: 503, title: "Unavailable" }),
  "a token that has run out": () => ({ status: 401, title: "Unauthorized" }),
  "a hub that cannot check tokens": () => ({ event: { title: "Unavailable", status: 503 } }),
  "a network that fails": (request) => (request.socket.destroy(), { status: 500 }),
};
for (const [name, fault] of Object.entries(FAULTS)) {
  test(`${name} while refusals are sorted out refuses no channel and divides nothing`, async (t) => {
    let attempts = 0;
    const hub = await TestHub.run(t);
    hub.refuse = (channels, request) => {
      if (channels.length === 8) attempts += 1;
      else if (attempts === 1) return fault(request);
      return channels.includes("c3") ? { status: 403, title: "Forbidden", detail: "not c3" } : null;
    };
    const { streams, messages } = streamsOf(t, hub);
    const names = Array.from({ length: 8 }, (_, n) => `c${n}`);
    streams.want(new Map(names.map((channel) => [channel, null])));
    await until(() => messages.some(({ state }) => state?.name === "live"));
    const closed = messages.filter(({ state }) => state?.name === "closed").map(({ topics }) => topics);
    assert.deepEqual(closed, [["c3"]]);
    assert.deepEqual(streams.facts.map(({ channels }) => channels.length), [7]);
    assert.ok(messages.some(({ state }) => state?.name === "waiting"));
  });
}
