"""Publishes as the arguments of `scripts.APPEND`, and the ids in its answer.

A batch may have 10,000 events. Making their texts and reading their ids takes 20 ms, so both are done in slices;
between two slices, the event loop does other work.
"""

from __future__ import annotations

from collections.abc import Sequence

from ..core.events import Draft, Event, EventId, compact_json
from ..core.ports import KEY_AGE_MS
from ..core.rules import Rules
from ..tasks import in_slices
from .batches import Append
from .retention_scripts import numbers

__all__ = ["arguments_of", "events_of", "ids_of"]

_SLICE = 1000
_EPHEMERAL = "-"
"""Stands for the id of an ephemeral event, which has none."""


async def arguments_of(append: Append, rules: Rules, *, origin: str, most: int, grace_ms: int) -> Sequence[str | int]:
    """The arguments of a publish (`ARGV`).

    :param origin: the stream that it is for; see `Follower.origin`.
    :param most: largest number of entries in the stream.
    :param grace_ms: milliseconds for which an entry is never removed.
    """
    texts: list[str] = []
    async for drafts in in_slices(append.drafts, _SLICE):
        values = [value for d in drafts for value in (d.channel, d.type, d.data, "01"[d.ephemeral])]
        texts.append(compact_json(values)[1:-1])
    channels = {draft.channel for draft in append.drafts}
    bounds = compact_json({channel: numbers(rules.of(channel))[:4] for channel in channels})
    return origin, most, append.key, KEY_AGE_MS, append.memo, bounds, f"[{','.join(texts)}]", grace_ms


async def ids_of(answer: str) -> Sequence[EventId | None]:
    """The ids in the answer; None for an ephemeral event."""
    ids: list[EventId | None] = []
    async for some in in_slices(answer.split(" "), _SLICE):
        ids += [None if id == _EPHEMERAL else EventId.parse(id) for id in some]
    return ids


async def events_of(drafts: Sequence[Draft], ids: Sequence[EventId | None], head: EventId) -> Sequence[Event]:
    """The events of accepted drafts.

    :param head: gives the time of ephemeral events.
    """
    events: list[Event] = []
    async for some in in_slices(list(zip(drafts, ids, strict=True)), _SLICE):
        events += [draft.accepted(id or head, (id or head).ms) for draft, id in some]
    return events
