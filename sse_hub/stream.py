"""Every event stream: how one begins, the registry of those that are open, and how they end.

A handler ends as soon as its stream has begun. What is open then is a connection in the registry: `EventStream`.
Deadlines are the loop's, not the writer's: `Streams.sweep` looks every second at who accepts nothing, because whatever
waits for a frozen client is as frozen as the client; and at whose token has ended.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import itertools
import logging
import random
import time
from collections.abc import AsyncIterator, Sequence

from aiohttp import HttpVersion11, web

from .access import allow_subscribe, grant_of
from .auth import KeysAway
from .catchup import CatchUp
from .clients import address_of
from .core.events import EventId, check_channel, check_pattern, check_type, compact_json, timestamp
from .core.groups import StartPosition
from .core.hub import Hub, State, Subscriber
from .core.ports import StoreUnavailable
from .core.start import Start
from .core.subscription import Subscription
from .core.wire import first, frame, wrap
from .limits import Places
from .logs import tell
from .metrics import Metrics
from .problems import REQUEST_ID, Problem
from .requests import accepts_gzip, flag, listed, number
from .response import EventStream, Opening, Visitor
from .settings import Settings
from .state import BACKGROUND, METRICS, SETTINGS, STREAMS
from .tasks import end

__all__ = ["Streams", "follow_channel", "follow_channels", "sweeping"]

logger = logging.getLogger("sse_hub.streams")


DOORS = 8
"""Streams that are being opened at once. A thousand that come together take 0.3 s; who is live does not wait for all of
them."""
_ABORT_PATIENCE = 1.0
_STEP = 1000
"""Streams that are looked at in one turn of the event loop."""
_PING = b": ping\n\n"


class Streams:
    """The event streams that are open, and the answers to those that cannot be opened now."""

    def __init__(self, hub: Hub, settings: Settings, metrics: Metrics) -> None:
        self.draining = False
        """Whether the server is ending: no stream is opened any more."""
        self._hub = hub
        self._settings = settings
        self._metrics = metrics
        self._catch_up = CatchUp(hub)
        self._open: dict[str, EventStream] = {}  # by the id of their visitor
        self._places = Places(settings.max_subscribers, settings.max_subscribers_per_address)
        self._visits = itertools.count(1)
        self._roused, self._closed = self._catch_up.rouse, self._note_closed  # one object each, not one a stream
        self._doors = asyncio.Semaphore(DOORS)
        self._all_closed = asyncio.Event()

    async def serve(self, request: web.Request, names: Sequence[str]) -> web.StreamResponse:
        """Begin the event stream of these channels and patterns, as the answer; it then goes on until one side ends it.

        :raises Problem: 400 if the request asks for something impossible, 401 or 403 for something forbidden.
        """
        resume, cursor = _cursor(request)
        replay = number(request, "replay")
        if replay is not None and replay > self._settings.max_replay:
            self._metrics.hit_limit("replay", address=address_of(request))
            raise Problem(
                400, f"The parameter replay is {replay}; it may be {self._settings.max_replay} (--max-replay)."
            )
        try:
            grant = await grant_of(request)
        except KeysAway as error:
            tell(logger, logging.ERROR, f"no token can be checked: {error}")
            return self._passing(f"Tokens cannot be checked now: {error}.")
        subscription = _subscription(request, names, allow_subscribe(request, grant, names))
        address = address_of(request)
        if self.draining:
            return self._passing("The server is ending.")
        if refusal := self._places.refusal(address):
            self._metrics.hit_limit(refusal.limit, address=address)
            return self._passing(refusal.reason)
        # Taken before the first await, so that a thousand at once do not all find the last place free.
        self._places.take(address)
        since_ms = time.time_ns() // 1_000_000
        visitor = Visitor(str(next(self._visits)), address, request[REQUEST_ID], tuple(names), since_ms, grant)
        try:
            return await self._open_stream(request, subscription, visitor, Start(resume, cursor, replay))
        finally:
            if visitor.id not in self._open:
                self._places.leave(address)

    async def _open_stream(
        self, request: web.Request, subscription: Subscription, visitor: Visitor, start: Start
    ) -> web.StreamResponse:
        opening = Opening(self._settings, subscription)
        try:
            position = await self._locate(subscription, start)
            async with self._doors:
                await asyncio.sleep(0)
                if self.draining:
                    return self._passing("The server is ending.")
                stream = await opening.begin(request, visitor, self._roused, self._closed)
        except StoreUnavailable as error:
            self._metrics.store_errors.inc()
            return self._passing(error.reason)
        except ConnectionError:
            return opening
        self._begin(stream, subscription, start, position)
        return opening

    async def _locate(self, subscription: Subscription, start: Start) -> StartPosition:
        if not self._hub.ready:
            raise StoreUnavailable(self._hub.store.trouble or "The store is being opened.")
        return await start.locate(self._hub, subscription, _pause)

    def _begin(self, stream: EventStream, subscription: Subscription, start: Start, position: StartPosition) -> None:
        subscriber = self._hub.subscribe(
            subscription, stream, position, resumes=start.resumes, replays=start.replay is not None
        )
        stream.subscriber = subscriber
        self._open[stream.visitor.id] = stream
        self._all_closed.clear()
        self._note_begin(stream.visitor, subscriber, start.replay)
        stream.write(first(subscription, self._connected(subscriber, stream.visitor.channels)))
        if self.draining:  # it has begun while the headers were sent
            self._say_goodbye(stream)
        else:
            self._catch_up.rouse(stream)

    def _note_closed(self, stream: EventStream) -> None:
        """Forget a stream whose connection is gone."""
        self._hub.unsubscribe(stream.subscriber)
        self._catch_up.forget(stream)
        self._places.leave(stream.visitor.address)
        del self._open[stream.visitor.id]
        if not self._open:
            self._all_closed.set()
        self._note_end(stream)

    def _note_begin(self, visitor: Visitor, subscriber: Subscriber, replay: int | None) -> None:
        outcome = "lost" if subscriber.lost else "resumed" if subscriber.resumed else "replayed" if replay else None
        if outcome is not None:
            self._metrics.replays.labels(outcome).inc()
        tell(
            logger,
            logging.INFO,
            "stream begins",
            id=visitor.id,
            address=visitor.address,
            channels=visitor.channels[:10],
            **({} if outcome is None else {"start": outcome}),
            **({} if visitor.grant.subject is None else {"subject": visitor.grant.subject}),
        )

    def _note_end(self, stream: EventStream) -> None:
        self._metrics.ended.labels(stream.ended).inc()
        tell(
            logger,
            logging.INFO,
            "stream ends",
            id=stream.visitor.id,
            request=stream.visitor.request,
            reason=stream.ended,
            seconds=round(time.time() - stream.visitor.since_ms / 1000, 3),
            bytes=stream.subscriber.handed_bytes,
        )

    def visitors(self) -> list[dict[str, object]]:
        """Who is connected, and how each stands."""
        head = self._hub.log.head
        told: list[dict[str, object]] = []
        for stream in self._open.values():
            visitor, subscriber = stream.visitor, stream.subscriber
            cursor = head if subscriber.state is State.LIVE else subscriber.cursor
            told.append(
                {
                    "id": visitor.id,
                    "address": visitor.address,
                    "channels": visitor.channels,
                    "since": timestamp(visitor.since_ms),
                    "cursor": str(cursor),
                    "lag": max(head.ms - cursor.ms, 0) / 1000,
                    "queued_bytes": stream.queued_bytes,
                    "subject": visitor.grant.subject,
                }
            )
        return told

    def end(self, id: str) -> bool:
        """End a stream, as somebody has asked for; say whether it was there."""
        stream = self._open.get(id)
        if stream is not None:
            self._end(stream, Problem(503, "This stream was ended by an operator."), "ended")
        return stream is not None

    def _end(self, stream: EventStream, problem: Problem, reason: str) -> None:
        """End a stream before its client wants it, and say why."""
        self._part(stream, frame(str(problem), type="error", retry_ms=self._retry_ms()), reason)

    def _say_goodbye(self, stream: EventStream) -> None:
        self._part(stream, frame("{}", type="closing", retry_ms=self._retry_ms()), "drained")

    def _part(self, stream: EventStream, farewell: bytes, reason: str) -> None:
        """Write what the hub has for the stream, and last bytes, and end it."""
        self._hub.flush_to(stream.subscriber)
        self._hub.unsubscribe(stream.subscriber)
        stream.end(farewell, reason)

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

    async def _ping(self) -> None:
        """Give everybody a comment: subscribers that are LIVE as groups; one that is BEHIND, by itself."""
        for _ in self._hub.ping(_PING):
            await _pause()
        async for stream in self._slowly():
            if stream.subscriber.state is State.BEHIND and not stream.queued_bytes:
                stream.write(wrap(stream.subscriber.subscription, [_PING]))

    async def _slowly(self) -> AsyncIterator[EventStream]:
        """The open streams, with a pause now and then, in which others are served."""
        for count, stream in enumerate(list(self._open.values()), 1):
            if stream.visitor.id in self._open:
                yield stream
            if count % _STEP == 0:
                await _pause()

    async def sweep(self) -> None:
        """Until cancelled, ping, let old events go, end streams whose token has ended, and abort those whose client
        accepts nothing."""
        next_ping = time.monotonic() + self._settings.ping
        while True:
            until_ping = max(next_ping - time.monotonic(), 0.0)
            await asyncio.sleep(min(1.0, self._settings.send_timeout / 4, until_ping))
            if time.monotonic() >= next_ping:
                next_ping = time.monotonic() + self._settings.ping
                await self._ping()
            self._hub.expire(time.time_ns() // 1_000_000)
            self._hub.join_shared()
            now = time.monotonic()
            async for stream in self._slowly():
                if stream.stalled(now) >= self._settings.send_timeout:
                    stream.abort()
                elif (until := stream.visitor.grant.until) is not None and until <= time.time():
                    self._end(stream, Problem(401, "The token has expired. Come back with a new one."), "expired")

    async def drain(self, limit: float) -> None:
        """Tell every subscriber to come back later, and end all streams; abort those that do not take it within
        `limit` seconds."""
        self.draining = True
        for stream in list(self._open.values()):
            self._say_goodbye(stream)
        if not self._open:
            return
        try:
            async with asyncio.timeout(limit):
                await self._all_closed.wait()
        except TimeoutError:
            for stream in list(self._open.values()):
                stream.abort()
            with contextlib.suppress(TimeoutError):  # nothing that does not hear of its end may keep the program
                async with asyncio.timeout(_ABORT_PATIENCE):
                    await self._all_closed.wait()

    async def close(self) -> None:
        """End what serves those who are behind."""
        await self._catch_up.close()


async def _pause() -> None:
    await asyncio.sleep(0)


def _subscription(request: web.Request, names: Sequence[str], granted: frozenset[str] | None) -> Subscription:
    try:
        types = frozenset(check_type(type, reserved=True) for type in request.query.getall("event", []))
    except ValueError as error:
        raise Problem(400, f"The parameter event cannot be used: {error}.") from None
    chunked = request.version >= HttpVersion11
    gzip = request.app[SETTINGS].compress and accepts_gzip(listed(request, "Accept-Encoding"))
    envelope = flag(request, "envelope")
    return _shared(Subscription(frozenset(names), types, envelope, chunked, granted, gzip, unshared=gzip))


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
    most = request.app[SETTINGS].max_channels_per_connection
    if len(names) > most:
        request.app[METRICS].hit_limit("channels_per_connection", address=address_of(request))
        raise Problem(
            400, f"The request names {len(names)} channels; one connection may name {most}. A pattern covers many."
        )
    stars = sum(name.count("*") for name in names)
    if stars > most:
        request.app[METRICS].hit_limit("channels_per_connection", address=address_of(request))
        raise Problem(
            400,
            f"The patterns of the request have {stars} stars; those of one connection may have {most} "
            "(--max-channels-per-connection).",
        )
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
    task = app[BACKGROUND].start("sweep", app[STREAMS].sweep)
    yield
    await end(task)
    await app[STREAMS].close()
