"""Updates: who gets them, their bytes, and the names of their ids."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from sse_hub.core.events import Draft, Event, EventId
from sse_hub.core.log import Log
from sse_hub.core.rules import Rules
from sse_hub.core.update_hub import UpdateHub
from sse_hub.core.updates import cursor_of, draft, name_of, topic_subscription, update_of

ID = EventId(1763949600123, 7)


def event(topics: Sequence[str] = ("t",), data: str = "d", private: bool = False, **more: object) -> Event:
    return draft(topics, data, private=private, **more).accepted(ID, ID.ms)  # type: ignore[arg-type]


def wants(update: Event, selectors: Sequence[str], readable: Sequence[str] = ()) -> bool:
    return topic_subscription(selectors, readable, chunked=True, gzip=False).wants(update)


def test_a_public_update_goes_to_all_that_follow_one_of_its_topics() -> None:
    assert wants(event(["a", "b"]), ["b"])
    assert not wants(event(["a", "b"]), ["c"], ["*"])


def test_a_private_update_needs_a_topic_that_is_followed_and_one_that_may_be_read() -> None:
    """S19."""
    topics = ["https://e.com/books/1", "https://e.com/users/42/?topic=https%3A%2F%2Fe.com%2Fbooks%2F1"]
    book, user = "https://e.com/books/{id}", "https://e.com/users/42/{?topic}"
    assert wants(event(topics, private=True), [book], [user])
    assert not wants(event(topics[:1], private=True), [book], [user])
    assert not wants(event(topics, private=True), [book])
    assert not wants(event(topics, private=True), ["x"], [user])


def test_the_event_has_type_retry_id_and_data_in_this_order() -> None:
    """S22."""
    update = event(data="one\r\ntwo\u2028\rthree", label="#1", type="news", retry_ms=5)
    update_of(update)
    assert update.frame == "retry: 5\nid: #1\nevent: news\ndata: one\ndata: two\u2028\ndata: three\n\n".encode()


def test_an_update_without_data_has_an_empty_data_line_so_that_it_is_dispatched() -> None:
    """S22."""
    update = event(data="")
    update_of(update)
    assert update.frame == f"id: {name_of(ID)}\ndata: \n\n".encode()


@pytest.mark.parametrize(
    "data",
    [
        *("", "1", "[]", "{}", '{"topics":"x"}', '{"topics":[1],"private":false,"id":null}', "[" * 100_000),
        '{"topics":["t"],"private":false,"id":"a\\nb","type":null,"retry":null,"data":""}',
        '{"topics":["t"],"private":false,"id":null,"type":"a\\rb","retry":null,"data":""}',
        '{"topics":["t"],"private":false,"id":7,"type":null,"retry":null,"data":""}',
        '{"topics":[["t"]],"private":false,"id":null,"type":null,"retry":null,"data":""}',
    ],
)
def test_data_that_no_hub_has_written_reach_no_subscriber(data: str) -> None:
    assert not wants(Draft("mercure", "update", data).accepted(ID, ID.ms), ["*"], ["*"])


@given(st.builds(EventId, st.integers(0, 2**48 - 1), st.integers(0, 2**62 - 1)))
def test_the_name_of_an_id_is_a_uuid_of_version_8_that_holds_it(id: EventId) -> None:
    """P3."""
    assert cursor_of(name_of(id)) == id


@pytest.mark.parametrize(
    "name",
    [
        "urn:uuid:019ab3f0-1234-7abc-8def-0123456789ab",
        "urn:uuid:019ab3f0-1234-8abc-8def-0123456789ab",
        "urn:uuid:019ab3f0-1234-85e5-0def-0123456789ab",
        name_of(ID).upper(),
        name_of(ID) + "\n",
        str(ID),
        "",
    ],
)
def test_another_id_is_not_read_as_one_of_the_hubs(name: str) -> None:
    """P3."""
    assert cursor_of(name) is None


def test_a_subscription_to_many_selectors_looks_at_fewer_updates_for_a_page() -> None:
    one = topic_subscription(["{a}"], [], chunked=True, gzip=False)
    many = topic_subscription([f"{{a}}{number}" for number in range(100)], ["b"], chunked=True, gzip=False)
    assert one.share_of(1000) == 1000
    assert many.share_of(1000) == 20


def test_each_update_is_observed_in_the_turn_in_which_it_enters_the_log() -> None:
    turns: list[Callable[[], None]] = []
    hub = UpdateHub(Log(EventId(1, 0), Rules()), turns.append)
    seen: list[EventId | None] = []
    hub.observe = lambda event: seen.append(event.id)
    events = [draft(["t"], "x").accepted(EventId(1000 + number, 0), 1000 + number) for number in range(400)]
    for _ in hub.deliver(events):
        assert seen[-1] == hub.log.head
        turns.pop()()
    assert len(seen) == 400
