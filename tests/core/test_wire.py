"""Events as bytes: framing, chunks, compression."""

from __future__ import annotations

import gzip
import io
import re
import tracemalloc
import zlib
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wire import Parser, parse

from sse_hub.core.events import (
    Draft,
    EventId,
)
from sse_hub.core.subscription import Subscription
from sse_hub.core.wire import Compressors, SharedStream, encode, first, frame, wrap

ids = st.builds(EventId, st.integers(0, 2**53), st.integers(0, 2**53))


texts = st.text(st.characters(exclude_categories=["Cs"]))


PLAIN = Subscription(frozenset({"*"}))


ENVELOPE = Subscription(frozenset({"*"}), envelope=True)


GZIP = Subscription(frozenset({"c"}), chunked=False, gzip=True)


@given(texts, ids)
def test_any_data_is_read_back_with_every_line_break_as_lf(data: str, id: EventId) -> None:
    (event,) = parse(frame(data, id=id, type="some type"))
    assert event.data == re.sub("\r\n|\r", "\n", data)
    assert (event.type, event.id) == ("some type", str(id))


runs = st.lists(
    st.builds(lambda text, count: text * count, st.sampled_from(["\n", "\r", "\r\n", "a", "🎉"]), st.integers(0, 40))
)


@given(runs)
def test_any_runs_of_line_breaks_are_read_back_with_each_as_lf(pieces: list[str]) -> None:
    data = "".join(pieces)
    assert [event.data for event in parse(frame(data))] == [re.sub("\r\n|\r", "\n", data)]


@given(texts, st.lists(st.integers(0, 200), max_size=5))
def test_any_split_of_the_bytes_is_read_back_alike(data: str, cuts: list[int]) -> None:
    whole = frame(data, id=EventId(1, 2), type="t") + frame("after")
    parser = Parser()
    edges = [0, *sorted(cuts), len(whole)]
    pieces = [event for a, b in pairwise(edges) for event in parser.feed(whole[a:b])]
    assert pieces == parse(whole)


@given(st.text())
def test_a_lone_surrogate_costs_one_character_and_no_error(data: str) -> None:
    assert len(parse(frame(data))) == 1


@pytest.mark.parametrize("first", ["", "é", "🎉"])
@pytest.mark.parametrize("line_break", ["\n", "\r", "\r\n"])
def test_a_body_of_nothing_but_line_breaks_takes_little_more_memory_than_its_bytes(line_break: str, first: str) -> None:
    data = first + line_break * 100_000
    tracemalloc.start()
    try:
        encoded = frame(data)
        peak_bytes = tracemalloc.get_traced_memory()[1]
    finally:
        tracemalloc.stop()
    assert encoded == f"data: {first}\n".encode() + b"data: \n" * 100_000 + b"\n"
    assert peak_bytes < 3 * len(encoded)


def test_a_retry_comes_first_so_that_it_holds_if_the_connection_breaks_within_the_event() -> None:
    assert frame("x", id=EventId(1, 0), type="t", retry_ms=5) == b"retry: 5\nid: 1-0\nevent: t\ndata: x\n\n"


def test_the_default_type_is_not_sent() -> None:
    assert encode(PLAIN, Draft("main", "message", "x").accepted(EventId(1, 0), 1)) == b"id: 1-0\ndata: x\n\n"


def test_an_ephemeral_event_has_no_id_line() -> None:
    event = Draft("main", "message", "x", ephemeral=True).accepted(EventId(1, 0), 1)
    assert encode(PLAIN, event) == b"data: x\n\n"
    assert parse(encode(ENVELOPE, event))[0].json()["id"] is None


def test_an_envelope_is_a_message_with_the_whole_event_as_json() -> None:
    event = Draft("home", "door", "öffne\n", ephemeral=False).accepted(EventId(1_763_949_600_123, 4), 1_763_949_600_123)
    (received,) = parse(encode(ENVELOPE, event))
    assert received.type == "message"
    assert received.json() == {
        "id": "1763949600123-4",
        "channel": "home",
        "event": "door",
        "data": "öffne\n",
        "timestamp": "2025-11-24T02:00:00.123Z",
    }


def test_an_event_is_encoded_once() -> None:
    event = Draft("main", "message", "x").accepted(EventId(1, 0), 1)
    assert encode(PLAIN, event) is encode(PLAIN, event)
    assert encode(ENVELOPE, event) is encode(ENVELOPE, event)


def test_a_chunk_is_its_length_in_hexadecimal_and_its_bytes() -> None:
    assert wrap(Subscription(frozenset({"c"})), [b"x" * 20, b"x" * 6]) == b"1a\r\n" + b"x" * 26 + b"\r\n"


def test_no_empty_chunk_is_written_because_it_would_end_the_body() -> None:
    assert wrap(Subscription(frozenset({"c"})), []) == b""


def test_an_http_1_0_subscriber_gets_bytes_without_chunks() -> None:
    assert wrap(Subscription(frozenset({"c"}), chunked=False), [b"a", b"b"]) == b"ab"


def test_deflated_pieces_can_follow_each_other_and_be_read_at_once() -> None:
    reader = zlib.decompressobj(-15)
    for text in (b"one", b"two", b"one two"):
        assert reader.decompress(wrap(GZIP, [text])) == text


def test_a_shared_stream_can_be_read_from_each_reset_on() -> None:
    stream = SharedStream(Compressors(), GZIP)
    early, late = zlib.decompressobj(-15), zlib.decompressobj(-15)
    for text in (b"one", b"two"):
        stream.add(text)
    assert early.decompress(stream.flush()) == b"onetwo"
    assert stream.flush() == b""
    stream.reset()
    stream.add(b"three")
    segment = stream.flush()
    assert early.decompress(segment) == late.decompress(segment) == b"three"


def test_a_stream_begins_with_a_header_that_gzip_reads() -> None:
    member = first(Subscription(frozenset({"c"}), chunked=False, gzip=True), b"hello")
    assert gzip.GzipFile(fileobj=io.BytesIO(member)).read(5) == b"hello"


def test_frames_for_one_subscriber_are_deflated_separately() -> None:
    subscription = Subscription(frozenset({"c"}), chunked=False, gzip=True)
    assert zlib.decompressobj(-15).decompress(wrap(subscription, [b"a", b"b"])) == b"ab"
    assert wrap(subscription, []) == b""


def test_a_compressor_is_kept_while_it_is_among_those_used_last() -> None:
    compressors = Compressors(2)
    one, two, three = (SharedStream(compressors, GZIP) for _ in range(3))
    kept = compressors.of(one)
    compressors.of(two)
    assert compressors.of(one) is kept
    compressors.of(three)
    assert compressors.of(one) is kept
    compressors.drop(one)
    assert compressors.of(one) is not kept


@pytest.mark.parametrize("envelope", [False, True])
def test_the_frames_of_large_events_are_not_kept_as_long_as_the_events(envelope: bool) -> None:
    events = [Draft("c", "message", "\n" * 500_000).accepted(EventId(number, 0), number) for number in range(1, 61)]
    subscription = Subscription(frozenset({"c"}), envelope=envelope)
    tracemalloc.start()
    try:
        for event in events:
            assert encode(subscription, event) is encode(subscription, event)
        taken, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert taken < 34 << 20


def test_a_large_frame_is_the_same_chunk_for_all_audiences() -> None:
    event = Draft("c", "message", "x" * 500_000).accepted(EventId(1, 0), 1)
    one, other = (Subscription(frozenset({"c", name})) for name in "ab")
    assert wrap(one, [encode(one, event)]) is wrap(other, [encode(other, event)])
