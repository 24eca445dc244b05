"""All retained events in one order."""

from __future__ import annotations

from hypothesis import given
from hypothesis import strategies as st
from small_logs import event

from sse_hub.core.events import EventId
from sse_hub.core.order import Order


@given(st.lists(st.tuples(st.booleans(), st.integers(0, 10_000)), max_size=400))
def test_an_event_that_was_removed_is_no_longer_in_the_order(steps: list[tuple[bool, int]]) -> None:
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
