// The cases of the standard, the same data that the Python parser is held to.

import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { test } from "node:test";

import { EventParser, EventTooLarge } from "../../web/client/parser.js";

const cases = JSON.parse(readFileSync(new URL("../cases.json", import.meta.url), "utf8"));
const bytesOf = ({ hex, stream }) => (hex === undefined ? Buffer.from(stream) : Buffer.from(hex, "hex"));
const utf8 = (text) => new TextEncoder().encode(text);

/** What a parser makes of these bytes, given in these parts. */
function read(parts) {
  const parser = new EventParser();
  const events = parts.flatMap((part) => parser.feed(part));
  return { parser, events: events.map(({ type, data, id }) => [type, data, id]) };
}

for (const each of cases) {
  const bytes = bytesOf(each);
  const expected = each.events.map(([type, data, id]) => [type || "message", data, id]);
  const check = ({ parser, events }) => {
    assert.deepEqual(events, expected);
    assert.equal(parser.lastEventId, each.id ?? "");
    if ("retry_ms" in each) assert.equal(parser.retry, each.retry_ms);
  };

  test(each.name, () => check(read([bytes])));

  test(`${each.name}, split at every byte`, () => {
    for (let at = 1; at < bytes.length; at += 1) check(read([bytes.subarray(0, at), bytes.subarray(at)]));
    check(read([...bytes].map((byte) => Uint8Array.of(byte))));
  });
}

test("an event has its bytes, without the pings before it", () => {
  const parser = new EventParser();
  const block = "id: 1-0\nevent: t\ndata: größer\n\n";
  const [first, second] = parser.feed(utf8(`: ping\n${block}: ping\n: ping\n${block}`));
  assert.equal(new TextDecoder().decode(first.raw), block);
  assert.equal(new TextDecoder().decode(second.raw), block);
  assert.equal(parser.comments, 3);
});

test("the bytes of an event stay when the parser reads on", () => {
  const parser = new EventParser();
  const [first] = parser.feed(utf8("data: a\n\n"));
  parser.feed(utf8("data: b\n\n".repeat(10_000)));
  assert.equal(new TextDecoder().decode(first.raw), "data: a\n\n");
});

test("a stream that is asked for after a cursor has it from the beginning", () => {
  const parser = new EventParser({ lastEventId: "5-0" });
  const [event] = parser.feed(utf8("data: a\n\n"));
  assert.equal(event.id, "5-0");
});

test("an event that never ends is refused before it fills the memory", () => {
  const parser = new EventParser({ largestBytes: 1000 });
  assert.throws(() => {
    for (;;) parser.feed(utf8("data: x"));
  }, EventTooLarge);
});

test("a large event in many pieces is read in linear time", () => {
  const parser = new EventParser();
  const piece = new Uint8Array(1 << 16).fill(120);
  parser.feed(utf8("data: "));
  for (let n = 0; n < 200; n += 1) parser.feed(piece);
  const [event] = parser.feed(utf8("\n\n"));
  assert.equal(event.data.length, 200 << 16);
});
