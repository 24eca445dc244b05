"""When events were accepted, by a clock that was right.

A clock that goes back has been ahead: events that were accepted until then count as accepted at that moment, or they
would stay until the wrong time comes true.
"""

from __future__ import annotations

from .events import EventId

__all__ = ["Times"]

_BACK_MS = 1000
"""A clock that goes back by more than this was set; by less, it is being slewed."""


class Times:
    """The state of the clock. All times are Unix times in milliseconds."""

    def __init__(self) -> None:
        self.latest_ms = 0
        """The latest time seen."""
        self.ahead = EventId(0, 0)
        """Up to this id the clock was ahead."""
        self.set_back_ms = 0
        """When it was set back."""

    def note(self, now_ms: int, head: EventId) -> bool:
        """Note what the clock says; say whether it was set back, up to this id having been ahead."""
        back = now_ms < self.latest_ms - _BACK_MS
        if back:
            self.ahead, self.set_back_ms, self.latest_ms = head, now_ms, now_ms
        self.latest_ms = max(self.latest_ms, now_ms)
        return back

    def accepted_ms(self, id: EventId | None, ms: int) -> int:
        """When the event with this id was accepted, which says that it was at `ms`."""
        if ms <= self.set_back_ms or id is None or id > self.ahead:
            return ms
        return self.set_back_ms
