"""What one client, or all together, may use up: places for subscribers, and publishes a second.

Everything counted here is counted by something that a client cannot choose at will: its address, or a token that was
checked. No clock is read: time is an argument.
"""

from __future__ import annotations

from collections import Counter, OrderedDict
from typing import NamedTuple

__all__ = ["Places", "Rate", "Refusal"]

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
