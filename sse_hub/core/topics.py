"""Topic selectors: the strings that name topics in the Mercure protocol (docs/protocol.md, "Subscribing to topics").

A selector matches a topic if it is `*`, if both are equal, or if it is a URI Template (RFC 6570) and the topic could be
an expansion of it. RFC 6570 defines only expansion; matching here is the convention of Mercure hubs: variable names and
prefix lengths are not checked, and nothing is normalised.

A client can send any selector, so the time must be linear in the topic's length. A template with one expression is a
prefix, a suffix and a loop between them. In a template with several, a loop mostly cannot take the character that
follows it (`/` after `{id}`). Then a possessive loop, which never backtracks, matches the same strings as a greedy one.
All other templates are run as a set of states.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Collection, Iterator, Mapping, Sequence
from dataclasses import dataclass
from threading import Lock
from typing import NamedTuple

from cachetools import LRUCache, cached

__all__ = ["EVERYTHING", "Form", "any_matches", "form_of", "matches_topic", "may_expand_to"]

EVERYTHING = "*"
_MOST_EXPRESSIONS = 20
"""Largest number of expressions and of variables in a template; a template with more matches only itself. Each is a
state that may be active."""
_CACHED_CHARACTERS = 512
"""Largest length of selector and topic together. Answers for longer ones are not kept; otherwise the cache could take a
gigabyte."""

_CACHED_BYTES = 16 << 20
"""Memory of all selectors that are kept parsed, about 20,000 usual ones. Strangers choose them, and the largest take
80 kB each."""
_PATTERN_BYTES = 300
"""Approximate memory of an expression in a compiled pattern."""

_TRIPLET = "%[0-9A-Fa-f]{2}"
_NAME = rf"(?:\w|{_TRIPLET})(?:\.?(?:\w|{_TRIPLET}))*"
_VARIABLE = rf"{_NAME}(?:\*|:[1-9][0-9]{{0,3}})?"
_EXPRESSION = re.compile(rf"\{{([+#./;?&]?)({_VARIABLE}(?:,{_VARIABLE})*)\}}", re.ASCII)
_LITERAL = re.compile(rf"""(?:[^\x00-\x20\x7f-\x9f"<>\\^`{{|}}%]|{_TRIPLET})+""")
_SYMBOL = re.compile(rf"{_TRIPLET}|.", re.DOTALL)

_UNRESERVED = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-._~"
_RESERVED = "!#$&'()*+,/:;=?@[]"


@dataclass(frozen=True, slots=True)
class _Expression:
    """An expression. It matches up to `most` runs of `characters` and triplets.

    The first run begins with `lead` and the others with `separator`. Without a lead there is one run, which may be
    empty.
    """

    lead: str
    separator: str
    characters: str
    most: int | None
    """None for any number."""

    @property
    def taken(self) -> frozenset[str]:
        """The characters that it can match."""
        return frozenset(self.characters + "%" + self.lead + self.separator)

    @property
    def template(self) -> str:
        """It as a template, with `x` for every variable."""
        if self.characters.endswith(_RESERVED):
            return f"{{{self.lead or '+'}x}}"
        if self.lead in {"", "."}:
            return f"{{{self.lead}{'x*' if '=' in self.characters else 'x'}}}"
        return f"{{{self.lead}{'x*' if self.most is None else ','.join('x' * self.most)}}}"

    @property
    def pattern(self) -> str:
        """A regular expression with possessive loops."""
        run = f"(?:[{re.escape(self.characters)}]|{_TRIPLET})*+"
        if not self.lead:
            return run
        more = "*+" if self.most is None else f"{{0,{self.most - 1}}}+"
        return f"(?:{re.escape(self.lead)}{run}(?:{re.escape(self.separator)}{run}){more})?+"


_Part = str | _Expression


def _expression(operator: str, variables: str) -> _Expression:
    exploded = "*" in variables
    if operator in {"+", "#"}:
        return _Expression(operator.replace("+", ""), "", _UNRESERVED + _RESERVED, 1)
    characters = _UNRESERVED + "," + ("=" if exploded or operator in {";", "?", "&"} else "")
    if operator in {"", "."}:
        return _Expression(operator, "", characters, 1)
    return _Expression(operator, operator.replace("?", "&"), characters, None if exploded else variables.count(",") + 1)


def _parse(selector: str) -> list[_Part] | None:
    """The parts of a URI Template that has expressions; None for any other string."""
    parts: list[_Part] = []
    variables = position = 0
    while position < len(selector):
        if (literal := _LITERAL.match(selector, position)) is not None:
            parts.append(literal[0])
            position = literal.end()
        elif (found := _EXPRESSION.match(selector, position)) is not None:
            variables += found[2].count(",") + 1
            if variables > _MOST_EXPRESSIONS:
                return None
            _append(parts, _expression(found[1], found[2]))
            position = found.end()
        else:
            return None
    return parts if variables else None


def _append(parts: list[_Part], new: _Expression) -> None:
    """Add an expression. Two adjacent runs match the same strings as the wider one alone."""
    last = parts[-1] if parts else ""
    if isinstance(last, _Expression) and not last.lead and not new.lead:
        parts[-1] = max(last, new, key=lambda each: len(each.characters))
    else:
        parts.append(new)


class _Template:
    """Says whether a topic matches the parts of a template."""

    def __init__(self, parts: list[_Part]) -> None:
        first, last = parts[0], parts[-1]
        self._beginning = first if isinstance(first, str) else ""
        self._end = last if isinstance(last, str) else ""
        parts = parts[bool(self._beginning) : len(parts) - bool(self._end)]
        self._pattern = re.compile("".join(map(_pattern, parts))) if _is_plain(parts) else None
        self._states = None if self._pattern is not None else _States(parts)
        self.size_bytes = self._states.size_bytes if self._states is not None else _PATTERN_BYTES * len(parts)
        """Approximate memory that it takes, without the selector."""

    def matches(self, topic: str) -> bool:
        begin, end = len(self._beginning), len(topic) - len(self._end)
        if begin > end or not topic.startswith(self._beginning) or not topic.endswith(self._end):
            return False
        if self._pattern is not None:
            return self._pattern.fullmatch(topic, begin, end) is not None
        assert self._states is not None
        return self._states.accept(topic[begin:end])


def _pattern(part: _Part) -> str:
    return re.escape(part) if isinstance(part, str) else part.pattern


def _is_plain(parts: list[_Part]) -> bool:
    """Whether no expression can match a character with which the rest begins."""
    beginnings: frozenset[str] = frozenset()
    for part in reversed(parts):
        if isinstance(part, str):
            beginnings = frozenset(part[0])
        elif beginnings & part.taken:
            return False
        else:
            beginnings |= frozenset(part.lead) if part.lead else part.taken
    return True


class _States:
    """A template as a set of states. A state is the position before an item: a symbol, or a run of a set of symbols.

    A set of states is an integer with a bit for each of them, so one symbol of a topic takes a few operations however
    long the template is.
    """

    def __init__(self, parts: list[_Part]) -> None:
        self._leave: dict[str, int] = {}  # by symbol, the states before it
        self._stay: dict[str, int] = {}  # by the characters of a run, the states before such runs
        self._count = 0
        skips: dict[int, list[int]] = {}
        for part in parts:
            if isinstance(part, str):
                self._add_symbols(part)
            else:
                self._add_runs(part, skips)
        self._reach = {1 << state: _reached(state, skips) for state in skips}
        self._skipping = sum(self._reach)
        self._shortest = sum(len(part) for part in parts if isinstance(part, str))
        masks = (*self._leave.values(), *self._stay.values(), *self._reach.values())
        self.size_bytes = sum(100 + mask.bit_length() // 7 for mask in masks)

    def _add_symbols(self, text: str) -> None:
        for symbol in _SYMBOL.findall(text):
            self._leave[symbol] = self._leave.get(symbol, 0) | 1 << self._count
            self._count += 1

    def _add_runs(self, part: _Expression, skips: dict[int, list[int]]) -> None:
        begin, runs = self._count, part.most or 2
        for number in range(runs):
            if part.lead:
                skips.setdefault(self._count, []).append(begin + 2 * runs)
                self._add_symbols(part.separator if number else part.lead)
            self._stay[part.characters] = self._stay.get(part.characters, 0) | 1 << self._count
            skips.setdefault(self._count, []).append(self._count + 1)
            self._count += 1
        if part.most is None:
            skips[begin + 3].append(begin + 2)  # after the second run, another one may follow

    def accept(self, text: str) -> bool:
        if len(text) < self._shortest:
            return False
        staying: dict[str, int] = {}
        states = self._closed(1)
        for symbol in _SYMBOL.findall(text):
            stay = staying.get(symbol)
            if stay is None:
                stay = staying[symbol] = self._staying(symbol)
            states = self._closed((states & self._leave.get(symbol, 0)) << 1 | states & stay)
            if not states:
                return False
        return bool(states >> self._count & 1)

    def _staying(self, symbol: str) -> int:
        """The states before runs that the symbol continues; a triplet continues every run."""
        found = 0
        for characters, states in self._stay.items():
            if len(symbol) == 3 or symbol in characters:
                found |= states
        return found

    def _closed(self, states: int) -> int:
        """These states, and those that are reached from them without a symbol."""
        skipping = states & self._skipping
        while skipping:
            reached = self._reach[skipping & -skipping]
            states |= reached
            skipping &= ~reached
        return states


def _reached(state: int, skips: Mapping[int, Sequence[int]]) -> int:
    """The states that are reached from this one without a symbol, itself included, as bits."""
    reached, to_visit = 0, [state]
    while to_visit:
        here = to_visit.pop()
        if not reached >> here & 1:
            reached |= 1 << here
            to_visit += skips.get(here, ())
    return reached


@dataclass(frozen=True, slots=True)
class _Parsed:
    """A selector that looks like a template."""

    template: _Template | None
    """None if it is not a template, so that it matches only itself."""
    size_bytes: int
    """Approximate memory that it takes, with the selector itself."""


# With a lock, because the topics of a large update are compared in a thread. It is not held while a selector is parsed.
@cached(LRUCache[str, _Parsed](_CACHED_BYTES, lambda parsed: parsed.size_bytes), key=str, lock=Lock())
def _parsed(selector: str) -> _Parsed:
    parts = _parse(selector)
    template = None if parts is None else _Template(parts)
    return _Parsed(template, 500 + 2 * len(selector) + (template.size_bytes if template else 0))


def _template(selector: str) -> _Template | None:
    return _parsed(selector).template if "{" in selector else None


class Form(NamedTuple):
    """The form of a URI Template. Templates that differ only in the names of variables have the same form."""

    template: str
    """A template of that form."""
    beginning: str
    """The literal with which all its topics begin; may be empty."""
    end: str
    """The literal with which all its topics end; may be empty."""
    middle: str
    """A literal between expressions that all its topics have, the longest; may be empty."""


def form_of(selector: str) -> Form | None:
    """The form of a URI Template; None for a selector that matches only itself, and for `*`."""
    parts = _parse(selector) if "{" in selector else None
    if parts is None:
        return None
    literals = [part if isinstance(part, str) else "" for part in parts]
    template = "".join(part if isinstance(part, str) else part.template for part in parts)
    return Form(template, literals[0], literals[-1], max(literals[1:-1], key=len, default=""))


def matches_topic(selector: str, topic: str) -> bool:
    """Whether the selector matches the topic."""
    return selector in (EVERYTHING, topic) or ("{" in selector and may_expand_to(selector, topic))


def may_expand_to(template: str, topic: str) -> bool:
    """Whether the topic could be an expansion of the template."""
    if len(template) + len(topic) > _CACHED_CHARACTERS:
        return _matches(template, topic)
    return _remembered(template, topic)


def _matches(selector: str, topic: str) -> bool:
    template = _template(selector)
    return template is not None and template.matches(topic)


_remembered = functools.lru_cache(50_000)(_matches)


def any_matches(selectors: Collection[str], topics: Collection[str]) -> bool:
    """Whether at least one of the selectors matches at least one of the topics.

    :param selectors: a set, in which each topic is looked up.
    """
    if EVERYTHING in selectors or any(topic in selectors for topic in topics):
        return bool(topics)
    return any(matches_topic(selector, topic) for selector in _templates(selectors) for topic in topics)


def _templates(selectors: Collection[str]) -> Iterator[str]:
    return (selector for selector in selectors if "{" in selector)
