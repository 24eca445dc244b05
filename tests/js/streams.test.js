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
