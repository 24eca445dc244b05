"""SQLite files for tests, with a clock that a test sets."""

from __future__ import annotations

from pathlib import Path

from sse_hub.core.events import Draft
from sse_hub.core.rules import Rule, Rules
from sse_hub.core.subscription import Subscription
from sse_hub.stores.batches import Append
from sse_hub.stores.database import Database
from sse_hub.stores.reading import Gate, Reader

ALL = Subscription(frozenset({"*"}))


class Clock:
    def __init__(self) -> None:
        self.now_ms = 1_000_000

    def __call__(self) -> int:
        return self.now_ms


def database(path: Path, clock: Clock, history: int = 1000, history_age_ms: float = 1e9) -> Database:
    made = Database(path / "events.db", clock, Rules(Rule(history=history, history_age=history_age_ms / 1000)))
    made.open()
    return made


def reader(path: Path) -> Reader:
    made = Reader(path / "events.db", Gate(), lambda rows: None)
    made.open()
    return made


def drafts(count: int, data: str = "x", channel: str = "c") -> list[Append]:
    return [Append([Draft(channel, "message", data)]) for _ in range(count)]
