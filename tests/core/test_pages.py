"""Pages that many subscribers share while they catch up."""

from __future__ import annotations

from dataclasses import replace

from small_logs import event, log_of

from sse_hub.core.events import Draft, Event, EventId
from sse_hub.core.latest import superseded_in
from sse_hub.core.pages import PAGE_BYTES, PAGE_EVENTS, EncodedPage, PageCache
from sse_hub.core.subscription import Subscription
from sse_hub.core.wire import encode

SUBSCRIPTION = Subscription(frozenset({"c"}), chunked=False)


def id(ms: int) -> EventId:
    return EventId(ms, 0)


def events(first: int, last: int, data: str = "x", type: str = "message") -> list[Event]:
    return [Draft("c", type, data).accepted(id(ms), ms) for ms in range(first, last + 1)]


def test_a_page_that_holds_everything_leads_to_its_end() -> None:
    page = EncodedPage.of(SUBSCRIPTION, events(1, 3), id(0), id(9))
    assert (page.reached, page.events, page.full) == (id(9), 3, False)
    assert page.data == b"".join(encode(SUBSCRIPTION, event) for event in events(1, 3))


def test_a_page_ends_at_its_size_and_says_so() -> None:
    page = EncodedPage.of(SUBSCRIPTION, events(1, 9, "x" * (PAGE_BYTES // 2)), id(0), id(9))
    assert (page.reached, page.full) == (id(2), True)


def test_a_page_looks_at_no_more_than_its_number_of_events_though_none_is_wanted() -> None:
    picky = Subscription(frozenset({"c"}), frozenset({"rare"}), chunked=False)
    page = EncodedPage.of(picky, events(1, 2 * PAGE_EVENTS), id(0), id(2 * PAGE_EVENTS))
    assert (page.reached, page.events, page.data, page.full) == (id(PAGE_EVENTS), 0, b"", True)


def test_a_page_holds_no_events_of_other_channels() -> None:
    elsewhere = Draft("d", "message", "x").accepted(id(5), 5)
    page = EncodedPage.of(SUBSCRIPTION, [*events(1, 3), elsewhere], id(0), id(9))
    assert (page.reached, page.events) == (id(9), 3)


def test_a_page_holds_nothing_beyond_its_end() -> None:
    page = EncodedPage.of(SUBSCRIPTION, events(1, 9), id(0), id(4))
    assert (page.reached, page.events) == (id(4), 4)


def test_a_page_that_is_ahead_of_the_log_has_its_events_although_the_log_has_older_ones_of_the_same_type() -> None:
    log = log_of(event(1001, "c"))
    conflating = Subscription(frozenset({"c"}), chunked=False, conflate_ms=100)
    page = EncodedPage.of(conflating, events(1009, 1009), id(1001), id(1010), superseded=superseded_in(log))
    assert (page.events, page.conflated) == (1, 0)


def test_subscribers_at_the_same_place_get_the_very_same_bytes() -> None:
    pages = PageCache()
    page = EncodedPage.of(SUBSCRIPTION, events(1, 3), id(0), id(3))
    pages.add(SUBSCRIPTION, id(0), page)
    assert pages.get(SUBSCRIPTION, id(0)) is page
    assert pages.get(SUBSCRIPTION, id(1)) is None
    assert pages.get(Subscription(frozenset({"d"})), id(0)) is None


def test_a_page_from_another_cursor_ends_at_the_beginning_of_the_next_page() -> None:
    pages = PageCache()
    for start in (100, 50):
        pages.add(SUBSCRIPTION, id(start), EncodedPage(id(start + 50), 0, b""))
    assert pages.end(SUBSCRIPTION, id(20), id(500)) == id(50)
    assert pages.end(SUBSCRIPTION, id(50), id(500)) == id(100)
    assert pages.end(SUBSCRIPTION, id(100), id(500)) == id(500)


def test_pages_that_were_not_used_lately_go() -> None:
    pages = PageCache()
    for start in range(1000):
        pages.add(SUBSCRIPTION, id(start), EncodedPage(id(start + 1), 0, b""))
        pages.get(SUBSCRIPTION, id(0))
    kept = [start for start in range(1000) if pages.get(SUBSCRIPTION, id(start)) is not None]
    assert len(kept) == 256
    assert kept[0] == 0
    assert pages.end(SUBSCRIPTION, id(0), id(5000)) == id(kept[1])


def test_a_page_says_which_event_comes_first_above_every_floor() -> None:
    floors = {"c": id(4), "d": id(2)}
    assert EncodedPage.of(SUBSCRIPTION, events(1, 9), id(0), id(9), floors).following == id(5)
    assert EncodedPage.of(SUBSCRIPTION, events(1, 3), id(0), id(3), floors).following == id(4).next()


def test_pages_are_bounded_by_their_bytes_too() -> None:
    pages = PageCache()
    for start in range(100):
        pages.add(SUBSCRIPTION, id(start), EncodedPage(id(start + 1), 0, b"x" * (1 << 20)))
    assert pages.get(SUBSCRIPTION, id(99)) is not None
    assert pages.get(SUBSCRIPTION, id(0)) is None


def test_the_floors_of_pages_count_as_bytes() -> None:
    pages = PageCache()
    for start in range(20):
        floors = {f"{start}.{number}": id(start) for number in range(20_000)}
        pages.add(SUBSCRIPTION, id(start), EncodedPage(id(start + 1), 0, b"", floors=floors))
    assert sum(pages.get(SUBSCRIPTION, id(start)) is not None for start in range(20)) == 8


def test_a_page_costs_more_with_its_bytes_and_much_more_if_they_are_deflated() -> None:
    large = events(1, 1, "x" * (1 << 20))
    small, plain = (
        EncodedPage.of(SUBSCRIPTION, events(1, 1), id(0), id(9)),
        EncodedPage.of(SUBSCRIPTION, large, id(0), id(9)),
    )
    deflated = EncodedPage.of(replace(SUBSCRIPTION, gzip=True), large, id(0), id(9))
    assert small.cost < plain.cost < 1000 < deflated.cost
