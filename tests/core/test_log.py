"""The log: the retained events of every channel, and their limits."""

from __future__ import annotations

import random

import pytest
from calls import counted_calls
from small_logs import ORIGIN, back, event, log_of, search, times, to

from sse_hub.core.ends import End, end_draft
from sse_hub.core.events import Draft, EventId
from sse_hub.core.log import EVENT_BYTES, Log
from sse_hub.core.rules import Rule, Rules
from sse_hub.core.subscription import Subscription


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


def test_events_after_a_cursor_are_found_whether_or_not_the_cursor_is_an_event() -> None:
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


def test_a_channel_that_is_empty_and_quiet_is_forgotten_but_its_losses_are_not() -> None:
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
    assert search(log, to("main"), 3, 100) is None
    assert search(log, to("main"), 2, 100) is None  # it has all of them, but cannot know that there were no more


def test_an_ephemeral_event_in_a_new_channel_hides_no_event_of_others() -> None:
    log = log_of(event(2000, "a"), event(2001, "b", ephemeral=True))
    assert times(log, to("*")) == [2000]


def test_going_back_looks_at_no_more_events_than_it_may() -> None:
    log = log_of(*(event(2000 + number, f"c{number}") for number in range(100)))
    rare = Subscription(frozenset({"*"}), frozenset({"rare"}))
    assert search(log, rare, 1, 10) == EventId(2089, 0)


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


def test_a_clock_that_is_behind_that_of_the_events_is_set_back_once() -> None:
    """Redis gives the ids, by a clock of its own. To look at every channel at each sweep would never end."""
    log = log_of(*(event(2000 + number, f"c{number}") for number in range(5000)))
    more = []
    for now_ms in range(3000, 23_000, 1000):
        more.append(log.expire(now_ms).more)
        log.append(event(now_ms + 7000, "c0"))
    assert not any(more[5:])


def test_a_clock_that_is_behind_and_is_set_back_lets_events_expire_by_the_time_to_which_it_was_set() -> None:
    log = log_of(event(900_000, "a"), history_age=10)
    log.expire(900_000)
    log.append(event(904_000, "b"))
    log.expire(901_000)
    log.append(event(905_000, "c", ephemeral=True))
    log.expire(500_000)
    log.expire(509_999)
    assert log.retained == 2
    log.expire(510_000)
    assert (log.retained, len(log)) == (0, 0)


def test_channels_that_were_first_used_while_the_clock_of_the_events_was_ahead_expire_too() -> None:
    year_ms = 365 * 24 * 3600 * 1000
    log = log_of(event(2000), history_age=10)
    log.expire(3000)
    log.append(event(year_ms, "a"))
    log.expire(4000)
    log.append(event(year_ms + 1, "b"))
    log.append(event(year_ms + 1, "c", ephemeral=True))
    log.append(end_draft("d", "done").accepted(EventId(year_ms + 3, 0), year_ms + 3))
    log.expire(5000)
    log.expire(14_999)
    assert log.retained == 3
    log.expire(15_000)
    assert (log.retained, len(log)) == (0, 0)


def test_the_events_of_a_broad_pattern_come_in_order_whichever_have_gone() -> None:
    """There are too many channels to merge, so they are read from the order of all events."""
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


def test_a_channel_with_many_events_goes_at_once_and_is_cleared_away_in_steps() -> None:
    log = Log(ORIGIN, Rules(Rule(history=10_000)), max_channels=1001)
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


@pytest.mark.parametrize(
    ("limit", "bounds"),
    [("channels", {"max_channels": 2}), ("retained_bytes", {"max_retained_bytes": 3 * (4000 + EVENT_BYTES)})],
)
def test_at_a_limit_of_all_channels_the_one_that_was_quiet_for_longest_goes(limit: str, bounds: dict[str, int]) -> None:
    log = Log(ORIGIN, None, **bounds)
    for ms, channel in enumerate(("a", "b", "a", "c"), 2000):
        log.append(event(ms, channel, "x" * 4000))
    assert log.make_room() == ["b"]
    assert times(log, to("a", "b", "c")) == [2000, 2002, 2003]
    assert log.evicted[limit] == 1


def test_the_only_channel_keeps_the_newest_events_that_fit() -> None:
    log = Log(ORIGIN, max_retained_bytes=10_000)
    for ms in range(2000, 2100):
        log.append(event(ms, data="x" * 4000))
        log.make_room()
    assert times(log, to("main")) == [2098, 2099]
    assert log.retained_bytes == 2 * (4000 + EVENT_BYTES)


def test_a_log_that_restarts_is_empty_at_once() -> None:
    log = log_of(*(event(2000 + number) for number in range(5000)), history=10_000)
    log.restart(EventId(9000, 0))
    assert (log.retained, times(log, to("*")), times(log, to("main"))) == (0, [], [])
    log.append(event(9001))
    while log.expire(9002).more:
        pass
    assert times(log, to("main")) == [9001]


def test_going_back_pauses_so_that_others_can_publish_and_finds_the_same_place() -> None:
    log = log_of(*(event(2000 + number, f"c{number % 7}") for number in range(2000)), history=5000)
    steps = log.back(to("*"), 1500, 10_000)
    pauses = 0
    try:
        while True:
            next(steps)
            pauses += 1
            log.append(event(5000 + pauses, "c0"))
    except StopIteration as end:
        found = end.value
    assert (found, pauses) == (EventId(2499, 0), 3)


def test_an_ended_channel_is_kept_whole_for_its_end_age_and_then_forgotten_whole() -> None:
    log = Log(ORIGIN, Rules(Rule(history_age=1.0, end_age=5.0)))
    log.append(event(2000))
    log.append(end_draft("main", "done").accepted(EventId(2500, 0), 2500))
    log.expire(7400)
    assert times(log, to("main")) == [2000, 2500]
    log.expire(7500)
    assert (times(log, to("main")), len(log), log.floors.of("main")) == ([], 0, EventId(2500, 0))
    assert list(log.floors.beginnings(to("main"))) == [False]


def test_a_channel_that_keeps_its_last_event_is_not_looked_at_while_it_is_quiet() -> None:
    log = Log(ORIGIN, Rules(Rule(history=1, history_age=1.0, keep_last=True)))
    for number in range(3000):
        log.append(event(2000 + number, f"c{number}"))
    assert not log.expire(10**9).more
    assert log.retained == 3000
    log.append(event(10**9 + 1, "c7"))
    assert (log.retained, len(log)) == (3000, 3000)


def test_what_comes_after_an_end_is_a_new_beginning_as_the_store_has_forgotten_the_old_one() -> None:
    log = log_of(event(2000))
    log.append(end_draft("main", "done").accepted(EventId(2500, 0), 2500))
    assert log.end_of("main") == End(EventId(2500, 0), "done")
    log.append(event(3000))
    assert (times(log, to("main")), log.end_of("main")) == ([3000], None)


def test_new_rules_wait_while_a_large_channel_is_cleared_away() -> None:
    rules = Rules(Rule(history=10_000))
    log = Log(EventId(1, 0), rules)
    for number, name in enumerate(["big"] * 3000 + [f"c{number}" for number in range(5000)], 1):
        log.append(Draft(name, "message", "x").accepted(EventId(1000 + number, 0), 1000 + number))
    log.forget("big", EventId(5000, 0))
    rules.replace([Rule(match="c*", history=5)])
    assert log.expire(2000).more
    assert sum(channel.rule.history == 5 for channel in log) <= 2000
    while log.expire(2000).more:
        pass
    assert all(channel.rule.history == 5 for channel in log)


def test_many_rules_are_applied_to_few_channels_in_a_step() -> None:
    rules = Rules(Rule(history=10))
    log = Log(EventId(1, 0), rules)
    for number in range(1000):
        log.append(Draft(f"c{number}", "message", "x").accepted(EventId(1000 + number, 0), 1000 + number))
    rules.replace([*(Rule(match=f"other{number}*") for number in range(100)), Rule(match="c*", history=5)])
    assert log.expire(2000).more
    assert 0 < sum(channel.rule.history == 5 for channel in log) < 100
    while log.expire(2000).more:
        pass
    assert all(channel.rule.history == 5 for channel in log)


@pytest.mark.parametrize("channels", [100, 600])
def test_a_pattern_of_a_good_part_of_many_channels_has_all_its_events_in_order(channels: int) -> None:
    names = [f"{'sst'[number % 3]}.{number}" for number in range(channels)]
    log = log_of(*(event(2000 + number, names[number % channels]) for number in range(3000)))
    read = [each.ms for each in log.after(to("s.*"), ORIGIN) if each.channel.startswith("s")]
    assert read == [2000 + number for number in range(3000) if names[number % channels].startswith("s")]


def test_reading_the_next_event_of_hundreds_of_channels_looks_at_few_of_them() -> None:
    log = log_of(*(event(2000 + number, f"s.{number}") for number in range(600)))
    with counted_calls() as calls:
        first = next(log.after(to("s.*"), EventId(2590, 0)))
    assert first.ms == 2591
    assert calls.count < 200
