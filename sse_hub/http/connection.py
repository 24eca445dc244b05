"""An event stream on the wire: the handshake, which is aiohttp-sse's response, and the connection that remains of it.

`Handshake` is a response of aiohttp-sse, which gives the headers. Then aiohttp is not needed any more, and the
connection is *taken over*: its transport gets a `Connection` as its protocol, and for aiohttp the connection is
closed. The request, the parser, three tasks and the frames of a waiting handler were 12 of the 16 kB that a subscriber
cost (`python -m bench --only memory`). The takeover uses asyncio's `set_protocol` and two public names of aiohttp's
protocol; `tests/http/test_connection.py` checks that they keep their meaning.

A `Connection` is what the hub writes to: `write` is called in every flush and must not wait.
"""

from __future__ import annotations

import asyncio
import socket
import struct
import time
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, cast

from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp_sse import EventSourceResponse

from ..core.hub import State, Subscriber
from ..core.pages import PAGE_BYTES
from ..core.subscription import Subscription
from ..core.wire import wrap
from ..rights import Grant
from ..settings import Settings
from ..topic_grants import TopicGrant
from .patience import limit_silence

__all__ = ["Connection", "Handshake", "SubscriberInfo"]

_RESET = struct.pack("ii", 1, 0)
"""No time to linger: the connection is reset, and bytes that are not sent yet are dropped."""
_LAST_CHUNK = b"0\r\n\r\n"  # RFC 9112, section 7.1


@dataclass(frozen=True, slots=True)
class SubscriberInfo:
    """The client of a stream."""

    id: int
    """Its number in the list of subscribers. Later subscribers have higher numbers."""
    address: str
    request: str
    """The id of the request that opened the stream."""
    channels: Sequence[str]
    since_ms: int
    """Unix time in milliseconds at which it was connected."""
    grant: Grant | TopicGrant
    session: bytes | None
    """The session of its cookie, if it has one; see `session_of`."""


class Connection(asyncio.Protocol):
    """An open event stream: a connection that sends only events.

    :param transport: the connection.
    :param paused: whether its write buffer is full.
    :param info: its client.
    :param wake: called with the connection when it can take bytes again.
    :param closed: called with the connection when it is gone.
    :param break_off_soon: called with the connection when it has lost events; `break_off` has to follow.
    :param head: the headers of the answer, which are not sent yet.
    """

    __slots__ = (
        "_accepted_at",
        "_accepted_bytes",
        "_break_off_soon",
        "_closed",
        "_head",
        "_transport",
        "_wake",
        "ended",
        "info",
        "paused",
        "subscriber",
    )

    subscriber: Subscriber

    def __init__(
        self,
        transport: asyncio.Transport,
        paused: bool,
        info: SubscriberInfo,
        wake: Callable[[Connection], None],
        closed: Callable[[Connection], None],
        break_off_soon: Callable[[Connection], None],
        head: bytes,
    ) -> None:
        self.paused = paused
        self.info = info
        self.ended = "left"
        """The reason why the stream ends. `left` means that the client has left."""
        self._transport = transport
        self._wake = wake
        self._closed = closed
        self._break_off_soon = break_off_soon
        self._head = head
        self._accepted_bytes = 0
        self._accepted_at = time.monotonic()

    def write(self, data: bytes) -> bool:
        """Write the bytes without waiting; return whether the transport takes more now (`core.ports.Connection`)."""
        try:
            self._transport.write(data)
        except Exception:  # uvloop raises for a closed transport; the others must still get their bytes
            self.paused = True
            self._transport.abort()
        return not self.paused

    def write_first(self, data: bytes) -> None:
        """Write the headers and the beginning of the body. One system call takes both."""
        head, self._head = self._head, b""
        self.write(head + data)

    def pause_writing(self) -> None:
        """The write buffer is full; `write` returns false from now on."""
        self.paused = True

    def resume_writing(self) -> None:
        """The write buffer has room again."""
        self.paused = False
        self._wake(self)

    def data_received(self, data: bytes) -> None:
        """Ignore the data. A stream has no end, so a further request on its connection gets no answer."""

    def connection_lost(self, error: Exception | None) -> None:
        """The client has left, or the stream has ended and all its bytes are sent."""
        if isinstance(error, TimeoutError) and self.ended == "left":  # TCP_USER_TIMEOUT
            self.ended = "stalled"
        self.paused = True  # until the hub has forgotten its subscriber, which may take some turns of the event loop
        self._closed(self)

    def end(self, last_bytes: bytes, reason: str) -> None:
        """Write the last bytes and end the stream. The hub must have forgotten its subscriber. A plain stream that is
        not complete breaks off.

        :param reason: one of `metrics.ENDINGS`.
        """
        assert self.subscriber.state is State.GONE
        if self.subscriber.subscription.plain and last_bytes:
            self._break_off(reason)
        elif not self._transport.is_closing():
            self.ended = reason
            subscription = self.subscriber.subscription
            self._transport.write(wrap(subscription, [last_bytes]) + (_LAST_CHUNK if subscription.chunked else b""))
            self._transport.close()

    def finish(self, *, complete: bool) -> None:
        """End the stream after the written bytes (`core.ports.Connection`). Only a complete stream ends in the way of
        HTTP, so that its client can distinguish it from one that breaks off."""
        if complete:
            self.end(b"", "complete")
        else:
            self._break_off_soon(self)

    def break_off(self) -> None:
        """Let the stream end in such a way that its client knows that something is missing."""
        self._break_off("incomplete")

    def _break_off(self, reason: str) -> None:
        if self._transport.is_closing():
            return
        self.ended = reason
        if self.subscriber.subscription.chunked:
            self._transport.close()  # without the last chunk (RFC 9112, section 8)
        else:  # if the stream ends with the connection, only a reset shows that something is missing
            self._transport.get_extra_info("socket").setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET)
            self._transport.abort()

    def abort(self) -> None:
        """Close the connection without waiting for what the client has not accepted."""
        if self.ended == "left":
            self.ended = "stalled"
        self._transport.abort()

    @property
    def queued_bytes(self) -> int:
        """Bytes that wait in this process for the client to accept them."""
        return self._transport.get_write_buffer_size()

    def stalled_seconds(self, now: float) -> float:
        """Seconds for which data have waited and the client has accepted none of them."""
        waiting_bytes = self.queued_bytes
        accepted_bytes = self.subscriber.handed_bytes - waiting_bytes  # `end` lowers it: only a rise is progress
        ended = self.subscriber.state is State.GONE  # TLS then waits for an answer, and no data are left
        if (not waiting_bytes and not ended) or accepted_bytes > self._accepted_bytes:
            self._accepted_bytes = accepted_bytes
            self._accepted_at = now
        return now - self._accepted_at


class Handshake(EventSourceResponse):
    """The headers of an event stream, and the takeover of its connection."""

    def __init__(self, settings: Settings, subscription: Subscription) -> None:
        super().__init__()
        self._settings = settings
        self.headers["Cache-Control"] = "no-cache, no-transform"
        # Once it has been taken over, aiohttp reads no further request from the connection.
        self.headers["Connection"] = "close"
        if settings.compress:
            self.headers["Vary"] = "Accept-Encoding"
        if subscription.gzip:
            self.headers["Content-Encoding"] = "gzip"
        self.is_taken_over = False
        """Whether its connection does not belong to aiohttp any more."""

    async def begin(
        self,
        request: web.Request,
        info: SubscriberInfo,
        wake: Callable[[Connection], None],
        closed: Callable[[Connection], None],
        break_off_soon: Callable[[Connection], None],
    ) -> Connection:
        """Make the headers and take the connection over from aiohttp; the handler returns this response afterwards.
        `Connection.write_first` sends the headers.

        :raises ConnectionError: if the client has left already.
        """
        head = b"" if _has_left(request) else await self._prepare_apart(request)
        self.force_close()
        protocol, transport = request.protocol, request.transport
        # A closing transport may have called `connection_lost` of aiohttp's protocol already. It would not call ours.
        if transport is None or _has_left(request):
            raise ConnectionResetError("the client has left")
        limit_silence(request, self._settings)
        self.is_taken_over = True
        connection = Connection(transport, protocol.writing_paused, info, wake, closed, break_off_soon, head)
        request.content.feed_eof()  # aiohttp would wait for the rest of a body, which now goes to `data_received`
        protocol.transport = None  # so that aiohttp does not close it
        # Only after the handler and its middlewares: `connection_lost` cancels them with `handler_cancellation`.
        request.task.add_done_callback(lambda _: protocol.connection_lost(None))
        transport.set_protocol(connection)
        transport.resume_reading()  # aiohttp may have paused it; the end of a connection is noticed only by reading
        transport.set_write_buffer_limits(high=PAGE_BYTES)  # as without TLS, where it is 512 kB
        return connection

    async def _prepare_apart(self, request: web.Request) -> bytes:
        """Prepare the response; return its headers instead of sending them."""
        protocol = request.protocol
        assert protocol.transport is not None
        collector = _Collector(protocol.transport)
        protocol.transport = cast("asyncio.Transport", collector)
        try:
            await self.prepare(request)
        finally:
            if request.transport is not None:  # it is None if the client has left meanwhile
                protocol.transport = collector.transport
        return collector.written

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Send the headers. After the takeover, do nothing."""
        if self.is_taken_over:
            return None
        # aiohttp-sse's own would start a task that pings this stream. The hub pings whole groups.
        return await super(EventSourceResponse, self).prepare(request)

    async def write_eof(self, data: bytes = b"") -> None:
        """End the response. After the takeover, do nothing: the stream goes on."""
        if not self.is_taken_over:
            await super().write_eof(data)


class _Collector:
    """A transport that keeps what is written to it.

    :param transport: does everything else.
    """

    def __init__(self, transport: asyncio.Transport) -> None:
        self.transport = transport
        self.written = b""

    def __getattr__(self, name: str) -> Any:
        return getattr(self.transport, name)

    def write(self, data: bytes) -> None:
        self.written += bytes(data)

    def writelines(self, data: Iterable[bytes]) -> None:
        self.written += b"".join(data)


def _has_left(request: web.Request) -> bool:
    return request.transport is None or request.transport.is_closing()
