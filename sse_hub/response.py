"""The response of an event stream: aiohttp-sse's, which the hub writes to.

aiohttp-sse gives headers, comment pings and the kernel's timeout. Its `send()` formats for one client, so only
`connected` goes out that way of writing; everything after it is bytes that the hub made once for a whole group,
ready-framed, straight to the transport. A response is a `hub.Connection`: `take` is called by the hub in every flush
and must not wait. A handler is its owner: it calls `advance` while there is something to catch up with, and sleeps
while there is not.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Sequence
from dataclasses import dataclass

from aiohttp import web
from aiohttp_sse import EventSourceResponse

from .auth import Grant
from .catchup import CatchUp
from .deflate import GZIP_HEADER, deflated, wrapped
from .events import Subscription
from .hub import Subscriber
from .settings import Settings

__all__ = ["EventStream", "Visitor"]

_NEVER = 1e9


@dataclass(frozen=True, slots=True)
class Visitor:
    """Who follows a stream."""

    id: str
    address: str
    channels: Sequence[str]
    since_ms: int
    """Unix time in milliseconds at which it was connected."""
    grant: Grant


class EventStream(EventSourceResponse):
    """The response to one subscriber."""

    def __init__(self, settings: Settings, subscription: Subscription, visitor: Visitor) -> None:
        # Among those who share a deflate stream, nobody can have a ping of its own: `Streams.sweep` pings them all.
        ping = _NEVER if subscription.gzip else settings.ping
        super().__init__(sep="\n", ping_interval=ping, send_timeout=settings.send_timeout)
        self.headers["Cache-Control"] = "no-cache, no-transform"
        if settings.compress:
            self.headers["Vary"] = "Accept-Encoding"
        if subscription.gzip:
            self.headers["Content-Encoding"] = "gzip"
        self.visitor = visitor
        self.ended = "left"
        """Why the stream ends: the client has left, unless somebody else ended it."""
        self._subscription = subscription
        if not subscription.chunked:  # HTTP/1.0 knows the end of a body only by the end of the connection
            self.force_close()
            self.headers["Connection"] = "close"
        self._wake: asyncio.Future[None] | None = None
        self._accepted_bytes = 0
        self._accepted_at = time.monotonic()

    async def greet(self, frame: bytes) -> None:
        """Write the first event.

        :raises ConnectionError: if the client has left.
        """
        await self.write(GZIP_HEADER + deflated(frame) if self._subscription.gzip else frame)

    async def begin(self, request: web.Request) -> None:
        """Send the headers.

        :raises ConnectionError: if the client has left already.
        """
        await self.prepare(request)
        self.headers.clear()  # they are sent; a stream that lasts for days need not keep 1 kB of them
        if request.transport is None:
            raise ConnectionResetError("the client has left")
        self._transport = request.transport
        self._protocol = request.protocol
        assert self._ping_task is not None
        self._ping_task.add_done_callback(self._rouse)

    def take(self, data: bytes) -> bool:
        """Write the bytes and say whether the transport takes more at once; never wait (`hub.Connection`)."""
        if self._transport.is_closing():
            self.stop_streaming()
            return False
        self._transport.write(data)
        if not self._protocol.writing_paused:
            return True
        self._rouse()
        return False

    def _rouse(self, _: object = None) -> None:
        if self._wake is not None and not self._wake.done():
            self._wake.set_result(None)

    async def follow(self, subscriber: Subscriber, catch_up: CatchUp) -> None:
        """Feed the subscriber from the log whenever it is BEHIND, until its client leaves or the stream is stopped.

        :raises ConnectionError: if the client leaves while it is being waited for.
        """
        assert self._payload_writer is not None
        while self.is_connected():
            if subscriber.below_log is not None or subscriber.advance():
                await catch_up.turn(subscriber)
            else:
                # No await since `advance` made it LIVE: the flush that fills the transport finds this future.
                self._wake = asyncio.get_running_loop().create_future()
                await self._wake
            # Before the next `advance`, which would make a full transport LIVE again if there is nothing to write.
            await self._payload_writer.drain()

    def end(self, farewell: bytes, reason: str) -> None:
        """Write last bytes and stop streaming."""
        if self.is_connected() and not self._transport.is_closing():
            self.ended = reason
            self._transport.write(wrapped(self._subscription, [farewell]))
            self.stop_streaming()

    def abort(self) -> None:
        """Close the connection without waiting for what the client has not accepted."""
        if self.ended == "left":
            self.ended = "stalled"
        self._transport.abort()

    def left(self) -> bool:
        """Whether the connection is gone, though nobody may have told the handler."""
        return self._transport.is_closing()

    @property
    def queued_bytes(self) -> int:
        """Bytes that wait in this process for the client to accept them."""
        return self._transport.get_write_buffer_size()

    def stalled(self, handed_bytes: int, now: float) -> float:
        """For how many seconds the client has accepted nothing although there was something to accept."""
        waiting_bytes = self.queued_bytes
        accepted_bytes = handed_bytes - waiting_bytes  # falls by a ping: only a rise is progress
        if not waiting_bytes or accepted_bytes > self._accepted_bytes:
            self._accepted_bytes = accepted_bytes
            self._accepted_at = now
        return now - self._accepted_at
