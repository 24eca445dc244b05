"""Limits for one client and for all clients: slots for subscribers, templates, publishes a second, bytes of requests.

A client is identified by something that it cannot invent: its address, or a checked token. This module reads no clock;
time is an argument.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from collections.abc import Callable, Iterable
from types import TracebackType
from typing import NamedTuple

from cachetools import LRUCache

__all__ = ["BudgetExceeded", "ByteBudget", "Rate", "Refusal", "Reservation", "SubscriberSlots", "TemplateSlots"]

_BUCKETS = 10_000
"""Largest number of clients whose rate is remembered. The client that was quiet longest is forgotten first. Its bucket
is full by then, unless 10,000 others publish."""


class Rate:
    """A rate for each client, as a token bucket: it fills at the rate and holds the amount of some seconds.

    :param per_second: events that a client may publish a second in the long run; 0 for no limit.
    :param seconds: the size of the bucket, in seconds of that rate.
    """

    def __init__(self, per_second: float, seconds: float = 5.0) -> None:
        self._per_second = per_second
        self._capacity = max(per_second * seconds, 1.0)
        self._buckets: LRUCache[str, tuple[float, float]] = LRUCache(_BUCKETS)  # its content, and at what time

    def consume(self, client: str, count: int, now: float) -> float:
        """Take an amount from a client's bucket. Return 0.0, or the seconds until the bucket has enough.

        An amount larger than the bucket is accepted when the bucket is full, and the client waits longer afterwards. So
        a large batch is possible, but not free.
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
    """The reason why there is no slot."""

    limit: str
    """The name of the limit in the metrics."""
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


class TemplateSlots:
    """The different URI Templates that the streams of each address follow (docs/protocol.md, "Subscribing to topics").

    A template that many streams follow counts once, because an update is compared with it once.

    :param each: how many of them one address may have.
    """

    def __init__(self, each: int) -> None:
        self._each = each
        self._used: dict[str, Counter[str]] = {}

    def refusal(self, address: str, selectors: Iterable[str]) -> Refusal | None:
        """Why this address may not follow the templates among these selectors, too; None if it may."""
        used = self._used.get(address, Counter())
        if len(used.keys() | set(_templates(selectors))) <= self._each:
            return None
        return Refusal(
            "templates",
            f"The address {address} follows as many different URI Templates as it may: {self._each} "
            "(--mercure-templates-per-address; for a proxy: --trusted-proxies).",
        )

    def acquire(self, address: str, selectors: Iterable[str]) -> None:
        """Count the templates among the selectors of a stream."""
        if templates := _templates(selectors):
            self._used.setdefault(address, Counter()).update(templates)

    def release(self, address: str, selectors: Iterable[str]) -> None:
        """Count the templates of a stream no more."""
        used = self._used.get(address, Counter())
        for template in _templates(selectors):
            used[template] -= 1
            if not used[template]:
                del used[template]
        if not used:
            self._used.pop(address, None)


def _templates(selectors: Iterable[str]) -> list[str]:
    return [selector for selector in selectors if "{" in selector]


class BudgetExceeded(Exception):
    """There is no room for more bytes of requests."""


class ByteBudget:
    """The bytes that requests hold from their arrival until they are answered, and those of large answers.

    Without a limit, three hundred bodies of a megabyte that never end would hold three hundred megabytes. At the limit,
    the body or answer that has been under way for longest is dropped, because an honest one takes milliseconds.

    :param most: bytes that all may hold together.
    """

    def __init__(self, most: int) -> None:
        self._most = most
        self.bytes = 0
        """Bytes of all requests."""
        self._arriving: OrderedDict[Reservation, Callable[[], object]] = OrderedDict()

    def reserve(self) -> Reservation:
        """A reservation for one request. It is a context manager that releases the bytes at its end."""
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
        """Release all bytes of the reservation."""
        self.bytes -= reservation.bytes
        reservation.bytes = 0
        self._arriving.pop(reservation, None)


class Reservation:
    """The bytes of one request."""

    __slots__ = ("_budget", "bytes", "given_up")

    def __init__(self, budget: ByteBudget) -> None:
        self._budget = budget
        self.bytes = 0
        """Bytes of the request."""
        self.given_up = False
        """Whether the request was dropped to make room for others."""

    def __enter__(self) -> Reservation:
        return self

    def __exit__(self, kind: type[BaseException] | None, error: BaseException | None, at: TracebackType | None) -> None:
        self._budget.release(self)

    def add(self, count: int) -> None:
        """Add bytes.

        :raises BudgetExceeded: if there is no room for them.
        """
        self._budget.add(self, count)

    def arrive(self, give_up: Callable[[], object]) -> None:
        """From now on, this function may be called to drop the request, or its answer, if others need the room."""
        self._budget.arrive(self, give_up)

    def keep(self) -> None:
        """The request has arrived; from now on it cannot be dropped."""
        self._budget.keep(self)
