"""How an application publishes: it gives drafts to the store, and the store delivers the events to the hub."""

from __future__ import annotations

from collections.abc import Sequence

from .ends import REASONS, end_draft
from .events import Draft, Event, EventId, check_channel, check_type
from .ports import Store

__all__ = ["Publishing"]


class Publishing:
    """The part of a hub that an application publishes by."""

    store: Store

    async def publish(
        self, data: str, *, channel: str = "main", event: str = "message", ephemeral: bool = False
    ) -> EventId | None:
        """Publish an event; return its id once the store has it, None if it is ephemeral.

        :raises ValueError: if the channel or the event type may not be used.
        :raises Ended: if the channel has ended.
        """
        (published,) = await self.publish_all([Draft(channel, event, data, ephemeral)])
        return published.id

    async def publish_all(self, drafts: Sequence[Draft]) -> Sequence[Event]:
        """Publish events in this order, all of them or none; return them once the store has them.

        :raises ValueError: if a channel or an event type may not be used.
        :raises Ended: if a channel has ended.
        """
        for channel, type in {(draft.channel, draft.type) for draft in drafts}:
            check_channel(channel)
            check_type(type)
        return await self.store.append(drafts)

    async def end(self, channel: str, reason: str = "done") -> EventId:
        """End a channel; return the id of the event `end` once the store has it. The channel takes no more events until
        it is forgotten.

        :param reason: `done`, `failed` or `cancelled`.
        :raises ValueError: if the channel or the reason may not be used.
        :raises Ended: if it has ended already.
        """
        check_channel(channel)
        if reason not in REASONS:
            raise ValueError(f"{reason[:40]!r} is not a reason for an end; it takes {', '.join(REASONS)}")
        (event,) = await self.store.append([end_draft(channel, reason)])
        assert event.id is not None
        return event.id
