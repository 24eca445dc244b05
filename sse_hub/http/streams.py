"""Event streams: their beginning, the registry of open ones, and their end.

A handler ends as soon as its stream has begun. From then on, the stream is a connection in the registry. Every second,
`Streams.sweep` looks for connections that accept no data and for tokens that have expired. The writer of a stream could
not do this: a task that waits for a frozen client is frozen, too.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import math
import random
import time
from collections.abc import AsyncIterator, Sequence

import msgspec
from aiohttp import web
from sortedcontainers import SortedDict

from ..core.events import EventId, timestamp
from ..core.groups import StartPosition
from ..core.hub import Hub, State, Subscriber
from ..core.ports import StoreUnavailable
from ..core.start import Start
from ..core.subscription import Subscription
from ..core.wire import first, frame, wrap
from ..limits import Refusal, SubscriberSlots
from ..metrics import Metrics
from ..rights import Grant
from ..settings import Settings
from ..tasks import Soon, Turns, end
from ..topic_grants import TopicGrant
from ..worker import MAX_WORKERS, Worker
from . import schemas
from .access import session_of
from .app_keys import BACKGROUND
from .catchup import CatchUp
from .conflation_timer import Releases
from .connection import Connection, Handshake, SubscriberInfo
from .ended import is_over
from .peer import address_of
from .problems import Problem
from .request_log import REQUEST_ID
from .sessions import Sessions
from .stream_log import StreamLog

__all__ = ["STREAMS", "Streams", "pause", "sweeping"]

HANDSHAKES = 8
"""Largest number of streams that are opened in one turn of the event loop. A thousand take 0.2 s; with this limit, live
subscribers do not wait for all of them."""
SEARCHES = 2
"""Largest number of steps in one turn that look for the beginnings of streams. Each takes up to a few milliseconds."""
CLOSED = 100
"""Closed connections that are forgotten in one turn of the event loop: about 3 ms, most of it for the lines of the log.
All connections of a proxy that restarts close at once. As many are closed in one turn after a loss."""
_ABORT_PATIENCE = 1.0
_STEP = 200
"""Largest number of connections that are looked at in one turn of the event loop. Ending all of them takes 8 ms."""
_GONE = (
    "The beginning that this request asks for is gone, and a stream with plain=1 cannot report that. Without plain=1, "
    "the stream reports it (`lost`) and begins with the oldest event that is retained."
)


class Streams:
    """The open event streams, and the answers to requests for streams that cannot be opened now.

    :param sibling: other streams, which have the same limits and one numbering of subscribers with these.
    """

    ping = b": ping\n"
    """A comment is one line. Some readers take an empty line after it for an event without data."""

    def __init__(
        self, hub: Hub, settings: Settings, metrics: Metrics, worker: Worker, sibling: Streams | None = None
    ) -> None:
        self.draining = False
        """Whether the server is ending. It then opens no more streams."""
        self._hub = hub
        self._settings = settings
        self._metrics = metrics
        self._log = StreamLog(metrics)
        self._catch_up = CatchUp(hub)
        self._open = SortedDict[int, Connection]()  # by the id of their subscriber
        self._sessions = Sessions()
        self._slots = SubscriberSlots(settings.max_subscribers, settings.max_subscribers_per_address)
        self._ids = itertools.count(worker.number or MAX_WORKERS, MAX_WORKERS) if worker.sockets else itertools.count(1)
        self._wake, self._closed = self._catch_up.wake, self._note_closed  # one object each, not one a connection
        self._handshakes, self._searches = Turns(HANDSHAKES), Turns(SEARCHES)
        self._all_closed = asyncio.Event()
        self._releases = Releases(hub)
        self._gone = Soon(self._forget, CLOSED)
        self._break_off = Soon(Connection.break_off, CLOSED).add
        if sibling is not None:
            self._slots, self._ids = sibling._slots, sibling._ids
            self._handshakes, self._searches = sibling._handshakes, sibling._searches

    async def open(
        self,
        request: web.Request,
        names: Sequence[str],
        subscription: Subscription,
        grant: Grant | TopicGrant,
        start: Start,
    ) -> web.StreamResponse:
        """Begin an event stream as the answer to this request. The stream lasts until one side or its channel ends.

        :param names: the channels and patterns as the request gives them.
        """
        address = address_of(request)
        if self.draining:
            return self.unavailable("The server is ending.", subscription)
        if refusal := self._refusal(address, names):
            self._metrics.hit_limit(refusal.limit, address=address)
            return self.unavailable(refusal.reason, subscription)
        # Acquired before the first await, so that a thousand at once do not all find the last slot free.
        self._acquire(address, names)
        since_ms = time.time_ns() // 1_000_000
        session = session_of(request)
        info = SubscriberInfo(next(self._ids), address, request[REQUEST_ID], tuple(names), since_ms, grant, session)
        self._sessions.add(session, info.id)
        try:
            return await self._do_handshake(request, subscription, info, start)
        finally:
            if info.id not in self._open:
                self._sessions.discard(session, info.id)
                self._release(address, names)

    def _refusal(self, address: str, names: Sequence[str]) -> Refusal | None:
        """Why this address may have no stream of these names now; None if it may."""
        return self._slots.refusal(address)

    def _acquire(self, address: str, names: Sequence[str]) -> None:
        """Count a stream."""
        self._slots.acquire(address)

    def _release(self, address: str, names: Sequence[str]) -> None:
        """Count a stream no more."""
        self._slots.release(address)

    async def _do_handshake(
        self, request: web.Request, subscription: Subscription, info: SubscriberInfo, start: Start
    ) -> web.StreamResponse:
        handshake = Handshake(self._settings, subscription)
        try:
            if start.replays if not start.resumes else not subscription.exact:  # it is a search of one or many steps
                await self._searches.take()
            if not self._hub.ready:
                return self.unavailable(self._hub.store.trouble or "The store is being opened.", subscription)
            position = await start.locate(self._hub, subscription, self._searches.take)
            if position.lost and subscription.plain:
                raise Problem(410, _GONE)
            if await is_over(self._hub, subscription, start, position):
                return web.Response(status=204)
            self._add_headers(handshake, request, position)
            await self._handshakes.take()
            if self.draining:
                return self.unavailable("The server is ending.", subscription)
            connection = await handshake.begin(request, info, self._wake, self._closed, self._break_off)
        except StoreUnavailable as error:
            self._metrics.store_errors.inc()
            return self.unavailable(error.reason, subscription)
        except ConnectionError:
            return handshake
        self._begin(connection, subscription, start, position)
        return handshake

    def _add_headers(self, handshake: Handshake, request: web.Request, position: StartPosition) -> None:
        """Add headers that depend on the position."""

    def _register(
        self, connection: Connection, subscription: Subscription, start: Start, position: StartPosition
    ) -> Subscriber:
        return self._hub.subscribe(subscription, connection, position, resumes=start.resumes, replays=start.replays)

    def _begin(self, connection: Connection, subscription: Subscription, start: Start, position: StartPosition) -> None:
        subscriber = self._register(connection, subscription, start, position)
        connection.subscriber = subscriber
        self._open[connection.info.id] = connection
        self._all_closed.clear()
        self._log.begin(connection.info, subscriber, start)
        connected = b"" if subscription.plain else self._connected(subscriber, connection.info.channels, position.shown)
        connection.write_first(first(subscription, connected))
        if self._ends_at_once(subscriber, position):
            self._end_drained(connection)
        elif not self._sessions.has(connection.info.session, connection.info.id):
            self._end_signed_out(connection)
        else:
            self._catch_up.wake(connection)

    def _ends_at_once(self, subscriber: Subscriber, position: StartPosition) -> bool:
        """Whether the stream must end because of a change while the headers were sent."""
        return self.draining

    def _note_closed(self, connection: Connection) -> None:
        """Let another stream have the place of a connection that is gone. It is forgotten in the next turn
        of the event loop that has time for it, or at once."""
        self._release(connection.info.address, connection.info.channels)
        self._gone.add(connection)

    def _forget(self, connection: Connection) -> None:
        """Forget a connection that is gone."""
        self._hub.unsubscribe(connection.subscriber)
        self._catch_up.forget(connection)
        del self._open[connection.info.id]
        self._sessions.discard(connection.info.session, connection.info.id)
        if not self._open:
            self._all_closed.set()
        self._log.end(connection)

    def subscribers(self, after: int, most: int) -> list[schemas.Subscriber]:
        """The subscribers with an id above `after`, in order."""
        ids = itertools.islice(self._open.irange(after, inclusive=(False, True)), most)
        return [self._shown(self._open[id]) for id in ids]

    def _shown(self, connection: Connection) -> schemas.Subscriber:
        head = self._hub.log.head
        info, subscriber = connection.info, connection.subscriber
        cursor = head if subscriber.state is State.LIVE else subscriber.cursor
        return schemas.Subscriber(
            id=str(info.id),
            address=info.address,
            channels=list(info.channels),
            since=timestamp(info.since_ms),
            cursor=str(cursor),
            lag=max(head.ms - cursor.ms, 0) / 1000,
            queued_bytes=connection.queued_bytes,
            subject=info.grant.subject,
        )

    def end(self, id: str) -> bool:
        """End a stream on request; return whether it existed."""
        connection = self._open.get(int(id)) if id.isascii() and id.isdigit() and len(id) < 19 else None
        if connection is not None:
            self._end(connection, Problem(503, "This stream was ended by an operator."), "ended")
        return connection is not None

    def end_session(self, session: bytes) -> None:
        """End the streams that a session has opened here, because it has ended or another session has replaced it. A
        stream that is being opened ends when it begins."""
        for id in self._sessions.end(session):
            if id in self._open:
                self._end_signed_out(self._open[id])

    def _end_signed_out(self, connection: Connection) -> None:
        self._end(connection, Problem(401, "The session has ended. Connect again."), "ended")

    def _end(self, connection: Connection, problem: Problem, reason: str) -> None:
        """End a stream with an `error` event that gives the reason."""
        last_bytes = frame(problem.document.decode(), type="error", retry_ms=self._retry_ms())
        self._end_with(connection, last_bytes, reason)

    def _end_drained(self, connection: Connection) -> None:
        self._end_with(connection, frame("{}", type="closing", retry_ms=self._retry_ms()), "drained")

    def _end_with(self, connection: Connection, last_bytes: bytes, reason: str) -> None:
        """Write the pending events and the last bytes, then end the connection.

        :param reason: one of `metrics.ENDINGS`.
        """
        self._hub.flush_to(connection.subscriber)
        self._hub.unsubscribe(connection.subscriber)
        connection.end(last_bytes, reason)

    def _connected(self, subscriber: Subscriber, names: Sequence[str], cursor: EventId) -> bytes:
        notice = schemas.Connected(
            channels=list(dict.fromkeys(names)),
            resumed=subscriber.resumed,
            lost=subscriber.lost,
            timestamp=timestamp(time.time_ns() // 1_000_000),
            ping=self._settings.ping,
        )
        data = msgspec.json.encode(notice).decode()
        return frame(data, id=cursor, type="connected", retry_ms=self._retry_ms())

    def _retry_ms(self) -> int:
        return round(self._settings.retry * random.uniform(0.5, 1.5))

    def unavailable(self, reason: str, subscription: Subscription | None = None) -> web.Response:
        """The answer for a state that will pass. A browser reconnects only after the status 200 (WHATWG HTML 9.2.3). A
        plain reader knows no events of the hub, so it gets another status."""
        retry_ms = self._retry_ms()
        problem = Problem(
            503,
            f"{reason} Try again in {retry_ms / 1000:.1f} s.",
            {"Retry-After": str(math.ceil(retry_ms / 1000))},
        )
        if subscription is not None and subscription.plain:
            return problem.response()
        return web.Response(
            body=frame(problem.document.decode(), type="error", retry_ms=retry_ms),
            headers={
                "Content-Type": "text/event-stream",
                "Cache-Control": "no-cache, no-transform",
                "X-Accel-Buffering": "no",
            },
        )

    async def _ping(self) -> None:
        """Send a comment to every subscriber: to LIVE ones by group, to BEHIND ones one by one."""
        for _ in self._hub.delivery.ping(self.ping):
            await pause()
        async for connection in self._connections():
            if connection.subscriber.state is State.BEHIND and not connection.queued_bytes:
                connection.write(wrap(connection.subscriber.subscription, [self.ping]))

    async def _connections(self) -> AsyncIterator[Connection]:
        """The open connections. Now and then it lets the event loop do other work."""
        for count, connection in enumerate(list(self._open.values()), 1):
            if connection.info.id in self._open:
                yield connection
            if count % _STEP == 0:
                await pause()

    async def sweep(self) -> None:
        """Ping, drop old events, end streams with an expired token, and abort streams whose client accepts no data.
        Runs until it is cancelled."""
        next_ping = time.monotonic() + self._settings.ping
        while True:
            await asyncio.sleep(min(1.0, self._settings.send_timeout / 4, max(next_ping - time.monotonic(), 0.0)))
            if time.monotonic() >= next_ping:
                next_ping = time.monotonic() + self._settings.ping
                await self._ping()
            while self._hub.expire(time.time_ns() // 1_000_000):
                await pause()
            for _ in self._hub.join_shared():
                await pause()
            now = time.monotonic()
            async for connection in self._connections():
                if connection.stalled_seconds(now) >= self._settings.send_timeout:
                    connection.abort()
                elif (until := connection.info.grant.until) is not None and until <= time.time():
                    self._end(
                        connection, Problem(401, "The token has expired. Connect again with a new one."), "expired"
                    )

    async def drain(self, limit: float) -> None:
        """Send `closing` to every subscriber and end all streams.

        :param limit: seconds after which streams are aborted whose client has not accepted it.
        """
        self.draining = True
        async for connection in self._connections():
            self._end_drained(connection)
        if not self._open:
            return
        try:
            async with asyncio.timeout(limit):
                await self._all_closed.wait()
        except TimeoutError:
            for connection in list(self._open.values()):
                connection.abort()
            with contextlib.suppress(TimeoutError):  # the program must end even if a connection does not
                async with asyncio.timeout(_ABORT_PATIENCE):
                    await self._all_closed.wait()

    async def close(self) -> None:
        """End the tasks that feed subscribers."""
        self._releases.close()
        await self._catch_up.close()


STREAMS: web.AppKey[Streams] = web.AppKey("streams", Streams)


async def pause() -> None:
    """Let the event loop do other work."""
    await asyncio.sleep(0)


async def sweeping(app: web.Application) -> AsyncIterator[None]:
    """Run `Streams.sweep` while the application runs. A cleanup context."""
    task = app[BACKGROUND].start("sweep", app[STREAMS].sweep)
    yield
    await end(task)
    await app[STREAMS].close()
