// Tabs that share a connection. Each team is a tab; they are in one process, and talk as tabs do.

import assert from "node:assert/strict";
import { test } from "node:test";

import { connect } from "../../web/client/sse.js";
import { Team } from "../../web/client/team.js";
import { beBrowser } from "./browserlike.js";
import { TestHub, until } from "./hub.js";

beBrowser();
let teams = 0;

/** A tab that wants these channels. */
class Tab {
  got = [];
  cursors = new Map();

  constructor(test, hub, name, ...channels) {
    for (const channel of channels) this.cursors.set(channel, null);
    this.team = new Team({ base: hub.url }, { shared: true, name }, {
      wants: () => [...this.cursors],
      take: (message) => this.#take(message),
      facts: () => {},
    });
    test.after(() => this.team.leave());
  }

  #take(message) {
    if (message.kind === "events") {
      for (const { event } of message.events) {
        this.got.push(event.data);
        this.cursors.set(event.channel, event.id);
      }
    } else if (message.kind === "state") this.state = message.state.name;
  }
}

async function tabs(test, hub, count) {
  const name = `team ${(teams += 1)}`;
  const all = Array.from({ length: count }, () => new Tab(test, hub, name, "main"));
  await until(() => all.every(({ state }) => state === "live"));
  await until(() => hub.streams.size === 1);
  return all;
}

const leaderOf = (all) => all.find(({ team }) => team.leads);

test("tabs share one connection, and all get everything", async (t) => {
  const hub = await TestHub.run(t);
  const all = await tabs(t, hub, 4);
  for (let n = 0; n < 10; n += 1) hub.publish(String(n));
  await until(() => all.every(({ got }) => got.length === 10));
  assert.equal(all.filter(({ team }) => team.leads).length, 1);
  assert.equal(hub.streams.size, 1);
});

test("when the leader leaves, another goes on after the oldest cursor", async (t) => {
  const hub = await TestHub.run(t);
  const all = await tabs(t, hub, 3);
  hub.publish("before");
  await until(() => all.every(({ got }) => got.length === 1));
  const leader = leaderOf(all);
  leader.team.leave();
  hub.publish("meanwhile");
  const others = all.filter((tab) => tab !== leader);
  await until(() => others.every(({ got }) => got.includes("meanwhile")));
  assert.equal(others.filter(({ team }) => team.leads).length, 1);
});

test("a tab that comes back takes part again", async (t) => {
  const hub = await TestHub.run(t);
  const all = await tabs(t, hub, 2);
  const leader = leaderOf(all);
  hub.publish("before");
  await until(() => all.every(({ got }) => got.length === 1));
  leader.team.leave();
  leader.state = "away";
  hub.publish("a");
  leader.team.comeBack();
  await until(() => all.every(({ got }) => got.includes("a")));
  await until(() => hub.streams.size === 1 && leader.state === "live");
  hub.publish("b");
  await until(() => all.every(({ got }) => got.includes("b")));
});

test("a leader that says nothing is replaced, and steps down when it is there again", async (t) => {
  const hub = await TestHub.run(t);
  const all = await tabs(t, hub, 2);
  hub.publish("before");
  await until(() => all.every(({ got }) => got.length === 1));
  const leader = leaderOf(all);
  const [other] = all.filter((tab) => tab !== leader);
  // As a tab that hangs: it neither hears nor speaks, and keeps its lock.
  const { postMessage } = BroadcastChannel.prototype;
  const silenced = leader.team;
  let spoken = 0;
  BroadcastChannel.prototype.postMessage = function (message) {
    const isOthers = message.kind === "ask" || message.kind === "want";
    if (!silenced.leads || other.team.leads || isOthers) postMessage.call(this, message);
    else spoken += 1;
  };
  t.after(() => (BroadcastChannel.prototype.postMessage = postMessage));
  await until(() => other.team.leads);
  BroadcastChannel.prototype.postMessage = postMessage;
  assert.ok(spoken > 0);
  await until(() => !leader.team.leads && hub.streams.size === 1 && leader.state === "live");
  hub.publish("after");
  await until(() => all.every(({ got }) => got.at(-1) === "after"));
});

test("a new identity begins the streams of all anew", async (t) => {
  const hub = await TestHub.run(t);
  const all = await tabs(t, hub, 3);
  const before = hub.asked.length;
  all.find(({ team }) => !team.leads).team.renew();
  await until(() => hub.asked.length === before + 1);
  await until(() => hub.streams.size === 1);
  hub.publish("a");
  await until(() => all.every(({ got }) => got.includes("a")));
});

test("what was on its way to a tab that renews comes to it again", async (t) => {
  const hub = await TestHub.run(t);
  const all = await tabs(t, hub, 2);
  hub.publish("before");
  await until(() => all.every(({ got }) => got.length === 1));
  const member = all.find(({ team }) => !team.leads);
  const { postMessage } = BroadcastChannel.prototype;
  t.after(() => (BroadcastChannel.prototype.postMessage = postMessage));
  BroadcastChannel.prototype.postMessage = function (message) {
    postMessage.call(this, message);
    if (message.kind !== "events") return;
    BroadcastChannel.prototype.postMessage = postMessage;
    member.team.renew();
  };
  hub.publish("on its way");
  await until(() => member.got.includes("on its way"));
  assert.deepEqual(member.got, ["before", "on its way"]);
});

test("a tab that joins while the leader looks for dead tabs is not taken for one", async (t) => {
  const every = setInterval;
  t.mock.method(globalThis, "setInterval", (act, ms) => every(act, ms / 10)); // the leader looks more often
  const hub = await TestHub.run(t);
  const name = `team ${(teams += 1)}`;
  const tab = (channel) => new Tab(t, hub, name, channel);
  const asked = () => hub.asked.at(-1)?.url.searchParams.getAll("channel").sort();
  const query = navigator.locks.query.bind(navigator.locks);
  const joined = new Promise((resolve) => {
    t.mock.method(navigator.locks, "query", async () => {
      const answer = await query();
      if (asked().length === 1) tab("b");
      await until(() => asked().length > 1); // a busy browser answers late
      resolve();
      return answer;
    });
  });
  tab("a");
  await joined;
  const last = tab("c");
  await until(() => last.state === "live");
  assert.deepEqual(asked(), ["a", "b", "c"]);
});

test("tabs without locks, as in a sandboxed frame, have a connection each", async (t) => {
  let requests = 0;
  t.mock.method(navigator.locks, "request", () => {
    requests += 1;
    if (requests > 100) return new Promise(() => {}); // an endless loop would hold up the timer of the test, too
    return Promise.reject(new DOMException("denied", "SecurityError"));
  });
  const hub = await TestHub.run(t);
  const name = `team ${(teams += 1)}`;
  const all = [0, 1].map(() => new Tab(t, hub, name, "main"));
  await until(() => all.every(({ state }) => state === "live") && hub.streams.size === 2);
  hub.publish("a");
  await until(() => all.every(({ got }) => got.includes("a")));
  assert.ok(requests <= 4, `${requests} requests for locks`);
  all[0].team.leave();
  await until(() => hub.streams.size === 1);
  all[0].team.comeBack();
  await until(() => hub.streams.size === 2);
});

// Tabs from before and after a deploy are in one team.

/** Let all that tabs say from now on be as `change` makes it. */
function saying(t, change) {
  const { postMessage } = BroadcastChannel.prototype;
  t.after(() => (BroadcastChannel.prototype.postMessage = postMessage));
  BroadcastChannel.prototype.postMessage = function (message) {
    postMessage.call(this, change(message));
  };
}

test("a leader keeps the topics of a tab that renews and does not say what it wants", async (t) => {
  saying(t, (message) => (message.kind === "renew" ? { ...message, wants: undefined } : message));
  const hub = await TestHub.run(t);
  const name = `team ${(teams += 1)}`;
  const all = ["main", "other"].map((channel) => new Tab(t, hub, name, channel));
  await until(() => all.every(({ state }) => state === "live") && hub.streams.size === 1);
  const before = hub.asked.length;
  all.find(({ team }) => !team.leads).team.renew();
  await until(() => hub.asked.length > before);
  assert.deepEqual(hub.asked.at(-1).url.searchParams.getAll("channel").sort(), ["main", "other"]);
  await until(() => hub.streams.size === 1);
  for (const channel of ["main", "other"]) hub.publish("a", channel);
  await until(() => all.every(({ got }) => got.includes("a")));
});

test("events of a leader that does not say how far all has come arrive", async (t) => {
  saying(t, (message) => (message.kind === "events" ? { ...message, topics: undefined, cursor: undefined } : message));
  globalThis.document = new EventTarget();
  t.after(() => delete globalThis.document);
  const hub = await TestHub.run(t);
  const all = [0, 1].map(() => ({ got: [], tab: connect(hub.url) }));
  t.after(() => all.forEach(({ tab }) => tab.close()));
  for (const { got, tab } of all) tab.follow("main", { event: ({ data }) => got.push(data) });
  await until(() => all.every(({ tab }) => tab.streams[0]?.state.name === "live") && hub.streams.size === 1);
  for (const data of ["a", "b"]) hub.publish(data);
  await until(() => all.every(({ got }) => got.length === 2));
  assert.deepEqual(all.map(({ got }) => got), [["a", "b"], ["a", "b"]]);
});
