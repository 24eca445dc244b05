"""Many patterns at once."""

from __future__ import annotations

import pytest
from calls import counted_calls
from hypothesis import given
from hypothesis import strategies as st

from sse_hub.core.events import matches
from sse_hub.core.matcher import matches_any

PIECES = st.text("ab.", max_size=3)
PATTERNS = st.lists(PIECES, min_size=1, max_size=4).map("*".join).filter(bool)


@given(st.frozensets(PATTERNS, max_size=30), st.text("ab.", min_size=1, max_size=6))
def test_many_patterns_match_what_each_of_them_matches(patterns: frozenset[str], channel: str) -> None:
    assert matches_any(patterns, channel) == any(matches(pattern, channel) for pattern in patterns)


@pytest.mark.parametrize("pattern", ["a{}", "a{}.*", "*.{}a", "a{}.*.b", "a{}.*.*", "*.b.*.{}a"])
def test_the_cost_of_many_patterns_does_not_grow_with_their_number(pattern: str) -> None:
    patterns = frozenset(pattern.format(number) for number in range(1000))
    matches_any(patterns, "first")
    with counted_calls() as calls:
        assert not any(matches_any(patterns, f"a.b.{number}.c") for number in range(100))
    assert calls.count < 10_000
