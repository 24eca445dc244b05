"""Counting the functions that some work calls: a measure of it that a busy machine does not change."""

from __future__ import annotations

import sys
from collections.abc import Callable
from typing import TypeVar

__all__ = ["calls_during"]

Result = TypeVar("Result")


def calls_during(work: Callable[[], Result]) -> tuple[Result, int]:
    """The result of this work, and the number of functions that it calls."""
    calls = 0

    def note(frame: object, event: str, argument: object) -> None:
        nonlocal calls
        calls += event in {"call", "c_call"}

    sys.setprofile(note)
    try:
        result = work()
    finally:
        sys.setprofile(None)
    return result, calls
