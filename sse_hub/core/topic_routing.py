"""Routing by topic: finds the audiences that an update concerns.

A selector without an expression is found by the topic itself. A template is found by its literal beginning and its
literal end, so an update asks only templates of which both are its own. Templates that differ only in the names of
variables are tried once, and a template with a literal in its middle is tried only on topics that have that literal.
A template without literals is tried on every topic, so how many templates an address may follow is limited
(`--mercure-templates-per-address`).

Each user of an application has a token of its own, so audiences often have one member, and ten thousand of them may
follow the same template. A private update concerns only those that may read it. So there are two indexes, one of what
is subscribed to and one of what may be read. A private update is looked up in the second one first.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Collection, Iterable, Iterator, Sequence
from typing import Generic, TypeVar

from .events import Event
from .groups import Audience
from .routing import Router
from .topics import EVERYTHING, Form, form_of, may_expand_to
from .updates import TopicSubscription, update_of

__all__ = ["TopicRouter"]

_FEW = 100
"""Up to this number of audiences that may read a private update, each is asked. Their rights come from tokens. What is
subscribed to comes from anybody, and so do some topics: those of updates about subscriptions have up to 12,000
characters, on which a thousand templates can take seconds."""

E = TypeVar("E")
T = TypeVar("T")


class TopicRouter(Router[Audience]):
    """Finds the audiences of an update. All of them have a `TopicSubscription`."""

    decides = True

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

    def route_event(self, event: Event) -> Collection[Audience]:
        """The audiences that want the update."""
        update = update_of(event)
        if not update.private:
            return _united(self._followed.find(update.topics))
        readable = self._readable.find(update.topics)
        if sum(map(len, readable)) <= _FEW:
            return [audience for audience in _united(readable) if audience.subscription.wants(event)]
        followed = self._followed.find(update.topics)
        return _in_both(*sorted((followed, readable), key=lambda found: sum(map(len, found))))


def _united(found: Sequence[Collection[Audience]]) -> Collection[Audience]:
    return dict.fromkeys(entry for entries in found for entry in entries)


def _in_both(fewer: Sequence[Collection[Audience]], more: Sequence[Collection[Audience]]) -> Collection[Audience]:
    candidates = _united(fewer)
    if len(candidates) * len(more) > sum(map(len, more)):
        more = [_united(more)]
    return [entry for entry in candidates if any(entry in entries for entries in more)]


class _Selectors(Generic[E]):
    """Entries by topic selector."""

    def __init__(self) -> None:
        self._exact: dict[str, dict[E, None]] = {}
        self._templates: dict[str, dict[str, dict[Form, Counter[E]]]] = {}  # by literal beginning, then by literal end
        self._beginnings = Counter[int]()  # how many literal beginnings have a length
        self._ends = Counter[int]()  # the same for ends, those of each beginning apart

    def add(self, selectors: Iterable[str], entry: E) -> None:
        for selector in selectors:
            self._exact.setdefault(selector, {})[entry] = None
            if (form := form_of(selector)) is not None:
                self._add_template(form, entry)

    def _add_template(self, form: Form, entry: E) -> None:
        if form.beginning not in self._templates:
            self._templates[form.beginning] = {}
            self._beginnings[len(form.beginning)] += 1
        by_end = self._templates[form.beginning]
        if form.end not in by_end:
            by_end[form.end] = {}
            self._ends[len(form.end)] += 1
        by_end[form.end].setdefault(form, Counter())[entry] += 1

    def remove(self, selectors: Iterable[str], entry: E) -> None:
        for selector in selectors:
            entries = self._exact[selector]
            del entries[entry]
            if not entries:
                del self._exact[selector]
            if (form := form_of(selector)) is not None:
                self._remove_template(form, entry)

    def _remove_template(self, form: Form, entry: E) -> None:
        by_end = self._templates[form.beginning]
        forms = by_end[form.end]
        _subtract(forms[form], entry)
        if not forms[form]:
            del forms[form]
        if not forms:
            del by_end[form.end]
            _subtract(self._ends, len(form.end))
        if not by_end:
            del self._templates[form.beginning]
            _subtract(self._beginnings, len(form.beginning))

    def find(self, topics: Sequence[str]) -> list[Collection[E]]:
        """The entries of each selector that matches one of the topics."""
        exact = [self._exact[each] for each in (EVERYTHING, *topics) if topics and each in self._exact]
        found: dict[Form, Collection[E]] = {}
        for topic in topics:
            for form, entries in self._candidates(topic):
                if form.middle in topic and form not in found and may_expand_to(form.template, topic):
                    found[form] = entries
        return [*exact, *found.values()]

    def _candidates(self, topic: str) -> Iterator[tuple[Form, Collection[E]]]:
        """The forms whose literal beginning and end are those of the topic."""
        for length in self._beginnings:
            by_end = self._templates.get(topic[:length]) if length <= len(topic) else None
            if by_end is None:
                continue
            if len(by_end) <= len(self._ends):
                ends = [end for end in by_end if topic.endswith(end)]
            else:
                ends = [topic[len(topic) - size :] for size in self._ends if size <= len(topic) - length]
            for end in ends:
                yield from by_end.get(end, {}).items()


def _subtract(counter: Counter[T], key: T) -> None:
    """Count one less; a counter keeps no zeros."""
    counter[key] -= 1
    if not counter[key]:
        del counter[key]
