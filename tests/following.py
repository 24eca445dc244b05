"""What a reader gets by the client library."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from eventually import PATIENCE

from sse_client import Event, SSEClient

__all__ = ["data_of", "whole"]


async def data_of(events: AsyncIterator[Event]) -> list[str]:
    """The data of all events until the iteration ends."""
    async with asyncio.timeout(PATIENCE):
        return [event.data async for event in events]


async def whole(client: SSEClient, channel: str) -> tuple[list[Event], str | None]:
    """All events of a channel that ends, and the reason of the end."""
    async with asyncio.timeout(PATIENCE), client.channel(channel, from_start=True) as stream:
        return [event async for event in stream], stream.ended
