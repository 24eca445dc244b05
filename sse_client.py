"""Client for Server-Sent Events on aiohttp: one module, to import or to copy.

    async with SSEClient("http://127.0.0.1:8000") as client:
        async for event in client.stream("main"):
            print(event.type, event.json())

EventParser   bytes in, events out: WHATWG HTML 9.2.6 without I/O
EventSource   one stream of any server, reconnecting for ever: the interface of `aiohttp_sse_client.client.EventSource`
SSEClient     everything that a hub offers: streams, publishing exactly once, history
SyncClient    the same for scripts and notebooks, without `await`: `SSEClient.sync(...)`
merge         several streams as one

Errors:

SSEError                 whatever goes wrong here for good
    Refused              an answer that trying again will not change; has `status` and `problem`
    NotAnEventStream     an answer that is no event stream
    GaveUp               the last of `max_retries` attempts failed
    NotAcknowledged      a publish was not acknowledged within its deadline
    EventTooLarge        an event larger than `max_event_bytes`

Run as a program, it is the command line of sse-hub: `python sse_client.py --help`.
"""

from __future__ import annotations

import asyncio
import contextlib
import functools
import inspect
import json
import logging
import os
import random
import re
import sys
import threading
import uuid
from collections import deque
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from itertools import pairwise
from typing import TYPE_CHECKING, Any, Concatenate, NamedTuple, ParamSpec, Self, TypeVar, cast
from urllib.parse import quote

import aiohttp
import attrs
from multidict import CIMultiDict
from yarl import URL

if TYPE_CHECKING:

    @attrs.frozen
    class MessageEvent:
        """The package that it comes from has no types."""

        type: str
        message: str
        data: str
        origin: str
        last_event_id: str
else:
    from aiohttp_sse_client.client import MessageEvent

__all__ = [
    "READY_STATE_CLOSED",
    "READY_STATE_CONNECTING",
    "READY_STATE_OPEN",
    "Channel",
    "Event",
    "EventParser",
    "EventSource",
    "EventTooLarge",
    "GaveUp",
    "History",
    "Lost",
    "MessageEvent",
    "NotAcknowledged",
    "NotAnEventStream",
    "Parsed",
    "Published",
    "Refused",
    "SSEClient",
    "SSEError",
    "Stream",
    "SyncClient",
    "SyncStream",
    "merge",
]

READY_STATE_CONNECTING = 0
READY_STATE_OPEN = 1
READY_STATE_CLOSED = 2

DEFAULT_URL = "http://127.0.0.1:8000"
DEFAULT_RECONNECTION_TIME = timedelta(seconds=3)
DEFAULT_MAX_RECONNECTION_TIME = timedelta(seconds=60)
DEFAULT_IDLE_TIMEOUT = 45.0
"""Seconds: three times the pings of most servers."""
DEFAULT_MAX_EVENT_BYTES = 16 << 20
DEFAULT_DEADLINE = 60.0

_TRY_AGAIN = frozenset({408, 425, 429})  # of the 4xx those that are about the moment, not the request
_LONGEST_NAME = len(b"event: ")
_PROBLEM_BYTES = 64 << 10
_LONGEST_WAIT = 86_400.0  # seconds; a server that says more is mistaken
_BATCH_EVENTS = 500
_BATCH_BYTES = 256 << 10  # a quarter of what a hub accepts by default
_LINGER = 0.05
_ANSWER_TIMEOUT = 30.0
_LOOK = 1.0
"""Seconds between two looks at whether the connection is there: aiohttp 3.14 closes one on which a chunk is malformed
without waking whoever reads."""
_ID = re.compile(r"([0-9]{1,20})-([0-9]{1,20})")

logger = logging.getLogger("sse_client")

P = ParamSpec("P")
T = TypeVar("T")
Headers = Mapping[str, str] | Iterable[tuple[str, str]] | None
Callback = Callable[..., object]


class SSEError(Exception):
    """Whatever goes wrong here for good."""


class Refused(SSEError, ConnectionRefusedError):
    """An answer that trying again will not change.

    :param status: its HTTP status code.
    :param problem: its problem document (RFC 9457), empty if it has none.
    """

    def __init__(self, url: URL, status: int, problem: Mapping[str, Any]) -> None:
        self.status = status
        self.problem = problem
        detail = problem.get("detail") or problem.get("title") or "no reason given"
        super().__init__(f"{url} answered {status}: {detail}")


class NotAnEventStream(SSEError, ConnectionAbortedError):
    """An answer that is no event stream (WHATWG HTML 9.2.3 has the connection fail)."""


class GaveUp(SSEError, ConnectionError):
    """The last of `max_retries` attempts failed."""


class NotAcknowledged(SSEError, TimeoutError):
    """A publish was not acknowledged within its deadline. It may have been published or not."""


class EventTooLarge(SSEError, ValueError):
    """An event larger than `max_event_bytes`. It would come again after every reconnect, so nothing is tried again."""


class Parsed(NamedTuple):
    """An event as it stands in the stream."""

    type: str
    """As the stream names it; empty where it does not, which means `message`."""
    data: str
    last_event_id: str


class EventParser:
    """Bytes in, events out (WHATWG HTML 9.2.6). Time is linear in the bytes, however they are split.

    :param max_event_bytes: most bytes of an event's data, and of a line.
    :param last_event_id: of an earlier stream; ids are sticky.
    """

    def __init__(self, *, max_event_bytes: int = DEFAULT_MAX_EVENT_BYTES, last_event_id: str = "") -> None:
        self.last_event_id = last_event_id
        """Id of the last complete block that had one."""
        self.retry_ms: int | None = None
        """Reconnection time that the stream asked for last, in milliseconds."""
        self._max_event_bytes = max_event_bytes
        self.reset()

    def reset(self) -> None:
        """Begin a new stream: what was cut off is forgotten, `last_event_id` and `retry_ms` are kept."""
        self._bom: bytes | None = b""  # what has come of one; None once it cannot come any more
        self._after_cr = False
        self._line: list[bytes] = []  # pieces of a line that has no end yet
        self._line_bytes = 0
        self._data: list[bytes] = []
        self._data_bytes = -1  # each line of data adds a line break, of which the last does not count
        self._type = b""
        self._id = self.last_event_id

    def feed(self, chunk: bytes) -> list[Parsed]:
        """Take the next bytes of the stream; return the events that they complete.

        :raises EventTooLarge: if a line or an event's data is over the limit.
        """
        if self._bom is not None:
            chunk = self._without_bom(chunk)
        if self._after_cr and chunk:
            # The CR has ended its line already: waiting for an LF would hold back the event.
            self._after_cr = False
            if chunk[0] == 10:
                chunk = chunk[1:]
        if b"\r" in chunk:
            self._after_cr = chunk.endswith(b"\r")
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        lines = chunk.split(b"\n")
        rest = lines.pop()
        events: list[Parsed] = []
        if lines:
            if self._line:
                self._line.append(lines[0])
                lines[0] = b"".join(self._line)
                self._line.clear()
                self._line_bytes = 0
            self._read(lines, events)
        if rest:
            self._line.append(rest)
            self._line_bytes += len(rest)
            self._check(self._line_bytes - _LONGEST_NAME)
        return events

    def _without_bom(self, chunk: bytes) -> bytes:
        begun = (self._bom or b"") + chunk
        if len(begun) < 3 and b"\xef\xbb\xbf".startswith(begun):
            self._bom = begun
            return b""
        self._bom = None
        return begun.removeprefix(b"\xef\xbb\xbf")

    def _read(self, lines: list[bytes], events: list[Parsed]) -> None:
        # Nearly all lines are "data: …" or empty; these two cost 0.3 µs each, so 1 kB events pass at some 500 MB/s.
        for line in lines:
            if line.startswith(b"data:"):
                value = line[6:] if line[5:6] == b" " else line[5:]
                self._data.append(value)
                self._data_bytes += len(value) + 1
                self._check(self._data_bytes)
            elif line:
                self._field(line)
            else:
                self.last_event_id = self._id
                if self._data:
                    data = self._data[0] if len(self._data) == 1 else b"\n".join(self._data)
                    type = self._type.decode("utf-8", "replace")
                    events.append(Parsed(type, data.decode("utf-8", "replace"), self._id))
                    self._data.clear()
                    self._data_bytes = -1
                self._type = b""

    def _field(self, line: bytes) -> None:
        """Any line but `data:…`; a comment is a line whose field has no name."""
        self._check(len(line) - _LONGEST_NAME)
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"event":
            self._type = value
        elif name == b"id" and b"\0" not in value:
            self._id = value.decode("utf-8", "replace")
        elif name == b"retry" and value.isdigit():  # bytes know ASCII digits only
            self.retry_ms = int(value) if len(value) <= 18 else int(_LONGEST_WAIT * 1000)
        elif name == b"data":  # without colon: an empty line of data
            self._data.append(b"")
            self._data_bytes += 1
            self._check(self._data_bytes)

    def _check(self, size_bytes: int) -> None:
        if size_bytes > self._max_event_bytes:
            raise EventTooLarge(f"an event is larger than {self._max_event_bytes} bytes; raise max_event_bytes")


@attrs.frozen(slots=True)
class Event(MessageEvent):
    """One event of a stream. `type` is `message` where the stream names none, as the standard has it; `message`, a
    field of `aiohttp_sse_client`, is then empty."""

    channel: str = ""
    """Where a hub published it; empty from other servers."""
    timestamp: datetime | None = None
    """When a hub accepted it."""

    def json(self) -> Any:
        """The data, read as JSON.

        :raises ValueError: if it is none.
        """
        return json.loads(self.data)


class _Passing(Exception):
    """Something that trying again may change."""

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(reason)
        self.wait = wait
        """Seconds that the server asks us to wait at least."""


async def _value_of(value: object) -> Any:
    """A value, or what a function or coroutine function gives."""
    result = value() if callable(value) else value
    return await result if inspect.isawaitable(result) else result


async def _call(callback: Callback | None, *arguments: object) -> None:
    if callback is not None:
        result = callback(*arguments)
        if inspect.isawaitable(result):
            await result


def _retry_after(headers: Mapping[str, str]) -> float:
    """Seconds of `Retry-After` (RFC 9110, section 10.2.3), 0 where there is none that can be read."""
    text = headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:18]), _LONGEST_WAIT)
    try:
        moment = parsedate_to_datetime(text)
    except ValueError:
        return 0.0
    moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
    return min(max((moment - datetime.now(UTC)).total_seconds(), 0.0), _LONGEST_WAIT)


async def _problem(response: aiohttp.ClientResponse) -> dict[str, Any]:
    """The problem document of an answer, empty if it is none."""
    try:
        async with asyncio.timeout(_ANSWER_TIMEOUT):
            body = bytearray()
            async for part in response.content.iter_any():
                body += part
                if len(body) > _PROBLEM_BYTES:
                    return {}
            problem = json.loads(body)
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError, RecursionError):
        return {}
    return problem if isinstance(problem, dict) else {}


def _reason(error: Exception) -> str:
    """What went wrong with a connection, in a few words."""
    if isinstance(error, aiohttp.ClientConnectorError) and error.os_error.errno:
        return f"cannot connect to {error.host}:{error.port}: {os.strerror(error.os_error.errno)}"
    return str(error) or type(error).__name__


def _seconds(value: timedelta | float) -> float:
    return value.total_seconds() if isinstance(value, timedelta) else float(value)


class EventSource:
    """An event stream of any server, as an asynchronous iterator of `Event`; it reconnects for ever.

    The interface is that of `aiohttp_sse_client.client.EventSource`. Use `async with`, or call `close()`.

    :param url: where the stream is.
    :param option: `{"method": "POST"}` for another method than GET.
    :param reconnection_time: before the first attempt to reconnect, until the stream says otherwise (`retry:`).
    :param max_connect_retry: attempts after which the first connection is given up; None for never.
    :param session: to be used and left open; by default one is made, and closed with this.
    :param on_open: called without argument for each connection. Callbacks may be coroutine functions.
    :param on_message: called with each event, before the iterator gives it.
    :param on_error: called without argument when a connection breaks or fails.
    :param max_retries: attempts to reconnect in a row after which it gives up; None for never.
    :param max_reconnection_time: most that is waited between two attempts, unless the server says so.
    :param idle_timeout: seconds without a byte (comments count) after which the connection is given up; None for never.
    :param last_event_id: where to resume: the `last_event_id` of an earlier source or event.
    :param max_event_bytes: see `EventParser`.
    :param headers: of the request; if it is a function (or coroutine function) it is called for each attempt.
    :param kwargs: whatever `aiohttp.ClientSession.request` takes: `params`, `json`, `data`, `proxy`, `ssl`, `timeout` …
        A body is sent again with each attempt, so it must not be a file or an iterator.
    :raises ValueError: if a parameter cannot be used.

    Connecting and iterating raise `Refused`, `NotAnEventStream`, `GaveUp` or `EventTooLarge`; after that, and after a
    204, the iterator has ended. Network faults and answers 408, 425, 429 and 5xx are tried again.
    """

    def __init__(
        self,
        url: str | URL,
        option: Mapping[str, Any] | None = None,
        reconnection_time: timedelta | float = DEFAULT_RECONNECTION_TIME,
        max_connect_retry: int | None = None,
        session: aiohttp.ClientSession | None = None,
        on_open: Callback | None = None,
        on_message: Callback | None = None,
        on_error: Callback | None = None,
        *,
        max_retries: int | None = None,
        max_reconnection_time: timedelta | float = DEFAULT_MAX_RECONNECTION_TIME,
        idle_timeout: float | None = DEFAULT_IDLE_TIMEOUT,
        last_event_id: str = "",
        max_event_bytes: int = DEFAULT_MAX_EVENT_BYTES,
        headers: Headers | Callable[[], Headers | Awaitable[Headers]] = None,
        **kwargs: Any,
    ) -> None:
        if any(sign in last_event_id for sign in "\0\r\n"):
            raise ValueError(f"last_event_id is {last_event_id!r}; an id has no line break and no NUL")
        self._url = URL(url)
        self._origin_url = self._url
        self._method = (option or {}).get("method", "GET")
        self._session = session
        self._own_session = session is None
        self._on_open, self._on_message, self._on_error = on_open, on_message, on_error
        self._reconnection_time = _seconds(reconnection_time)
        self._max_reconnection_time = _seconds(max_reconnection_time)
        self._max_connect_retry, self._max_retries = max_connect_retry, max_retries
        self._idle_timeout = idle_timeout
        self._headers = headers
        self._kwargs = {"timeout": aiohttp.ClientTimeout(total=None, sock_connect=30), "max_redirects": 20, **kwargs}

        self._parser = EventParser(max_event_bytes=max_event_bytes, last_event_id=last_event_id)
        self._events: deque[Parsed] = deque()
        self._last_event_id = last_event_id
        self._ready_state = READY_STATE_CONNECTING
        self._response: aiohttp.ClientResponse | None = None
        self._was_open = False
        self._failures = 0  # connections in a row that brought no event
        self._refreshed = False  # whether a 401 has had the headers asked for again
        self._scope: asyncio.Timeout | None = None  # of what is being waited for

    def __enter__(self) -> None:
        raise TypeError("an EventSource is entered by `async with`")

    def __exit__(self, *_: object) -> None:
        raise AssertionError("cannot have been entered")  # `with` looks for it before it calls __enter__

    async def __aenter__(self) -> Self:
        try:
            await self.connect()
        except BaseException:
            await self.close()  # __aexit__ is not called then
            raise
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        while not self._events:
            if self._ready_state == READY_STATE_CLOSED:
                raise StopAsyncIteration
            await (self._receive() if self._response is not None else self.connect())
        if self._ready_state == READY_STATE_CLOSED:
            raise StopAsyncIteration
        type, data, id = self._events.popleft()
        # While more is waiting, the cursor is that of what has been handed out.
        self._last_event_id = id if self._events else self._parser.last_event_id
        event = Event(type or "message", type, data, self._origin, id)
        await _call(self._on_message, event)
        return event

    @property
    def url(self) -> URL:
        """Where it connects to: the URL that was given, or that which a permanent redirect (301, 308) told."""
        return self._url

    @property
    def ready_state(self) -> int:
        """`READY_STATE_CONNECTING`, `READY_STATE_OPEN` or `READY_STATE_CLOSED`."""
        return self._ready_state

    @property
    def last_event_id(self) -> str:
        """The cursor: what has been handed out is up to it, and another source resumes after it."""
        return self._last_event_id

    @property
    def _origin(self) -> str:
        return str(self._response.url.origin() if self._response is not None else self._url.origin())

    async def connect(self, retry: int | None = None) -> None:
        """Wait until the stream is open, trying again as often as may be.

        :param retry: instead of `max_connect_retry`.
        :raises SSEError: see the class.
        """
        self._max_connect_retry = self._max_connect_retry if retry is None else retry
        try:
            while self._response is None and self._ready_state != READY_STATE_CLOSED:
                try:
                    await self._attempt()
                except _Passing as passing:
                    await self._pause(passing)
                except SSEError:  # some are OSErrors, too
                    raise
                except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError, aiohttp.TooManyRedirects) as error:
                    raise SSEError(f"{self._url} cannot be connected to: {error or type(error).__name__}") from error
                except (aiohttp.ClientError, OSError) as error:
                    await self._pause(_Passing(_reason(error)))
        except SSEError:
            await self._fail()
            raise

    async def _attempt(self) -> None:
        if self._session is None:
            self._session = aiohttp.ClientSession()
        headers = await self._request_headers()
        response = await self._within(
            self._idle_timeout, self._session.request(self._method, self._url, headers=headers, **self._kwargs)
        )
        if self._ready_state == READY_STATE_CLOSED:
            response.close()
        elif response.status == 200 and response.content_type == "text/event-stream":
            self._response = response
            self._remember_redirects(response)
            self._parser.reset()
            self._was_open = True
            self._refreshed = False
            self._ready_state = READY_STATE_OPEN
            await _call(self._on_open)
        else:
            try:
                await self._refuse(response)
            finally:
                response.close()

    async def _request_headers(self) -> CIMultiDict[str]:
        headers: CIMultiDict[str] = CIMultiDict(await _value_of(self._headers) or ())
        headers.setdefault("Accept", "text/event-stream")
        headers.setdefault("Cache-Control", "no-store")
        if self._parser.last_event_id:
            headers["Last-Event-ID"] = self._parser.last_event_id
        if self._url.origin() != self._origin_url.origin():
            # As in a redirect that is followed at once, no secret goes to another origin (Fetch, section 4.4).
            for name in ("Authorization", "Cookie", "Proxy-Authorization"):
                headers.popall(name, None)
        return headers

    def _remember_redirects(self, response: aiohttp.ClientResponse) -> None:
        hops = [*response.history, response]
        for hop, following in pairwise(hops):
            if hop.status not in {301, 308}:
                return
            self._url = following.url
            self._kwargs.pop("params", None)  # they are in the new URL, or not wanted there
            if self._url.origin() != self._origin_url.origin():
                self._kwargs.pop("auth", None)

    async def _refuse(self, response: aiohttp.ClientResponse) -> None:
        status = response.status
        if status == 204:  # the server wants no more reconnects (WHATWG HTML 9.2.3)
            self._ready_state = READY_STATE_CLOSED
            await self._release()
            return
        if status == 401 and callable(self._headers) and not self._refreshed:
            self._refreshed = True
            return
        if status in _TRY_AGAIN or status >= 500:
            raise _Passing(f"{response.url} answered {status}", _retry_after(response.headers))
        if status >= 400:
            raise Refused(response.url, status, await _problem(response))
        kind = response.headers.get("Content-Type", "no content type")
        raise NotAnEventStream(
            f"{response.url} answered {status} with {kind}; an event stream is 200 text/event-stream"
        )

    async def _receive(self) -> None:
        """Wait for bytes and queue the events in them; when there is none to come, close the connection."""
        assert self._response is not None
        try:
            data = await self._read(self._response)
            self._events.extend(self._parser.feed(data))
            reason = "" if data else "the server ended the stream"
        except EventTooLarge:
            await self._fail()
            raise
        except _Passing as passing:
            reason = str(passing)
        except (aiohttp.ClientError, OSError) as error:
            reason = f"the connection broke: {_reason(error)}"
        if self._events:
            self._failures = 0
        elif not reason:
            self._last_event_id = self._parser.last_event_id
        if reason:
            self._disconnect()
            try:
                await self._pause(_Passing(reason))
            except GaveUp:
                await self._fail()
                raise

    async def _read(self, response: aiohttp.ClientResponse) -> bytes:
        """The next bytes, none at the end of the stream.

        :raises _Passing: if nothing comes for `idle_timeout`.
        """
        quiet = 0.0
        while True:
            seconds = _LOOK if self._idle_timeout is None else min(_LOOK, self._idle_timeout - quiet)
            try:
                return await self._within(seconds, response.content.readany())
            except _Passing:
                quiet += seconds
                if self._ready_state == READY_STATE_CLOSED:
                    raise
            if response.connection is not None and response.connection.transport is None:
                raise _Passing("the connection broke")
            if self._idle_timeout is not None and quiet >= self._idle_timeout:
                raise _Passing(f"nothing came for {self._idle_timeout:g} s")

    async def _pause(self, passing: _Passing) -> None:
        """Wait before the next attempt: the time that the server told, then more with each failure in a row, at
        random, so that many clients do not come back at once."""
        if self._ready_state == READY_STATE_CLOSED:
            return
        first = not self._was_open and self._max_connect_retry is not None
        limit = self._max_connect_retry if first else self._max_retries
        if limit is not None and self._failures >= limit:
            raise GaveUp(f"gave up on {self._url} after {self._failures} retries: {passing}") from passing
        self._ready_state = READY_STATE_CONNECTING
        await _call(self._on_error)
        delay = self._delay(passing)
        logger.log(
            logging.WARNING if self._failures or not self._was_open else logging.INFO,
            "%s: %s; connecting again in %.1f s",
            self._url,
            passing,
            delay,
        )
        self._failures += 1
        with contextlib.suppress(_Passing):
            await self._within(None, asyncio.sleep(delay))

    def _delay(self, passing: _Passing) -> float:
        told = None if self._parser.retry_ms is None else self._parser.retry_ms / 1000
        base = self._reconnection_time if told is None else told
        least = max(min(told or 0.0, _LONGEST_WAIT), passing.wait)
        if told is not None and not self._failures:
            return least
        # A reconnection time of 0 is no reason to knock at a closed door without a pause.
        spread = max(base, 0.1 if self._failures else 0.0) * 2 ** min(self._failures, 30)
        return least + random.uniform(0, min(spread, self._max_reconnection_time))

    async def _within(self, seconds: float | None, awaitable: Awaitable[T]) -> T:
        """Wait for something for so long, or until `close()`."""
        scope = self._scope = asyncio.timeout(seconds)
        try:
            async with scope:
                return await awaitable
        except TimeoutError:
            if not scope.expired():  # one of aiohttp's own
                raise
            raise _Passing("closed" if seconds is None else f"nothing came for {seconds:g} s") from None
        finally:
            self._scope = None

    async def _fail(self) -> None:
        if self._ready_state != READY_STATE_CLOSED:
            self._ready_state = READY_STATE_CLOSED
            await _call(self._on_error)
        await self.close()

    def _disconnect(self) -> None:
        if self._response is not None:
            self._response.close()
            self._response = None

    async def _release(self) -> None:
        self._disconnect()
        if self._own_session and self._session is not None:
            await self._session.close()

    async def close(self) -> None:
        """Close the connection; an iteration that waits ends."""
        self._ready_state = READY_STATE_CLOSED
        if self._scope is not None and not self._scope.expired():
            self._scope.reschedule(0)
            self._scope = None
        await self._release()


@attrs.frozen(slots=True)
class Published:
    """A hub's acknowledgement."""

    id: str | None
    """Id of the event, of the last one in a batch; None for ephemeral events."""
    channel: str
    event: str
    subscribers: int
    """How many follow the channel."""
    count: int = 1
    """How many events were published."""


@attrs.frozen(slots=True)
class Channel:
    """A channel of a hub."""

    name: str
    subscribers: int
    events: int
    """Events retained."""
    first: str | None
    last: str | None


@attrs.frozen(slots=True)
class History:
    """Retained events of a channel, oldest first."""

    events: list[Event]
    lost: bool
    """Whether events after the cursor asked for are gone."""


@attrs.frozen(slots=True)
class Lost:
    """Events that a stream can no longer bring."""

    after: str
    """The last event before the gap; empty where the hub does not know it."""
    next: str
    """The first one after it, or the cursor from which the stream goes on."""


def _id_order(id: str) -> tuple[int, int] | None:
    match = _ID.fullmatch(id)
    return (int(match[1]), int(match[2])) if match else None


def _enveloped(value: Mapping[str, Any], origin: str, last_event_id: str) -> Event:
    type = value["event"]
    return Event(
        type,
        "" if type == "message" else type,
        value["data"],
        origin,
        last_event_id,
        value["channel"],
        datetime.fromisoformat(value["timestamp"]),
    )


class Stream:
    """Channels of a hub, as an asynchronous iterator of `Event`: each once and in order, through any number of
    reconnects. Made by `SSEClient`; `async with` or `close()` ends it, as the end of its client does."""

    def __init__(
        self,
        source: EventSource,
        on_lost: Callback | None,
        on_notice: Callback | None,
        on_end: Callable[[Stream], None],
    ) -> None:
        self._source = source
        self._on_lost = on_lost or self._log_loss
        self._on_notice = on_notice
        self._on_end = on_end
        self._newest = _id_order(source.last_event_id)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        async for event in self._source:
            if event.type != "message":
                await self._notice(event)
                continue
            value = json.loads(event.data)
            order = None if value["id"] is None else _id_order(value["id"])
            if order is not None:
                if self._newest is not None and order <= self._newest:
                    continue  # it has come already: a cut connection brought it, but not to where a cursor is kept
                self._newest = order
            return _enveloped(value, event.origin, event.last_event_id)
        self._on_end(self)
        raise StopAsyncIteration

    async def __aenter__(self) -> Self:
        await self._source.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def last_event_id(self) -> str:
        """The cursor: a stream that is given it as `last_event_id` goes on after what this one has handed out."""
        return self._source.last_event_id

    @property
    def ready_state(self) -> int:
        """`READY_STATE_CONNECTING`, `READY_STATE_OPEN` or `READY_STATE_CLOSED`."""
        return self._source.ready_state

    async def close(self) -> None:
        """Close the connection; an iteration that waits ends."""
        await self._source.close()
        self._on_end(self)

    async def _notice(self, event: Event) -> None:
        """What the hub says of the stream itself."""
        if event.type == "error":
            logger.warning("%s: %s", self._source.url, event.data)
        elif event.type == "connected" and event.json()["lost"]:
            before = "" if self._newest is None else "{}-{}".format(*self._newest)
            self._newest = _id_order(event.last_event_id)  # another hub's ids, perhaps
            await _call(self._on_lost, Lost(before, event.last_event_id))
        elif event.type == "lost":
            await _call(self._on_lost, Lost(event.json()["after"], event.json()["next"]))
        await _call(self._on_notice, event)

    def _log_loss(self, lost: Lost) -> None:
        logger.warning("%s: events between %s and %s are lost", self._source.url, lost.after or "before", lost.next)


class SSEClient:
    """Everything that a hub offers. Use `async with`, or call `close()`.

    :param base_url: where the hub is; it may be mounted below a path.
    :param token: a bearer token, or a function or coroutine function that gives one; it is called for each connection.
    :param session: to be used and left open; by default one is made.
    :param idle_timeout: see `EventSource`.
    :param options: whatever `aiohttp.ClientSession.request` takes: `proxy`, `ssl` …

    Publishing is tried again until it is acknowledged; an `Idempotency-Key` makes sure that it happens once. Every
    method that asks the hub for something raises `Refused` for a request that the hub will never fulfil.
    """

    def __init__(
        self,
        base_url: str | URL = DEFAULT_URL,
        *,
        token: str | Callable[[], str | Awaitable[str]] | None = None,
        session: aiohttp.ClientSession | None = None,
        idle_timeout: float | None = DEFAULT_IDLE_TIMEOUT,
        **options: Any,
    ) -> None:
        self._base = str(base_url).rstrip("/")
        self._token = token
        self._session = session
        self._own_session = session is None
        self._idle_timeout = idle_timeout
        self._options = options
        self._streams: set[Stream] = set()

    @classmethod
    def sync(cls, base_url: str | URL = DEFAULT_URL, **options: Any) -> SyncClient:
        """The same client without `await`, to be entered by `with`."""
        return SyncClient(base_url, **options)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """End all streams and close the connections."""
        for stream in list(self._streams):
            await stream.close()
        if self._own_session and self._session is not None:
            await self._session.close()
            self._session = None

    def stream(self, *channels: str, **options: Any) -> Stream:
        """The events of these channels and patterns; of `main`, if none is named.

        :param options: those of `follow`.
        """
        return self.follow("/stream", [("channel", name) for name in channels or ["main"]], **options)

    def channel(self, name: str, **options: Any) -> Stream:
        """The events of one channel.

        :param options: those of `follow`.
        """
        return self.follow(f"/realtime/{quote(name, safe='')}", **options)

    def metrics(self, **options: Any) -> Stream:
        """The figures of the hub and its host, one event a second.

        :param options: those of `follow`.
        """
        return self.follow("/metrics", **options)

    def follow(
        self,
        path: str,
        parameters: Sequence[tuple[str, str]] = (),
        *,
        events: Sequence[str] = (),
        replay: int | None = None,
        last_event_id: str = "",
        on_lost: Callback | None = None,
        on_notice: Callback | None = None,
        **options: Any,
    ) -> Stream:
        """The event stream at a path of the hub.

        :param parameters: of the query.
        :param events: only these types.
        :param replay: begin so many events back.
        :param last_event_id: resume after this id instead.
        :param on_lost: called with a `Lost` where events are gone for good; by default, a warning is logged.
        :param on_notice: called with each `Event` by which the hub speaks of the stream itself: `connected`, `live`,
            `lost`, `closing`, `error`.
        :param options: of `EventSource`: `max_retries`, `on_open`, `on_error` …
        """
        query = [*parameters, ("envelope", "1"), *(("event", type) for type in events)]
        if replay is not None:
            query.append(("replay", str(replay)))
        source = EventSource(
            URL(self._base + path, encoded=True).extend_query(query),
            session=self._ready_session(),
            headers=self._headers if callable(self._token) else self._bearer(self._token),
            last_event_id=last_event_id,
            **{"idle_timeout": self._idle_timeout, **self._options, **options},
        )
        stream = Stream(source, on_lost, on_notice, self._streams.discard)
        self._streams.add(stream)
        return stream

    async def publish(
        self,
        data: object,
        *,
        channel: str = "main",
        event: str = "message",
        ephemeral: bool = False,
        deadline: float = DEFAULT_DEADLINE,
    ) -> Published:
        """Publish an event, exactly once.

        :param data: text as it stands; bytes as UTF-8; anything else as JSON.
        :param deadline: seconds within which it must be acknowledged; a hub remembers a publish for 600 s.
        :raises NotAcknowledged: if it was not.
        """
        answer = await self._post(
            f"/realtime/{quote(channel, safe='')}",
            self._publish_query(event, ephemeral),
            _text(data).encode(),
            "text/plain; charset=utf-8",
            deadline,
        )
        return Published(**answer)

    async def broadcast(
        self,
        message: object,
        *,
        channel: str | Sequence[str] = "main",
        event: str = "message",
        timestamp: datetime | None = None,
        deadline: float = DEFAULT_DEADLINE,
    ) -> list[Published]:
        """Publish a JSON message to one channel or several, exactly once; its data is
        `{"message": …, "timestamp": …}`.

        :param timestamp: of the message; by default the moment at which the hub accepts it.
        :param deadline: see `publish`.
        :raises NotAcknowledged: if it was not acknowledged in time.
        """
        body = {"message": message, "event": event, "channel": [channel] if isinstance(channel, str) else list(channel)}
        if timestamp is not None:
            body["timestamp"] = timestamp.isoformat()
        answers = await self._post("/api/broadcast", {}, _text(body).encode(), "application/json", deadline)
        return [Published(**answer) for answer in answers]

    async def publish_many(
        self,
        items: Iterable[object] | AsyncIterable[object],
        *,
        channel: str = "main",
        event: str = "message",
        ephemeral: bool = False,
        deadline: float = DEFAULT_DEADLINE,
        on_batch: Callback | None = None,
    ) -> int:
        """Publish all items in their order, each exactly once, many a request; return how many.

        The next batch is gathered only when the last one is acknowledged, so a fast source is slowed to what the hub
        takes. What an asynchronous source gives slowly is published at once.

        :param items: as for `publish`. A plain iterable should not wait: it holds up the event loop.
        :param deadline: seconds within which each batch must be acknowledged.
        :param on_batch: called with the `Published` of each batch.
        :raises NotAcknowledged: if one was not; what came before it is published.
        """
        count = 0
        query = self._publish_query(event, ephemeral)
        path = f"/realtime/{quote(channel, safe='')}"
        async with contextlib.aclosing(_batches(items)) as batches:
            async for batch in batches:
                if len(batch) > 1:
                    body, kind = "\n".join(batch).encode(), "application/x-ndjson"
                else:
                    body, kind = batch[0].encode(), "text/plain; charset=utf-8"
                answer = await self._post(path, query, body, kind, deadline)
                if "ids" in answer:
                    answer["id"] = answer.pop("ids")[1]
                published = Published(**answer)
                count += published.count
                await _call(on_batch, published)
        return count

    async def channels(self) -> list[Channel]:
        """The channels of the hub."""
        answer = await self._get("/api/channels")
        return [Channel(**{a.name: channel[a.name] for a in attrs.fields(Channel)}) for channel in answer["channels"]]

    async def history(self, channel: str = "main", *, after: str = "", limit: int = 100) -> History:
        """Retained events of a channel, oldest first.

        :param after: only events after this id.
        :param limit: at most so many; a hub gives up to 1000 at once.
        """
        query = {"limit": str(limit), **({"after": after} if after else {})}
        answer = await self._get(f"/api/channels/{quote(channel, safe='')}/events", query)
        return History([_enveloped(e, self._base, e["id"]) for e in answer["events"]], answer["lost"])

    async def health(self) -> dict[str, Any]:
        """How the hub is; `status` is `ok`, `degraded` or `draining`."""
        answer = await self._get("/health", expected=(200, 503))
        return cast("dict[str, Any]", answer)

    @staticmethod
    def _publish_query(event: str, ephemeral: bool) -> dict[str, str]:
        return {"event": event, **({"ephemeral": "1"} if ephemeral else {})}

    def _ready_session(self) -> aiohttp.ClientSession:
        if self._session is None:
            # Streams stay open; with aiohttp's limit of 100 connections, the next publish would wait for ever.
            self._session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        return self._session

    @staticmethod
    def _bearer(token: str | None) -> dict[str, str]:
        return {} if token is None else {"Authorization": f"Bearer {token}"}

    async def _headers(self) -> dict[str, str]:
        return self._bearer(await _value_of(self._token))

    async def _get(self, path: str, query: Mapping[str, str] | None = None, expected: Sequence[int] = (200,)) -> Any:
        try:
            return await self._ask("GET", path, expected=expected, params=query)
        except _Passing as passing:
            raise SSEError(str(passing)) from passing.__cause__

    async def _post(self, path: str, query: Mapping[str, str], body: bytes, kind: str, deadline: float) -> Any:
        headers = {"Content-Type": kind, "Idempotency-Key": uuid.uuid4().hex}
        failures = 0
        reason = "no answer"
        try:
            async with asyncio.timeout(deadline):
                while True:
                    try:
                        return await self._ask("POST", path, headers=headers, params=query, data=body)
                    except _Passing as passing:
                        reason = str(passing)
                        delay = passing.wait + random.uniform(0, min(0.1 * 2**failures, 5.0))
                    logger.info("%s%s: %s; publishing again in %.1f s", self._base, path, reason, delay)
                    failures = min(failures + 1, 30)
                    await asyncio.sleep(delay)
        except TimeoutError:
            raise NotAcknowledged(f"{self._base}{path} did not acknowledge within {deadline:g} s: {reason}") from None

    async def _ask(
        self,
        method: str,
        path: str,
        *,
        expected: Sequence[int] = (200,),
        headers: Mapping[str, str] | None = None,
        **options: Any,
    ) -> Any:
        """The JSON of an answer.

        :raises _Passing: if trying again may help.
        """
        for last in (not callable(self._token), True):
            all_headers = {**await self._headers(), **(headers or {})}
            try:
                async with self._ready_session().request(
                    method,
                    URL(self._base + path, encoded=True),
                    headers=all_headers,
                    timeout=aiohttp.ClientTimeout(total=_ANSWER_TIMEOUT),
                    **{**self._options, **options},
                ) as response:
                    if response.status in expected:
                        return await response.json()
                    if response.status in _TRY_AGAIN or response.status >= 500:
                        raise _Passing(f"{response.url} answered {response.status}", _retry_after(response.headers))
                    if response.status != 401 or last:
                        raise Refused(response.url, response.status, await _problem(response))
            except TimeoutError:
                raise _Passing(f"no answer from {self._base}{path} within {_ANSWER_TIMEOUT:g} s") from None
            except (aiohttp.ClientError, OSError) as error:
                if isinstance(error, SSEError):
                    raise
                raise _Passing(_reason(error)) from error
        raise AssertionError("the second answer was returned or raised")


def _text(data: object) -> str:
    if isinstance(data, str):
        return data
    if isinstance(data, bytes | bytearray | memoryview):
        return bytes(data).decode()
    return json.dumps(data, ensure_ascii=False, separators=(",", ":"), default=str)


async def _batches(items: Iterable[object] | AsyncIterable[object]) -> AsyncGenerator[list[str], None]:
    """Lists of texts that can be published together: several, if each is one line that is not empty."""
    batch: list[str] = []
    size = 0
    async with contextlib.aclosing(_with_pauses(items)) as texts:
        async for text in texts:
            alone = text is not None and (not text or "\n" in text or text.endswith("\r"))
            if batch and (text is None or alone or len(batch) == _BATCH_EVENTS or size + len(text) > _BATCH_BYTES):
                yield batch
                batch, size = [], 0
            if text is None:
                continue
            if alone:
                yield [text]
            else:
                batch.append(text)
                size += len(text)
    if batch:
        yield batch


async def _with_pauses(items: Iterable[object] | AsyncIterable[object]) -> AsyncGenerator[str | None, None]:
    """The items as text, and None where the source makes one wait."""
    if isinstance(items, Iterable):
        for item in items:
            yield _text(item)
        return
    iterator = aiter(items)
    following: asyncio.Future[object] | None = None
    try:
        while True:
            following = asyncio.ensure_future(_next(iterator))
            if not (await asyncio.wait([following], timeout=_LINGER))[0]:
                yield None
            item = await following
            if item is _END:
                return
            yield _text(item)
    finally:
        if following is not None:
            await _cancelled([following])


_END = object()


async def _next(iterator: AsyncIterator[T]) -> T | object:
    return await anext(iterator, _END)


async def _cancelled(futures: Iterable[asyncio.Future[Any]]) -> None:
    """Cancel what is still running and wait until it has ended."""
    futures = list(futures)
    for future in futures:
        future.cancel()
    await asyncio.gather(*futures, return_exceptions=True)


async def merge(*sources: AsyncIterable[T]) -> AsyncGenerator[T, None]:
    """What several sources give, as it comes; it ends when all have. An error of one ends all.

    Use it in `contextlib.aclosing` if it is left early.
    """
    iterators = [aiter(source) for source in sources]
    waiting = {asyncio.ensure_future(_next(iterator)): iterator for iterator in iterators}
    try:
        while waiting:
            done, _ = await asyncio.wait(waiting, return_when=asyncio.FIRST_COMPLETED)
            for future in done:
                iterator = waiting[future]
                item = await future
                del waiting[future]
                if item is not _END:
                    waiting[asyncio.ensure_future(_next(iterator))] = iterator
                    yield cast("T", item)
    finally:
        await _cancelled(waiting)


def _blocking(
    method: Callable[Concatenate[SSEClient, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[SyncClient, P], T]:
    @functools.wraps(method)
    def call(self: SyncClient, *arguments: P.args, **options: P.kwargs) -> T:
        return self.wait(method(self.client, *arguments, **options))

    return cast("Callable[Concatenate[SyncClient, P], T]", call)


def _iterating(method: Callable[..., Stream]) -> Callable[..., SyncStream]:
    @functools.wraps(method)
    def call(self: SyncClient, *arguments: Any, **options: Any) -> SyncStream:
        async def begin() -> Stream:
            return method(self.client, *arguments, **options)

        return SyncStream(self, self.wait(begin()))

    return call


class SyncClient:
    """`SSEClient` without `await`: its event loop runs in a thread of its own, so that it works in notebooks, too.

    :param base_url: see `SSEClient`.
    :param options: those of `SSEClient`.
    """

    def __init__(self, base_url: str | URL = DEFAULT_URL, **options: Any) -> None:
        self.client = SSEClient(base_url, **options)
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, name="sse_client", daemon=True)
        self._thread.start()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def wait(self, coroutine: Coroutine[Any, Any, T]) -> T:
        """What the coroutine gives; an interruption (Ctrl-C) cancels it."""
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def close(self) -> None:
        """End all streams, close the connections, end the thread; a second call does nothing."""
        if self._loop.is_closed():
            return
        self.wait(self.client.close())
        self.wait(self._loop.shutdown_asyncgens())
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join()
        self._loop.close()

    stream = _iterating(SSEClient.stream)
    channel = _iterating(SSEClient.channel)
    metrics = _iterating(SSEClient.metrics)
    publish = _blocking(SSEClient.publish)
    broadcast = _blocking(SSEClient.broadcast)
    publish_many = _blocking(SSEClient.publish_many)
    channels = _blocking(SSEClient.channels)
    history = _blocking(SSEClient.history)
    health = _blocking(SSEClient.health)


class SyncStream:
    """`Stream` without `await`. Made by `SyncClient`; `with` or `close()` ends it, as the end of its client does."""

    def __init__(self, client: SyncClient, stream: Stream) -> None:
        self._client = client
        self._stream = stream

    def __iter__(self) -> Iterator[Event]:
        return self

    def __next__(self) -> Event:
        try:
            return self._client.wait(self._stream.__anext__())
        except StopAsyncIteration:
            raise StopIteration from None

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    @property
    def last_event_id(self) -> str:
        """The cursor, as that of `Stream`."""
        return self._stream.last_event_id

    def close(self) -> None:
        """Close the connection."""
        self._client.wait(self._stream.close())


def main() -> int:
    """Run the command line, which is part of sse-hub, not of this module; return the exit status."""
    try:
        from sse_hub.console import main as run
    except ImportError:
        print("The command line comes with sse-hub: pip install sse-hub", file=sys.stderr)
        return 1
    return run()


if __name__ == "__main__":
    raise SystemExit(main())
