"""The client's parser, by the standard."""

from __future__ import annotations

from itertools import pairwise

import pytest
import wire
from cases import CASES, Case
from hypothesis import example, given
from hypothesis import strategies as st

from sse_client import EventParser, EventTooLarge, Parsed
from sse_hub.core.events import EventId
from sse_hub.core.wire import frame

CHUNKS = st.lists(st.sampled_from([b"data", b":", b" ", b"\n", b"\r", b"id", b"event", b"retry", b"7", b"\xff", b"\0"]))


def read(parser: EventParser, *chunks: bytes) -> list[tuple[str, str, str]]:
    return [(event.type, event.data, event.last_event_id) for chunk in chunks for event in parser.feed(chunk)]


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_stream_is_read_as_the_standard_says(case: Case) -> None:
    parser = EventParser()
    assert read(parser, case.stream) == case.events
    assert parser.last_event_id == case.id
    assert parser.retry_ms == case.retry_ms


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_stream_split_anywhere_is_read_alike(case: Case) -> None:
    for at in range(len(case.stream) + 1):
        parser = EventParser()
        assert read(parser, case.stream[:at], case.stream[at:]) == case.events
        assert (parser.last_event_id, parser.retry_ms) == (case.id, case.retry_ms)


@pytest.mark.parametrize("case", CASES, ids=str)
def test_a_stream_that_comes_byte_by_byte_is_read_alike(case: Case) -> None:
    parser = EventParser()
    assert read(parser, *(bytes([byte]) for byte in case.stream)) == case.events
    assert (parser.last_event_id, parser.retry_ms) == (case.id, case.retry_ms)


@given(CHUNKS)
@example([b"data", b"\r", b"\n", b"\n"])
def test_any_bytes_are_read_as_a_reader_written_from_the_standard_alone_reads_them(chunks: list[bytes]) -> None:
    stream = b"".join(chunks) + b"\n"
    expected = [("" if e.type == "message" else e.type, e.data, e.id) for e in wire.parse(stream)]
    assert read(EventParser(), *chunks, b"\n") == expected


@given(st.lists(st.tuples(st.text(), st.sampled_from(["", "note"]))), st.lists(st.integers(0, 400)))
def test_events_framed_by_the_server_are_read_back_however_they_are_split(
    events: list[tuple[str, str]], cuts: list[int]
) -> None:
    frames = [frame(data, id=EventId(1, n), type=type or None) for n, (data, type) in enumerate(events)]
    stream = b"".join(frames)
    edges = sorted({0, len(stream), *(cut for cut in cuts if cut < len(stream))})
    received = read(EventParser(), *(stream[a:b] for a, b in pairwise(edges)))
    lines = [data.replace("\r\n", "\n").replace("\r", "\n") for data, _ in events]
    assert received == [(type, line, f"1-{n}") for n, (line, (_, type)) in enumerate(zip(lines, events, strict=True))]


def test_a_carriage_return_dispatches_at_once() -> None:
    parser = EventParser()
    assert parser.feed(b"data: one\r\r") == [Parsed("", "one", "")]
    assert parser.feed(b"\ndata: two\r\n\r") == [Parsed("", "two", "")]
    assert parser.feed(b"\n") == []


def test_a_new_stream_forgets_an_incomplete_event_and_keeps_id_and_retry() -> None:
    parser = EventParser()
    parser.feed(b"retry: 9\nid: 1\ndata: a\n\nid: 2\nevent: t\ndata: half")
    parser.reset()
    assert parser.feed(b"\xef\xbb\xbfdata: b\n\n") == [Parsed("", "b", "1")]
    assert parser.retry_ms == 9


def test_a_parser_can_begin_with_the_id_of_an_earlier_stream() -> None:
    assert EventParser(last_event_id="4").feed(b"data: a\n\n") == [Parsed("", "a", "4")]


@pytest.mark.parametrize("stream", [b"data: 123456789\n\n", b"data: 1234\ndata: 5678\n\n", b": " + b"x" * 30 + b"\n\n"])
def test_an_event_or_line_over_the_limit_is_an_error_however_it_is_split(stream: bytes) -> None:
    for size in (1, 2, 5, len(stream)):
        chunks = [stream[at : at + size] for at in range(0, len(stream), size)]
        with pytest.raises(EventTooLarge, match="larger than 8 bytes"):
            read(EventParser(max_event_bytes=8), *chunks)


@pytest.mark.parametrize("stream", [b"data: 12345678\n\n", b"data:12345678\n\n", b"data: 123\ndata: 4567\n\n"])
def test_an_event_of_just_the_limit_is_read_however_it_is_split(stream: bytes) -> None:
    for size in (1, 2, 5, len(stream)):
        chunks = [stream[at : at + size] for at in range(0, len(stream), size)]
        assert len(read(EventParser(max_event_bytes=8), *chunks)) == 1


def test_an_error_has_the_events_before_the_one_that_is_too_large() -> None:
    with pytest.raises(EventTooLarge) as caught:
        EventParser(max_event_bytes=8).feed(b"id: 1\ndata: a\n\ndata: b\n\nid: 2\ndata: 123456789\n\ndata: c\n\n")
    assert caught.value.events == [Parsed("", "a", "1"), Parsed("", "b", "1")]


def test_a_million_empty_lines_of_data_are_over_the_limit() -> None:
    with pytest.raises(EventTooLarge):
        EventParser(max_event_bytes=1000).feed(b"data\n" * 1_000_000)


@pytest.mark.timeout(20)
def test_a_long_line_in_many_pieces_takes_time_linear_in_its_length() -> None:
    # Were each piece searched or copied from the start, this would take minutes.
    parser = EventParser()
    parser.feed(b"data: ")
    for _ in range(200_000):
        parser.feed(b"0123456789")
    assert len(parser.feed(b"\n\n")[0].data) == 2_000_000


def test_a_retry_of_thousands_of_digits_is_a_day() -> None:
    parser = EventParser()
    parser.feed(b"retry: " + b"9" * 5000 + b"\n")
    assert parser.retry_ms == 86_400_000
