"""The cases of the standard (WHATWG HTML 9.2.5 and 9.2.6) for all readers of event streams: cases.json."""

from __future__ import annotations

import json
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Case:
    """The bytes of a stream, and the events that a conforming reader dispatches."""

    name: str
    stream: bytes
    events: list[tuple[str, str, str]]
    """Type (empty where the stream names none), data and last event id of each."""
    id: str
    """The last event id at the end."""
    retry_ms: int | None

    def __str__(self) -> str:
        return self.name


def _case(value: dict[str, object]) -> Case:
    hex, stream, events = value.get("hex"), value.get("stream"), value["events"]
    id, retry_ms = value.get("id", ""), value.get("retry_ms")
    assert isinstance(id, str)
    assert isinstance(events, list)
    assert isinstance(retry_ms, int | None)
    data = bytes.fromhex(hex) if isinstance(hex, str) else str(stream).encode()
    return Case(str(value["name"]), data, [tuple(event) for event in events], id, retry_ms)


CASES = [_case(value) for value in json.loads(Path(__file__).with_suffix(".json").read_text())]
