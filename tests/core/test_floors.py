"""The record of lost events, by channel, and the subscribers that have to be informed."""

from __future__ import annotations

from calls import counted_calls
from small_logs import ORIGIN, event, log_of, to

from sse_hub.core.events import EventId
from sse_hub.core.floors import Floors
from sse_hub.core.log import Log
from sse_hub.core.rules import Rule, Rules


def test_the_floor_is_the_id_of_the_newest_event_that_is_gone() -> None:
    log = log_of(event(2000), event(2001), event(2002), history=1)
    assert log.floors.of("main") == EventId(2001, 0)


def test_the_floor_of_a_channel_that_was_never_used_is_the_beginning_of_the_hub() -> None:
    assert log_of(event(2000)).floors.of("quiet") == ORIGIN


def test_a_cursor_has_lost_nothing_when_it_is_at_the_highest_floor_of_its_channels() -> None:
    log = log_of(event(2000, "a"), event(2001, "a"), event(2002, "b"), event(2003, "b"), history=1)
    for subscription in (to("a", "b"), to("*"), to("a", "*b")):
        assert any(log.floors.search(subscription, EventId(2001, 9)))
        assert not any(log.floors.search(subscription, EventId(2002, 0)))
    assert not any(log.floors.search(to("a"), EventId(2000, 0)))


def test_a_floor_outlives_its_channel() -> None:
    log = log_of(event(2000, "a"), event(3500, "b"), history_age=1)
    log.expire(3600)
    assert log.get("a") is None
    assert log.floors.of("a") == EventId(2000, 0)
    assert log.floors.of("never used") == ORIGIN


def test_of_too_many_floors_the_one_that_rose_first_becomes_that_of_all_unknown_channels() -> None:
    log = Log(ORIGIN, Rules(Rule(history=0)), max_channels=2)
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


def test_a_loss_of_a_pattern_is_found_among_many_others_without_a_look_at_each() -> None:
    floors = Floors(ORIGIN, 10_000)
    seen = floors.losses
    for number in range(5000):
        floors.raise_to(f"sensors.{number}", EventId(2000 + number, 0))
    wanted = to("alerts.*", "news.*", "one")
    with counted_calls() as calls:
        found = floors.risen(wanted, ORIGIN, seen)
    assert found is None
    assert calls.count < 200
    with counted_calls() as calls:
        found = floors.risen(to("sensors.*"), ORIGIN, seen)
    assert found == EventId(6999, 0)
    assert calls.count < 200
    floors.raise_to("alerts.1", EventId(2000, 1))
    assert floors.risen(wanted, ORIGIN, seen) == EventId(2000, 1)
    assert floors.risen(wanted, ORIGIN, floors.losses) is None
    assert floors.risen(wanted, EventId(2000, 1), seen) is None


def test_forgotten_floors_are_looked_for_no_more() -> None:
    floors = Floors(ORIGIN, 500)
    seen = floors.losses
    for number in range(1000):
        floors.raise_to(f"sensors.{number}", EventId(2000 + number, 0))
    assert floors.risen(to("alerts.*"), ORIGIN, seen) == EventId(2499, 0)  # the common floor
    assert floors.risen(to("alerts.*"), EventId(2499, 0), seen) is None
    floors.restart(EventId(9000, 0))
    assert floors.risen(to("sensors.1*"), ORIGIN, seen) == EventId(9000, 0)


def test_a_search_for_many_patterns_takes_smaller_steps() -> None:
    floors = Floors(ORIGIN, 10_000)
    for number in range(3000):
        floors.raise_to(f"sensors.{number}", EventId(2000 + number, 0))
    many = to(*(f"sensors.*.{number}" for number in range(100)))
    for search in (lambda names: floors.search(names, ORIGIN), floors.beginnings):
        assert len(list(search(many))) > 5 * len(list(search(to("sensors.*.0"))))


def test_after_many_rises_that_many_patterns_may_match_they_count_as_concerned() -> None:
    floors = Floors(ORIGIN, 10_000)
    seen = floors.losses
    for number in range(4000):
        floors.raise_to(f"sensors.{number}", EventId(2000 + number, 0))
    many = to(*(f"sensors.*.{number}" for number in range(100)))
    assert floors.risen(many, ORIGIN, seen) == EventId(5999, 0)
    assert floors.risen(to("sensors.*.0"), ORIGIN, seen) is None
