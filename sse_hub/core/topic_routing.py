"""Routing by topic: finds the audiences that an update concerns.

A selector without an expression is found by the topic itself. A template is found by its literal beginning, so an
update asks only templates whose beginning is one of its own. Equal templates of many audiences are tried once.

Each user of an application has a token of its own, so audiences often have one member, and ten thousand of them may
follow the same template. A private update concerns only those that may read it. So there are two indexes, one of what
is subscribed to and one of what may be read, and the one that finds fewer is used.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Sequence
from typing import Generic, TypeVar

from .events import Event
from .groups import Audience
from .routing import Router
from .topics import EVERYTHING, is_template, literal_beginning, matches_topic
from .updates import TopicSubscription, update_of

__all__ = ["TopicRouter"]

E = TypeVar("E")


class TopicRouter(Router[Audience]):
    """Finds the audiences of an update. All of them have a `TopicSubscription`."""

    def __init__(self) -> None:
        super().__init__()
        self._followed = _Selectors[Audience]()
        self._readable = _Selectors[Audience]()

    def add(self, entry: Audience) -> None:
        """Route to this audience from now on."""
        super().add(entry)
        assert isinstance(entry.subscription, TopicSubscription)
        self._followed.add(entry.subscription.selectors, entry)
        self._readable.add(entry.subscription.readable, entry)

    def remove(self, entry: Audience) -> None:
        """Stop routing to this audience."""
        super().remove(entry)
        assert isinstance(entry.subscription, TopicSubscription)
        self._followed.remove(entry.subscription.selectors, entry)
        self._readable.remove(entry.subscription.readable, entry)

    def route_event(self, event: Event) -> Iterable[Audience]:
        """The audiences that may want the update."""
        update = update_of(event)
        followed = self._followed.find(update.topics)
        if not update.private:
            return _united(followed)
        readable = self._readable.find(update.topics)
        return _united(min(followed, readable, key=lambda found: sum(map(len, found))))


def _united(found: Sequence[Collection[Audience]]) -> Iterable[Audience]:
    return dict.fromkeys(entry for entries in found for entry in entries)


class _Selectors(Generic[E]):
    """Entries by topic selector."""

    def __init__(self) -> None:
        self._exact: dict[str, dict[E, None]] = {}
        self._templates: dict[str, dict[str, dict[E, None]]] = {}  # by literal beginning, then by selector
        self._lengths = Counter[int]()  # how many literal beginnings have a length

    def add(self, selectors: Iterable[str], entry: E) -> None:
        for selector in selectors:
            self._exact.setdefault(selector, {})[entry] = None
            if is_template(selector):
                beginning = literal_beginning(selector)
                if beginning not in self._templates:
                    self._templates[beginning] = {}
                    self._lengths[len(beginning)] += 1
                self._templates[beginning][selector] = self._exact[selector]

    def remove(self, selectors: Iterable[str], entry: E) -> None:
        for selector in selectors:
            entries = self._exact[selector]
            del entries[entry]
            if not entries:
                del self._exact[selector]
                self._forget_template(selector)

    def _forget_template(self, selector: str) -> None:
        beginning = literal_beginning(selector)
        templates = self._templates.get(beginning, {})
        if templates.pop(selector, None) is not None and not templates:
            del self._templates[beginning]
            self._lengths[len(beginning)] -= 1
            if not self._lengths[len(beginning)]:
                del self._lengths[len(beginning)]

    def find(self, topics: Sequence[str]) -> list[Collection[E]]:
        """The entries of each selector that matches one of the topics."""
        found: dict[str, Collection[E]] = {}
        for selector in (EVERYTHING, *topics) if topics else ():
            if selector in self._exact:
                found[selector] = self._exact[selector]
        for topic in topics:
            for length in self._lengths:
                for selector, entries in self._templates.get(topic[:length], {}).items():
                    if matches_topic(selector, topic):
                        found[selector] = entries
        return list(found.values())
