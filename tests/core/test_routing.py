from __future__ import annotations

from dataclasses import dataclass

from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from sse_hub.core.routing import Router
from sse_hub.core.subscription import Subscription, keys, normal


@dataclass(eq=False)
class Entry:
    subscription: Subscription


NAMES = st.text("ab.", min_size=1, max_size=4)
PATTERNS = st.text("ab.*", min_size=1, max_size=4)


class IndexAndSearch(RuleBasedStateMachine):
    """The index finds what a look at every subscription finds, whatever comes and goes."""

    def __init__(self) -> None:
        super().__init__()
        self.router = Router[Entry]()
        self.entries: list[Entry] = []

    @rule(
        names=st.frozensets(PATTERNS, min_size=1, max_size=3), granted=st.none() | st.frozensets(PATTERNS, max_size=3)
    )
    def arrive(self, names: frozenset[str], granted: frozenset[str] | None) -> None:
        entry = Entry(Subscription(names, granted=granted))
        self.entries.append(entry)
        self.router.add(entry)

    @rule(which=st.integers(0, 99))
    def leave(self, which: int) -> None:
        if self.entries:
            self.router.remove(self.entries.pop(which % len(self.entries)))

    @rule(channel=NAMES)
    def route(self, channel: str) -> None:
        found = self.router.route(channel)
        assert len(found) == len(set(found))
        assert set(found) == {entry for entry in self.entries if entry.subscription.covers(channel)}

    @rule(channel=NAMES)
    def forget(self, channel: str) -> None:
        self.router.forget(channel)

    def teardown(self) -> None:
        for entry in self.entries:
            self.router.remove(entry)
        assert all(not self.router.route(channel) for channel in ("a", "b", "ab", ".a"))


IndexAndSearch.TestCase.settings = settings(max_examples=200, stateful_step_count=40, deadline=None)
TestIndexAndSearch = IndexAndSearch.TestCase


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


def test_subscriptions_that_differ_only_by_what_changes_nothing_have_one_normal_form() -> None:
    plain = Subscription(frozenset({"user.7", "news"}))
    assert normal(Subscription(frozenset({"*"}), granted=frozenset({"user.7", "news"}))) == plain
    assert normal(Subscription(frozenset({"user.7", "news"}), granted=frozenset({"*"}))) == plain
    assert normal(Subscription(frozenset({"*", "news", "user.*"}))) == Subscription(frozenset({"*"}))
    assert normal(Subscription(frozenset({"a*", "a**", "b"}))).names in ({"a*", "b"}, {"a**", "b"})
