// The client in Node, where there is no document, no tab and no lock.

import assert from "node:assert/strict";
import { spawn } from "node:child_process";
import { once } from "node:events";
import { test } from "node:test";
import { fileURLToPath } from "node:url";

import * as client from "../../web/client/sse.js";
import { TestHub, until } from "./hub.js";

const { connect } = client;

/** What comes to a following. */
function follow(t, hub, channels, { start, ...options } = {}) {
  const found = { got: [], states: [], losses: [], hub: connect(hub.url, options) };
  found.following = found.hub.follow(
    channels,
    {
      event: ({ data }) => found.got.push(data),
      state: (state) => found.states.push(state),
      lost: (loss) => found.losses.push(loss),
    },
    start,
  );
  t.after(() => found.hub.close());
  found.live = () => until(() => found.states.at(-1)?.name === "live");
  return found;
}

/** Let this process be a page that can go to the cache of the browser and come back; gives what does both. */
function beCached(t) {
  const page = new EventTarget();
  globalThis.addEventListener = page.addEventListener.bind(page);
  t.after(() => delete globalThis.addEventListener);
  return () => ["pagehide", "pageshow"].forEach((type) => page.dispatchEvent(new Event(type)));
}

test("the public names are these", () => {
  assert.deepEqual(Object.keys(client).sort(), ["connect", "covers", "isAfter"]);
});

test("events come in order, over cuts, and none comes twice", async (t) => {
  const hub = await TestHub.run(t);
  const found = follow(t, hub, "main");
  await found.live();
  for (let n = 0; n < 100; n += 1) {
    hub.publish(String(n));
    if (n % 25 === 24) {
      hub.cut();
      await until(() => hub.streams.size === 1);
    }
  }
  await until(() => found.got.length >= 100);
  assert.deepEqual(found.got, Array.from({ length: 100 }, (_, n) => String(n)));
});

test("a following goes on after the last event of another", async (t) => {
  const hub = await TestHub.run(t);
  const first = follow(t, hub, "main");
  await first.live();
  hub.publish("a");
  await until(() => first.got.length === 1);
  first.following.close();
  hub.publish("b");
  const second = follow(t, hub, "main", { start: { after: first.following.last } });
  await until(() => second.got.length === 1);
  assert.deepEqual(second.got, ["b"]);
});

test("a token is asked for again with each connection, and sent in a header", async (t) => {
  const hub = await TestHub.run(t);
  let count = 0;
  const found = follow(t, hub, "main", { token: () => `token${(count += 1)}` });
  await found.live();
  hub.cut();
  await until(() => hub.asked.length === 2);
  assert.deepEqual(hub.asked.map(({ headers }) => headers.authorization), ["Bearer token1", "Bearer token2"]);
});

test("a token that is refused is asked for once more, and not again", async (t) => {
  const refuse = () => ({ status: 401, title: "Unauthorized", detail: "no" });
  const hub = await TestHub.run(t, { refuse });
  const found = follow(t, hub, "main", { token: () => "bad" });
  await until(() => found.states.at(-1).name === "closed");
  assert.equal(hub.asked.length, 2);
});

test("a channel that is refused is found among many with few requests", async (t) => {
  const problem = { status: 403, title: "Forbidden", detail: "not c77" };
  const refuse = (channels) => (channels.includes("c77") ? problem : null);
  const hub = await TestHub.run(t, { refuse });
  const names = Array.from({ length: 100 }, (_, n) => `c${n}`);
  const found = follow(t, hub, names.filter((name) => name !== "c77"));
  const refused = [];
  found.hub.follow("c77", { state: ({ name, reason }) => name === "closed" && refused.push(reason) });
  await found.live();
  await until(() => refused.length === 1);
  assert.deepEqual(refused, ["not c77"]);
  assert.ok(hub.asked.length <= 17, `${hub.asked.length} requests`);
});

test("a quiet channel does not wind a busy one back", async (t) => {
  const hub = await TestHub.run(t);
  const leaveAndComeBack = beCached(t);
  const found = follow(t, hub, "busy");
  const quiet = found.hub.follow("quiet", {});
  await found.live();
  await until(() => quiet.state.name === "live");
  for (const data of ["a", "b", "c"]) hub.publish(data, "busy");
  await until(() => found.got.length === 3);
  const asked = hub.asked.length;
  leaveAndComeBack();
  await until(() => hub.asked.length > asked);
  assert.equal(hub.asked.at(-1).url.searchParams.get("lastEventId"), "3-0");
});

test("a quiet channel loses nothing for having been passed by", async (t) => {
  const hub = await TestHub.run(t);
  const leaveAndComeBack = beCached(t);
  const found = follow(t, hub, ["busy", "quiet"]);
  await found.live();
  hub.publish("a", "busy");
  await until(() => found.got.length === 1);
  hub.cut();
  hub.publish("b", "quiet");
  hub.publish("c", "busy");
  leaveAndComeBack();
  await until(() => found.got.length === 3);
  assert.deepEqual(found.got, ["a", "b", "c"]);
});

test("what came while a channel was refused comes after renew", async (t) => {
  const hub = await TestHub.run(t);
  const found = follow(t, hub, "main");
  await found.live();
  hub.publish("a");
  await until(() => found.got.length === 1);
  hub.refuse = () => ({ status: 401, title: "Unauthorized", detail: "the session is over" });
  hub.cut();
  await until(() => found.states.at(-1).name === "closed");
  hub.publish("b");
  hub.refuse = () => null;
  found.hub.renew();
  await until(() => found.got.length === 2);
  assert.deepEqual([found.got, found.losses], [["a", "b"], []]);
});

test("a channel that was refused does not keep those beside it from going on where they were", async (t) => {
  const hub = await TestHub.run(t);
  const found = follow(t, hub, "main");
  const other = [];
  found.hub.follow("other", { event: ({ data }) => other.push(data) });
  await found.live();
  await until(() => found.hub.streams[0]?.channels.length === 2 && found.hub.streams[0].state.name === "live");
  hub.publish("a");
  await until(() => found.got.length === 1);
  hub.refuse = (channels) => (channels.includes("main") ? { status: 403, title: "Forbidden" } : null);
  hub.cut();
  await until(() => found.states.at(-1).name === "closed");
  hub.publish("b");
  hub.publish("c", "other");
  await until(() => other.length === 1);
  hub.refuse = () => null;
  found.hub.renew();
  await until(() => found.got.length === 2);
  hub.publish("d", "other");
  await until(() => other.length === 2);
  assert.deepEqual([found.got, other], [["a", "b"], ["c", "d"]]);
});

test("a channel that is refused again winds the others back by nothing", async (t) => {
  const hub = await TestHub.run(t);
  const found = follow(t, hub, ["main", "busy"]);
  await found.live();
  hub.publish("a");
  await until(() => found.got.length === 1);
  hub.refuse = (channels) => (channels.includes("main") ? { status: 403, title: "Forbidden" } : null);
  hub.cut();
  await until(() => found.states.at(-1).name === "closed");
  for (const data of ["b", "c"]) hub.publish(data, "busy");
  await until(() => found.got.length === 3);
  found.hub.renew();
  hub.publish("d", "busy");
  await until(() => found.got.length === 4);
  assert.equal(hub.asked.at(-1).url.search, "?channel=busy&envelope=1&lastEventId=3-0");
});

test("what came while there was no room for a channel comes after renew", async (t) => {
  const hub = await TestHub.run(t);
  const all = connect(hub.url);
  t.after(() => all.close());
  const got = [];
  const followings = ["c0", "c1", "c2", "c3", "c4"].map((name) =>
    all.follow(name, { event: ({ data }) => got.push(data) }),
  );
  await until(() => followings.every(({ state }) => state.name === "live"));
  hub.publish("a", "c0");
  await until(() => got.length === 1);
  hub.refuse = (channels) => (channels.length > 1 ? { status: 400, title: "Too many channels" } : null);
  hub.cut();
  await until(() => followings.some(({ state }) => state.name === "closed"));
  const left = followings.find(({ state }) => state.name === "closed");
  hub.publish("b", left.channels[0]);
  followings.find(({ state }) => state.name !== "closed").close();
  all.renew();
  await until(() => left.state.name === "live");
  await until(() => got.length === 2);
  assert.deepEqual(got, ["a", "b"]);
});

test("a channel that was refused and is followed anew begins now", async (t) => {
  const hub = await TestHub.run(t);
  const found = follow(t, hub, "main");
  await found.live();
  hub.publish("a");
  await until(() => found.got.length === 1);
  hub.refuse = () => ({ status: 401, title: "Unauthorized" });
  hub.cut();
  await until(() => found.states.at(-1).name === "closed");
  hub.publish("b");
  hub.refuse = () => null;
  found.following.close();
  const other = found.hub.follow("other", {}); // when it is live, the end of the first one has been noted, too
  await until(() => other.state.name === "live");
  const got = [];
  const following = found.hub.follow("main", { event: ({ data }) => got.push(data) });
  await until(() => following.state.name === "live");
  hub.publish("c");
  await until(() => got.length === 1);
  assert.deepEqual(got, ["c"]);
});

test("a channel that was refused while the ids of the hub began anew goes on, after one loss", async (t) => {
  const hub = await TestHub.run(t);
  const found = follow(t, hub, "main");
  let others = 0; // losses
  found.hub.follow("other", { event: ({ data }) => found.got.push(data), lost: () => (others += 1) });
  await found.live();
  for (const data of ["a", "b", "c"]) hub.publish(data);
  hub.publish("d", "other");
  await until(() => found.got.length === 4);
  hub.refuse = (channels) => (channels.includes("main") ? { status: 403, title: "Forbidden" } : null);
  hub.cut();
  await until(() => found.states.at(-1).name === "closed" && hub.streams.size === 1);
  hub.restart();
  await until(() => others === 1);
  hub.publish("e", "other");
  await until(() => found.got.length === 5);
  hub.refuse = () => null;
  found.hub.renew();
  await found.live();
  hub.publish("f");
  await until(() => found.got.length === 6);
  assert.deepEqual(found.got, ["a", "b", "c", "d", "e", "f"]);
  assert.deepEqual(found.losses, [{ after: "4-0", next: "0-0" }]);
});

test("a listener that throws is reported, and costs nobody an event", async (t) => {
  const hub = await TestHub.run(t);
  const reported = t.mock.method(console, "error", () => {});
  const found = follow(t, hub, "main");
  found.hub.follow("main", {
    event() {
      throw new Error("of the user");
    },
  });
  await found.live();
  hub.publish("a");
  hub.publish("b");
  await until(() => found.got.length === 2);
  assert.equal(reported.mock.callCount(), 2);
});

test("listeners may be methods of an object", async (t) => {
  const hub = await TestHub.run(t);
  class Page {
    got = [];
    event({ data }) {
      this.got.push(data);
    }
  }
  const page = new Page();
  const found = follow(t, hub, "main");
  found.hub.follow("main", page);
  await found.live();
  hub.publish("a");
  await until(() => page.got.length === 1);
});

test("a listener may close its following", async (t) => {
  const hub = await TestHub.run(t);
  const got = [];
  const found = follow(t, hub, "other");
  const following = found.hub.follow("main", {
    event: ({ data }) => {
      got.push(data);
      following.close();
    },
  });
  await found.live();
  await until(() => hub.streams.size === 1 && hub.asked.at(-1).url.searchParams.getAll("channel").length === 2);
  hub.publish("a");
  hub.publish("b");
  await until(() => hub.asked.at(-1).url.searchParams.getAll("channel").length === 1);
  assert.deepEqual(got, ["a"]);
});

test("what makes no sense is refused with what would", async (t) => {
  const hub = await TestHub.run(t);
  const { hub: mine } = follow(t, hub, "main");
  assert.throws(() => mine.follow([], {}), /at least one channel/);
  assert.throws(() => mine.follow("a b", {}), /"a b" is no channel or pattern/);
  assert.throws(() => mine.follow("a", {}, { replay: -1 }), /replay is -1; it takes a whole number or "latest"/);
  assert.throws(() => mine.follow("a", {}, { from: "end" }), /from is "end"; it can be "start"/);
  assert.throws(() => connect("."), /Invalid URL/);
});

test("a program ends when its hub is closed", async (t) => {
  const hub = await TestHub.run(t);
  const module = fileURLToPath(new URL("../../web/client/sse.js", import.meta.url));
  const program = `
    import { connect } from ${JSON.stringify(module)};
    const hub = connect(${JSON.stringify(hub.url)});
    hub.watch(() => {});
    hub.follow("main", { state: ({ name }) => name === "live" && hub.close() });
  `;
  const stdio = ["ignore", "ignore", "inherit"];
  const child = spawn(process.execPath, ["--input-type=module", "-e", program], { stdio });
  const [status] = await once(child, "exit");
  assert.equal(status, 0);
});

test("a hub that is closed while it waits does not come back", async (t) => {
  const hub = await TestHub.run(t);
  const found = follow(t, hub, "main");
  await found.live();
  hub.cut();
  await until(() => found.states.at(-1).name === "waiting");
  found.hub.close();
  const asked = hub.asked.length;
  await new Promise((resolve) => setTimeout(resolve, 200)); // ten times the reconnection time
  assert.equal(hub.asked.length, asked);
});

test("a problem that lets the user renew while refusals are sorted out ends the attempt before", async (t) => {
  const statuses = [403, 503];
  let asked = 0;
  const answer = async () => {
    asked += 1;
    const status = statuses.shift();
    return status ? new Response(null, { status }) : new Promise(() => {});
  };
  const hub = connect("http://hub.invalid/", { fetch: answer });
  t.after(() => hub.close());
  const following = hub.follow(["a", "b"], { problem: () => hub.renew() });
  await until(() => asked === 3);
  assert.deepEqual(following.state, { name: "connecting", attempts: 0 });
});
