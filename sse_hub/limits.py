"""What one client, or all together, may use up: places for subscribers, publishes a second, bytes that requests hold.

Everything counted here is counted by something that a client cannot choose at will: its address, or a token that was
checked. No clock is read: time is an argument.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable
from types import TracebackType
from typing import NamedTuple

__all__ = ["Flight", "Hold", "Places", "Rate", "Refusal", "TooMuch"]

_BUCKETS = 10_000
"""Clients whose rate is remembered. Who was quiet longest is forgotten first, and has a full bucket by then unless
10,000 others publish."""


class Rate:
    """How often each client may do something: a bucket that fills at a rate, and holds what it gets in a while.

    :param per_second: what a client may do in the long run; 0 for no limit.
    :param seconds: how much it may do at once, in seconds of that rate.
    """

    def __init__(self, per_second: float, seconds: float = 5.0) -> None:
        self._per_second = per_second
        self._capacity = max(per_second * seconds, 1.0)
        self._buckets: OrderedDict[str, tuple[float, float]] = OrderedDict()  # content, and when it was that

    def take(self, client: str, count: int, now: float) -> float:
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
        self._buckets.move_to_end(client)
        if len(self._buckets) > _BUCKETS:
            self._buckets.popitem(last=False)
        return 0.0


class Refusal(NamedTuple):
    """Why there is no place."""

    limit: str
    """Which limit it is, for the figures."""
    reason: str


class Places:
    """The places for subscribers.

    :param all: how many there are.
    :param each: how many of them one address may have.
    """

    def __init__(self, all: int, each: int) -> None:
        self._all = all
        self._each = each
        self._taken: Counter[str] = Counter()
        self._count = 0

    def refusal(self, address: str) -> Refusal | None:
        """Why there is no place for this address; None if there is one."""
        if self._count >= self._all:
            return Refusal("subscribers", f"All {self._all} places are taken (--max-subscribers).")
        if self._taken.get(address, 0) >= self._each:
            return Refusal(
                "address",
                f"All {self._each} places of the address {address} are taken (--max-subscribers-per-address; "
                "for a proxy: --trusted-proxies).",
            )
        return None

    def take(self, address: str) -> None:
        """Take a place."""
        self._count += 1
        self._taken[address] += 1

    def leave(self, address: str) -> None:
        """Give a place back."""
        self._count -= 1
        self._taken[address] -= 1
        if not self._taken[address]:
            del self._taken[address]


class TooMuch(Exception):
    """All requests together hold as many bytes as they may."""


class Flight:
    """The bytes that requests hold, from their arrival until they are answered.

    Three hundred bodies of a megabyte that never end are three hundred megabytes. When there are too many bytes, the
    request that has been arriving for longest is given up: one that means well is over in milliseconds.

    :param most: bytes that all may hold together.
    """

    def __init__(self, most: int) -> None:
        self.most = most
        self.bytes = 0
        """Bytes that are held."""
        self._arriving: OrderedDict[Hold, None] = OrderedDict()

    def hold(self) -> Hold:
        """What one request holds; a context manager that lets go of it."""
        return Hold(self)

    def _add(self, hold: Hold, count: int) -> None:
        while self.bytes + count > self.most:
            oldest = next((each for each in self._arriving if each is not hold and each.bytes), None)
            if oldest is None or oldest.give_up is None:
                raise TooMuch
            self._release(oldest)
            oldest.given_up = True
            oldest.give_up()
        self.bytes += count

    def _release(self, hold: Hold) -> None:
        self.bytes -= hold.bytes
        hold.bytes = 0
        self._arriving.pop(hold, None)


class Hold:
    """What one request holds."""

    __slots__ = ("_flight", "bytes", "give_up", "given_up")

    def __init__(self, flight: Flight) -> None:
        self._flight = flight
        self.bytes = 0
        self.given_up = False
        self.give_up: Callable[[], object] | None = None
        """Ends the request's arrival; None unless it is arriving."""

    def __enter__(self) -> Hold:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._flight._release(self)

    def add(self, count: int) -> None:
        """Hold so many bytes more.

        :raises TooMuch: if there is no room for them.
        """
        self._flight._add(self, count)
        self.bytes += count

    def arrive(self, give_up: Callable[[], object]) -> None:
        """Hold what follows only until somebody else needs the room, and then be given up by this function."""
        self.give_up = give_up
        self._flight._arriving[self] = None

    def keep(self) -> None:
        """Hold it until the end: it has arrived, and nobody may give it up."""
        self.give_up = None
        self._flight._arriving.pop(self, None)
