"""Rules: which events of which channels are retained, and for how long.

The first rule that matches a channel counts; a channel without a matching rule gets the default. The rule of a channel
is looked up once and then kept, until the rules are replaced.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from .events import matches

__all__ = ["Rule", "Rules"]

_MOST_KNOWN = 200_000
"""Largest number of channels whose rule is kept. A look-up takes microseconds, and keeping the rule of every channel
ever used would cost memory."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rule:
    """The bounds of the channels that it matches. Durations are seconds."""

    match: str = "*"
    """A channel or a pattern."""
    history: int = 1000
    """Events retained for each channel."""
    history_age: float = 3600.0
    """Time for which an event is retained."""
    history_bytes: int = 64 << 20
    """Characters of data retained for each channel in memory; the newest event of any size stays."""
    end_age: float | None = None
    """Time for which an ended channel is kept; None for as long as an event is."""
    idle_end: float | None = None
    """Time without a publish after which a channel is ended as abandoned; None for never."""
    keep_last: bool = False
    """Whether the newest event never expires by age."""

    @property
    def history_age_ms(self) -> float:
        return self.history_age * 1000

    @property
    def end_age_ms(self) -> float:
        return (self.history_age if self.end_age is None else self.end_age) * 1000

    @property
    def is_for_runs(self) -> bool:
        """Whether it is about channels that end."""
        return self.end_age is not None or self.idle_end is not None

    @property
    def least(self) -> int:
        """The number of newest events that stay at any age, even with a `history` of 0."""
        return 1 if self.keep_last else 0


class Rules:
    """The rules of a hub. Its log and its store have the same object, from which they learn of new rules.

    :param default: of channels that no rule matches.
    """

    def __init__(self, default: Rule | None = None, rules: Sequence[Rule] = ()) -> None:
        self.default = default or Rule()
        self.version = 0
        """Rises when the rules are replaced: values that were derived from them are then outdated."""
        self._rules = tuple(rules)
        self._known: dict[str, Rule] = {}

    def of(self, channel: str) -> Rule:
        """The rule of a channel."""
        known = self._known  # a thread of a store must not write an old rule to the dict of new ones
        rule = known.get(channel)
        if rule is None:
            rule = next((each for each in self._rules if matches(each.match, channel)), self.default)
            if len(known) >= _MOST_KNOWN:
                known.clear()
            known[channel] = rule
        return rule

    def replace(self, rules: Sequence[Rule]) -> None:
        """Use these rules from now on; the default stays."""
        self._rules = tuple(rules)  # before the dict: rules that are looked up for the new dict are then new
        self._known = {}  # a new dict: a thread of a store may be writing to the old one
        self.version += 1

    @property
    def cost(self) -> int:
        """The cost of finding a channel's rule for the first time. With few rules, it is 1."""
        return 1 + len(self._rules) // 4

    @property
    def any_idle(self) -> bool:
        """Whether a rule ends channels that are silent."""
        return any(rule.idle_end is not None for rule in self._rules)

    @property
    def longest_ms(self) -> float:
        """The longest time for which any rule retains an event, apart from `keep_last`."""
        return max(max(rule.history_age_ms, rule.end_age_ms) for rule in (self.default, *self._rules))
