// Older events that a following wants: what is refused, and what is too much to hold meanwhile.

import assert from "node:assert/strict";
import { test } from "node:test";

import { connect } from "../../web/client/sse.js";
import { TestHub, until } from "./hub.js";

/** A following with a past, and what comes to it. */
function follow(t, hub, channels, start) {
  const found = { got: [], states: [], problems: [], losses: [] };
  const tab = connect(hub.url);
  t.after(() => tab.close());
  found.following = tab.follow(
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
