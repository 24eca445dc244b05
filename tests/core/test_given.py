"""The ids that a log has given lately."""

from __future__ import annotations

from sse_hub.core.events import EventId
from sse_hub.core.given import GivenIds

ORIGIN = EventId(1000, 0)


def of(*ids: tuple[int, int], most: int = 100) -> GivenIds:
    given = GivenIds(ORIGIN, most)
    for id in ids:
        given.note(EventId(*id))
    return given


def test_an_id_that_was_given_is_held_and_so_are_those_before_it_in_its_millisecond() -> None:
    given = of((2000, 0), (2000, 1), (2000, 7))
    assert all(given.may_hold(EventId(2000, sequence)) for sequence in range(8))
    assert given.may_hold(ORIGIN)


def test_the_id_immediately_before_a_given_one_is_held() -> None:
    assert of((2000, 0)).may_hold(EventId(2000, 0).preceding())


def test_an_id_between_given_ones_is_not_held() -> None:
    given = of((2000, 3), (3000, 0))
    assert not given.may_hold(EventId(2000, 4))
    assert not given.may_hold(EventId(2500, 0))
    assert not given.may_hold(EventId(3000, 1))


def test_ids_that_are_too_old_to_be_remembered_may_have_been_given() -> None:
    given = of(*((ms, 0) for ms in range(2000, 2300)), most=100)
    assert given.may_hold(EventId(1500, 5))
    assert not given.may_hold(EventId(2299, 5))
