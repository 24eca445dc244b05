"""The way from a channel to its subscriptions."""

from __future__ import annotations

from dataclasses import dataclass

from calls import counted_calls
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule

from sse_hub.core.routing import Router
from sse_hub.core.subscription import Subscription


@dataclass(eq=False)
class Entry:
    subscription: Subscription


NAMES = st.text("ab.", min_size=1, max_size=4)


PATTERNS = st.text("ab.*", min_size=1, max_size=4)


class IndexAndSearch(RuleBasedStateMachine):
    """The index finds the same subscriptions as a look at all of them, after any changes."""

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


def test_a_new_route_asks_no_subscription_without_grants_for_its_patterns() -> None:
    router = Router[Entry]()
    for number in range(200):
        others = (f"room{number}.{each}.*" for each in range(20))
        router.add(Entry(Subscription(frozenset({"news.*", *others}))))
    with counted_calls() as calls:
        assert len(router.route("news.a")) == 200
    assert calls.count < 2000
