"""Events, their ids, and the names of channels, patterns and types."""

from __future__ import annotations

import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sse_hub.core.events import (
    RESERVED_TYPES,
    EventId,
    check_channel,
    check_pattern,
    check_type,
    matches,
    timestamp,
)

ids = st.builds(EventId, st.integers(0, 2**53), st.integers(0, 2**53))


@given(ids)
def test_an_id_is_read_back_as_it_was_printed(id: EventId) -> None:
    assert EventId.parse(str(id)) == id


def test_ids_are_compared_as_numbers_not_as_text() -> None:
    assert EventId.parse("9-10") > EventId.parse("9-9")
    assert EventId.parse("10-0") > EventId.parse("9-0")


@pytest.mark.parametrize("text", ["", "1", "1-", "-1", "1-2-3", "1_0-1", " 1-1", "1-1\n", "١-١", "1" * 21 + "-0"])
def test_a_text_that_is_no_id_is_refused_with_an_example(text: str) -> None:
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
    with pytest.raises(ValueError, match="not a channel name"):
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


def test_a_timestamp_is_iso_8601_in_utc_to_the_millisecond() -> None:
    assert timestamp(1_763_949_600_007) == "2025-11-24T02:00:00.007Z"
