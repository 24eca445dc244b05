"""What has to be looked at, and when."""

from __future__ import annotations

import tracemalloc

from sse_hub.core.due import Due


def test_keys_come_in_the_order_of_their_times_once_they_are_due() -> None:
    due = Due[str]()
    for key, ms in (("b", 20), ("a", 10), ("c", 30)):
        due.at(key, ms)
    assert [due.pop(20), due.pop(20), due.pop(20)] == ["a", "b", None]
    assert (due.next_ms, "c" in due, "a" in due) == (30, True, False)


def test_a_later_time_replaces_an_earlier_one_only_where_that_is_asked_for() -> None:
    due = Due[str]()
    due.at("a", 10)
    due.by("a", 20)
    assert due.next_ms == 10
    due.at("a", 20)
    assert due.pop(19) is None
    due.by("a", 5)
    assert (due.pop(5), due.pop(99)) == ("a", None)


def test_a_clock_that_goes_back_brings_all_forward() -> None:
    due = Due[str]()
    due.at("a", 1000)
    due.at("b", 10)
    due.bring_forward(100)
    assert [due.pop(100), due.pop(100)] == ["b", "a"]


def test_keys_that_are_set_again_and_again_cost_no_memory() -> None:
    due = Due[int]()
    tracemalloc.start()
    try:
        for number in range(100_000):
            due.at(number % 10, number)
        kept_bytes, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    due.discard(3)
    assert len(due) == 9
    assert kept_bytes < 100_000
