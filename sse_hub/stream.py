"""Every event stream: an aiohttp-sse response that the hub writes to, and the registry of those that are open.

aiohttp-sse gives headers, comment pings and the kernel's timeout. Its `send()` formats for one client, so only
`connected` goes out that way of writing; everything after it is bytes that the hub made once for a whole group,
ready-framed, straight to the transport. A response is a `hub.Connection`: `take` is called by the hub in every flush
and must not wait. A handler is its owner: it calls `advance` while there is something to catch up with, and sleeps
while there is not.

Deadlines are the loop's, not the writer's: `Streams.sweep` looks every second at who accepts nothing, because a task
that waits for a frozen client is as frozen as the client.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import logging
import random
import time
from collections.abc import AsyncIterator, Sequence

from aiohttp import HttpVersion11, web
from aiohttp_sse import EventSourceResponse

from .catchup import CatchUp
from .events import (
    EventId,
    Subscription,
    check_channel,
    check_pattern,
    check_type,
    chunk,
    compact_json,
    frame,
    timestamp,
)
from .hub import Hub, Place, Subscriber
from .ports import StoreUnavailable
from .problems import Problem
from .requests import flag, number, quality
from .settings import Settings
from .state import STREAMS

__all__ = ["EventStream", "Streams", "follow_channel", "follow_channels", "sweeping"]

logger = logging.getLogger("sse_hub")


DOORS = 8
"""Streams opened in a turn of the event loop. A thousand that come at once take 0.2 s; who is live does not wait for
all of them."""


class EventStream(EventSourceResponse):
    """The response to one subscriber."""

    def __init__(self, settings: Settings, subscription: Subscription) -> None:
        super().__init__(sep="\n", ping_interval=settings.ping, send_timeout=settings.send_timeout)
        self.headers["Cache-Control"] = "no-cache, no-transform"
        self._chunked_here = subscription.chunked
        if not subscription.chunked:  # HTTP/1.0 knows the end of a body only by the end of the connection
            self.force_close()
            self.headers["Connection"] = "close"
        self._wake: asyncio.Future[None] | None = None
        self._accepted_bytes = 0
        self._accepted_at = time.monotonic()

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

    def end(self, farewell: bytes) -> None:
        """Write last bytes and stop streaming."""
        if self.is_connected() and not self._transport.is_closing():
            self._transport.write(chunk(farewell) if self._chunked_here else farewell)
            self.stop_streaming()

    def abort(self) -> None:
        """Close the connection without waiting for what the client has not accepted."""
        self._transport.abort()

    def left(self) -> bool:
        """Whether the connection is gone, though nobody may have told the handler."""
        return self._transport.is_closing()

    def stalled(self, handed_bytes: int, now: float) -> float:
        """For how many seconds the client has accepted nothing although there was something to accept."""
        waiting_bytes = self._transport.get_write_buffer_size()
        accepted_bytes = handed_bytes - waiting_bytes  # falls by a ping: only a rise is progress
        if not waiting_bytes or accepted_bytes > self._accepted_bytes:
            self._accepted_bytes = accepted_bytes
            self._accepted_at = now
        return now - self._accepted_at


class Streams:
    """The event streams that are open, and the answers to those that cannot be opened now."""

    def __init__(self, hub: Hub, settings: Settings) -> None:
        self.draining = False
        """Whether the server is ending: no stream is opened any more."""
        self._hub = hub
        self._settings = settings
        self._catch_up = CatchUp(hub)
        self._open: dict[EventStream, Subscriber] = {}
        self._connecting = 0
        self._doors = asyncio.Semaphore(DOORS)
        self._all_closed = asyncio.Event()

    async def serve(self, request: web.Request, names: Sequence[str]) -> web.StreamResponse:
        """Answer with the event stream of these channels and patterns, until one side ends it.

        :raises Problem: 400 or 406 if the request asks for something impossible.
        """
        subscription = _subscription(request, names)
        resume, cursor = _cursor(request)
        replay = number(request, "replay")
        if self.draining:
            return self._passing("The server is ending.")
        if len(self._open) + self._connecting >= self._settings.max_subscribers:
            return self._passing(f"All {self._settings.max_subscribers} places are taken (--max-subscribers).")
        stream = EventStream(self._settings, subscription)
        # Counted before the first await, so that a thousand at once do not all find the last place free.
        self._connecting += 1
        try:
            place = await self._locate(subscription, cursor, replay, resume)
            async with self._doors:
                await asyncio.sleep(0)
                if self.draining:  # it has begun since; nobody would end this stream
                    return self._passing("The server is ending.")
                await stream.begin(request)
        except StoreUnavailable as error:
            return self._passing(error.reason)
        except ConnectionError:
            return stream
        finally:
            self._connecting -= 1
        async with stream:
            with contextlib.suppress(ConnectionError):
                await self._feed(stream, names, subscription, resume, cursor, replay, place)
        return stream

    async def _locate(
        self, subscription: Subscription, cursor: EventId | None, replay: int | None, resume: bool
    ) -> Place | None:
        if not self._hub.ready:
            raise StoreUnavailable(self._hub.store.trouble or "The store is being opened.")
        return await self._hub.locate(subscription, cursor=cursor, replay=replay, resume=resume)

    async def _feed(
        self,
        stream: EventStream,
        names: Sequence[str],
        subscription: Subscription,
        resume: bool,
        cursor: EventId | None,
        replay: int | None,
        place: Place | None,
    ) -> None:
        subscriber = self._hub.subscribe(subscription, stream, cursor=cursor, replay=replay, resume=resume, place=place)
        self._open[stream] = subscriber
        self._all_closed.clear()
        try:
            await stream.write(self._connected(subscriber, names))
            await stream.follow(subscriber, self._catch_up)
        finally:
            self._hub.unsubscribe(subscriber)
            del self._open[stream]
            if not self._open:
                self._all_closed.set()

    def _connected(self, subscriber: Subscriber, names: Sequence[str]) -> bytes:
        notice = {
            "channels": list(dict.fromkeys(names)),
            "resumed": subscriber.resumed,
            "lost": subscriber.lost,
            "timestamp": timestamp(time.time_ns() // 1_000_000),
        }
        return frame(compact_json(notice), id=subscriber.cursor, type="connected", retry_ms=self._retry_ms())

    def _retry_ms(self) -> int:
        return round(self._settings.retry * random.uniform(0.5, 1.5))

    def _passing(self, reason: str) -> web.Response:
        """A state that will pass, said so that a browser comes back: by any status but 200 it never would (WHATWG HTML
        9.2.3)."""
        retry_ms = self._retry_ms()
        problem = Problem(503, f"{reason} Come back in {retry_ms / 1000:.1f} s.")
        return web.Response(
            body=frame(str(problem), type="error", retry_ms=retry_ms),
            headers={
                "Content-Type": "text/event-stream",
                "Cache-Control": "no-cache, no-transform",
                "X-Accel-Buffering": "no",
            },
        )

    async def sweep(self) -> None:
        """Until cancelled, let old events go, end streams whose client has left, and abort those that accept
        nothing."""
        while True:
            await asyncio.sleep(min(1.0, self._settings.send_timeout / 4))
            self._hub.expire(time.time_ns() // 1_000_000)
            now = time.monotonic()
            for stream, subscriber in list(self._open.items()):
                # aiohttp cancels a handler whose client has left only if its server was made with
                # handler_cancellation=True; that of an application that embeds this one may not have been.
                if stream.left():
                    if stream.is_connected():
                        stream.stop_streaming()
                elif stream.stalled(subscriber.handed_bytes, now) >= self._settings.send_timeout:
                    logger.info("aborting a connection that accepted nothing for %g s", self._settings.send_timeout)
                    stream.abort()

    async def drain(self, limit: float) -> None:
        """Tell every subscriber to come back later, and end all streams; abort those that do not take it within
        `limit` seconds."""
        self.draining = True
        for stream, subscriber in list(self._open.items()):
            self._hub.settle(subscriber)
            self._hub.unsubscribe(subscriber)
            stream.end(frame("{}", type="closing", retry_ms=self._retry_ms()))
        if not self._open:
            return
        try:
            async with asyncio.timeout(limit):
                await self._all_closed.wait()
        except TimeoutError:
            for stream in list(self._open):
                stream.abort()


def _subscription(request: web.Request, names: Sequence[str]) -> Subscription:
    accept = request.headers.get("Accept")
    if accept is not None and not quality(accept, "text/event-stream"):
        raise Problem(
            406,
            f"This is an event stream, but the Accept header is {accept[:80]!r}; it should contain text/event-stream.",
        )
    try:
        types = frozenset(check_type(type, reserved=True) for type in request.query.getall("event", []))
    except ValueError as error:
        raise Problem(400, f"The parameter event cannot be used: {error}.") from None
    return _shared(Subscription(frozenset(names), types, flag(request, "envelope"), request.version >= HttpVersion11))


@functools.lru_cache(1024)
def _shared(subscription: Subscription) -> Subscription:
    """The same object for subscriptions that are equal: 0.7 kB less a subscriber."""
    return subscription


def _cursor(request: web.Request) -> tuple[bool, EventId | None]:
    """Whether the client resumes, and after which event; None where its id is none of a hub's."""
    text = request.headers.get("Last-Event-ID") or request.query.get("lastEventId")
    if not text:  # an empty id is the standard's way to have none (9.2.6)
        return False, None
    try:
        return True, EventId.parse(text)
    except ValueError:
        return True, None


async def follow_channels(request: web.Request) -> web.StreamResponse:
    """`GET /stream`."""
    try:
        names = [check_pattern(name) for name in request.query.getall("channel", ["main"])]
    except ValueError as error:
        raise Problem(400, f"The parameter channel cannot be used: {error}. Repeat it for several channels.") from None
    return await request.app[STREAMS].serve(request, names)


async def follow_channel(request: web.Request) -> web.StreamResponse:
    """`GET /realtime/{channel}`."""
    try:
        name = check_channel(request.match_info["channel"])
    except ValueError as error:
        raise Problem(400, f"The path cannot be used: {error}. Patterns go to /stream?channel=…") from None
    return await request.app[STREAMS].serve(request, [name])


async def sweeping(app: web.Application) -> AsyncIterator[None]:
    """Run `Streams.sweep` while the application runs. A cleanup context."""
    task = asyncio.create_task(app[STREAMS].sweep())
    yield
    task.cancel()
    with contextlib.suppress(asyncio.CancelledError):
        await task
