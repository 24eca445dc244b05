"""The ids that a log has given lately, whether or not their events are retained.

A log in memory begins anew with its process. A subscriber may come back with an id of an earlier process whose clock
was ahead, and by then the ids of this process may be higher. Only this record shows that the id is not one of its own.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left

from .events import EventId

__all__ = ["GivenIds"]


class GivenIds:
    """The newest ids, 16 bytes for each millisecond that has any.

    :param origin: the id at which the log begins.
    :param most: milliseconds that are remembered at least.
    """

    def __init__(self, origin: EventId, most: int = 100_000) -> None:
        self._most = most
        self._milliseconds = array("q")
        self._highest = array("q")
        """The highest sequence in each of them. The lower ones were given before."""
        self.note(origin)

    def note(self, id: EventId) -> None:
        """Add an id. It is higher than all before it."""
        if self._milliseconds and self._milliseconds[-1] == id.ms:
            self._highest[-1] = id.sequence
            return
        self._milliseconds.append(id.ms)
        self._highest.append(id.sequence)
        if len(self._milliseconds) >= 2 * self._most:
            del self._milliseconds[: self._most]
            del self._highest[: self._most]

    def may_hold(self, id: EventId) -> bool:
        """Whether the id was given, or is the one before a given id, or is too old to know."""
        if id.ms < self._milliseconds[0]:
            return True
        return self._holds(id) or self._holds(id.next())

    def _holds(self, id: EventId) -> bool:
        index = bisect_left(self._milliseconds, id.ms)
        return (
            index < len(self._milliseconds)
            and self._milliseconds[index] == id.ms
            and id.sequence <= self._highest[index]
        )
