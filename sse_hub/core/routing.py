"""Routing: finds the audiences of a channel.

The router looks for the channel's own name and for patterns with the same literal beginning. It never looks at all
subscriptions. A pattern without a literal beginning is found by its literal end, and only a pattern without both is
tried on every channel. Equal patterns of many subscriptions are tried once.

A channel's route is kept with the version of the patterns that it was made from. A new or removed pattern makes all
routes outdated at once, and each is made again when it is needed.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Collection, Iterator, Sequence
from itertools import islice
from typing import ClassVar, Generic, Protocol, TypeVar

from sortedcontainers import SortedDict

from .events import Event, literals, matches
from .subscription import Subscription, keys

__all__ = ["Router"]

_MOST_ROUTES = 200_000
"""Largest number of kept routes. A route is made in microseconds, and the routes of all channels ever used would cost
memory."""


class Entry(Protocol):
    """A target of routes."""

    @property
    def subscription(self) -> Subscription: ...


E = TypeVar("E", bound=Entry)


class Router(Generic[E]):
    """Finds the entries whose subscription covers a channel."""

    decides: ClassVar[bool] = False
    """Whether `route_event` finds only entries that want the event, so that they need not be asked."""

    def __init__(self) -> None:
        self._exact = SortedDict[str, E | dict[E, None]]()
        """By name, one entry or several. Most names have one, and a dict for each name would cost 230 bytes."""
        self._by_beginning = _Patterns[E](lambda channel, length: channel[:length])
        self._by_end = _Patterns[E](lambda channel, length: channel[len(channel) - length :])
        self._version = 0
        self._routes: dict[str, tuple[int, Sequence[E]]] = {}

    def add(self, entry: E) -> None:
        """Route to this entry from now on."""
        for key in keys(entry.subscription):
            if "*" in key:
                self._version += 1
                patterns, literal = self._place(key)
                patterns.add(literal, key, entry)
            else:
                self._add_exact(key, entry)
                self._routes.pop(key, None)

    def remove(self, entry: E) -> None:
        """Stop routing to this entry."""
        for key in keys(entry.subscription):
            if "*" in key:
                self._version += 1
                patterns, literal = self._place(key)
                patterns.remove(literal, key, entry)
            else:
                self._remove_exact(key, entry)
                self._routes.pop(key, None)

    def _add_exact(self, name: str, entry: E) -> None:
        present = self._exact.get(name)
        if present is None:
            self._exact[name] = entry
        elif isinstance(present, dict):
            present[entry] = None
        else:
            self._exact[name] = {present: None, entry: None}

    def _remove_exact(self, name: str, entry: E) -> None:
        present = self._exact[name]
        if isinstance(present, dict):
            del present[entry]
        if present is entry or present == {}:
            del self._exact[name]

    def route(self, channel: str) -> Sequence[E]:
        """The entries that this channel concerns."""
        known = self._routes.get(channel)
        if known is not None and known[0] == self._version:
            return known[1]
        # Without grants, the keys are the names, so a candidate covers the channel. It would take 0.4 s to ask 10,000
        # that have patterns of their own.
        found = dict.fromkeys(self._candidates(channel))
        route = [each for each in found if each.subscription.granted is None or each.subscription.covers(channel)]
        if len(self._routes) >= _MOST_ROUTES:
            self._routes.clear()
        self._routes[channel] = self._version, route
        return route

    def route_event(self, event: Event) -> Collection[E]:
        """The entries that an event concerns."""
        return self.route(event.channel)

    def forget(self, channel: str) -> None:
        """Forget the route of a channel that is no longer used."""
        self._routes.pop(channel, None)

    def names(self, after: str, most: int) -> list[str]:
        """Sorted names of the channels that are subscribed to by name: at most `most`, from the first after a name."""
        return list(islice(self._exact.irange(after, inclusive=(False, True)), most))

    def _candidates(self, channel: str) -> Iterator[E]:
        exact = self._exact.get(channel)
        if isinstance(exact, dict):
            yield from exact
        elif exact is not None:
            yield exact
        yield from self._by_beginning.of(channel)
        yield from self._by_end.of(channel)

    def _place(self, pattern: str) -> tuple[_Patterns[E], str]:
        beginning, end = literals(pattern)
        return (self._by_end, end) if end and not beginning else (self._by_beginning, beginning)


class _Patterns(Generic[E]):
    """Patterns by their literal part.

    :param part: takes from a channel name the part of this length that is compared with the literal part.
    """

    def __init__(self, part: Callable[[str, int], str]) -> None:
        self._part = part
        self._entries: dict[str, dict[str, dict[E, None]]] = {}  # by literal part, then by pattern
        self._lengths: Counter[int] = Counter()  # how many literal parts have a length

    def add(self, literal: str, pattern: str, entry: E) -> None:
        if literal not in self._entries:
            self._entries[literal] = {}
            self._lengths[len(literal)] += 1
        self._entries[literal].setdefault(pattern, {})[entry] = None

    def remove(self, literal: str, pattern: str, entry: E) -> None:
        patterns = self._entries[literal]
        entries = patterns[pattern]
        del entries[entry]
        if not entries:
            del patterns[pattern]
        if not patterns:
            del self._entries[literal]
            self._lengths[len(literal)] -= 1
            if not self._lengths[len(literal)]:
                del self._lengths[len(literal)]

    def of(self, channel: str) -> Iterator[E]:
        """The entries of the patterns that match a channel."""
        for length in self._lengths:
            patterns = self._entries.get(self._part(channel, length)) if length <= len(channel) else None
            for pattern, entries in (patterns or {}).items():
                if matches(pattern, channel):
                    yield from entries
