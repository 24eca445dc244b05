from __future__ import annotations

import random

from hypothesis import given
from hypothesis import strategies as st

from sse_hub.core.events import Draft, Event, EventId
from sse_hub.core.log import Log
from sse_hub.core.order import Order
from sse_hub.core.subscription import Subscription

ORIGIN = EventId(1000, 0)


def event(ms: int, channel: str = "main", data: str = "x", *, ephemeral: bool = False) -> Event:
    return Draft(channel, "message", data, ephemeral).accepted(EventId(ms, 0), ms)


def log_of(*events: Event, history: int = 1000, history_age: float = 3600, history_bytes: int = 1 << 20) -> Log:
    log = Log(ORIGIN, history=history, history_age=history_age, history_bytes=history_bytes)
    for each in events:
        log.append(each)
    return log


def to(*names: str) -> Subscription:
    return Subscription(frozenset(names))


def back(log: Log, subscription: Subscription, count: int, most: int) -> EventId:
    found = log.back(subscription, count, most)
    assert found is not None
    return found


def times(log: Log, subscription: Subscription, cursor: EventId = ORIGIN) -> list[int]:
    return [each.ms for each in log.after(subscription, cursor)]


def test_a_channel_retains_no_more_events_than_history_says() -> None:
    log = log_of(*(event(ms) for ms in range(2000, 2010)), history=3)
    assert times(log, to("main")) == [2007, 2008, 2009]


def test_a_channel_retains_no_event_older_than_history_age() -> None:
    log = log_of(event(2000), event(2500), event(3000), history_age=1)
    assert times(log, to("main")) == [2500, 3000]


def test_a_channel_retains_no_more_data_than_history_bytes_but_always_its_newest_event() -> None:
    log = log_of(event(2000, data="x" * 6), event(2001, data="x" * 6), history_bytes=10)
    assert times(log, to("main")) == [2001]
    log.append(event(2002, data="x" * 99))
    assert times(log, to("main")) == [2002]


def test_with_a_history_of_none_nothing_is_retained_and_the_floor_is_the_head() -> None:
    log = log_of(event(2000), history=0)
    assert times(log, to("main")) == []
    assert log.floors.of("main") == log.head == EventId(2000, 0)


def test_the_floor_is_the_id_of_the_newest_event_that_is_gone() -> None:
    log = log_of(event(2000), event(2001), event(2002), history=1)
    assert log.floors.of("main") == EventId(2001, 0)


def test_the_floor_of_a_channel_never_used_is_where_the_hub_began() -> None:
    assert log_of(event(2000)).floors.of("quiet") == ORIGIN


def test_a_cursor_has_lost_nothing_when_it_is_at_the_highest_floor_of_its_channels() -> None:
    log = log_of(event(2000, "a"), event(2001, "a"), event(2002, "b"), event(2003, "b"), history=1)
    for subscription in (to("a", "b"), to("*"), to("a", "*b")):
        assert any(log.floors.search(subscription, EventId(2001, 9)))
        assert not any(log.floors.search(subscription, EventId(2002, 0)))
    assert not any(log.floors.search(to("a"), EventId(2000, 0)))


def test_what_comes_after_a_cursor_is_found_whether_or_not_the_cursor_is_an_event() -> None:
    log = log_of(event(2000), event(2002), event(2004))
    assert times(log, to("main"), EventId(2002, 0)) == times(log, to("main"), EventId(2003, 7)) == [2004]
    assert times(log, to("main"), EventId(2004, 0)) == []


def test_several_channels_are_read_in_one_order_of_ids() -> None:
    log = log_of(event(2000, "a"), event(2001, "b"), event(2002, "a"), event(2003, "c"), event(2004, "b"))
    assert times(log, to("a", "b")) == [2000, 2001, 2002, 2004]
    assert times(log, to("*")) == [2000, 2001, 2002, 2003, 2004]


def test_an_ephemeral_event_is_not_retained_and_moves_nothing() -> None:
    log = log_of(event(2000), event(2001, ephemeral=True))
    assert times(log, to("main")) == [2000]
    assert log.head == EventId(2000, 0)


def test_events_expire_without_anything_being_published() -> None:
    log = log_of(event(2000), event(2500), history_age=1)
    assert not log.expire(3100).more
    assert times(log, to("main")) == [2500]
    assert log.floors.of("main") == EventId(2000, 0)


def test_a_channel_that_is_empty_and_quiet_is_forgotten_but_not_what_was_lost_with_it() -> None:
    log = log_of(event(2000), history_age=1)
    log.expire(9000)
    assert len(log) == 0
    assert log.floors.of("main") == EventId(2000, 0)


def test_a_channel_with_ephemeral_events_only_is_kept_while_it_is_in_use() -> None:
    log = log_of(event(2000, ephemeral=True), history_age=1)
    log.append(event(2900, ephemeral=True))
    log.expire(3500)
    assert len(log) == 1
    log.expire(4000)
    assert len(log) == 0


def test_the_start_is_the_cursor_after_which_every_retained_event_comes() -> None:
    log = log_of(*(event(ms) for ms in range(2000, 2005)), history=3)
    assert times(log, to("main"), log.start(to("main"))) == [2002, 2003, 2004]


def test_the_start_lies_before_the_oldest_event_of_every_channel() -> None:
    log = log_of(event(2000, "a"), event(2001, "b"), event(2002, "b"), event(2003, "b"), history=2)
    assert times(log, to("*"), log.start(to("*"))) == [2000, 2002, 2003]


def test_going_back_counts_wanted_events_over_all_channels() -> None:
    log = log_of(*(event(2000 + i, "ab"[i % 2]) for i in range(6)))
    assert times(log, to("*"), back(log, to("*"), 2, 100)) == [2004, 2005]
    assert times(log, to("a"), back(log, to("a"), 2, 100)) == [2002, 2004]


def test_going_back_further_than_the_log_reaches_finds_nothing() -> None:
    log = log_of(event(2000), event(2001))
    assert log.back(to("main"), 3, 100) is None
    assert log.back(to("main"), 2, 100) is None  # it has all of them, but cannot know that there were no more


def test_the_list_of_a_channel_does_not_grow_with_the_events_that_are_gone() -> None:
    log = log_of(*(event(ms) for ms in range(2000, 12_000)), history=10)
    channel = log.get("main")
    assert channel is not None
    assert len(channel._events) <= 22
    assert channel.retained_bytes == 10


def test_an_ephemeral_event_in_a_new_channel_hides_no_event_of_others() -> None:
    log = log_of(event(2000, "a"), event(2001, "b", ephemeral=True))
    assert times(log, to("*")) == [2000]


def test_a_floor_outlives_its_channel() -> None:
    log = log_of(event(2000, "a"), event(3500, "b"), history_age=1)
    log.expire(3600)
    assert log.get("a") is None
    assert log.floors.of("a") == EventId(2000, 0)
    assert log.floors.of("never used") == ORIGIN


def test_of_too_many_floors_the_one_that_rose_first_becomes_that_of_all_unknown_channels() -> None:
    log = Log(ORIGIN, history=0, max_channels=2)
    for number, channel in enumerate("abc"):
        log.append(event(2000 + number, channel))
    assert log.floors.of("never used") == log.floors.of("a") == EventId(2000, 0)
    assert log.floors.of("c") == EventId(2002, 0)


def test_a_loss_is_found_on_each_of_several_channels_once() -> None:
    log = log_of(event(2000, "a"), event(2001, "b"), history=1)
    both, cursor = to("a", "b"), EventId(1999, 0)
    seen = log.floors.losses
    log.append(event(2002, "b"))
    assert log.floors.risen(both, cursor, seen) == EventId(2001, 0)
    seen = log.floors.losses
    assert log.floors.risen(both, cursor, seen) is None
    log.append(event(2003, "a"))
    assert log.floors.risen(both, cursor, seen) == log.floors.risen(to("*"), cursor, seen) == EventId(2000, 0)
    assert log.floors.risen(to("b"), cursor, seen) is None


def test_going_back_looks_at_no_more_events_than_it_may() -> None:
    log = log_of(*(event(2000 + number, f"c{number}") for number in range(100)))
    rare = Subscription(frozenset({"*"}), frozenset({"rare"}))
    assert log.back(rare, 1, 10) == EventId(2089, 0)


def test_going_back_over_many_channels_finds_the_newest_events_of_all() -> None:
    log = log_of(*(event(2000 + number, "abc"[number % 7 % 3]) for number in range(50)))
    assert times(log, to("*"), back(log, to("*"), 20, 100)) == list(range(2030, 2050))


def test_events_of_a_clock_that_was_ahead_expire_by_the_time_at_which_it_was_set_back() -> None:
    year_ms = 365 * 24 * 3600 * 1000
    log = log_of(event(2001 + year_ms, "a"), event(2002 + year_ms, "b"), history_age=10)
    log.expire(5000)  # the clock is right again
    later = Draft("a", "message", "x").accepted(EventId(2002 + year_ms, 1), 6000)
    log.append(later)
    log.expire(14_999)
    assert log.retained == 3
    log.expire(15_001)
    assert list(log.after(to("*"), ORIGIN)) == [later]
    log.expire(16_001)
    assert (log.retained, len(log)) == (0, 0)


def test_the_events_of_a_broad_pattern_come_in_order_whichever_have_gone() -> None:
    """More channels than are merged: they are read from the order of all events."""
    log = log_of(history=2)
    sequence = random.Random(1)
    for number in range(8000):
        log.append(event(2000 + number, f"c{sequence.randrange(1500)}"))
    retained = sorted(each.ms for channel in log for each in channel.after(ORIGIN))
    assert len(log) > 1000
    assert times(log, to("*")) == times(log, to("c*")) == retained
    middle = EventId(retained[len(retained) // 2], 0)
    assert times(log, to("*"), middle) == [ms for ms in retained if ms > middle.ms]
    assert times(log, to("*"), back(log, to("*"), 10, 100)) == retained[-10:]
    assert log.start(to("*")) < EventId(retained[0], 0)
    while log.expire(10**10).more:
        pass
    assert (times(log, to("*")), len(log)) == ([], 0)


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 10_000)), max_size=400))
def test_what_is_taken_out_of_the_order_is_no_longer_in_it(steps: list[tuple[bool, int]]) -> None:
    order, present, ms = Order(), [], 0
    for _ in range(700):
        ms += 1
        present.append(event(ms))
        order.append(present[-1])
    for add, which in steps:
        if add or not present:
            ms += 1
            present.append(event(ms))
            order.append(present[-1])
        else:
            order.remove(present.pop(which % len(present)))
    assert list(order.after(EventId(0, 0))) == present
    assert list(order.backwards()) == present[::-1]
    cursor = EventId(ms // 2, 0)
    assert list(order.after(cursor)) == [each for each in present if each.id and each.id > cursor]


def test_a_channel_with_many_events_goes_at_once_and_is_cleared_away_in_steps() -> None:
    log = Log(ORIGIN, history=10_000, max_channels=1001)
    for number in range(5000):
        log.append(event(2000 + number, "large"))
    for number in range(1001):
        log.append(event(8000 + number, f"c{number}"))
    log.make_room()
    assert log.get("large") is None
    assert log.retained == 1001
    assert log.floors.of("large") == EventId(6999, 0)
    assert times(log, to("*")) == list(range(8000, 9001))
    log.append(event(9500, "large"))
    assert times(log, to("*"))[-2:] == [9000, 9500]
    steps = 0
    while log.expire(9501).more:
        steps += 1
    assert steps >= 2
    assert times(log, to("*"))[-2:] == [9000, 9500]


def test_a_log_that_begins_anew_is_empty_at_once() -> None:
    log = log_of(*(event(2000 + number) for number in range(5000)), history=10_000)
    log.restart(EventId(9000, 0))
    assert (log.retained, times(log, to("*")), times(log, to("main"))) == (0, [], [])
    log.append(event(9001))
    while log.expire(9002).more:
        pass
    assert times(log, to("main")) == [9001]
