"""The time at which events were accepted, by a clock that is right.

A clock that goes back has been ahead. Events that were accepted before that count as accepted at that moment; otherwise
they would stay until the wrong time comes.

Redis gives events their times by a clock of its own, and that clock can be ahead of ours all the time. Each event then
looks like one from before a set-back. This must cost nothing: a look at all channels for each such event would never
end. So `note_own` distinguishes the two cases.
"""

from __future__ import annotations

from .events import LOWEST_ID, EventId

__all__ = ["Times"]

_BACK_MS = 1000
"""A clock that goes back by more than this was set. By less, it is being adjusted slowly."""
_UNKNOWN_MS = 1 << 62


class Times:
    """The state of the clock. All times are Unix times in milliseconds."""

    def __init__(self) -> None:
        self.latest_ms = 0
        """The latest time seen."""
        self.ahead = LOWEST_ID
        """Ids up to this one were given while the clock was ahead."""
        self.set_back_ms = 0
        """The time to which the clock was set back."""
        self.limit_ms = _UNKNOWN_MS
        """A later time is one of a clock that is ahead of the clock given to `note_own`. Unlimited before its first
        call."""

    def note(self, now_ms: int, head: EventId) -> bool:
        """Note the time of the clock; return whether the clock was set back. Then ids up to `head` were given while it
        was ahead."""
        back = now_ms < self.latest_ms - _BACK_MS
        if back:
            self.ahead, self.set_back_ms, self.latest_ms = head, now_ms, now_ms
        self.latest_ms = max(self.latest_ms, now_ms)
        return back

    def note_own(self, now_ms: int, head: EventId) -> bool:
        """The same where events may have their times from another clock; return only whether this clock was set back.
        A constant difference between the two is no set-back."""
        back = self.note(now_ms, head) and now_ms < self.limit_ms - 2 * _BACK_MS
        if back or self.limit_ms == _UNKNOWN_MS:
            self.limit_ms = now_ms + _BACK_MS
        self.limit_ms = max(self.limit_ms, now_ms + _BACK_MS)
        return back

    def accepted_ms(self, id: EventId | None, ms: int) -> int:
        """The time at which the event with this id was accepted, if it was recorded as `ms`."""
        if ms <= self.set_back_ms or id is None or id > self.ahead:
            return ms
        return self.set_back_ms
