"""The router of topics finds those that an update concerns, and looks at no others."""

from __future__ import annotations

from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sse_hub.core import topic_routing
from sse_hub.core.events import Event, EventId
from sse_hub.core.groups import Audience
from sse_hub.core.topic_routing import TopicRouter
from sse_hub.core.topics import may_expand_to
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


@pytest.mark.parametrize("followers", [1, 200])
@pytest.mark.parametrize("readers", [1, 200])
def test_those_that_may_read_a_private_update_get_it_if_they_follow_it(followers: int, readers: int) -> None:
    router = TopicRouter()
    one = audience(["books/{id}"], ["users/{id}"])
    others = [audience(["books/{id}"]) for _ in range(1, followers)]
    others += [audience(["films/{id}"], ["users/{id}"]) for _ in range(1, readers)]
    for each in (one, *others):
        router.add(each)
    assert list(router.route_event(update("books/1", "users/1", private=True))) == [one]


def test_a_private_update_that_few_may_read_is_not_compared_with_the_templates_of_others(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    router = TopicRouter()
    for number in range(100):
        router.add(audience([f"{{+a}}{'{/b}' * number}{{.c}}"]))
    router.add(audience(["t"], ["{+a}"]))
    tried = Tried(monkeypatch)
    list(router.route_event(update("t/1", private=True)))
    assert tried.count == 1


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


PIECES = st.sampled_from(["{a}", "{b}", "{+a}", "{/a}", "{?a,b}", "{a*}", "a", "b", "/", "-", "?"])
SELECTORS = st.lists(st.lists(PIECES, min_size=1, max_size=5).map("".join) | st.just("*"), max_size=4)
TOPICS = st.lists(st.lists(st.sampled_from("ab/-?"), max_size=5).map("".join), max_size=3)


@given(
    followed=st.lists(st.tuples(SELECTORS, SELECTORS), max_size=6),
    leaving=st.sets(st.integers(0, 5)),
    topics=TOPICS,
    private=st.booleans(),
)
def test_those_are_found_that_a_look_at_every_selector_finds(
    followed: Sequence[tuple[Sequence[str], Sequence[str]]], leaving: set[int], topics: Sequence[str], private: bool
) -> None:
    router = TopicRouter()
    audiences = [audience(*selectors) for selectors in followed]
    for each in audiences:
        router.add(each)
    for number in leaving & set(range(len(audiences))):
        router.remove(audiences[number])
    event = update(*topics, *followed[0][0][:1] if followed else (), private=private)
    found = list(router.route_event(event))
    there = [each for number, each in enumerate(audiences) if number not in leaving]
    assert len(found) == len(set(found))
    assert set(found) == {each for each in there if each.subscription.wants(event)}


class Tried:
    """Counts the templates that are tried on a topic."""

    def __init__(self, monkeypatch: pytest.MonkeyPatch) -> None:
        self.count = 0
        monkeypatch.setattr(topic_routing, "may_expand_to", self._try)

    def _try(self, template: str, topic: str) -> bool:
        self.count += 1
        return may_expand_to(template, topic)


@pytest.mark.parametrize(
    ("template", "most"),
    [
        ("{{a}}0_{}", 0),
        ("https://e.com/{{+a}}0_{}", 0),
        ("https://e.com/{{+a}}/{}x{{b}}", 0),
        ("{{a{}}}", 1),
        ("https://e.com/{{a{}}}/1", 1),
    ],
    ids=["end", "beginning and end", "middle", "names of variables", "names between literals"],
)
def test_a_template_is_not_tried_on_topics_without_its_literals_and_once_whatever_its_variables_are_called(
    monkeypatch: pytest.MonkeyPatch, template: str, most: int
) -> None:
    tried = Tried(monkeypatch)
    router = TopicRouter()
    for number in range(100):
        router.add(audience([template.format(number)]))
    list(router.route_event(update("https://e.com/books/1")))
    assert tried.count == most
