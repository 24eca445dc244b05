"""Subscriptions, and the names by which they are found."""

from __future__ import annotations

import pytest
from calls import counted_calls
from hypothesis import given
from hypothesis import strategies as st

from sse_hub.core.subscription import Subscription, keys, normal, spans


def test_a_subscription_covers_its_names_and_the_matches_of_its_patterns() -> None:
    subscription = Subscription(frozenset({"main", "sensors.*"}))
    assert subscription.covers("main")
    assert subscription.covers("sensors.kitchen.floor")
    assert not subscription.covers("mainly")
    assert not subscription.covers("sensors")


NAMES = st.text("ab.", min_size=1, max_size=4)


PATTERNS = st.text("ab.*", min_size=1, max_size=4)


@given(st.frozensets(PATTERNS, min_size=1, max_size=3), st.frozensets(PATTERNS, max_size=3), NAMES)
def test_every_channel_that_is_covered_is_matched_by_a_key(
    names: frozenset[str], granted: frozenset[str], channel: str
) -> None:
    subscription = Subscription(names, granted=granted)
    if subscription.covers(channel):
        assert any(Subscription(frozenset({key})).covers(channel) for key in keys(subscription))


def test_a_token_that_grants_one_channel_is_found_by_that_and_not_by_the_pattern() -> None:
    assert keys(Subscription(frozenset({"*"}), granted=frozenset({"user.7", "news"}))) == {"user.7", "news"}
    assert keys(Subscription(frozenset({"user.*"}), granted=frozenset({"user.7", "news"}))) == {"user.7"}
    assert keys(Subscription(frozenset({"user.7"}), granted=frozenset({"*"}))) == {"user.7"}


@given(st.frozensets(PATTERNS, min_size=1, max_size=3), st.none() | st.frozensets(PATTERNS, max_size=3), NAMES)
def test_the_normal_form_covers_the_same_channels(
    names: frozenset[str], granted: frozenset[str] | None, channel: str
) -> None:
    subscription = Subscription(names, granted=granted)
    assert normal(subscription).covers(channel) == subscription.covers(channel)
    assert normal(subscription).only == subscription.only


def test_subscriptions_to_the_same_channels_have_one_normal_form() -> None:
    plain = Subscription(frozenset({"user.7", "news"}))
    assert normal(Subscription(frozenset({"*"}), granted=frozenset({"user.7", "news"}))) == plain
    assert normal(Subscription(frozenset({"user.7", "news"}), granted=frozenset({"*"}))) == plain
    assert normal(Subscription(frozenset({"*", "news", "user.*"}))) == Subscription(frozenset({"*"}))
    for names in ({"a*", "a**", "b"}, {"a**", "b"}, {"a***", "a**c", "b"}):
        assert normal(Subscription(frozenset(names))) == Subscription(frozenset({"a*", "b"}))
    assert normal(Subscription(frozenset({"*"}), granted=frozenset({"a**"}))) == Subscription(frozenset({"a*"}))


@pytest.mark.parametrize("pattern", ["a{}", "a{}.*", "a{}.*.b"])
@pytest.mark.parametrize("name", ["*", "a*"])
def test_the_normal_form_is_found_quickly_though_a_token_grants_a_thousand_patterns(pattern: str, name: str) -> None:
    granted = frozenset(pattern.format(number) for number in range(1000))
    with counted_calls() as calls:
        normal(Subscription(frozenset({name}), granted=granted))
    assert calls.count < 100_000


@pytest.mark.parametrize(
    ("names", "after", "expected"),
    [
        ({"b", "a"}, "", [("a", False), ("b", False)]),
        ({"b", "a"}, "a", [("b", False)]),
        ({"team.*1", "team.*2", "team.5", "tea"}, "", [("tea", False), ("team.", True)]),
        ({"team.*1", "team.1.*", "user.*"}, "team.7", [("team.", True), ("user.", True)]),
        ({"team.*", "user.*"}, "team/", [("user.", True)]),
        ({"*.end", "a.*", "b"}, "zzz", [("", True)]),
    ],
)
def test_spans_hold_the_channels_after_a_name_and_do_not_overlap(
    names: set[str], after: str, expected: list[tuple[str, bool]]
) -> None:
    assert list(spans(Subscription(frozenset(names)), after)) == expected
