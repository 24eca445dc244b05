"""The router of topics finds those that an update concerns, and looks at no others."""

from __future__ import annotations

from collections.abc import Sequence

from sse_hub.core.events import Event, EventId
from sse_hub.core.groups import Audience
from sse_hub.core.topic_routing import TopicRouter
from sse_hub.core.updates import draft, topic_subscription


def audience(selectors: Sequence[str], readable: Sequence[str] = ()) -> Audience:
    return Audience(topic_subscription(selectors, readable, chunked=True, gzip=False))


def update(*topics: str, private: bool = False) -> Event:
    return draft(topics, private=private).accepted(EventId(1, 0), 1)


def test_each_audience_is_found_once_whatever_of_it_matches() -> None:
    router = TopicRouter()
    everything, exact, template, other = audience(["*"]), audience(["a/1", "b"]), audience(["a/{x}"]), audience(["c"])
    for each in (everything, exact, template, other):
        router.add(each)
    assert list(router.route_event(update("a/1", "b"))) == [everything, exact, template]
    assert list(router.route_event(update("a/{x}"))) == [everything, template]
    assert list(router.route_event(update("z"))) == [everything]


def test_a_private_update_is_offered_only_to_those_that_may_read_it() -> None:
    router = TopicRouter()
    users = [audience(["books/{id}"], [f"users/{number}/{{?topic}}"]) for number in range(100)]
    for user in users:
        router.add(user)
    assert list(router.route_event(update("books/1", "users/42/", private=True))) == [users[42]]
    assert len(list(router.route_event(update("books/1", "users/42/")))) == 100


def test_an_audience_that_has_left_is_not_found() -> None:
    router = TopicRouter()
    one, two = audience(["a/{x}", "*"], ["t{x}"]), audience(["a/{x}"], ["t{x}"])
    for each in (one, two):
        router.add(each)
    router.remove(one)
    assert list(router.route_event(update("a/1", "t1", private=True))) == [two]
    router.remove(two)
    assert list(router.route_event(update("a/1", "t1", private=True))) == []


def test_the_audiences_of_all_updates_are_found_by_the_channel() -> None:
    router = TopicRouter()
    one = audience(["a"])
    router.add(one)
    assert router.route("mercure") == [one]
