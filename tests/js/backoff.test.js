// How long is waited, and what silence is.

import assert from "node:assert/strict";
import { test } from "node:test";

import { Backoff, LONGEST_TIMER_MS } from "../../web/client/backoff.js";
import { Silence } from "../../web/client/silence.js";
import { inSlices } from "../../web/client/slices.js";

test("the first wait is what the hub has named", () => {
  const backoff = new Backoff();
  backoff.retry = 2731;
  assert.equal(backoff.next({ lastedMs: 60_000 }), 2731);
});

test("waits double up to half a minute, and begin anew after a good connection", () => {
  const backoff = new Backoff(() => 1);
  const waits = Array.from({ length: 8 }, () => backoff.next());
  assert.deepEqual(waits, [1000, 2000, 4000, 8000, 16_000, 30_000, 30_000, 30_000]);
  backoff.retry = 500;
  assert.equal(backoff.next({ lastedMs: 60_000 }), 500);
});

test("a connection that is ended at once is no good one", () => {
  const backoff = new Backoff(() => 1);
  backoff.retry = 0;
  assert.deepEqual([backoff.next({ lastedMs: 5 }), backoff.next({ lastedMs: 5 })], [0, 2000]);
});

test("clients do not come back in the same moment", () => {
  const waits = [0, 0.5, 1].map((random) => new Backoff(() => random).next());
  assert.deepEqual(waits, [500, 750, 1000]);
});

test("what Retry-After says is the least", () => {
  const backoff = new Backoff();
  assert.ok(backoff.next({ atLeastMs: 7000 }) >= 7000);
});

test("no wait is longer than a timer, which would end at once", () => {
  const backoff = new Backoff();
  backoff.retry = Number("9".repeat(400));
  assert.equal(backoff.next({ lastedMs: 60_000 }), LONGEST_TIMER_MS);
  assert.equal(backoff.next(), LONGEST_TIMER_MS);
  assert.equal(new Backoff().next({ atLeastMs: 1e12 }), LONGEST_TIMER_MS);
});

test("three pings are waited for, or what the user says", () => {
  const silence = new Silence(undefined, () => {});
  assert.equal(silence.limit, 45);
  silence.ping = 2;
  assert.equal(silence.limit, 6);
  assert.equal(new Silence(5, () => {}).limit, 5);
});

test("silence is noticed once it is too long, and not while something comes", async () => {
  const silence = new Silence(0.05, () => called());
  let called = () => assert.fail("something has come");
  silence.begin();
  for (let n = 0; n < 10; n += 1) {
    await new Promise((resolve) => setTimeout(resolve, 10));
    silence.heard();
  }
  await new Promise((resolve) => (called = resolve));
  silence.end();
});

test("a silence that is never too long costs next to no timers", async (t) => {
  const set = t.mock.method(globalThis, "setTimeout");
  const silence = new Silence(Infinity, () => assert.fail("it is never too long"));
  silence.begin();
  await new Promise((resolve) => setTimeout(resolve, 50));
  silence.end();
  assert.ok(set.mock.callCount() < 5, `${set.mock.callCount()} timers in 50 ms`);
});

test("a machine that has slept finds out that nothing came, though its monotonic clock stood still", (t) => {
  let noticed = 0;
  const silence = new Silence(undefined, () => (noticed += 1));
  silence.begin();
  assert.equal(silence.isSuspicious, false);
  const wokenAt = Date.now() + 3_600_000;
  t.mock.method(Date, "now", () => wokenAt);
  assert.equal(silence.isSuspicious, true);
  silence.look();
  silence.end();
  assert.equal(noticed, 1);
});

test("a wall clock that is set back hides no silence", async (t) => {
  t.mock.method(Date, "now", () => 0);
  await new Promise((resolve) => {
    const silence = new Silence(0.05, () => resolve(silence.end()));
    silence.begin();
  });
});

test("others have their turn while much is read", async () => {
  const body = new ReadableStream({
    start(controller) {
      controller.enqueue(new Uint8Array(1 << 20));
      controller.close();
    },
  });
  let turns = 0;
  const ticking = setInterval(() => (turns += 1), 0);
  let most = 0;
  let since = 0;
  let seen = 0;
  const heard = () => {};
  await inSlices(body, heard, () => {
    const until = performance.now() + 3;
    while (performance.now() < until); // as a slow listener
    since = turns === seen ? since + 1 : 1;
    seen = turns;
    most = Math.max(most, since);
    return true;
  });
  clearInterval(ticking);
  assert.ok(turns >= 10, `${turns} turns`);
  assert.ok(most <= 8, `${most} slices without a turn for others`);
});
