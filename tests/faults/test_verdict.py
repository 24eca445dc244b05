"""The check after a run of faults finds each kind of violation, and takes nothing else for one."""

from __future__ import annotations

import importlib
import sys
from typing import Any

import pytest
from programs import ROOT


@pytest.fixture(scope="module")
def faults() -> Any:
    """The module of the check. The programs of the bench import each other by their names."""
    sys.path.insert(0, str(ROOT / "bench"))
    try:
        return importlib.import_module("faults.check")
    finally:
        sys.path.remove(str(ROOT / "bench"))


def wrong(faults: Any, *entries: Any) -> str:
    """The verdict about a follower of channel `a` that remembers this, after the cursor 1-0.

    Events `one`, `two` and `three` were acknowledged as 2-0, 3-0 and 4-0.
    """
    published = [
        faults.Published(f"{name}.", "a", ((ms, 0), (ms, 0))) for ms, name in ((2, "one"), (3, "two"), (4, "three"))
    ]
    story = faults.Story("it", ("a",), [faults.Connected(None, (1, 0), lost=False), *entries])
    return "; ".join(faults.check(published, [story]))


def got(faults: Any, ms: int, name: str) -> Any:
    return faults.Got((ms, 0), f"{name}.")


def test_a_follower_with_everything_is_well(faults: Any) -> None:
    assert wrong(faults, got(faults, 2, "one"), got(faults, 3, "two"), got(faults, 4, "three")) == ""


def test_an_event_that_is_missing_is_found(faults: Any) -> None:
    assert "lacks two" in wrong(faults, got(faults, 2, "one"), got(faults, 4, "three"))


def test_a_loss_that_covers_the_missing_events_is_accepted(faults: Any) -> None:
    lost = faults.Lost((2, 0), (4, 0))
    assert wrong(faults, got(faults, 2, "one"), lost, got(faults, 4, "three")) == ""


def test_a_loss_that_covers_nothing_is_found(faults: Any) -> None:
    lost = faults.Lost((2, 0), (3, 0))
    assert "lacks nothing there" in wrong(
        faults, got(faults, 2, "one"), lost, got(faults, 3, "two"), got(faults, 4, "three")
    )


def test_a_loss_that_covers_only_a_part_is_found(faults: Any) -> None:
    lost = faults.Lost((2, 0), (4, 0))
    assert "lacks three" in wrong(faults, got(faults, 2, "one"), lost)


def test_what_a_hub_with_a_clock_ahead_took_with_it_is_covered_by_the_loss_that_the_next_one_reports(
    faults: Any,
) -> None:
    published = [
        faults.Published("had.", "a", ((1, 0), (1, 0)), sent_ms=10),
        faults.Published("gone.", "a", ((900, 0), (900, 0)), sent_ms=20),
        faults.Published("new.", "a", ((50, 0), (50, 0)), sent_ms=40),
    ]
    entries = [
        faults.Connected(None, (0, 0), lost=False),
        faults.Got((1, 0), "had."),
        faults.Connected((1, 0), (49, 0), lost=True, at_ms=30),
        faults.Got((50, 0), "new."),
    ]
    assert faults.check(published, [faults.Story("it", ("a",), entries)]) == []
    entries[2] = faults.Connected((1, 0), (49, 0), lost=False, at_ms=30)
    assert "lacks gone" in "; ".join(faults.check(published, [faults.Story("it", ("a",), entries)]))


def test_what_came_and_went_between_two_hubs_is_covered_if_the_ids_begin_anew_below_the_cursor(faults: Any) -> None:
    published = [
        faults.Published("had.", "a", ((900, 0), (900, 0)), sent_ms=50_000),
        faults.Published("between.", "a", ((50, 0), (50, 0)), sent_ms=60_000),
        faults.Published("new.", "a", ((70, 0), (70, 0)), sent_ms=80_000),
        faults.Published("skipped.", "a", ((40, 0), (40, 0)), sent_ms=20_000),
    ]
    entries = [
        faults.Connected(None, (0, 0), lost=False),
        faults.Got((900, 0), "had."),
        faults.Connected((900, 0), (69, 0), lost=True, at_ms=70_000),
        faults.Got((70, 0), "new."),
    ]
    verdict = "; ".join(faults.check(published, [faults.Story("it", ("a",), entries)]))
    assert "lacks skipped" in verdict, "it was sent long before the last event that the follower has"
    assert "between" not in verdict
    entries[2] = faults.Connected((900, 0), (69, 0), lost=False, at_ms=70_000)
    assert "lacks between" in "; ".join(faults.check(published, [faults.Story("it", ("a",), entries)]))


def test_what_a_hub_with_a_clock_behind_published_is_covered_by_the_loss_of_its_beginning(faults: Any) -> None:
    published = [
        faults.Published("had.", "a", ((50, 0), (50, 0)), sent_ms=50),
        faults.Published("behind.", "a", ((40, 0), (40, 0)), sent_ms=70),
        faults.Published("new.", "a", ((90, 0), (90, 0)), sent_ms=120),
    ]
    entries = [
        faults.Connected(None, (0, 0), lost=False),
        faults.Got((50, 0), "had."),
        faults.Connected((50, 0), (50, 0), lost=True, at_ms=100),
        faults.Got((90, 0), "new."),
    ]
    assert faults.check(published, [faults.Story("it", ("a",), entries)]) == []
    published[1].sent_ms = 49
    assert "lacks behind" in "; ".join(faults.check(published, [faults.Story("it", ("a",), entries)]))


def test_a_loss_that_a_connection_reports_may_come_later_than_what_it_brings_first(faults: Any) -> None:
    early = faults.Connected((2, 0), (2, 0), lost=True, at_ms=100)
    lost = faults.Lost((3, 0), (5, 0))
    assert wrong(faults, got(faults, 2, "one"), early, got(faults, 3, "two"), lost) == ""
    everything = [got(faults, 3, "two"), got(faults, 4, "three")]
    assert "lacks nothing there" in wrong(faults, got(faults, 2, "one"), early, *everything)


def test_an_event_that_came_twice_is_found(faults: Any) -> None:
    twice = [got(faults, 3, "two"), got(faults, 3, "two")]
    assert "twice" in wrong(faults, got(faults, 2, "one"), *twice, got(faults, 4, "three"))


def test_a_wrong_order_is_found(faults: Any) -> None:
    assert "after (3, 0)" in wrong(faults, got(faults, 3, "two"), got(faults, 2, "one"), got(faults, 4, "three"))


def test_an_event_with_another_id_is_found(faults: Any) -> None:
    assert "acknowledged as" in wrong(faults, got(faults, 2, "one"), got(faults, 9, "two"), got(faults, 4, "three"))


def test_an_event_that_was_never_published_is_found(faults: Any) -> None:
    entries = [got(faults, 2, "one"), got(faults, 3, "two"), got(faults, 4, "three"), got(faults, 5, "ghost")]
    assert "was not published" in wrong(faults, *entries)
