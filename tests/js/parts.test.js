// The parts of the page that need no browser: data as they were sent, lines of an event, axes, series, lanes, words.

import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { test } from "node:test";

import { axis, digitsOf } from "../../web/app/chart/axis.js";
import { acceptedAt, Clock, pageNow } from "../../web/app/chart/clock.js";
import { runs } from "../../web/app/chart/runs.js";
import { Series } from "../../web/app/chart/series.js";
import { labels, withUnit } from "../../web/app/chart/units.js";
import { parts } from "../../web/app/inspect/characters.js";
import { frame, lines } from "../../web/app/inspect/fields.js";
import { fault, fields, members, numbers, root } from "../../web/app/inspect/json.js";
import { PageHub } from "../../web/app/lab/hub.js";
import { Model } from "../../web/app/model.js";
import { summary } from "../../web/app/summaries.js";
import { Lanes } from "../../web/app/timeline/lanes.js";
import { say } from "../../web/app/words.js";
import { PARTS } from "../../web/app/words/parts.js";
import { EventParser } from "../../web/client/parser.js";

const utf8 = (text) => new TextEncoder().encode(text);

// JSON as it was sent

/** The source of each member. */
const sources = (text) => [...members(text, root(text))].map(({ key, value }) => [key, text.slice(value.start, value.end)]);

test("numbers keep their digits, and both of two equal keys are there", () => {
  assert.deepEqual(sources('{"a": 12345678901234567890, "b": 1.10, "a": -0e+1}'), [
    ['"a"', "12345678901234567890"], ['"b"', "1.10"], ['"a"', "-0e+1"],
  ]);
});

test("a member of a member is read when it is asked for", () => {
  const text = ' [ {"k" : [1 , {"x":"]}"} ] } , "\\u005d", [] ] ';
  assert.deepEqual(sources(text), [[null, '{"k" : [1 , {"x":"]}"} ] }'], [null, '"\\u005d"'], [null, "[]"]]);
});

for (const text of [
  "[", "]", "[}", "{]", "[1,]", "[,1]", "[1 2]", '{"a"}', '{"a":}', '{"a":1,}', "{1:2}", "01", "-", "1.", ".5", "1e", "nul", "truE",
  '"a', '"\\x"', '"\\u12G4"', '"a\nb"', "", " ", "1 2", "[]]", "\u00a0[]", "NaN", "'a'",
  "[]", "{}", "[[],{}]", '{"":""}', "0", "-0.5E-3", "null", ' "\\"\\\\\\/\\b\\u00e9" ', "[[[[[[]]]]]]", '{"a":{"b":[true,false,null]}}',
]) {
  test(`${JSON.stringify(text)} is JSON here exactly if it is JSON for the browser`, () => {
    let valid = true;
    try {
      JSON.parse(text);
    } catch {
      valid = false;
    }
    assert.equal(fault(text) < 0, valid);
  });
}

test("a text that stops to be JSON says where", () => {
  assert.equal(fault('{"a": 1, b}'), 9);
  assert.equal(fault("[".repeat(8192)), 8192);
});

test("a million nested brackets are read without an overflow", () => {
  const text = "[".repeat(500_000) + "]".repeat(500_000);
  assert.equal(root(text)?.end, text.length);
  assert.equal(sources(text).length, 1);
});

test("fields are by name, of equal names the last, and strings as they are meant", () => {
  const found = fields('{"a":1,"a":1.10,"\\u0062":"x\\ny","c":[1]}');
  assert.deepEqual([...(found ?? [])], [
    ["a", { kind: "number", text: "1.10" }], ["b", { kind: "string", text: "x\ny" }], ["c", { kind: "array", text: "[1]" }],
  ]);
  assert.equal(fields("[1]"), null);
  assert.equal(fields("{"), null);
});

test("numbers are found by their paths, to a depth and a count", () => {
  const found = numbers('{"at":"x","reading":{"t":-1.5,"v":[7,{"x":8}]},"n":1e400}');
  assert.deepEqual(found, [
    { path: "reading.t", value: -1.5 }, { path: "reading.v[0]", value: 7 }, { path: "reading.v[1].x", value: 8 },
  ]);
  assert.equal(numbers(`[${Array.from({ length: 1000 }, (_, at) => at).join()}]`).length, 20);
  assert.deepEqual(numbers("[[[[[[1]]]]]]"), []);
  assert.deepEqual(numbers("3"), [{ path: "", value: 3 }]);
});

// Bytes

test("each line of an event has its range and what the standard does with it", () => {
  const bytes = utf8(": é\nid: 1\r\nid: a\0\nevent: t\rdata\nretry: 20\nretry: x\nfoo: 1\ndata:  two\n\n\n");
  const found = lines(bytes);
  assert.deepEqual(found.map(({ effect }) => effect), [
    "comment", "id", "idIgnored", "type", "data", "retry", "retryIgnored", "unknown", "data", "dispatch", "nothing",
  ]);
  assert.deepEqual(found.map(({ start }) => start).slice(1), found.map(({ end }) => end).slice(0, -1));
  assert.equal(found.at(-1)?.end, bytes.length);
  assert.equal(found[8].value, " two");
  assert.deepEqual([found[1].breakAt, found[1].end], [10, 12]);
});

const cases = JSON.parse(readFileSync(new URL("../cases.json", import.meta.url), "utf8"));
for (const { name, stream, events } of cases.filter((each) => each.stream !== undefined)) {
  test(`as many events are dispatched as the standard says: ${name}`, () => {
    const bytes = utf8(stream.replace(/^\ufeff/, ""));
    const whole = lines(bytes).filter(({ effect }) => effect === "dispatch");
    assert.equal(whole.length, events.length);
  });
}

test("the bytes that are made for an event give the event back", () => {
  for (const event of [
    { id: "1-0", event: "message", data: "a\nb\r\nc\rd" }, { id: null, event: "t", data: "" }, { id: "2-0", event: "t", data: " é\n" },
  ]) {
    const [read] = new EventParser().feed(frame(event));
    assert.deepEqual([read.id, read.type, read.data], [event.id ?? "", event.event, event.data.replace(/\r\n?/g, "\n")]);
  }
});

test("characters that cannot be seen are named", () => {
  assert.deepEqual(parts("a\u202eb\0"), [
    { text: "a", unseen: false }, { text: "RLO", unseen: true }, { text: "b", unseen: false }, { text: "NUL", unseen: true },
  ]);
  assert.deepEqual(parts("a\nb", { breaks: true }), [{ text: "a\nb", unseen: false }]);
  assert.deepEqual(parts("\ud800"), [{ text: "U+D800", unseen: true }]);
  assert.deepEqual(parts("👩‍👧 \u200d"), [{ text: "👩‍👧 ", unseen: false }, { text: "ZWJ", unseen: true }]);
});

// Charts

test("points may come in any order, twice, and from another clock", () => {
  const series = new Series(60_000);
  for (const [ms, value] of [[3000, 3], [1000, 1], [2000, 2], [2000, 20], [3_600_000, 4], [5000, 5]]) series.add(ms, value);
  assert.deepEqual(series.times, [3_600_000]);
  const other = new Series(60_000);
  for (const [ms, value] of [[3000, 3], [1000, 1], [2000, 2], [2000, 20]]) other.add(ms, value);
  assert.deepEqual([other.times, other.values], [[1000, 2000, 3000], [1, 20, 3]]);
});

test("what is no number or too old is passed over", () => {
  const series = new Series(60_000);
  series.add(100_000, 1);
  for (const value of [NaN, Infinity, "1", null, undefined]) assert.equal(series.add(100_001, value), false);
  assert.equal(series.add(1000, 1), false);
  assert.equal(series.add(NaN, 1), false);
  assert.equal(series.times.length, 1);
});

test("a series keeps a bounded number of points", () => {
  const series = new Series(60_000);
  for (let at = 0; at < 100_000; at += 1) series.add(at, at);
  assert.ok(series.times.length <= 4000);
  assert.equal(series.values.at(-1), 99_999);
});

test("a gap in the points is a gap in the line", () => {
  const series = new Series(600_000);
  for (const second of [0, 1, 2, 3, 60, 61]) series.add(second * 1000, second);
  const lines = runs(series, 0, 61_000, (ms) => ms / 1000, (value) => value);
  assert.deepEqual(lines, [[0, 0, 1, 1, 2, 2, 3, 3], [60, 60, 61, 61]]);
  assert.equal(series.near(30_000), null);
  assert.deepEqual(series.near(60_400), { ms: 60_000, value: 60 });
});

test("of many points in a column, the extremes stay", () => {
  const series = new Series(600_000);
  for (let at = 0; at < 1000; at += 1) series.add(at, at === 500 ? 99 : at === 600 ? -99 : 0);
  assert.deepEqual(runs(series, 0, 999, () => 0, (value) => value), [[0, 0, 0, 99, 0, -99, 0, 0]]);
});

test("axes fit the data, negative values included", () => {
  assert.deepEqual(axis(0, 95).ticks, [0, 50, 100]);
  assert.deepEqual(axis(-3, 7, 5).ticks, [-4, -2, 0, 2, 4, 6, 8]);
  assert.deepEqual(axis(1008.1, 1008.6).ticks.map((tick) => tick.toFixed(1)), ["1008.0", "1008.2", "1008.4", "1008.6"]);
  assert.deepEqual(axis(-5, -4, 2).ticks, [-5, -4.5, -4]);
  assert.deepEqual(axis(7, 7, 2).ticks.length >= 2, true);
  assert.deepEqual(axis(0, 0).ticks.at(-1), 1);
  assert.equal(digitsOf(0.25), 2);
});

test("values have their units", () => {
  assert.equal(withUnit(1_900_000, "B/s"), "1.9\u202fMB/s");
  assert.equal(withUnit(0.0123, "ratio"), "1.23\u202f%");
  assert.equal(withUnit(-21.456, "°C"), "-21.46\u202f°C");
  assert.equal(withUnit(1013.4, "hPa"), "1,013.4\u202fhPa");
  assert.deepEqual(labels([0, 500_000, 1_000_000], 500_000, "B/s"), ["0.0\u202fMB/s", "0.5\u202fMB/s", "1.0\u202fMB/s"]);
});

test("the hub's clock is followed if it differs, and not for the way of an event", () => {
  const clock = new Clock();
  assert.equal(clock.now(1_000_000), 1_000_000);
  clock.hear(999_800, 1_000_000);
  assert.equal(clock.now(1_000_000), 1_000_000);
  const ahead = new Clock();
  ahead.hear(1_600_000, 1_000_000);
  ahead.hear(1_600_500, 1_001_000);
  assert.equal(ahead.now(1_002_000), 1_602_000);
});

test("a clock of the machine that is set does not move the hub's clock", (t) => {
  const clock = new Clock();
  clock.hear(pageNow());
  const before = clock.now();
  const real = Date.now;
  t.mock.method(Date, "now", () => real() + 3_600_000);
  clock.hear(pageNow());
  assert.ok(Math.abs(clock.now() - before) < 1000);
});

test("only ids of the hub are times, and timestamps of events without an id", () => {
  const timestamp = "2026-11-24T02:00:00.123Z";
  const times = [
    [{ id: "1763949600123-7", timestamp }, 1_763_949_600_123],
    [{ id: null, timestamp }, Date.parse(timestamp)],
    [{ id: null, timestamp: "yesterday" }, null],
    [{ id: "1848284719203840000", timestamp }, null],
    [{ id: "1848284719203840000-0", timestamp }, null],
    [{ id: "urn:uuid:0", timestamp }, null],
    [{ id: "1763949600123-7", timestamp, foreign: true }, null],
  ];
  for (const [event, ms] of times) assert.equal(acceptedAt(event), ms, JSON.stringify(event));
});

// The list of events

test("foreign events stand where they came, whatever their ids say", () => {
  const model = new Model();
  const event = { channel: "c", event: "t", data: "", timestamp: "2026-11-24T02:00:00Z" };
  model.add({ ...event, id: "1763949600123-0" }, { stream: "c" });
  model.add({ ...event, id: "1848284719203840000-0" }, { stream: "topic", foreign: true });
  model.add({ ...event, id: "5-0" }, { stream: "topic", foreign: true });
  model.add({ ...event, id: "1763949600124-0" }, { stream: "c" });
  const ids = model.events.map(({ id }) => id);
  assert.deepEqual(ids, ["1763949600123-0", "1848284719203840000-0", "5-0", "1763949600124-0"]);
});

// The timeline

test("a lane that is wanted from the beginning stays, and stays first", () => {
  const lanes = new Lanes(60_000, ["first"]);
  lanes.add("second", 1000, false, null);
  lanes.add("first", 1000, false, null);
  assert.deepEqual([...lanes.lanes.keys()], ["first", "second"]);
  lanes.forget(1_000_000);
  assert.deepEqual([...lanes.lanes.keys()], ["first"]);
});

test("many events of a moment are one bin, and replayed ones are told from live ones", () => {
  const lanes = new Lanes(60_000);
  for (let at = 0; at < 1000; at += 1) lanes.add("a", 1_000_000 + (at % 40), false, at);
  lanes.add("a", 1_010_000, true, "old");
  const bins = [.../** @type {Map<number, any>} */ (lanes.lanes.get("a")?.bins).values()];
  assert.deepEqual(bins.map(({ live, replayed }) => [live, replayed]), [[1000, 0], [0, 1]]);
  assert.equal(lanes.near("a", 1_010_100, 200)?.bin.entry, "old");
  assert.equal(lanes.near("a", 1_020_000, 200), null);
});

test("lanes, gaps and losses are bounded, and what is older than the timeline goes", () => {
  const lanes = new Lanes(60_000);
  for (let at = 0; at < 1000; at += 1) {
    lanes.add(`c${at}`, at, false, null);
    lanes.gap(at, at + 1);
    lanes.lost({ after: `${at}-0`, next: `${at + 1}-0` });
  }
  assert.deepEqual([lanes.lanes.size, lanes.gaps.length, lanes.losses.length], [41, 100, 100]);
  lanes.forget(1_000_000);
  assert.deepEqual([lanes.lanes.size, lanes.gaps.length, lanes.losses.length], [0, 0, 0]);
});

test("a lane is bounded while nothing is drawn, and keeps what the timeline shows", () => {
  const lanes = new Lanes(60_000, ["fixed"]);
  for (const name of ["fixed", "other"]) {
    for (let ms = 0; ms < 3_600_000; ms += 25) lanes.add(name, ms, false, ms);
    const bins = lanes.lanes.get(name)?.bins ?? new Map();
    assert.ok(bins.size <= 2400, `${bins.size} bins`);
    assert.equal(lanes.near(name, 3_540_000, 0)?.bin.entry, 3_540_025);
    assert.equal(lanes.near(name, 3_599_990, 0)?.bin.entry, 3_599_975);
  }
});

test("a time without a connection lasts until its end is known", () => {
  const lanes = new Lanes(60_000);
  lanes.gap(5, null);
  assert.equal(lanes.gaps[0].to, Infinity);
  lanes.gap(5, 9);
  assert.deepEqual(lanes.gaps, [{ from: 5, to: 9, channel: null }]);
});

// Summaries

for (const [event, data, line] of [
  ["message", '{"sequence":1,"message":"Build passed"}', "Build passed"],
  ["message", '{"user":"Ana","text":"hi"}', "Ana: hi"],
  ["sensor", '{"sensor":"temperature","value":21.50,"unit":"°C"}', "temperature 21.50 °C"],
  ["notification", '{"level":"info","title":"Deploy","message":"done"}', "Deploy: done"],
  ["error", '{"title":"Service Unavailable","status":503,"detail":"Full."}', "503 Service Unavailable: Full."],
  ["end", '{"channel":"a","reason":"done"}', "The channel has ended: done"],
  ["heartbeat", '{"uptime":5.1,"subscribers":1}', "up for 5.1 s · 1 subscriber"],
  ["other", '{"a":12345678901234567890,"b":{"c":1},"d":[],"timestamp":"x"}', "a 12345678901234567890 · b {…} · d […]"],
  ["sensor", '{"broken":true}', "broken true"],
  ["constructor", '{"a":1}', "a 1"],
  ["t", "one\ntwo\nthree", "one (+2 lines)"],
  ["t", '"in quotes"', "in quotes"],
  ["t", "{not json", "{not json"],
  ["t", "", ""],
]) {
  test(`the line for ${event} ${data.slice(0, 30)} is ${line}`, () => assert.equal(summary({ event, data }), line));
}

test("data of any length give a short line", () => {
  for (const data of ["x".repeat(1e6), `{"message":"${"x".repeat(1e4)}"}`, `{"a":"${"x".repeat(1e6)}"}`]) {
    assert.ok(summary({ event: "message", data }).length <= 301);
  }
});

// The hub in the page

test("a reader of the hub in the page that does not read is fed from its log", async () => {
  const hub = new PageHub("x", { buffered: 3 });
  const { body } = await hub.fetch("https://simulated.invalid/stream");
  for (let n = 1; n <= 10; n += 1) hub.publish({ n });
  assert.deepEqual([...hub.readers].map(({ live }) => live), [false]);
  const reader = /** @type {ReadableStream} */ (body).getReader();
  const parser = new EventParser();
  const seen = [];
  while (seen.length < 11) seen.push(...parser.feed((await reader.read()).value));
  assert.deepEqual(seen.slice(1).map(({ data }) => JSON.parse(JSON.parse(data).data).n), [1, 2, 3, 4, 5, 6, 7, 8, 9, 10]);
  assert.deepEqual([...hub.readers].map(({ live }) => live), [true]);
});

test("a hub in the page that is full says so by an event and ends the stream", async () => {
  const hub = new PageHub("x", { places: 0 });
  const response = await hub.fetch("https://simulated.invalid/stream");
  assert.equal(response.status, 200);
  const [event] = new EventParser().feed(utf8(await response.text()));
  assert.equal(event.type, "error");
  assert.equal(JSON.parse(event.data).status, 503);
});

// Words

const gaps = (text) => [...text.matchAll(/\{(\w+)\}/g)].map(([, name]) => name).sort();

test("both languages have all words, with the same gaps", () => {
  for (const [key, [english, portuguese]] of Object.entries(PARTS)) {
    assert.ok(english && portuguese, key);
    assert.deepEqual(gaps(portuguese), gaps(english), key);
  }
});

test("every word that a part asks for is there", () => {
  const folder = new URL("../../web/app/", import.meta.url);
  const asked = ["chart", "inspect", "timeline", "lab", "cases"].flatMap((name) =>
    readdirSync(new URL(`${name}/`, folder)).filter((file) => file.endsWith(".js")).flatMap((file) => {
      const source = readFileSync(new URL(`${name}/${file}`, folder), "utf8");
      return [...source.matchAll(/(?:\bsay|\bbutton|\bstep|\bworded\("\w+",)\(?\s*"(\w+)"/g)].map(([, key]) => key);
    }),
  );
  assert.ok(asked.length > 80);
  assert.deepEqual(asked.filter((key) => say(key) === key), []);
});
