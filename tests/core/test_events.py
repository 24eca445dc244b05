from __future__ import annotations

import re
from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st
from wire import Parser, parse

from sse_hub.core.events import (
    RESERVED_TYPES,
    Draft,
    EventId,
    check_channel,
    check_pattern,
    check_type,
    matches,
    timestamp,
)
from sse_hub.core.subscription import Subscription
from sse_hub.core.wire import encode, frame

ids = st.builds(EventId, st.integers(0, 2**53), st.integers(0, 2**53))
texts = st.text(st.characters(exclude_categories=["Cs"]))

PLAIN = Subscription(frozenset({"*"}))
ENVELOPE = Subscription(frozenset({"*"}), envelope=True)


@given(ids)
def test_an_id_is_read_back_as_it_was_printed(id: EventId) -> None:
    assert EventId.parse(str(id)) == id


def test_ids_are_compared_as_numbers_not_as_text() -> None:
    assert EventId.parse("9-10") > EventId.parse("9-9")
    assert EventId.parse("10-0") > EventId.parse("9-0")


@pytest.mark.parametrize("text", ["", "1", "1-", "-1", "1-2-3", "1_0-1", " 1-1", "1-1\n", "١-١", "1" * 21 + "-0"])
def test_what_is_no_id_is_refused_with_an_example(text: str) -> None:
    with pytest.raises(ValueError, match="looks like"):
        EventId.parse(text)


@given(ids, st.integers(0, 2**53))
def test_the_following_id_is_greater_even_when_the_clock_goes_backwards(id: EventId, now_ms: int) -> None:
    assert id.following(now_ms) > id
    assert id.following(now_ms).ms >= now_ms


@given(ids)
def test_the_preceding_id_is_below(id: EventId) -> None:
    assert id.preceding() < id


@pytest.mark.parametrize("name", ["main", "sensors.kitchen", "x" * 128, "größe", "日本", "a:b", "a#b%", "🎉"])
def test_a_channel_name_may_have_any_character_that_is_not_excluded(name: str) -> None:
    assert check_channel(name) == check_pattern(name) == name


@pytest.mark.parametrize(
    "name",
    ["", "x" * 129, "a b", "a\nb", "a\x00", "a\x7f", "a\x85", "a\u2028b", "a\u3000b", "a/b", "a,b", "a?", "\ud800"],
)
def test_a_channel_name_with_an_excluded_character_or_length_is_refused(name: str) -> None:
    for check in (check_channel, check_pattern):
        with pytest.raises(ValueError, match="1 to 128 characters"):
            check(name)


def test_only_a_pattern_may_have_an_asterisk() -> None:
    assert check_pattern("sensors.*") == "sensors.*"
    with pytest.raises(ValueError, match="no channel name"):
        check_channel("sensors.*")


@pytest.mark.parametrize("type", ["", "x" * 129, "a\nb", "a\rb", "a\x00b", "a\u2028b", "\udfff"])
def test_an_event_name_with_a_control_character_or_a_wrong_length_is_refused(type: str) -> None:
    with pytest.raises(ValueError, match="1 to 128 characters"):
        check_type(type)


@pytest.mark.parametrize("type", sorted(RESERVED_TYPES))
def test_the_hubs_own_event_names_may_be_named_but_not_published(type: str) -> None:
    assert check_type(type, reserved=True) == type
    with pytest.raises(ValueError, match="the hub's own"):
        check_type(type)


@given(st.text("ab.*", max_size=8), st.text("ab.", max_size=12))
def test_an_asterisk_stands_for_any_run_of_characters(pattern: str, channel: str) -> None:
    oracle = re.fullmatch(re.escape(pattern).replace(r"\*", ".*"), channel) is not None
    assert matches(f"{pattern}*", channel + "z") == (
        re.fullmatch(re.escape(pattern).replace(r"\*", ".*") + ".*", channel + "z") is not None
    )
    if "*" in pattern:
        assert matches(pattern, channel) == oracle


def test_a_pattern_of_many_asterisks_is_matched_in_linear_time() -> None:
    assert not matches("*a" * 64, "a" * 63 + "b" * 65)  # as a regular expression this would take years


@given(texts, ids)
def test_any_data_is_read_back_with_every_line_break_as_lf(data: str, id: EventId) -> None:
    (event,) = parse(frame(data, id=id, type="some type"))
    assert event.data == re.sub("\r\n|\r", "\n", data)
    assert (event.type, event.id) == ("some type", str(id))


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


def test_a_timestamp_is_iso_8601_in_utc_to_the_millisecond() -> None:
    assert timestamp(1_763_949_600_007) == "2025-11-24T02:00:00.007Z"


def test_a_subscription_covers_its_names_and_what_its_patterns_match() -> None:
    subscription = Subscription(frozenset({"main", "sensors.*"}))
    assert subscription.covers("main")
    assert subscription.covers("sensors.kitchen.floor")
    assert not subscription.covers("mainly")
    assert not subscription.covers("sensors")
