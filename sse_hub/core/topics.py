"""Topic selectors: the strings that name topics in the Mercure protocol (docs/protocol.md, "Subscribing to topics").

A selector matches a topic if it is `*`, if both are equal, or if it is a URI Template (RFC 6570) and the topic could be
an expansion of it. RFC 6570 defines only expansion; matching here is the convention of Mercure hubs: variable names and
prefix lengths are not checked, and nothing is normalised.

Anybody can send a selector, so the time must be linear in the topic's length. A template with one expression is a
prefix, a suffix and a loop between them. In a template with several, a loop mostly cannot take the character that
follows it (`/` after `{id}`). Then a possessive loop, which never backtracks, matches the same strings as a greedy one.
All other templates are run as a set of states.
"""

from __future__ import annotations

import functools
import re
from collections.abc import Collection, Iterator
from dataclasses import dataclass

__all__ = ["EVERYTHING", "any_matches", "is_template", "literal_beginning", "matches_topic"]

EVERYTHING = "*"
_MOST_EXPRESSIONS = 20
"""Largest number of expressions and of variables in a template; a template with more matches only itself. Each is a
state that may be active."""
_CACHED_CHARACTERS = 512
"""Largest length of selector and topic together. Answers for longer ones are not kept; otherwise the cache could take a
gigabyte."""

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
    """What an expression matches: up to `most` runs of `characters` and triplets.

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
        self.beginning = first if isinstance(first, str) else ""
        self._end = last if isinstance(last, str) else ""
        parts = parts[bool(self.beginning) : len(parts) - bool(self._end)]
        self._pattern = re.compile("".join(map(_pattern, parts))) if _is_plain(parts) else None
        self._states = None if self._pattern is not None else _States(parts)

    def matches(self, topic: str) -> bool:
        begin, end = len(self.beginning), len(topic) - len(self._end)
        if begin > end or not topic.startswith(self.beginning) or not topic.endswith(self._end):
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
    """A template as a set of states. A state is the position before an item: a symbol, or a run of a set of symbols."""

    def __init__(self, parts: list[_Part]) -> None:
        self._items: list[str | _Expression] = []
        skips: list[tuple[int, int]] = []
        for part in parts:
            if isinstance(part, str):
                self._items += _SYMBOL.findall(part)
                continue
            begin, runs = len(self._items), part.most or 2
            for number in range(runs):
                if part.lead:
                    skips.append((len(self._items), begin + 2 * runs))
                    self._items.append(part.separator if number else part.lead)
                self._items.append(part)
                skips.append((len(self._items) - 1, len(self._items)))
            if part.most is None:
                skips.append((begin + 3, begin + 2))  # after the second run, another one may follow
        self._reach = _closures(len(self._items) + 1, skips)

    def accept(self, text: str) -> bool:
        known: dict[tuple[int, str], int] = {}
        states = self._reach[0]
        for symbol in _SYMBOL.findall(text):
            following = known.get((states, symbol))
            if following is None:
                following = known[states, symbol] = self._after(states, symbol)
            if not following:
                return False
            states = following
        return bool(states >> len(self._items) & 1)

    def _after(self, states: int, symbol: str) -> int:
        following = 0
        for number, item in enumerate(self._items):
            if not states >> number & 1:
                continue
            if isinstance(item, str):
                following |= self._reach[number + 1] if item == symbol else 0
            elif len(symbol) == 3 or symbol in item.characters:
                following |= self._reach[number]
        return following


def _closures(count: int, skips: Collection[tuple[int, int]]) -> list[int]:
    """For each state the states that are reached from it without a symbol, itself included, as bits."""
    targets: list[list[int]] = [[] for _ in range(count)]
    for begin, end in skips:
        targets[begin].append(end)
    found = []
    for state in range(count):
        reached, open = 0, [state]
        while open:
            here = open.pop()
            if not reached >> here & 1:
                reached |= 1 << here
                open += targets[here]
        found.append(reached)
    return found


@functools.lru_cache(20_000)
def _template(selector: str) -> _Template | None:
    if "{" not in selector:
        return None
    parts = _parse(selector)
    return None if parts is None else _Template(parts)


def is_template(selector: str) -> bool:
    """Whether the selector is a URI Template that matches more than itself."""
    return _template(selector) is not None


def literal_beginning(selector: str) -> str:
    """The common beginning of all topics that the selector matches."""
    template = _template(selector)
    if template is None:
        return "" if selector == EVERYTHING else selector
    return template.beginning  # the template itself, which also matches, begins in the same way


def matches_topic(selector: str, topic: str) -> bool:
    """Whether the selector matches the topic."""
    if selector in (EVERYTHING, topic):
        return True
    if "{" not in selector:
        return False
    if len(selector) + len(topic) > _CACHED_CHARACTERS:
        return _matches(selector, topic)
    return _remembered(selector, topic)


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
