"""What one client, or all together, may use up: slots for subscribers, publishes a second, bytes that requests hold.

Everything counted here is counted by something that a client cannot choose at will: its address, or a token that was
checked. No clock is read: time is an argument.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable
from types import TracebackType
from typing import NamedTuple

from cachetools import LRUCache

__all__ = ["BudgetExceeded", "ByteBudget", "Rate", "Refusal", "Reservation", "SubscriberSlots"]

_BUCKETS = 10_000
"""Clients whose rate is remembered. The client that was quiet longest is forgotten first, and has a full bucket by then
unless 10,000 others publish."""


class Rate:
    """How often each client may do something: a bucket that fills at a rate, and holds what it gets in a while.

    :param per_second: what a client may do in the long run; 0 for no limit.
    :param seconds: how much it may do at once, in seconds of that rate.
    """

    def __init__(self, per_second: float, seconds: float = 5.0) -> None:
        self._per_second = per_second
        self._capacity = max(per_second * seconds, 1.0)
        self._buckets: LRUCache[str, tuple[float, float]] = LRUCache(_BUCKETS)  # content, and when it was that

    def consume(self, client: str, count: int, now: float) -> float:
        """Take this much from a client's bucket; 0.0 if it was there, else the seconds after which it would be.

        More than a bucket holds is let pass when the bucket is full, and has to be waited for afterwards: a batch is
        not forbidden, only paid for.
        """
        if not self._per_second:
            return 0.0
        content, then = self._buckets.get(client, (self._capacity, now))
        content = min(self._capacity, content + (now - then) * self._per_second)
        needed = min(count, self._capacity)
        if content < needed:
            return (needed - content) / self._per_second
        self._buckets[client] = content - count, now
        return 0.0


class Refusal(NamedTuple):
    """Why there is no slot."""

    limit: str
    """Which limit it is, for the figures."""
    reason: str


class SubscriberSlots:
    """The slots for subscribers.

    :param all: how many there are.
    :param each: how many of them one address may have.
    """

    def __init__(self, all: int, each: int) -> None:
        self._all = all
        self._each = each
        self._used: Counter[str] = Counter()
        self._count = 0

    def refusal(self, address: str) -> Refusal | None:
        """Why there is no slot for this address; None if there is one."""
        if self._count >= self._all:
            return Refusal("subscribers", f"All {self._all} slots for subscribers are in use (--max-subscribers).")
        if self._used.get(address, 0) >= self._each:
            return Refusal(
                "address",
                f"All {self._each} slots of the address {address} are in use (--max-subscribers-per-address; "
                "for a proxy: --trusted-proxies).",
            )
        return None

    def acquire(self, address: str) -> None:
        """Use a slot."""
        self._count += 1
        self._used[address] += 1

    def release(self, address: str) -> None:
        """Give a slot back."""
        self._count -= 1
        self._used[address] -= 1
        if not self._used[address]:
            del self._used[address]


class BudgetExceeded(Exception):
    """All requests together hold as many bytes as they may."""


class ByteBudget:
    """The bytes that requests hold, from their arrival until they are answered.

    Three hundred bodies of a megabyte that never end are three hundred megabytes. When there are too many bytes, the
    request that has been arriving for longest is given up: one that means well is over in milliseconds.

    :param most: bytes that all may hold together.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self.bytes = 0
        """Bytes that are held."""
        self._arriving: OrderedDict[Reservation, Callable[[], object]] = OrderedDict()

    def reserve(self) -> Reservation:
        """What one request holds; a context manager that lets go of it."""
        return Reservation(self)

    def add(self, reservation: Reservation, count: int) -> None:
        """See `Reservation.add`."""
        while self.bytes + count > self._most:
            oldest = next((each for each in self._arriving if each is not reservation and each.bytes), None)
            if oldest is None:
                raise BudgetExceeded
            give_up = self._arriving[oldest]
            self.release(oldest)
            oldest.given_up = True
            give_up()
        self.bytes += count
        reservation.bytes += count

    def arrive(self, reservation: Reservation, give_up: Callable[[], object]) -> None:
        """See `Reservation.arrive`."""
        self._arriving[reservation] = give_up

    def keep(self, reservation: Reservation) -> None:
        """See `Reservation.keep`."""
        self._arriving.pop(reservation, None)

    def release(self, reservation: Reservation) -> None:
        """Let go of everything that it holds."""
        self.bytes -= reservation.bytes
        reservation.bytes = 0
        self._arriving.pop(reservation, None)


class Reservation:
    """What one request holds."""

    __slots__ = ("_budget", "bytes", "given_up")

    def __init__(self, budget: ByteBudget) -> None:
        self._budget = budget
        self.bytes = 0
        """Bytes that it holds."""
        self.given_up = False
        """Whether it was given up for the sake of others."""

    def __enter__(self) -> Reservation:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._budget.release(self)

    def add(self, count: int) -> None:
        """Hold so many bytes more.

        :raises BudgetExceeded: if there is no room for them.
        """
        self._budget.add(self, count)

    def arrive(self, give_up: Callable[[], object]) -> None:
        """Hold what follows only until somebody else needs the room, and then be given up by this function."""
        self._budget.arrive(self, give_up)

    def keep(self) -> None:
        """Hold it until the end: it has arrived, and nobody may give it up."""
        self._budget.keep(self)
