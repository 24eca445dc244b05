// Ids, patterns, topics and addresses.

import assert from "node:assert/strict";
import { test } from "node:test";

import { addressOf, fits, inParts } from "../../web/client/address.js";
import { channelOf, conflateOf, covers, isAfter, lower, topicOf } from "../../web/client/names.js";

test("ids are compared as pairs of integers of any length", () => {
  const ids = [null, "1-0", "9-0", "9-9", "9-10", "10-0", "99999999999999999999-0", "100000000000000000000-0"];
  for (const [a, first] of ids.entries()) {
    for (const [b, second] of ids.entries()) {
      if (first !== null) assert.equal(isAfter(first, second), a > b, `${first} after ${second}`);
      if (first !== null && second !== null) assert.equal(lower(first, second), ids[Math.min(a, b)]);
    }
  }
});

test("an id that is none of a hub's does not end anything", () => {
  assert.equal(typeof isAfter("abc", "1-0"), "boolean");
  assert.equal(isAfter("", ""), true);
});

test("patterns cover what the hub says that they cover", () => {
  const covered = [["a.*", "a.b.c"], ["*", "x"], ["a*b*c", "abc"], ["ab", "ab"], ["**", "a"], ["a*a", "aa"]];
  const not = [["a.*", "a"], ["a*bc*c", "abc"], ["a*a", "a"], ["a", "b"], ["a*b", "abc"], ["*.b", "a.b.c"]];
  for (const [pattern, channel] of covered) assert.equal(covers(pattern, channel), true, pattern);
  for (const [pattern, channel] of not) assert.equal(covers(pattern, channel), false, pattern);
});

test("a topic is a channel and how it is wanted", () => {
  assert.deepEqual([channelOf("a.1"), conflateOf("a.1")], ["a.1", 0]);
  const topic = topicOf("a.1", 250);
  assert.deepEqual([channelOf(topic), conflateOf(topic)], ["a.1", 250]);
});

test("an address names channels, and a cursor in place of a beginning", () => {
  const wanted = { channels: ["a", "é*"], start: { replay: "5" }, conflate: 100 };
  assert.equal(
    addressOf("http://hub/events/", wanted).href,
    "http://hub/events/stream?channel=a&channel=%C3%A9*&envelope=1&conflate=100&replay=5",
  );
  assert.match(addressOf("http://hub/", { ...wanted, cursor: "7-0" }).search, /lastEventId=7-0$/);
});

test("one address takes a hundred channels, a hundred stars and some thousand bytes", () => {
  const names = (count, name) => Array.from({ length: count }, (_, n) => name + n);
  assert.equal(fits(names(100, "c")), true);
  assert.equal(fits(names(101, "c")), false);
  assert.equal(fits(names(51, "*.*")), false);
  assert.equal(fits(names(10, "é".repeat(120))), false);
  assert.equal(fits(["é".repeat(2000)]), true); // alone it is for the hub to refuse
  const parts = inParts(names(250, "c"));
  assert.deepEqual(parts.map(({ length }) => length), [100, 100, 50]);
  assert.deepEqual(parts.flat(), names(250, "c"));
});
