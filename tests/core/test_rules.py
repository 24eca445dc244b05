"""Which rule a channel has."""

from __future__ import annotations

from sse_hub.core.rules import Rule, Rules


def test_the_first_rule_that_matches_counts_and_the_default_for_others() -> None:
    rules = Rules(Rule(history=1), [Rule(match="a.b", history=2), Rule(match="a.*", history=3)])
    assert [rules.of(channel).history for channel in ("a.b", "a.c", "b")] == [2, 3, 1]


def test_rules_that_are_replaced_count_at_once_and_the_default_stays() -> None:
    rules = Rules(Rule(history=1), [Rule(match="a", history=2)])
    assert rules.of("a").history == 2
    version = rules.version
    rules.replace([Rule(match="b", history=3)])
    assert (rules.of("a").history, rules.of("b").history) == (1, 3)
    assert rules.version > version


def test_a_rule_that_was_looked_up_while_the_rules_were_replaced_is_not_kept() -> None:
    """A thread of a store can be within the look-up at that moment."""

    class Replacing(str):
        def startswith(self, *_: object) -> bool:
            rules.replace([Rule(match="a*", history=3)])
            return True

    rules = Rules(Rule(history=1), [Rule(match="a*", history=2)])
    assert rules.of(Replacing("a")).history == 2
    assert rules.of("a").history == 3


def test_an_ended_channel_is_kept_as_long_as_an_event_unless_its_rule_says_something_else() -> None:
    assert Rule(history_age=5.0).end_age_ms == 5000
    assert Rule(history_age=5.0, end_age=2.0).end_age_ms == 2000


def test_the_longest_time_is_that_of_any_rule() -> None:
    assert Rules(Rule(history_age=5.0), [Rule(match="a", end_age=9.0), Rule(match="b")]).longest_ms == 3_600_000
    assert Rules(Rule(history_age=5.0), [Rule(match="a", history_age=1.0, end_age=9.0)]).longest_ms == 9000
