"""Client for Server-Sent Events on aiohttp: one module, to import or to copy.

    async with SSEClient("http://127.0.0.1:8000") as client, client.stream("main") as stream:
        async for event in stream:
            print(event.type, event.json())

It is long, because it has to be one file. In its order:

EventParser   bytes in, events out: WHATWG HTML 9.2.6 without I/O
EventSource   one stream of any server, reconnecting for ever: the interface of `aiohttp_sse_client.client.EventSource`
Stream        channels of a hub, each event once
SSEClient     everything that a hub offers: streams, publishing exactly once, lists, history
Run           a channel that is written to its end: the answer of a language model, a job
merge         several streams as one
SyncClient    `SSEClient` for scripts, Django and notebooks, without `await`: `SSEClient.sync(...)`
Publisher     publishing from code that must not wait

An attempt, a pause or a request belongs to an object, not to the task or thread that waits for it. So a cancelled wait
loses nothing. An object need not be closed: its connections end as soon as nothing refers to it any more. So nothing
here may be part of a cycle of references, which only the garbage collector would free. An object can be used in one
event loop after the other, and in a process that was forked after the object was made.

Errors:

SSEError                 the base class of all errors here; trying again does not help
    Refused              the server refuses the request; has `status` and `problem`
        Ended            the channel has ended and takes no more events; has `reason`
    NotAnEventStream     the answer is not an event stream
    GaveUp               the last of `max_retries` attempts failed
    NotAcknowledged      a publish was not acknowledged within its deadline, or before its client was closed
    EventTooLarge        an event is larger than `max_event_bytes`

Run as a program, it is the command line of sse-hub: `python sse_client.py --help`.
"""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import contextlib
import contextvars
import copy
import functools
import inspect
import io
import itertools
import json
import logging
import math
import os
import queue
import random
import re
import sys
import threading
import time
import urllib.request
import uuid
import weakref
from collections import deque
from collections.abc import (
    AsyncGenerator,
    AsyncIterable,
    AsyncIterator,
    Awaitable,
    Callable,
    Coroutine,
    Generator,
    Iterable,
    Iterator,
    Mapping,
    Sequence,
)
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime
from itertools import pairwise
from typing import (
    TYPE_CHECKING,
    Any,
    Concatenate,
    Generic,
    Literal,
    NamedTuple,
    NoReturn,
    ParamSpec,
    Self,
    TypeVar,
    cast,
)
from urllib.parse import quote

import aiohttp
import attrs
from multidict import CIMultiDict
from yarl import URL

if TYPE_CHECKING:

    @attrs.frozen
    class MessageEvent:
        """The class of aiohttp_sse_client, which has no types."""

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
    "Channels",
    "Dropped",
    "Ended",
    "Event",
    "EventParser",
    "EventSource",
    "EventTooLarge",
    "GaveUp",
    "History",
    "Lost",
    "Merged",
    "MessageEvent",
    "NotAcknowledged",
    "NotAnEventStream",
    "Parsed",
    "Published",
    "Publisher",
    "Refused",
    "Run",
    "SSEClient",
    "SSEError",
    "Stream",
    "SyncClient",
    "SyncRun",
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
"""Seconds: three times the pings of most servers. A hub may say that its own are rarer."""
_PINGS = 3  # of a hub that may be missing, as docs/protocol.md says
DEFAULT_MAX_EVENT_BYTES = 16 << 20
DEFAULT_DEADLINE = 60.0

_TRY_AGAIN = frozenset({408, 425, 429})  # the 4xx for a state that passes
_LONGEST_NAME = len(b"event: ")
_PROBLEM_BYTES = 64 << 10
_PROBLEM_TIMEOUT = 2.0
_ANSWER_BYTES = 64 << 20
_LONGEST_ID = 4096  # servers take 8 kB of headers
_GOOD_AFTER = 1.0  # seconds after which a connection that has brought bytes counts as a success
_LONGEST_WAIT = 86_400.0  # seconds; a longer time from a server is a mistake
_PAGE = 1000  # channels in one request
_BATCH_EVENTS = 500
_BATCH_BYTES = 256 << 10  # a quarter of what a hub accepts by default
_RUN_EVENTS, _RUN_BYTES = 2000, 1 << 20  # largest number that waits in a run; then `write` waits for room
_RUN_PAUSE = 0.02  # seconds between two requests of a run
_SHORT_DEADLINE = 5.0  # seconds in which the end of a channel is published when its task is being cancelled
_REASONS = ("done", "failed", "cancelled")
_SECRET_HEADERS = ("Authorization", "Cookie", "Proxy-Authorization")
_LARGE_BODY = 1 << 20  # bytes; aiohttp warns of a larger body in one piece
_READ_AHEAD_BYTES = 256 << 10
_EVENTS_AT_ONCE = 5000  # events that a publisher groups by channel at once
_CHANNELS_AT_ONCE = 8  # parallel requests of a publisher
_THREAD_PATIENCE = 5.0  # seconds to wait for the end of a thread
_CALL_PATIENCE = 1.0  # seconds until a call is cancelled that `close` has not ended: its iterable waits, for example
_SOURCE_PATIENCE = 0.05  # seconds without an item after which the gathered items are published
_ANSWER_TIMEOUT = 30.0
_MOST_UNAWAITED = 64  # running publishes for which no task waits any more
_CHECK_PERIOD = 1.0
"""Seconds between two checks that the connection exists. If a chunk is malformed, aiohttp 3.14 closes the connection
and does not wake the reader."""
_UNSENDABLE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_ID = re.compile(r"([0-9]{1,20})-([0-9]{1,20})")

logger = logging.getLogger("sse_client")

P = ParamSpec("P")
T = TypeVar("T")
_CONTROL = {"connected", "live", "lost", "closing", "error"}
"""Types of the hub's own events, which are about the stream."""
_CALLBACKS = {"on_open", "on_message", "on_error", "on_lost", "on_notice"}
Headers = Mapping[str, str] | Iterable[tuple[str, str]] | None
Callback = Callable[..., object]
Call = tuple[Callback | None, tuple[object, ...]]
"""A callback, if there is one, and its arguments."""


_FORKED: weakref.WeakSet[Any] = weakref.WeakSet()
"""Objects whose method `forked` is called in a child process, before anything else runs there."""
_INHERITED: list[object] = []
"""Objects of the parent process that must not be finalized here; see `_keep_for_ever`."""


def _after_fork() -> None:
    for each in list(_FORKED):
        each.forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _keep_for_ever(value: object) -> None:
    """Keep an inherited object from being finalized.

    If a child process finalizes a connection, the kernel no longer watches its socket for the parent (epoll), and TLS
    ends the connection. The parent then hangs or fails.
    """
    _INHERITED.append(value)
    with contextlib.suppress(ImportError, AttributeError):  # CPython empties this module at the end of the program, too
        import ctypes

        ctypes.pythonapi.Py_IncRef(ctypes.py_object(value))


def _call_in_loop(pid: int, loop: asyncio.AbstractEventLoop, call: Callable[[], object]) -> None:
    """Call a function in an event loop, from any thread. Do nothing if the loop has ended.

    :param pid: the process of the loop. In a child process, nothing is called.
    """
    if pid == os.getpid():
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(call)


# It begins after the scheme: a search for a scheme would begin anew at each letter of a long word.
_URL = re.compile(r"(://)(?:[^\s/?#'\"]*@)?([^\s?#'\"<>()]*)(?:[?#][^\s'\"<>()]*)?")


def _redacted(text: object) -> str:
    """A URL, or a text with URLs in it, without users, passwords and queries. It is for logs and errors."""
    return _URL.sub(r"\1\2", str(text))


class SSEError(Exception):
    """An error that trying again does not change. Its text has no password, no token and no query of a URL."""

    def __init__(self, text: str) -> None:
        super().__init__(_redacted(text))


class Refused(SSEError, ConnectionRefusedError):
    """The server refuses the request, and would refuse it again.

    :param status: HTTP status code of the answer.
    :param problem: problem document of the answer (RFC 9457); empty if there is none.
    """

    def __init__(self, url: URL | str, status: int, problem: Mapping[str, Any]) -> None:
        self.status = status
        self.problem = problem
        detail = problem.get("detail") or problem.get("title") or "no reason given"
        super().__init__(f"{_redacted(url)} answered {status}: {detail}")
        self._arguments = _redacted(url), status, dict(problem)

    def __reduce__(self) -> tuple[type[Refused], tuple[str, int, dict[str, Any]]]:
        return type(self), self._arguments  # Celery pickles errors, to send them to another process


class Ended(Refused):
    """The channel has ended. It takes no more events until it is forgotten.

    `reason` is `done`, `failed`, `cancelled` or `abandoned`.
    """

    def __init__(self, url: URL | str, status: int, problem: Mapping[str, Any]) -> None:
        super().__init__(url, status, problem)
        self.reason = str(problem.get("reason", ""))


class NotAnEventStream(SSEError, ConnectionAbortedError):
    """The answer is not an event stream, so the connection has failed for good (WHATWG HTML 9.2.3)."""


class GaveUp(SSEError, ConnectionError):
    """The last of `max_retries` attempts failed."""


class NotAcknowledged(SSEError, TimeoutError):
    """A publish was not acknowledged within its deadline, or before its client was closed. It may have been published
    or not."""


class EventTooLarge(SSEError, ValueError):
    """An event is larger than `max_event_bytes`. A reconnect would bring it again, so there is none."""

    def __init__(self, text: str) -> None:
        super().__init__(text)
        self.events: list[Parsed] = []
        """The events before it that the same call of `EventParser.feed` has completed."""


class Parsed(NamedTuple):
    """An event as it is written in the stream."""

    type: str
    """The field `event`; empty if there is none, which means `message`."""
    data: str
    last_event_id: str


class EventParser:
    """Bytes in, events out (WHATWG HTML 9.2.6). The time is linear in the number of bytes, however they are split.

    :param max_event_bytes: largest size of an event's data, and of a line.
    :param last_event_id: the id at the end of an earlier stream. An event without an id has the last one.
    """

    def __init__(self, *, max_event_bytes: int = DEFAULT_MAX_EVENT_BYTES, last_event_id: str = "") -> None:
        self.last_event_id = last_event_id
        """The last id of a complete block."""
        self.retry_ms: int | None = None
        """The last reconnection time of the stream, in milliseconds."""
        self._max_event_bytes = max_event_bytes
        self.reset()

    def reset(self) -> None:
        """Begin a new stream. An incomplete event is forgotten; `last_event_id` and `retry_ms` stay."""
        self._bom: bytes | None = b""  # the part of a byte order mark that has come; None after the first bytes
        self._after_cr = False
        self._line: list[bytes] = []  # pieces of a line that has no end yet
        self._line_bytes = 0
        self._data: list[bytes] = []
        self._data_bytes = -1  # each line of data adds a line break, and the last one is removed
        self._type = b""
        self._id = self.last_event_id

    def feed(self, chunk: bytes) -> list[Parsed]:
        """Parse the next bytes of the stream; return the events that they complete.

        :raises EventTooLarge: if a line or an event's data is larger than the limit. It has the events before it.
        """
        if self._bom is not None:
            chunk = self._without_bom(chunk)
        if self._after_cr and chunk:
            # The CR has already ended its line, because waiting for an LF would delay the event.
            self._after_cr = False
            if chunk[0] == 10:
                chunk = chunk[1:]
        if b"\r" in chunk:
            self._after_cr = chunk.endswith(b"\r")
            chunk = chunk.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
        lines = chunk.split(b"\n")
        rest = lines.pop()
        events: list[Parsed] = []
        try:
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
        except EventTooLarge as error:
            error.events = events
            raise
        return events

    def _without_bom(self, chunk: bytes) -> bytes:
        begun = (self._bom or b"") + chunk
        if len(begun) < 3 and b"\xef\xbb\xbf".startswith(begun):
            self._bom = begun
            return b""
        self._bom = None
        return begun.removeprefix(b"\xef\xbb\xbf")

    def _read(self, lines: list[bytes], events: list[Parsed]) -> None:
        # Nearly all lines are "data: …" or empty. These take 0.3 µs each, so events of 1 kB are parsed at 500 MB/s.
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
        """Parse any line except `data:…`. A comment is a line whose field has no name."""
        self._check(len(line) - _LONGEST_NAME)
        name, _, value = line.partition(b":")
        value = value.removeprefix(b" ")
        if name == b"event":
            self._type = value
        elif name == b"id" and b"\0" not in value:
            self._id = value.decode("utf-8", "replace")
        elif name == b"retry" and value.isdigit():  # bytes know ASCII digits only
            self.retry_ms = int(value) if len(value) <= 18 else int(_LONGEST_WAIT * 1000)
        elif name == b"data":  # without a colon it is an empty line of data
            self._data.append(b"")
            self._data_bytes += 1
            self._check(self._data_bytes)

    def _check(self, size_bytes: int) -> None:
        if size_bytes > self._max_event_bytes:
            raise EventTooLarge(f"an event is larger than {self._max_event_bytes} bytes; raise max_event_bytes")


@attrs.frozen(slots=True)
class Event(MessageEvent):
    """One event of a stream.

    `type` is `message` if the stream gives none (WHATWG HTML 9.2.6). `message` is a field of `aiohttp_sse_client`: the
    type as the stream gives it.
    """

    channel: str = ""
    """The channel in a hub; empty for other servers."""
    timestamp: datetime | None = None
    """The time at which a hub accepted it; None for other servers."""

    def json(self) -> Any:
        """The value of the data, which is JSON.

        :raises ValueError: if the data is not JSON.
        """
        return json.loads(self.data)


class _Closed(Exception):
    """The client was closed meanwhile."""


class _Passing(Exception):
    """A failure that may pass, so trying again may help."""

    def __init__(self, reason: str, wait: float = 0.0) -> None:
        super().__init__(_redacted(reason))
        self.wait = wait
        """The least number of seconds to wait, by the server's wish."""


async def _value_of(value: object) -> Any:
    """The value; if it is a function or a coroutine function, its result."""
    result = value() if callable(value) else value
    return await result if inspect.isawaitable(result) else result


async def _evaluated(value: object, name: str) -> Any:
    """The value; if it is a function of the user, its result.

    :param name: what the function is for, in the message.
    :raises _Passing: if the function fails. A server that issues tokens may be unavailable for a moment.
    """
    try:
        return await _value_of(value)
    except Exception as error:
        raise _Passing(f"the function for {name} failed: {type(error).__name__}: {error}") from error


def _bearer(token: object) -> dict[str, str]:
    """The header that sends a token; no header for None.

    :raises ValueError: if the token cannot be sent in a header. The message does not show the token.
    """
    if token is None:
        return {}
    if not (isinstance(token, str) and token and token.isascii() and token.isprintable()):
        raise ValueError("the token cannot be sent in a header: it has to be a text of printable ASCII characters")
    return {"Authorization": f"Bearer {token}"}


def _combined(*headers: Headers) -> CIMultiDict[str]:
    """All headers. If several arguments have the same name, the last of them counts.

    :raises ValueError: if a header cannot be sent. The message does not show its value.
    """
    combined: CIMultiDict[str] = CIMultiDict()
    for each in headers:
        combined.update(CIMultiDict(each or ()))
    for name, value in combined.items():
        if _UNSENDABLE.search(f"{name}{value}"):
            raise ValueError(f"the header {name!r} has a control character, which a request cannot have")
    return combined


async def _call(callback: Callback | None, *arguments: object) -> None:
    if callback is not None:
        try:
            result = callback(*arguments)
            if inspect.isawaitable(result):
                await result
        except StopAsyncIteration as error:  # it would look like the end of the stream
            raise RuntimeError("a callback raised StopAsyncIteration") from error


async def _call_all(due: deque[Call]) -> None:
    """Make the calls that are due, the oldest first. A cancelled call stays due; a call that raises does not."""
    while due:
        call = due[0]
        callback, arguments = call
        try:
            await _call(callback, *arguments)
        except asyncio.CancelledError:
            raise
        except BaseException:
            _done(due, call)
            raise
        _done(due, call)


def _done(due: deque[Call], call: Call) -> None:
    if due and due[0] is call:  # the callback may have closed the stream, which clears the queue
        due.popleft()


def _retry_after(headers: Mapping[str, str]) -> float:
    """The seconds of `Retry-After` (RFC 9110, section 10.2.3); 0 if it is absent or malformed."""
    text = headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:18]), _LONGEST_WAIT)
    try:
        moment = parsedate_to_datetime(text)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return min(max((moment - datetime.now(UTC)).total_seconds(), 0.0), _LONGEST_WAIT)
    except (ValueError, OverflowError):
        return 0.0


async def _body(response: aiohttp.ClientResponse, max_bytes: int) -> bytes:
    """The body of an answer.

    :raises ValueError: if it is larger.
    """
    body = bytearray()
    async for part in response.content.iter_any():
        body += part
        if len(body) > max_bytes:
            raise ValueError(f"an answer of more than {max_bytes} bytes")
    return bytes(body)


async def _problem(response: aiohttp.ClientResponse) -> dict[str, Any]:
    """The problem document of an answer; empty if the body is something else, or does not come soon."""
    try:
        async with asyncio.timeout(_PROBLEM_TIMEOUT):
            return _object(await _body(response, _PROBLEM_BYTES))
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
        return {}


def _object(text: str | bytes) -> dict[str, Any]:
    """The JSON object in a text; empty if the text is something else."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _redirect_error(response: aiohttp.ClientResponse, url: URL) -> Refused:
    """The error for a redirect that is not followed, because the new request would not keep the method and the body."""
    try:
        detail = f"it has moved to {_redacted(url.join(URL(response.headers['Location'])))}; use that address"
    except (KeyError, ValueError):
        detail = "it has moved, and the answer has no new address"
    return Refused(url, response.status, {"detail": detail})


def _lost_a_secret(response: aiohttp.ClientResponse) -> bool:
    """Whether redirects to another origin have removed a token or a cookie from the request."""
    if not response.history:
        return False
    before, after = response.history[0].request_info.headers, response.request_info.headers
    return any(name in before and name not in after for name in _SECRET_HEADERS)


@contextlib.contextmanager
def _reading_answer(url: str) -> Iterator[None]:
    """A context in which the answer of a hub is read.

    :raises Refused: if the answer does not have the form of a hub's.
    """
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError):
        detail = "this is not the answer of a hub; is it another server, or a sign-in page?"
        raise Refused(url, 200, {"detail": detail}) from None


def _reason(error: Exception) -> str:
    """The cause of a failed connection, in a few words."""
    if not isinstance(error, aiohttp.ClientConnectorError):
        return _redacted(error) or type(error).__name__
    where = f"{error.host}:{error.port}"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return f"the name {error.host} does not resolve: {error.os_error.strerror or error.os_error}"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return f"the certificate of {where} is not accepted: {error.certificate_error}"
    if isinstance(error, aiohttp.ClientSSLError) or not error.os_error.errno:
        return f"cannot connect to {where}: {error.os_error}"
    return f"cannot connect to {where}: {os.strerror(error.os_error.errno)}"


def _proxy_error(error: aiohttp.ClientHttpProxyError, url: URL) -> Exception:
    """The error for a proxy that does not open a tunnel."""
    if error.status in _TRY_AGAIN or error.status >= 500:
        return _Passing(f"the proxy answered {error.status}")
    return Refused(url, error.status, {"detail": "this is the answer of a proxy; does it need a name and a password?"})


@contextlib.contextmanager
def _converted_errors(url: URL, shown: URL | str) -> Iterator[None]:
    """A context in which a request is made. It converts the errors of aiohttp and of the system.

    :param url: the URL of the request.
    :param shown: the URL in the message of a URL that cannot be used.
    :raises _Passing: if trying again may help.
    :raises SSEError: if trying again does not help.
    """
    try:
        yield
    except SSEError:  # some are OSErrors, too
        raise
    except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError, aiohttp.TooManyRedirects, UnicodeError) as error:
        raise SSEError(f"{shown} cannot be connected to: {str(error) or type(error).__name__}") from None
    except aiohttp.ClientHttpProxyError as error:
        raise _proxy_error(error, url) from None
    except (aiohttp.ClientError, OSError) as error:
        raise _Passing(_reason(error)) from None


def _seconds(value: timedelta | float) -> float:
    return value.total_seconds() if isinstance(value, timedelta) else float(value)


class _Sessions:
    """The `aiohttp.ClientSession` of the running event loop: the user's, or one for each loop, made when it is needed.

    A session that was made here is closed by `close()`, at the end of its loop (by `loop.shutdown_asyncgens()`, which
    `asyncio.run` calls), or when nothing refers to it any more.

    :param given: the user's session, which stays open.
    """

    def __init__(self, given: aiohttp.ClientSession | None) -> None:
        self._given = given
        self._kept: weakref.WeakKeyDictionary[
            asyncio.AbstractEventLoop, tuple[aiohttp.ClientSession, AsyncGenerator[None, None]]
        ] = weakref.WeakKeyDictionary()
        self._proxies: dict[tuple[str, str | None, int | None], str | None] = {}  # by server; there are few
        _FORKED.add(self)

    def forked(self) -> None:
        _keep_for_ever(list(self._kept.items()))
        self._kept = weakref.WeakKeyDictionary()

    async def get(self) -> aiohttp.ClientSession:
        if self._given is not None:
            return self._given
        loop = asyncio.get_running_loop()
        if loop not in self._kept or self._kept[loop][0].closed:
            # Streams stay open. With aiohttp's limit of 100 connections, the next publish would wait for ever.
            session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
            keeper = _kept_open(session, loop, weakref.ref(self))
            await anext(keeper)
            self._forget_closed()
            self._kept[loop] = session, keeper
        return self._kept[loop][0]

    def forget(self, loop: asyncio.AbstractEventLoop) -> None:
        """Forget the session of an event loop. It refers to its loop, so neither would ever be freed."""
        self._kept.pop(loop, None)

    def _forget_closed(self) -> None:
        """Forget the sessions of event loops that were closed without `loop.shutdown_asyncgens()`."""
        for loop in list(self._kept):
            if loop.is_closed():
                self.forget(loop)

    async def request(self, method: str, url: URL, **options: Any) -> aiohttp.ClientResponse:
        """The answer to a request. If the session was made here, the request uses the proxy of the environment."""
        session = await self.get()
        if self._given is None and options.get("proxy") is None:
            server = url.scheme, url.host, url.port
            if server not in self._proxies:  # a look-up takes a quarter of the time of a request
                self._proxies[server] = _environment_proxy(url)
            options["proxy"] = self._proxies[server]
        return await session.request(method, url, **options)

    async def close(self) -> None:
        session_and_keeper = self._kept.pop(asyncio.get_running_loop(), None)
        if session_and_keeper is not None:
            await session_and_keeper[1].aclose()


def _environment_proxy(url: URL) -> str | None:
    """The proxy for a URL by `HTTP_PROXY`, `HTTPS_PROXY` and `NO_PROXY`, or by the settings of the system.

    aiohttp's own `trust_env` also reads `~/.netrc`, and then refuses requests that have a token.
    """
    proxy = urllib.request.getproxies().get(url.scheme)
    if not proxy or url.host is None or urllib.request.proxy_bypass(f"{url.host}:{url.port}"):
        return None
    return proxy if "://" in proxy else f"http://{proxy}"


async def _kept_open(
    session: aiohttp.ClientSession, loop: asyncio.AbstractEventLoop, owner: weakref.ref[_Sessions]
) -> AsyncGenerator[None, None]:
    """A generator that closes the session when the generator is closed; the event loop closes generators at its end.

    :param owner: forgets the session then. A strong reference would keep it from being freed.
    """
    try:
        yield
    finally:
        if (sessions := owner()) is not None:
            sessions.forget(loop)
        await session.close()


@attrs.frozen
class _Request:
    """One attempt to open a stream.

    It does not refer to the `EventSource`. So a running attempt does not keep alive a source that the user has left.
    """

    method: str
    url: URL
    headers: Headers | Callable[[], Headers | Awaitable[Headers]]
    last_event_id: str
    other_origin: bool
    """Whether the origin of the URL is not that of the user's URL, because of a redirect."""
    answer_timeout: float | None
    options: Mapping[str, Any]

    async def open(self, sessions: _Sessions) -> _Incoming | None:
        """An open event stream; None if the client must not reconnect (204, WHATWG HTML 9.2.3).

        :raises _Passing: if trying again may help.
        :raises SSEError: if trying again does not help.
        """
        for last in (not callable(self.headers), True):
            response = await self._answer(sessions)
            if response.method != self.method and response.history:
                response.close()
                raise _redirect_error(response.history[0], self.url)
            if response.status == 200 and response.content_type == "text/event-stream":
                return _Incoming(response)
            try:
                if response.status == 204:
                    return None
                if response.status != 401 or last:
                    if response.status in {401, 403} and _lost_a_secret(response):
                        raise _redirect_error(response.history[0], self.url)
                    await self._refuse(response)
            finally:
                response.close()
        raise AssertionError("the second answer was returned or raised")

    async def _answer(self, sessions: _Sessions) -> aiohttp.ClientResponse:
        with _converted_errors(self.url, self.url):
            try:
                async with asyncio.timeout(self.answer_timeout) as scope:
                    return await sessions.request(
                        self.method, self.url, **{**self.options, "headers": await self._all_headers()}
                    )
            except TimeoutError:
                if not scope.expired():  # an error of aiohttp
                    raise
                raise _Passing(f"nothing came for {self.answer_timeout:g} s") from None

    async def _all_headers(self) -> CIMultiDict[str]:
        headers: CIMultiDict[str] = await _evaluated(self._given_headers, "headers")
        headers.setdefault("Accept", "text/event-stream")
        # The cache mode is no-store (WHATWG HTML 9.2.2), for which Fetch adds these (HTTP-network-or-cache fetch).
        headers.setdefault("Cache-Control", "no-cache")
        headers.setdefault("Pragma", "no-cache")
        if self.last_event_id:
            headers["Last-Event-ID"] = self.last_event_id
        if self.other_origin:
            # Secrets do not go to another origin, as in a redirect that is followed at once (Fetch, section 4.4).
            for name in _SECRET_HEADERS:
                headers.popall(name, None)
        return headers

    async def _given_headers(self) -> CIMultiDict[str]:
        return _combined(await _value_of(self.headers))

    async def _refuse(self, response: aiohttp.ClientResponse) -> NoReturn:
        status = response.status
        if status in _TRY_AGAIN or status >= 500:
            raise _Passing(f"{response.url} answered {status}", _retry_after(response.headers))
        if status >= 400:
            raise Refused(response.url, status, await _problem(response))
        content_type = response.headers.get("Content-Type", "no content type")
        raise NotAnEventStream(
            f"{response.url} answered {status} with {content_type}; an event stream is 200 text/event-stream"
        )


class _Incoming:
    """The bytes of an event stream, read ahead up to 256 KiB.

    aiohttp returns no more bytes after a connection has broken. Bytes that have arrived before that are already here.
    """

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response
        self._chunks: deque[bytes] = deque()
        self._bytes = 0
        self._end = ""  # the reason why there are no more bytes
        self._came, self._taken = asyncio.Event(), asyncio.Event()
        self._reading = asyncio.create_task(self._read())
        self._reading.add_done_callback(_retrieve)

    async def next(self) -> bytes:
        """The next bytes. A cancelled wait loses none of them.

        :raises _Passing: if there are no more.
        """
        while not self._chunks:
            if self._end:
                raise _Passing(self._end)
            self._came.clear()
            await self._came.wait()
        self._taken.set()
        chunk = self._chunks.popleft()
        self._bytes -= len(chunk)
        return chunk

    def close(self) -> None:
        self._reading.cancel()
        self.response.close()

    async def _read(self) -> None:
        try:
            while data := await self._some():
                self._chunks.append(data)
                self._bytes += len(data)
                self._came.set()
                while self._bytes > _READ_AHEAD_BYTES:
                    self._taken.clear()
                    await self._taken.wait()
            self._end = "the server ended the stream"
        except _Passing as passing:
            self._end = str(passing)
        except (aiohttp.ClientError, OSError, RuntimeError) as error:  # RuntimeError if it was closed before
            self._end = f"the connection broke: {_reason(error)}"
        finally:
            self._end = self._end or "reading was cancelled"
            self._came.set()
            self.response.close()

    async def _some(self) -> bytes:
        while True:
            scope = asyncio.timeout(_CHECK_PERIOD)
            try:
                async with scope:
                    return await self.response.content.readany()
            except TimeoutError:
                if not scope.expired():  # an error of aiohttp
                    raise
            if self.response.connection is not None and self.response.connection.transport is None:
                raise _Passing("the connection broke")


_WAITS_FOR_ITSELF = "a callback cannot wait for the stream that has called it"


class _Turn:
    """A lock for several tasks that wait for one stream. A callback of the stream, which runs under it, cannot wait for
    it."""

    def __init__(self) -> None:
        self._lock = asyncio.Lock()
        self._holder: asyncio.Task[Any] | None = None

    async def __aenter__(self) -> None:
        task = asyncio.current_task()
        if task is self._holder:
            raise RuntimeError(_WAITS_FOR_ITSELF)
        await self._lock.acquire()
        self._holder = task

    async def __aexit__(self, *_: object) -> None:
        self._holder = None
        self._lock.release()


class _Connection:
    """The connection of an `EventSource` in one event loop, or the attempt to make it."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._pid = os.getpid()
        _FORKED.add(self)
        # Several tasks may wait for the same source. One after the other advances it, or takes the next event from it.
        self.step, self.take = _Turn(), _Turn()
        self.scopes: set[asyncio.Timeout] = set()  # of the running waits
        self.attempt: asyncio.Task[_Incoming | None] | None = None
        self.incoming: _Incoming | None = None

    def begin(self, attempt: Coroutine[Any, Any, _Incoming | None]) -> None:
        self.attempt = asyncio.create_task(attempt)
        self.attempt.add_done_callback(_retrieve)

    def close(self) -> None:
        for scope in self.scopes:
            if not scope.expired():
                scope.reschedule(0)
        attempt, self.attempt = self.attempt, None
        if attempt is not None:
            attempt.cancel()
            attempt.add_done_callback(_close_opened)
        incoming, self.incoming = self.incoming, None
        if incoming is not None:
            incoming.close()

    def abandon(self) -> None:
        """Close it from any thread, because the garbage collector may run in any."""
        _call_in_loop(self._pid, self.loop, self.close)

    def forked(self) -> None:
        _keep_for_ever((self.loop, self.attempt, self.incoming))
        self.attempt = self.incoming = None


def _retrieve(task: asyncio.Task[Any]) -> None:
    """Retrieve the error of a task, so that asyncio does not log it if no task waits for it any more."""
    if not task.cancelled():
        task.exception()


def _close_opened(attempt: asyncio.Task[_Incoming | None]) -> None:
    if not attempt.cancelled() and attempt.exception() is None and (incoming := attempt.result()) is not None:
        incoming.close()


class EventSource:
    """An event stream of any server, as an asynchronous iterator of `Event`. It reconnects for ever.

    The interface is that of `aiohttp_sse_client.client.EventSource`. Use `async with`, or call `close()`.

    :param url: the URL of the stream.
    :param option: `{"method": "POST"}` for a method other than GET.
    :param reconnection_time: time before the first attempt to reconnect, until the stream sends another (`retry:`);
        seconds or a timedelta.
    :param max_connect_retry: number of retries of the first connection; None for no limit.
    :param session: the session to use; it stays open. By default, one is made and closed with this object.
    :param on_open: called without an argument for each connection. Callbacks may be coroutine functions.
    :param on_message: called with each event, before the iterator returns it.
    :param on_error: called without an argument when a connection breaks or fails.
    :param max_retries: number of attempts to reconnect in a row; None for no limit.
    :param max_reconnection_time: longest time between two attempts, unless the server sends a longer one; seconds or a
        timedelta.
    :param idle_timeout: seconds without a byte after which the connection counts as broken; comments count as bytes.
        None for no limit. `auto` means 45 seconds, or three pings of a hub that says that they are longer.
    :param last_event_id: the id to resume after: the `last_event_id` of an earlier source or event.
    :param max_event_bytes: see `EventParser`.
    :param headers: headers of the request. A function, or coroutine function, is called for each attempt.
    :param kwargs: options of `aiohttp.ClientSession.request`: `params`, `json`, `data`, `proxy`, `ssl`, `timeout` …
        A body is sent again with each attempt, so it must not be a file or an iterator.
    :raises ValueError: if a parameter cannot be used.

    Connecting and iterating raise `Refused`, `NotAnEventStream`, `GaveUp` or `EventTooLarge`. After an error or a 204,
    the iterator has ended. Network failures and the answers 408, 425, 429 and 5xx are tried again.

    The pause before the next attempt, the attempt, the connection and the events that have arrived belong to this
    object, not to the task that waits. So the next wait continues a cancelled one.
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
        idle_timeout: float | Literal["auto"] | None = "auto",
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
        self._sessions, self._borrowed = _Sessions(session), False
        self._on_open, self._on_message, self._on_error = on_open, on_message, on_error
        self._reconnection_time = _seconds(reconnection_time)
        self._max_reconnection_time = _seconds(max_reconnection_time)
        self._max_connect_retry, self._max_retries = max_connect_retry, max_retries
        self._follows_pings = idle_timeout == "auto"
        self._idle_timeout = self._answer_timeout = DEFAULT_IDLE_TIMEOUT if idle_timeout == "auto" else idle_timeout
        self._headers = headers if callable(headers) else _combined(headers)
        self._kwargs = {"timeout": aiohttp.ClientTimeout(total=None, sock_connect=30), "max_redirects": 20, **kwargs}

        self._parser = EventParser(max_event_bytes=max_event_bytes, last_event_id=last_event_id)
        self._events: deque[Parsed] = deque()
        self._last_event_id = last_event_id
        self._former_event_id = last_event_id  # the cursor before the last returned event
        self._given_back: deque[tuple[asyncio.Future[Any], str]] = deque()  # with the cursor before
        self._ready_state = READY_STATE_CONNECTING
        self._was_open = False
        self._failures = 0  # connections in a row that have failed, or were short, or have brought nothing
        self._opened_at = math.inf  # monotonic clock
        self._not_before = 0.0  # time of the next attempt (monotonic clock)
        self._brought = False  # whether this connection has brought bytes
        self._greeted = False  # whether it has brought an event
        self._unsendable = ""  # the last id that a header cannot have
        self._quiet_since: float | None = None  # beginning of a wait without bytes (monotonic clock)
        self._due: deque[Call] = deque()  # callbacks that have not been called yet
        self._error: SSEError | None = None  # the error that ends the stream, until it is raised
        self._too_large: EventTooLarge | None = None  # the error after the events that wait
        self._connection: _Connection | None = None
        self._finalizer: weakref.finalize[[], EventSource] | None = None  # closes the connection if this object is left

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
        if self._given_back:
            return cast("Event", self._given_back.popleft()[0].result())
        async with self.turn():
            return await self.take()

    def turn(self) -> _Turn:
        """A context for `take`: several tasks get one event after the other, each after its callbacks were called."""
        return self._current().take

    async def take(self) -> Event:
        """The next event, without those that were given back."""
        await self._advance_until(lambda connection: bool(self._events) or self._ready_state == READY_STATE_CLOSED)
        if self._ready_state == READY_STATE_CLOSED:
            raise StopAsyncIteration
        parsed, cursor = self._events.popleft(), self._last_event_id
        type, data, id = parsed
        # While more events wait, the cursor is the id of the event that is returned.
        self._last_event_id = id if self._events else self._parser.last_event_id
        event = Event(type or "message", type, data, self._origin, id)
        try:
            await _call(self._on_message, event)
        except asyncio.CancelledError:
            self._events.appendleft(parsed)
            self._last_event_id = cursor
            raise
        self._former_event_id = cursor
        return event

    @property
    def url(self) -> URL:
        """The URL to which it connects: the given one, or that of a permanent redirect (301, 308)."""
        return self._url

    @property
    def ready_state(self) -> int:
        """`READY_STATE_CONNECTING`, `READY_STATE_OPEN` or `READY_STATE_CLOSED`."""
        return self._ready_state

    @property
    def last_event_id(self) -> str:
        """The cursor: the id of the last returned event. Another source can resume after it."""
        return self._given_back[0][1] if self._given_back else self._last_event_id

    @property
    def _origin(self) -> str:
        incoming = None if self._connection is None else self._connection.incoming
        return str((self._url if incoming is None else incoming.response.url).origin())

    async def connect(self, retry: int | None = None) -> None:
        """Wait until the stream is open.

        :param retry: replaces `max_connect_retry`.
        :raises SSEError: see the class.
        """
        self._max_connect_retry = self._max_connect_retry if retry is None else retry
        await self._advance_until(
            lambda connection: connection.incoming is not None or self._ready_state == READY_STATE_CLOSED
        )

    async def close(self) -> None:
        """Close the connection. A waiting iteration ends."""
        self._ready_state = READY_STATE_CLOSED
        self._due.clear()
        self._last_event_id = self.last_event_id
        self._given_back.clear()
        await self._release()

    def give_back(self, wait: asyncio.Future[Any]) -> None:
        """Make the result of a wait that has just ended, an event or an error, that of the next wait."""
        returned = not wait.cancelled() and wait.exception() is None
        self._given_back.append((wait, self._former_event_id if returned else self._last_event_id))

    @property
    def has_given_back(self) -> bool:
        """Whether the next wait ends at once, with what was given back."""
        return bool(self._given_back)

    @property
    def is_over(self) -> bool:
        """Whether the next wait only says that it has ended: no callback has to be called, and no error raised."""
        waits = self._given_back or self._due or self._error is not None
        return self._ready_state == READY_STATE_CLOSED and not waits

    def borrow(self, sessions: _Sessions) -> None:
        """Use the sessions of a client, which stay open."""
        self._sessions, self._borrowed = sessions, True

    async def _advance_until(self, reached: Callable[[_Connection], bool]) -> None:
        """Do one step after the other until a condition holds. Callbacks and errors come first."""
        while True:
            connection = self._current()
            if self._due:
                async with connection.step:
                    await _call_all(self._due)
            elif self._error is not None:
                await self._release()
                error, self._error = self._error, None
                try:
                    if error is not None:
                        raise error
                finally:
                    del error  # a cycle: it refers to this frame
            elif reached(connection):
                return
            else:
                async with connection.step:
                    if not (self._due or self._error or reached(connection)):
                        await self._step(connection)

    def _current(self) -> _Connection:
        loop = asyncio.get_running_loop()
        if self._connection is None or self._connection.loop is not loop:
            if self._connection is not None:
                self._connection.abandon()
            self._connection = _Connection(loop)
            if self._finalizer is not None:
                self._finalizer.detach()  # it refers to the former loop
            self._finalizer = weakref.finalize(self, self._connection.abandon)
            self._finalizer.atexit = False
        return self._connection

    async def _step(self, connection: _Connection) -> None:
        if connection.incoming is not None:
            await self._receive(connection, connection.incoming)
        elif (pause := self._not_before - time.monotonic()) > 0:
            with contextlib.suppress(_Passing):
                await self._within(connection, None, asyncio.sleep(pause))
        else:
            await self._attempt(connection)

    async def _attempt(self, connection: _Connection) -> None:
        if connection.attempt is None:
            connection.begin(self._request().open(self._sessions))
        assert connection.attempt is not None
        with contextlib.suppress(_Passing):
            await self._within(connection, None, asyncio.wait([connection.attempt]))
        attempt, connection.attempt = connection.attempt, None
        if attempt is None:
            return  # closed meanwhile
        try:
            incoming = attempt.result()
        except _Passing as passing:
            self._pause(passing)
        except SSEError as error:
            self._fail(error)
        except asyncio.CancelledError:  # the attempt was cancelled, and not this task
            self._pause(_Passing("the attempt was cancelled"))
        else:
            await self._opened(connection, incoming)
        finally:
            del attempt  # a cycle: its error refers to this frame

    def _request(self) -> _Request:
        other_origin = self._url.origin() != self._origin_url.origin()
        id = self._sendable_id()
        return _Request(self._method, self._url, self._headers, id, other_origin, self._answer_timeout, self._kwargs)

    def _sendable_id(self) -> str:
        """The cursor; empty if a header cannot have it. A request that cannot be sent would fail for ever."""
        id = self._parser.last_event_id
        if len(id) <= _LONGEST_ID and not _UNSENDABLE.search(id) and _is_utf8(id):
            return id
        if id != self._unsendable:
            self._unsendable = id
            logger.warning("%s: the id %.50r cannot be sent; the stream does not resume", _redacted(self._url), id)
        return ""

    async def _opened(self, connection: _Connection, incoming: _Incoming | None) -> None:
        if incoming is None:
            self._ready_state = READY_STATE_CLOSED
            await self._release()
            return
        connection.incoming = incoming
        self._remember_redirects(incoming.response)
        self._parser.reset()
        self._was_open = True
        self._quiet_since, self._opened_at, self._brought = None, time.monotonic(), False
        self._greeted = False
        self._ready_state = READY_STATE_OPEN
        self._due.append((self._on_open, ()))

    def _remember_redirects(self, response: aiohttp.ClientResponse) -> None:
        hops = [*response.history, response]
        for hop, following in pairwise(hops):
            if hop.status not in {301, 308}:
                return
            same = following.url.origin() == self._url.origin()
            # aiohttp removes user and password from a URL. Within an origin, they stay the same.
            user, password = (self._url.user, self._url.password) if same else (None, None)
            self._url = following.url.with_user(user).with_password(password) if user else following.url
            self._kwargs.pop("params", None)  # the new URL is complete
            if self._url.origin() != self._origin_url.origin():
                for secret in ("auth", "cookies"):
                    self._kwargs.pop(secret, None)

    async def _receive(self, connection: _Connection, incoming: _Incoming) -> None:
        """Wait for bytes and queue the events in them. If there are no more, close the connection."""
        too_large, self._too_large = self._too_large, None
        if too_large is not None:
            self._fail(too_large)
            return
        try:
            arrived = self._parser.feed(await self._some_of(connection, incoming))
        except EventTooLarge as error:
            self._too_large = error.with_traceback(None)  # it is raised after the events before it
            self._events.extend(error.events)
        except _Passing as passing:
            connection.close()
            if self._brought and time.monotonic() - self._opened_at >= _GOOD_AFTER:
                self._failures = 0
            self._pause(passing)
        else:
            self._brought = True
            self._events.extend(arrived)
            if arrived and not self._greeted:
                self._greeted = True
                self._follow_pings(arrived[0])
            if self._events:
                self._failures = 0
            else:
                self._last_event_id = self._parser.last_event_id

    def _follow_pings(self, first: Parsed) -> None:
        """Wait longer for a hub that says in its first event that its pings are rare."""
        if self._follows_pings and first.type == "connected":
            ping = _object(first.data).get("ping")
            is_number = isinstance(ping, int | float) and not isinstance(ping, bool)
            wanted = min(_PINGS * cast("float", ping), _LONGEST_WAIT) if is_number else 0.0
            self._idle_timeout = wanted if wanted > DEFAULT_IDLE_TIMEOUT else DEFAULT_IDLE_TIMEOUT

    async def _some_of(self, connection: _Connection, incoming: _Incoming) -> bytes:
        """The next bytes.

        :raises _Passing: if there are no more, or if none come for `idle_timeout`.
        """
        left = None
        if self._idle_timeout is not None:
            # The time runs on from one wait to the next. Otherwise short waits would never notice a silence.
            self._quiet_since = self._quiet_since or time.monotonic()
            left = max(self._quiet_since + self._idle_timeout - time.monotonic(), 0)
        data = await self._within(connection, left, incoming.next())
        self._quiet_since = None
        return data

    def _pause(self, passing: _Passing) -> None:
        """Set the time of the next attempt. The first one comes after the server's reconnection time. With further
        failures in a row, the pause grows. It is random, so that many clients do not come back at once."""
        if self._ready_state == READY_STATE_CLOSED:
            return
        first = not self._was_open and self._max_connect_retry is not None
        limit = self._max_connect_retry if first else self._max_retries
        if limit is not None and self._failures >= limit:
            self._fail(GaveUp(f"gave up on {self._url} after {self._failures} retries: {passing}"))
            return
        self._ready_state = READY_STATE_CONNECTING
        self._due.append((self._on_error, ()))
        delay = self._delay(passing)
        level = logging.WARNING if self._failures or not self._was_open else logging.INFO
        logger.log(level, "%s: %s; connecting again in %.1f s", _redacted(self._url), passing, delay)
        self._failures += 1
        self._not_before = time.monotonic() + delay

    def _delay(self, passing: _Passing) -> float:
        """The seconds until the next attempt. No library does this: it has to respect two times of the server, `retry`
        and `Retry-After`."""
        sent = None if self._parser.retry_ms is None else self._parser.retry_ms / 1000
        base = self._reconnection_time if sent is None else sent
        # The client's own time is spread over its second half. A server spreads the times that it sends.
        first = min(base, self._max_reconnection_time) / 2 if sent is None else min(sent, _LONGEST_WAIT)
        if sent is not None and not self._failures:
            return max(first, passing.wait)
        # Even with a reconnection time of 0, a server that refuses connections gets a pause.
        grown = max(base, 0.1 if self._failures else 0.0) * 2 ** min(self._failures, 30)
        spread = min(grown, self._max_reconnection_time)
        return max(first, passing.wait) + random.uniform(0, spread if sent is not None else max(spread - first, 0.0))

    async def _within(self, connection: _Connection, seconds: float | None, awaitable: Awaitable[T]) -> T:
        """Wait for something, at most for a time, and at most until the connection is closed.

        :raises _Passing: if the wait has ended without a result.
        """
        scope = asyncio.timeout(seconds)
        try:
            async with scope:
                connection.scopes.add(scope)
                return await awaitable
        except TimeoutError:
            if not scope.expired():  # an error of aiohttp
                raise
            raise _Passing(f"nothing came for {self._idle_timeout} s") from None
        finally:
            connection.scopes.discard(scope)

    def _fail(self, error: SSEError) -> None:
        """End with an error. It is raised after the callback has been called."""
        if self._ready_state != READY_STATE_CLOSED:
            self._ready_state = READY_STATE_CLOSED
            self._due.append((self._on_error, ()))
        self._error = error

    async def _release(self) -> None:
        if self._connection is not None:
            if self._connection.loop is asyncio.get_running_loop():
                self._connection.close()
            else:
                self._connection.abandon()
        if not self._borrowed:
            await self._sessions.close()


@attrs.frozen(slots=True)
class Published:
    """A hub's acknowledgement."""

    id: str | None
    """Id of the event, or of the last event of a batch; None for ephemeral events."""
    channel: str
    event: str
    subscribers: int
    """Number of subscribers of the channel."""
    count: int = 1
    """Number of published events."""


@attrs.frozen(slots=True)
class Channel:
    """A channel of a hub."""

    name: str
    subscribers: int
    events: int
    """Number of retained events."""
    first: str | None = None
    last: str | None = None


class Channels:
    """The channels of a hub, as an asynchronous iterator read page by page. `await` returns a list of all."""

    def __init__(self, page: Callable[[str], Awaitable[tuple[list[Channel], str]]]) -> None:
        self._page = page

    async def __aiter__(self) -> AsyncIterator[Channel]:
        after = ""
        while True:
            channels, after = await self._page(after)
            for channel in channels:
                yield channel
            if not after:
                return

    def __await__(self) -> Generator[Any, None, list[Channel]]:
        return self.all().__await__()

    async def all(self) -> list[Channel]:
        """A list of all channels."""
        return [channel async for channel in self]


@attrs.frozen(slots=True)
class History:
    """Retained events of a channel, oldest first."""

    events: list[Event]
    lost: bool
    """Whether events after the given cursor are gone."""


@attrs.frozen(slots=True)
class Lost:
    """A gap: events that a stream can no longer deliver."""

    after: str
    """Id of the last event before the gap; empty if it is unknown."""
    next: str
    """Id of the first event after the gap, or the cursor from which the stream continues."""


def _is_utf8(text: str) -> bool:
    try:
        return text.isascii() or bool(text.encode())
    except UnicodeEncodeError:
        return False


def _utf8(text: str) -> str:
    """Return the text as it is.

    :raises ValueError: if it has no UTF-8. Bytes of the command line that Python could not decode have none.
    """
    if not _is_utf8(text):
        raise ValueError(f"UTF-8 cannot express {text[:50]!a}: it has a lone surrogate")
    return text


def _path_segment(name: str) -> str:
    """A name as a segment of a URL's path."""
    return quote(_utf8(name), safe="")


def _from_json(value: Mapping[str, Any], cls: type[T]) -> T:
    """An object of a class from its keys in the mapping. A newer hub may send more keys."""
    names = [each.name for each in attrs.fields(cls)]  # type: ignore[arg-type]
    return cls(**{name: value[name] for name in names if name in value})


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
    """Channels of a hub, as an asynchronous iterator of `Event`: each event once and in order, over all reconnects.

    `SSEClient` makes it. `async with` or `close()` ends it, and so does the end of its client.
    """

    def __init__(
        self,
        source: EventSource,
        on_lost: Callback | None,
        on_notice: Callback | None,
        ends: bool,
    ) -> None:
        self.ended: str | None = None
        """The reason why the channel has ended: `done`, `failed`, `cancelled` or `abandoned`; None if it is open."""
        self._source = source
        self._ends = ends
        self._on_lost = on_lost or functools.partial(_log_loss, source)  # no method: this stream would refer to itself
        self._on_notice = on_notice
        self._newest = _id_order(source.last_event_id)  # the highest id that has arrived
        self._due: deque[Call] = deque()  # callbacks that have not been called yet

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        if self._source.has_given_back:
            return await anext(self._source)
        async with self._source.turn():
            return await self._take()

    async def _take(self) -> Event:
        while True:
            await _call_all(self._due)
            if self.ended is not None:
                await self.close()
                raise StopAsyncIteration
            received = await self._source.take()
            if received.type in _CONTROL:
                self._notice(received)
                continue
            event = self._event(received)
            if event.type == "end" and self._ends:
                self.ended = str(_object(event.data).get("reason", ""))
                self._due.append((self._on_notice, (event,)))
            elif self._is_new(event.last_event_id if event is received else _object(received.data)["id"]):
                return event

    def _event(self, received: Event) -> Event:
        """The event in an envelope. An event `end` may come without an envelope.

        :raises SSEError: if it is something else.
        """
        if received.type == "end":
            return received
        try:
            return _enveloped(json.loads(received.data), received.origin, received.last_event_id)
        except (LookupError, TypeError, ValueError, AttributeError, RecursionError):
            url = self._source.url
            raise SSEError(f"{url} sent an event that no hub sends; EventSource reads streams of any server") from None

    def _is_new(self, id: object) -> bool:
        order = _id_order(id) if isinstance(id, str) else None
        if order is not None:
            if self._newest is not None and order <= self._newest:
                return False  # it has arrived before, but the connection broke before the cursor was kept
            self._newest = order
        return True

    async def __aenter__(self) -> Self:
        await self._source.__aenter__()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def last_event_id(self) -> str:
        """The cursor: the id of the last returned event. Another stream can resume after it (`last_event_id=`)."""
        return self._source.last_event_id

    @property
    def ready_state(self) -> int:
        """`READY_STATE_CONNECTING`, `READY_STATE_OPEN` or `READY_STATE_CLOSED`."""
        return self._source.ready_state

    @property
    def is_over(self) -> bool:
        """See `EventSource.is_over`."""
        return self._source.is_over and not self._due

    async def close(self) -> None:
        """Close the connection. A waiting iteration ends."""
        self._due.clear()
        await self._source.close()

    def give_back(self, wait: asyncio.Future[Any]) -> None:
        """See `EventSource.give_back`."""
        self._source.give_back(wait)

    def _notice(self, event: Event) -> None:
        """Handle one of the hub's own events."""
        fields = _object(event.data)
        if event.type == "error":
            logger.warning("%s: %s", _redacted(self._source.url), _redacted(event.data))
        elif event.type == "connected" and fields.get("lost"):
            before = "" if self._newest is None else "{}-{}".format(*self._newest)
            self._newest = _id_order(event.last_event_id)  # these may be the ids of another hub
            self._due.append((self._on_lost, (Lost(before, event.last_event_id),)))
        elif event.type == "lost":
            self._due.append((self._on_lost, (Lost(str(fields.get("after", "")), str(fields.get("next", ""))),)))
        self._due.append((self._on_notice, (event,)))


def _log_loss(source: EventSource, lost: Lost) -> None:
    url, after = _redacted(source.url), lost.after or "an unknown id"
    logger.warning("%s: events after %s are lost; the stream goes on from %s", url, after, lost.next)


class SSEClient:
    """A client of a hub. Use `async with`, or call `close()`.

    :param base_url: the URL of the hub. It may have a path, if the hub is mounted there.
    :param token: a bearer token, or a function or coroutine function that returns one and is called for each request.
    :param session: the session to use; it stays open. By default, one is made.
    :param idle_timeout: see `EventSource`.
    :param headers: headers of each request. A function, or coroutine function, is called for each request.
    :param options: options of `aiohttp.ClientSession.request`: `proxy`, `ssl`, `params` …
    :raises ValueError: if the token or a header cannot be sent, or if there is a token and the URL has a user, too.

    A publish is tried again until it is acknowledged. An `Idempotency-Key` makes sure that it happens once. Every
    method that sends a request raises `Refused` if the hub refuses the request.
    """

    def __init__(
        self,
        base_url: str | URL = DEFAULT_URL,
        *,
        token: str | Callable[[], str | Awaitable[str]] | None = None,
        session: aiohttp.ClientSession | None = None,
        idle_timeout: float | Literal["auto"] | None = "auto",
        headers: Headers | Callable[[], Headers | Awaitable[Headers]] = None,
        **options: Any,
    ) -> None:
        if not callable(token):
            _bearer(token)
        if token is not None and URL(base_url).user is not None:
            raise ValueError("the URL has a user and there is a token; give only one of them")
        self._base = str(URL(base_url)).rstrip("/")  # percent-encoded
        self._token = token
        self._sessions = _Sessions(session)
        self._idle_timeout = idle_timeout
        self._given_headers = headers if callable(headers) else _combined(headers)
        self._parameters = options.pop("params", None)
        self._options = options
        self._streams: weakref.WeakSet[Stream] = weakref.WeakSet()
        self._requests: set[asyncio.Task[Any]] = set()  # the running ones
        self._ends: set[asyncio.Task[None]] = set()  # of runs whose tasks do not wait for them
        self._scopes: weakref.WeakKeyDictionary[asyncio.Timeout, asyncio.AbstractEventLoop]  # that `close` ends
        self._scopes = weakref.WeakKeyDictionary()
        self._failures = 0  # publishes in a row that were not acknowledged
        self._not_before = 0.0  # time of the next publish (monotonic clock)
        self._reason = "no answer"  # the reason of the last failure
        _FORKED.add(self)

    def forked(self) -> None:
        """Forget the running requests, which belong to the parent process."""
        _keep_for_ever((self._requests, self._ends, list(self._scopes)))
        self._requests, self._ends, self._scopes = set(), set(), weakref.WeakKeyDictionary()

    @classmethod
    def sync(cls, base_url: str | URL = DEFAULT_URL, **options: Any) -> SyncClient:
        """The same client without `await`. Use `with`."""
        return SyncClient(base_url, **options)

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    async def close(self) -> None:
        """End all streams and close the connections. A publish that is not acknowledged yet raises `NotAcknowledged`,
        any other request an `SSEError`. The end of a run that was cancelled has up to 5 s to be published."""
        loop = asyncio.get_running_loop()
        if any(each.get_loop() is loop for each in self._ends):
            await asyncio.shield(self._close_after([each for each in self._ends if each.get_loop() is loop]))
        else:
            await self._close()

    async def _close_after(self, ends: Sequence[asyncio.Task[None]]) -> None:
        await asyncio.wait(ends)
        await self._close()

    async def _close(self) -> None:
        for stream in list(self._streams):
            await stream.close()
        loop = asyncio.get_running_loop()
        for scope, its_loop in list(self._scopes.items()):
            if its_loop is loop:
                del self._scopes[scope]  # so that its end is not taken for that of its time
                if not scope.expired():
                    scope.reschedule(0)
        await _cancelled(task for task in self._requests if task.get_loop() is loop)
        await self._sessions.close()

    def stream(self, *channels: str, **options: Any) -> Stream:
        """The events of these channels and patterns; by default, of `main`.

        :param options: those of `follow`.
        """
        names = channels or ("main",)
        options.setdefault("ends", len(names) == 1 and "*" not in names[0])
        return self.follow("/stream", [("channel", _utf8(name)) for name in names], **options)

    def channel(self, name: str, **options: Any) -> Stream:
        """The events of one channel.

        :param options: those of `follow`.
        """
        return self.follow(f"/realtime/{_path_segment(name)}", **{"ends": True, **options})

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
        replay: int | Literal["latest"] | None = None,
        from_start: bool = False,
        conflate: float | None = None,
        last_event_id: str = "",
        on_lost: Callback | None = None,
        on_notice: Callback | None = None,
        ends: bool = False,
        headers: Headers | Callable[[], Headers | Awaitable[Headers]] = None,
        session: aiohttp.ClientSession | None = None,
        **options: Any,
    ) -> Stream:
        """The event stream at a path of the hub.

        :param parameters: query parameters.
        :param events: event types; by default, all.
        :param replay: begin this number of events back; with `latest`, begin with the newest event of each channel.
        :param from_start: begin with the first event of each channel.
        :param conflate: seconds in which at most one event of each channel and type comes, the newest.
        :param last_event_id: resume after this id. It wins over the other beginnings.
        :param on_lost: called with a `Lost` when events are gone; by default, a warning is logged.
        :param on_notice: called with each of the hub's own events: `connected`, `live`, `lost`, `closing`, `error`.
        :param ends: whether the stream ends with its channel. Otherwise `end` is an event like others.
        :param headers: headers besides those of the client and its token, or a function as in `EventSource`.
        :param session: the session to use instead of that of the client; it stays open.
        :param options: options of `EventSource`: `max_retries`, `on_open`, `on_error` …
        """
        query = [*parameters, ("envelope", "1"), *(("event", type) for type in events)]
        if replay is not None:
            query.append(("replay", str(replay)))
        if from_start:
            query.append(("from", "start"))
        if conflate is not None:
            query.append(("conflate", str(round(conflate * 1000))))
        source = EventSource(
            self._url(path).extend_query(query),
            session=session,
            headers=self._stream_headers(headers),
            last_event_id=last_event_id,
            **{"idle_timeout": self._idle_timeout, **self._options, **options},
        )
        if session is None:
            source.borrow(self._sessions)
        stream = Stream(source, on_lost, on_notice, ends)
        self._streams.add(stream)
        return stream

    async def publish(
        self,
        data: object,
        *,
        channel: str = "main",
        event: str = "message",
        ephemeral: bool = False,
        end: str = "",
        deadline: float = DEFAULT_DEADLINE,
    ) -> Published:
        """Publish an event, exactly once.

        :param data: a text is published as it is, bytes as UTF-8, any other value as JSON.
        :param end: ends the channel with this event, in the same step: `done`, `failed` or `cancelled`.
        :param deadline: seconds within which it must be acknowledged. A hub remembers a publish for 600 s.
        :raises NotAcknowledged: if it was not acknowledged in time.
        :raises Ended: if the channel has ended.
        :raises ValueError: if the data, a name or the reason cannot be published.
        """
        text, query = _text(data), self._publish_query(event, ephemeral)
        if end and not text:
            raise ValueError("an empty text cannot end a channel; call `end` after it")
        return await self._publish_texts(channel, query, [text], _end_reason(end) if end else "", deadline)

    async def end(self, channel: str, reason: str = "done", *, deadline: float = DEFAULT_DEADLINE) -> Published:
        """End a channel. It takes no more events until it is forgotten.

        :param reason: `done`, `failed` or `cancelled`.
        :param deadline: see `publish`.
        :raises NotAcknowledged: if it was not acknowledged in time.
        :raises Ended: if it has ended already.
        """
        return await self._publish_texts(channel, {}, [], _end_reason(reason), deadline)

    async def forget(self, channel: str, *, deadline: float = DEFAULT_DEADLINE) -> None:
        """Forget the retained events of a channel and its end. It can then be used again.

        :param deadline: see `publish`.
        :raises NotAcknowledged: if it was not acknowledged in time.
        """
        await self._until_acknowledged("DELETE", f"/realtime/{_path_segment(channel)}", deadline, expected=(200, 204))

    def run(
        self,
        channel: str,
        *,
        event: str = "message",
        interrupt: bool = False,
        deadline: float = DEFAULT_DEADLINE,
    ) -> Run:
        """A channel that is written to its end: `async with client.run("chat.42") as run: await run.write(token)`.

        :param event: type of its events.
        :param interrupt: whether to follow the channel and interrupt the block as soon as another client has ended it.
            Otherwise, the next `write` fails.
        :param deadline: seconds within which each request must be acknowledged.
        """
        return Run(self, f"{self._base}/realtime/{_path_segment(channel)}", channel, event, interrupt, deadline)

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

        :param timestamp: the time of the message; by default, the time at which the hub accepts it.
        :param deadline: see `publish`.
        :raises NotAcknowledged: if it was not acknowledged in time.
        """
        body = {"message": message, "event": event, "channel": [channel] if isinstance(channel, str) else list(channel)}
        if timestamp is not None:
            body["timestamp"] = timestamp.isoformat()
        answers = await self._post("/api/broadcast", {}, _text(body).encode(), "application/json", deadline)
        with _reading_answer(self._base):
            return [self._published(answer) for answer in (answers if isinstance(answers, list) else [answers])]

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
        """Publish all items in their order, each exactly once, many in one request; return their number.

        The next batch is gathered after the last one was acknowledged, so a fast source is not faster than the hub. The
        items of a slow asynchronous source are published at once.

        :param items: see `data` of `publish`. A plain iterable should not wait, because it blocks the event loop. An
            asynchronous generator is closed at the end, also after an error.
        :param deadline: seconds within which each batch must be acknowledged.
        :param on_batch: called with the `Published` of each batch.
        :raises NotAcknowledged: if a batch was not acknowledged in time; the batches before it are published.
        """
        count = 0
        query = self._publish_query(event, ephemeral)
        try:
            async with self._within(None), contextlib.aclosing(_batches(items)) as batches:
                async for batch in batches:
                    async for published in self._publish_batch(channel, query, batch, "", deadline):
                        count += published.count
                        await _call(on_batch, published)
        except _Closed:
            raise NotAcknowledged(f"{self._base}: the client was closed; {count} items were published before") from None
        return count

    async def _publish_batch(
        self, channel: str, query: Mapping[str, str], texts: Sequence[str], end: str, deadline: float
    ) -> AsyncIterator[Published]:
        """Publish texts in one request, or in several if the batch is too large for the hub (413).

        :param query: `event` and `ephemeral`.
        :param texts: one text; or several, each of them one line that is not empty.
        :param end: the reason for which the channel ends with them; empty if it does not end.
        :param deadline: see `publish`.
        """
        try:
            published = await self._publish_texts(channel, query, texts, end, deadline)
        except Refused as refused:
            if refused.status != 413 or len(texts) < 2:
                raise
        else:
            yield published
            return
        half = len(texts) // 2
        for part, part_end in ((texts[:half], ""), (texts[half:], end)):
            async for published in self._publish_batch(channel, query, part, part_end, deadline):
                yield published

    async def _publish_texts(
        self, channel: str, query: Mapping[str, str], texts: Sequence[str], end: str, deadline: float
    ) -> Published:
        """One request of `_publish_batch`."""
        body, kind = "\n".join(texts).encode(), "application/x-ndjson"
        if len(texts) < 2:
            kind = "text/plain; charset=utf-8"
        ending = {"end": end} if end else {}
        answer = await self._post(f"/realtime/{_path_segment(channel)}", {**query, **ending}, body, kind, deadline)
        with _reading_answer(self._base):
            return self._published(answer)

    def channels(self, match: str = "*") -> Channels:
        """The channels of the hub by name: `async for channel in client.channels()`, or `await client.channels()` for a
        list of all.

        :param match: a pattern; only channels that it matches are returned.
        """
        return Channels(functools.partial(self._page, match))

    async def _page(self, match: str, after: str) -> tuple[list[Channel], str]:
        """A page of the channels after a name, and the name after which the next page begins; empty at the end."""
        query = {"limit": str(_PAGE), "match": match, **({"after": after} if after else {})}
        answer = await self._get("/api/channels", query)
        with _reading_answer(self._base):
            following = answer.get("next", "")
            if following and following <= after:
                raise ValueError("a page that does not advance")
            return [_from_json(channel, Channel) for channel in answer["channels"]], following

    async def history(self, channel: str = "main", *, after: str = "", limit: int = 100) -> History:
        """Retained events of a channel, oldest first.

        :param after: an id; only events after it are returned.
        :param limit: largest number of events. A hub returns at most 1000 at once.
        """
        query = {"limit": str(limit), **({"after": after} if after else {})}
        answer = await self._get(f"/api/channels/{_path_segment(channel)}/events", query)
        origin = str(URL(self._base).origin())  # without a user and a password
        with _reading_answer(self._base):
            return History([_enveloped(e, origin, e["id"]) for e in answer["events"]], answer["lost"])

    async def health(self) -> dict[str, Any]:
        """The health of the hub. Its `status` is `ok`, `degraded` or `draining`."""
        answer = await self._get("/health", expected=(200, 503))
        return cast("dict[str, Any]", answer)

    async def request(self, method: str, path: str, **options: Any) -> aiohttp.ClientResponse:
        """Send a request with the token to a path of the hub; return aiohttp's answer. It is for requests that have no
        method here.

        :param options: options of `aiohttp.ClientSession.request`.
        :raises aiohttp.ClientError: if there is no answer.
        """
        headers = await self._headers(options.pop("headers", None))
        url = self._url(path)
        unlimited = aiohttp.ClientTimeout(total=None, sock_connect=_ANSWER_TIMEOUT)
        return await self._sessions.request(
            method, url, **{"timeout": unlimited, **self._options, **options, "headers": headers}
        )

    @staticmethod
    def _published(answer: Mapping[str, Any]) -> Published:
        return _from_json({**answer, "id": answer["ids"][1] if "ids" in answer else answer["id"]}, Published)

    @staticmethod
    def _publish_query(event: str, ephemeral: bool) -> dict[str, str]:
        return {"event": _utf8(event), **({"ephemeral": "1"} if ephemeral else {})}

    def _url(self, path: str) -> URL:
        url = URL(self._base + path, encoded=True)
        return url.extend_query(self._parameters) if self._parameters else url

    async def _headers(self, own: Headers | Callable[[], Headers | Awaitable[Headers]] = None) -> CIMultiDict[str]:
        """The headers of the client, with its token, and those of one request."""
        headers = await _value_of(self._given_headers)
        return _combined(headers, _bearer(await _value_of(self._token)), await _value_of(own))

    def _stream_headers(
        self, own: Headers | Callable[[], Headers | Awaitable[Headers]]
    ) -> Headers | Callable[[], Awaitable[Headers]]:
        """The headers of a stream; a function only if one was given, because a function is called again after a 401."""
        own = own if callable(own) else _combined(own)
        if callable(self._given_headers) or callable(self._token) or callable(own):
            return functools.partial(self._headers, own)
        return _combined(self._given_headers, _bearer(self._token), own)

    async def _get(self, path: str, query: Mapping[str, str] | None = None, expected: Sequence[int] = (200,)) -> Any:
        try:
            async with self._within(_ANSWER_TIMEOUT):
                return await self._ask("GET", path, expected=expected, params=query)
        except _Passing as passing:
            raise SSEError(f"{self._base}{path}: {passing}") from passing.__cause__
        except _Closed:
            raise SSEError(f"{self._base}{path}: the client was closed before there was an answer") from None
        except TimeoutError:
            raise SSEError(f"no answer from {self._base}{path} within {_ANSWER_TIMEOUT:g} s") from None

    async def _post(self, path: str, query: Mapping[str, str], body: bytes, kind: str, deadline: float) -> Any:
        headers = {"Content-Type": kind, "Idempotency-Key": uuid.uuid4().hex}
        return await self._until_acknowledged("POST", path, deadline, headers=headers, params=query, data=body)

    async def _until_acknowledged(self, method: str, path: str, deadline: float, **request: Any) -> Any:
        """Send a request again and again until it is acknowledged; return the answer.

        :raises NotAcknowledged: if it was not acknowledged in time, or if the client was closed.
        """
        try:
            async with self._within(deadline):
                while True:
                    if (pause := self._not_before - time.monotonic()) > 0:
                        await asyncio.sleep(pause)
                        continue
                    with contextlib.suppress(_Passing):
                        return await self._shielded(self._with_backoff(method, path, **request))
        except _Closed:
            raise NotAcknowledged(f"{self._base}{path}: the client was closed before it acknowledged") from None
        except NotAcknowledged:
            raise
        except TimeoutError:
            reason = self._reason
            raise NotAcknowledged(f"{self._base}{path} did not acknowledge within {deadline:g} s: {reason}") from None

    @contextlib.asynccontextmanager
    async def _within(self, seconds: float | None) -> AsyncIterator[None]:
        """A context that ends after a time, or when the client is closed in this event loop.

        :raises TimeoutError: after the time.
        :raises _Closed: if the client was closed.
        """
        scope = asyncio.timeout(seconds)
        try:
            async with scope:
                self._scopes[scope] = asyncio.get_running_loop()
                yield
        except TimeoutError as error:
            if scope in self._scopes or not scope.expired() or isinstance(error, NotAcknowledged):
                raise
            raise _Closed from None
        finally:
            self._scopes.pop(scope, None)

    async def _with_backoff(self, method: str, path: str, **request: Any) -> Any:
        """The answer to a publish. A failure sets the next pause, even if no task waits for the answer any more."""
        began = time.monotonic()
        try:
            answer = await self._ask(method, path, **request)
        except _Passing as passing:
            self._pause(path, passing, began)
            raise
        self._failures = 0
        return answer

    def _pause(self, path: str, passing: _Passing, began: float) -> None:
        """Set the time of the next publish of this client. Publishes that failed together count as one failure."""
        self._reason = str(passing)
        if began < self._not_before:
            return
        delay = passing.wait + random.uniform(0, min(0.1 * 2**self._failures, 5.0))
        self._failures = min(self._failures + 1, 30)
        self._not_before = time.monotonic() + delay
        logger.info("%s%s: %s; publishing again in %.1f s", _redacted(self._base), path, passing, delay)

    def _finish_apart(self, end: asyncio.Task[None]) -> None:
        """Let the task that ends a run go on for 5 s, although no task waits for it any more."""
        self._ends.add(end)
        end.add_done_callback(self._ends.discard)
        timer = end.get_loop().call_later(_SHORT_DEADLINE, end.cancel)
        end.add_done_callback(lambda _: timer.cancel())

    async def _shielded(self, request: Coroutine[Any, Any, T]) -> T:
        """The answer to a request. If the wait for it is cancelled, the request goes on; it ends within 30 s."""
        task = asyncio.create_task(request)
        self._requests.add(task)
        task.add_done_callback(self._requests.discard)
        task.add_done_callback(_retrieve)
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError:
            if len(self._requests) > _MOST_UNAWAITED:
                task.cancel()
            raise
        if task.cancelled():  # the request, and not this task
            raise NotAcknowledged(f"{self._base}: the request was cancelled before the hub had acknowledged it")
        try:
            return task.result()
        finally:
            del task  # a cycle: its error refers to this frame

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
        for last in (not (callable(self._token) or callable(self._given_headers)), True):
            name = "the token or the headers" if callable(self._given_headers) else "the token"
            all_headers = _combined(await _evaluated(self._headers, name), headers)
            url = self._url(path)
            body = options.get("data")
            everything = {
                "timeout": aiohttp.ClientTimeout(total=_ANSWER_TIMEOUT),
                **self._options,
                **options,
                "headers": all_headers,
                "allow_redirects": False,
                "data": io.BytesIO(body) if body and len(body) > _LARGE_BODY else body,
            }
            with _converted_errors(url, self._base):
                try:
                    async with await self._sessions.request(method, url, **everything) as response:
                        if response.status != 401 or last:
                            return await self._answer(response, url, expected)
                except TimeoutError:
                    raise _Passing(f"no answer within {_ANSWER_TIMEOUT:g} s") from None
        raise AssertionError("the second answer was returned or raised")

    async def _answer(self, response: aiohttp.ClientResponse, url: URL, expected: Sequence[int]) -> Any:
        status = response.status
        if status == 200 or (status in expected and "json" in response.content_type):
            with _reading_answer(self._base):
                return json.loads(await _body(response, _ANSWER_BYTES))
        if status in _TRY_AGAIN or status >= 500:
            raise _Passing(f"the answer was {status}", _retry_after(response.headers))
        if status >= 400:
            problem = await _problem(response)
            raise (Ended if status == 409 and "reason" in problem else Refused)(url, status, problem)
        if status >= 300:
            raise _redirect_error(response, url)
        if status == 204 and status in expected:
            return None
        with _reading_answer(self._base):
            raise ValueError(status)


def _text(data: object) -> str:
    """Data as the text that is published.

    :raises ValueError: if UTF-8 or JSON cannot express the data; JSON has no NaN, for example.
    :raises TypeError: if the data is neither text nor bytes nor a value of JSON.
    """
    if isinstance(data, str):
        return _utf8(data)
    if isinstance(data, bytes | bytearray | memoryview):
        try:
            return bytes(data).decode()
        except UnicodeDecodeError as error:
            raise ValueError(f"the bytes are not UTF-8 text; publish binary data as base64: {error}") from None
    return _utf8(json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False))


def _end_reason(reason: str) -> str:
    """:raises ValueError: if it is not a reason for an end."""
    if reason not in _REASONS:
        raise ValueError(f"{reason[:40]!r} is not a reason for an end; it takes {', '.join(_REASONS)}")
    return reason


def _stands_alone(text: str) -> bool:
    """Whether a text cannot be a line of a batch."""
    return not text or "\n" in text or text.endswith("\r")


async def _batches(items: Iterable[object] | AsyncIterable[object]) -> AsyncGenerator[list[str], None]:
    """Lists of texts that can be published together: one text, or several that are one line each and not empty."""
    batch: list[str] = []
    size = 0
    failure: Exception | None = None
    async with contextlib.aclosing(_with_failure(_with_pauses(items))) as texts:
        async for text in texts:
            if isinstance(text, Exception):
                failure = text
                break
            alone = text is not None and _stands_alone(text)
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
    if failure is not None:
        raise failure


async def _with_failure(texts: AsyncGenerator[T, None]) -> AsyncGenerator[T | Exception, None]:
    """The items of a generator, and then the error that ends it, so that earlier items are published first."""
    async with contextlib.aclosing(texts):
        try:
            async for text in texts:
                yield text
        except Exception as error:
            yield error


async def _with_pauses(items: Iterable[object] | AsyncIterable[object]) -> AsyncGenerator[str | None, None]:
    """The items as text; None when the source has given nothing for a while."""
    if not isinstance(items, AsyncIterable):  # a QuerySet of Django is both; here it is asynchronous
        for item in items:
            yield _text(item)
        return
    iterator = aiter(items)
    following: asyncio.Future[object] | None = None
    try:
        while True:
            following = asyncio.ensure_future(_next(iterator))
            if not (await asyncio.wait([following], timeout=_SOURCE_PATIENCE))[0]:
                yield None
            item = await following
            if item is _LAST:
                return
            yield _text(item)
    finally:
        if following is not None:
            await _cancelled([following])
        if isinstance(iterator, AsyncGenerator):
            await iterator.aclose()  # it may hold a cursor of a database


class _PendingEvent(NamedTuple):
    """An event of a run that is not published yet."""

    event: str
    text: str
    written_at: float
    """Time of `write` (monotonic clock)."""


class Run:
    """A channel that is written to its end: the answer of a language model, a job, an upload. `SSEClient.run` makes it.

    Events are published in order, each exactly once, in batches. The first text is published at once, others within
    20 ms. If the hub is slow, batches grow up to 500 events. While 2,000 events wait, `write` waits.

    At the end of `async with` the channel ends: as `done`; as `cancelled` if the task is cancelled or the generator is
    closed; as `failed` after any other error. If the process is killed, only a rule of the hub can end the channel
    (`idle_end`).
    """

    def __init__(self, client: SSEClient, url: str, channel: str, event: str, interrupt: bool, deadline: float) -> None:
        self.channel = channel
        self.ended: str | None = None
        """The reason why the channel has ended, as far as this run knows; None if it is open."""
        self._client, self._event, self._interrupt, self._deadline = client, _utf8(event), interrupt, deadline
        self._url = url
        self._written: deque[_PendingEvent] = deque()
        self._size = 0  # of the texts, in characters
        self._published = 0
        self._ending = ""  # the reason for which this run ends the channel; empty before that
        self._error: SSEError | None = None  # the reason why nothing more can be published
        self._raised = False  # whether that error was raised to the user
        self._room, self._send_now = asyncio.Event(), asyncio.Event()
        self._not_before = 0.0  # time before which single texts are gathered (monotonic clock)
        self._sending: asyncio.Task[None] | None = None
        self._watch: _Watch | None = None

    async def write(self, data: object, *, event: str | None = None) -> None:
        """Publish an event soon; wait only for room. A cancelled wait has written nothing.

        :param data: see `SSEClient.publish`.
        :param event: its type; by default, that of the run.
        :raises Ended: if the channel has ended.
        :raises SSEError: if an earlier event could not be published; see `SSEClient.publish`.
        :raises ValueError: if the data cannot be published. The run goes on.
        """
        written = _PendingEvent(self._event if event is None else _utf8(event), _text(data), time.monotonic())
        self._check()
        while self._written and (len(self._written) >= _RUN_EVENTS or self._size + len(written.text) > _RUN_BYTES):
            self._room.clear()
            await self._room.wait()
            self._check()
        self._written.append(written)
        self._size += len(written.text)
        if self._fills_a_batch():
            self._send_now.set()
        self._start_sending()

    async def flush(self) -> None:
        """Wait until all events that were written before this call are published.

        :raises SSEError: as `write` does.
        """
        due = self._published + len(self._written)
        while self._published < due and self._error is None:
            self._send_now.set()
            self._room.clear()
            await self._room.wait()
        self.check_not_failed()

    async def end(self, reason: str = "done") -> None:
        """Publish the rest and end the channel.

        :param reason: `done`, `failed` or `cancelled`.
        :raises SSEError: as `write` does.
        """
        _end_reason(reason)
        self._check()
        self._ending = reason
        if self._watch is not None:
            self._watch.dismiss()
        self._room.set()
        self._start_sending()
        await self._sent()

    async def _sent(self) -> None:
        """Wait until the end is published."""
        if self._sending is not None and not self._sending.done():  # its loop may have been closed
            await asyncio.wait([self._sending])
        self.check_not_failed()

    async def __aenter__(self) -> Self:
        if self._interrupt and self._watch is None:
            # This stream waits only for the end, so a loss of events does not matter.
            self._watch = _Watch(self._client.channel(self.channel, events=["end"], on_lost=lambda _: None))
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if self._watch is not None:
            found, ours = await self._watch.leave(error)
            if found is not None:
                self._stop(self._ended_as(found) if isinstance(found, str) else found)
            if ours:
                error, self._raised = None, False
        leaving = asyncio.create_task(self._leave(error))
        try:
            await asyncio.wait([leaving])
            leaving.result()
        except asyncio.CancelledError:
            # anyio, on which Starlette and FastAPI run, interrupts every wait of a task that it cancels.
            self._client._finish_apart(leaving)
            leaving.add_done_callback(self._log_failure)
            if not isinstance(error, asyncio.CancelledError):
                await asyncio.wait([leaving], timeout=_SHORT_DEADLINE)  # the event loop may end with this task
            raise
        finally:
            del leaving  # a cycle: its error refers to this frame

    async def _leave(self, error: BaseException | None) -> None:
        """Publish the rest and the end. A task of its own does it: that of the block may be cancelled meanwhile.

        :param error: the error that ends the block.
        """
        reason = "done"
        if error is not None:
            stopped = isinstance(error, asyncio.CancelledError | GeneratorExit | KeyboardInterrupt)
            reason = "cancelled" if stopped else "failed"
        try:
            if self._error is not None:
                await self._fail(self._error)
                if error is None and not self._raised:
                    self.check_not_failed()
                return
            async with asyncio.timeout(_SHORT_DEADLINE if reason == "cancelled" else None):
                await (self._sent() if self._ending else self.end(reason))
        except (SSEError, TimeoutError) as failure:
            if error is None:
                raise
            self._warn(str(failure))
        finally:
            tasks = [self._sending, None if self._watch is None else self._watch.following]
            await _cancelled(task for task in tasks if task is not None)

    def _log_failure(self, leaving: asyncio.Task[None]) -> None:
        """Log the error of a task that leaves this run and for which nobody waits any more."""
        if leaving.cancelled():
            self._warn("")
        elif (failure := leaving.exception()) is not None:
            self._warn(str(failure))

    def _warn(self, text: str) -> None:
        url, end = _redacted(self._url), self._ending or "failed"
        why = text or f"no answer within {_SHORT_DEADLINE:g} s"
        logger.warning("%s: the end (%s) could not be published: %s", url, end, why)

    async def _fail(self, error: SSEError) -> None:
        """End the channel as `failed` if it lacks events, so that no subscriber waits for them for ever."""
        if not isinstance(error, Ended):
            with contextlib.suppress(SSEError):
                await self._client.end(self.channel, "failed", deadline=_SHORT_DEADLINE)

    def _check(self) -> None:
        """:raises SSEError: if nothing more can be written."""
        self.check_not_failed()
        if self._ending:
            raise self._ended_as(self._ending)

    def lost_its_loop(self) -> bool:
        """Whether the event loop in which it has published was closed."""
        return self._sending is not None and self._sending.get_loop().is_closed()

    def check_not_failed(self) -> None:
        """:raises SSEError: if nothing more can be published."""
        if self._error is not None:
            self._raised = True
            raise copy.copy(self._error)  # its traceback would grow with each call, and refer to this run

    def _ended_as(self, reason: str) -> Ended:
        problem = {"detail": f"The channel {self.channel} has ended: {reason}.", "reason": reason}
        return Ended(self._url, 409, problem)

    def _stop(self, error: SSEError) -> None:
        """Publish nothing more, because of this error."""
        if self._error is None:
            self._error = copy.copy(error)  # without its traceback, which refers to this run
        if isinstance(self._error, Ended):
            self.ended = self._error.reason
        self._written.clear()
        self._size = 0
        self._room.set()

    def _start_sending(self) -> None:
        if self._sending is None or self._sending.done():
            if self.lost_its_loop():  # its client was closed, and is used again
                self._room, self._send_now = asyncio.Event(), asyncio.Event()
            self._sending = asyncio.create_task(self._send())

    async def _send(self) -> None:
        if _CALLER.get() is not None:
            _CALLER.set(_WORKER_THREAD)  # no thread waits for this task
        try:
            while self._written or (self._ending and self.ended is None and self._error is None):
                await self._gather()
                await self._send_batch()
        except SSEError as error:
            self._stop(error)
        except BaseException as error:
            self._stop(SSEError(f"publishing to {self._url} was interrupted: {type(error).__name__}: {error}"))
            raise

    def _fills_a_batch(self) -> bool:
        return len(self._written) >= _BATCH_EVENTS or self._size >= _BATCH_BYTES

    async def _gather(self) -> None:
        """Wait for more texts for a moment. Do not wait if the last request began some time ago, if a text has waited
        long enough, or if `flush` or a full batch asks for a request now."""
        if self._written and not self._ending and not self._fills_a_batch():
            pause = min(self._not_before, self._written[0].written_at + _RUN_PAUSE) - time.monotonic()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(pause, 0)):
                    await self._send_now.wait()
        self._send_now.clear()
        self._not_before = time.monotonic() + _RUN_PAUSE

    async def _send_batch(self) -> None:
        event, texts = self._next_batch()
        end = self._ending if len(texts) == len(self._written) and texts != [""] else ""
        batch = self._client._publish_batch(self.channel, {"event": event} if texts else {}, texts, end, self._deadline)
        async for _ in batch:
            pass
        for _ in texts[: len(self._written)]:  # the run may have been stopped meanwhile
            self._size -= len(self._written.popleft().text)
            self._published += 1
        self._room.set()
        if end:
            self.ended = end

    def _next_batch(self) -> tuple[str, list[str]]:
        """The type and the texts of the next events that can be published together."""
        event, size = "", 0
        texts: list[str] = []
        for each in self._written:
            if texts and (
                each.event != event
                or _stands_alone(each.text)
                or len(texts) == _BATCH_EVENTS
                or size + len(each.text) > _BATCH_BYTES
            ):
                break
            event = each.event
            texts.append(each.text)
            size += len(each.text)
            if _stands_alone(each.text):
                break
        return event, texts


class _Watch:
    """Follows a channel and, when the channel ends, cancels the task that has made this object."""

    def __init__(self, stream: Stream) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._task, self._cancelling = task, task.cancelling()
        self._stream = stream
        self._dismissed = False
        self._found: SSEError | str | None = None
        self.following = asyncio.create_task(self._follow())

    def dismiss(self) -> None:
        """Do not cancel the task from now on."""
        self._dismissed = True

    async def _follow(self) -> None:
        found: SSEError | str | None
        try:
            async with self._stream:
                async for _ in self._stream:
                    pass
            found = self._stream.ended
        except SSEError as error:
            found = error
        if found is not None and not self._dismissed:
            self._found = found
            self._task.cancel()

    async def leave(self, error: BaseException | None) -> tuple[SSEError | str | None, bool]:
        """Stop following, at the end of the block. The task `following` may still have to end.

        :param error: the error that ends the block.
        :return: two values. The first is the reason for which the task was cancelled: the end of the channel, or the
            error while following it; None if it was not cancelled. The second is whether `error` is that cancellation
            and no other.
        """
        self.dismiss()
        if self._found is None:
            self.following.cancel()
            return None, False
        interrupted = isinstance(error, asyncio.CancelledError)
        if not interrupted:
            with contextlib.suppress(asyncio.CancelledError):  # the cancellation comes after the block
                await asyncio.sleep(0)
        alone = self._task.uncancel() <= self._cancelling
        return self._found, interrupted and alone


_LAST = object()
_PAUSE = object()


async def _next(iterator: AsyncIterator[T]) -> T | object:
    return await anext(iterator, _LAST)


async def _cancelled(futures: Iterable[asyncio.Future[Any]]) -> None:
    """Cancel these futures and wait until they have ended. Those of a loop that was closed have ended with it."""
    running = []
    for future in list(futures):
        if future.done():
            if not future.cancelled():
                future.exception()  # so that it is not logged as never retrieved
        elif not future.get_loop().is_closed():
            future.cancel()
            running.append(future)
    await asyncio.gather(*running, return_exceptions=True)


class Merged(Generic[T]):
    """Several sources as one asynchronous iterator. `merge` makes it; `async with` or `aclose()` ends it.

    The running waits for the sources belong to this object, so a cancelled wait loses nothing. At its end, an event
    that has come and was not handed out goes back to its stream, which returns it at its next wait.
    """

    def __init__(self, sources: Sequence[AsyncIterable[T]]) -> None:
        self._idle: list[AsyncIterator[T]] = [aiter(source) for source in sources]  # those without a running wait
        self._waiting: dict[asyncio.Future[T | object], AsyncIterator[T]] = {}
        self._done: deque[asyncio.Future[T | object]] = deque()
        self._failed: tuple[asyncio.Future[T | object], AsyncIterator[T]] | None = None  # its error comes last
        self._loop: asyncio.AbstractEventLoop | None = None  # that of the running waits
        self._finalizer: weakref.finalize[..., Merged[T]] | None = None  # ends the waits if this object is left
        _FORKED.add(self)

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        while True:
            self._move()
            self._begin()  # in each round: another task may have taken the item, and its source goes on
            if not self._waiting:
                break
            if not self._done:
                done, _ = await asyncio.wait(self._waiting, return_when=asyncio.FIRST_COMPLETED)
                self._done.extend(done)
            future = self._done.popleft()
            iterator = self._waiting.pop(future, None)
            if iterator is None:
                continue  # another task has it, or all were cancelled
            if future.cancelled() or future.exception() is not None:
                await self._fail(future, iterator)
            elif (item := future.result()) is not _LAST:
                self._idle.append(iterator)
                return cast("T", item)
        failed, self._failed = self._failed, None
        if failed is not None:
            self._idle.clear()
            failed[0].result()
        raise StopAsyncIteration

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """Cancel the waits for the sources. Streams stay open. An asynchronous generator ends if it is waiting."""
        self._move()
        self._idle.clear()
        self._done.clear()
        failed, self._failed = self._failed, None
        if failed is not None:
            _leave(*failed)
        await self._leave(self._waiting)

    def forked(self) -> None:
        """Forget the running waits, which belong to the parent process. What has come already is here, too."""
        if self._loop is not None:
            _keep_for_ever((self._loop, list(self._waiting)))
            self._forget_running()

    async def _leave(self, waiting: Mapping[asyncio.Future[T | object], AsyncIterator[T]]) -> None:
        """Cancel these waits, and give back what has come."""
        left = dict(waiting)
        for future in left:
            del self._waiting[future]
        for future, iterator in left.items():
            _leave(future, iterator)
        await _cancelled(left)

    async def _fail(self, future: asyncio.Future[T | object], iterator: AsyncIterator[T]) -> None:
        """Begin no more waits, because of an error. It is raised after the items that have come already."""
        if self._failed is None:
            self._failed = future, iterator
            self._done.extend(each for each in self._waiting if each.done() and each not in self._done)
            await self._leave({each: its for each, its in self._waiting.items() if not each.done()})
        else:
            _leave(future, iterator)

    def _begin(self) -> None:
        """Begin to wait for each source for which no wait runs. Not earlier: what comes would have to be kept."""
        if self._failed is not None:
            return
        idle, self._idle = self._idle, []
        for iterator in idle:
            self._waiting[asyncio.ensure_future(_next(iterator))] = iterator

    def _move(self) -> None:
        """Go on in the running event loop, if the last waits were in another one."""
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            if self._loop is not None:
                left = {each: its for each, its in self._waiting.items() if not _has_come(each)}
                _abandon(os.getpid(), self._loop, left)
                self._forget_running()
            self._loop = loop
            self._finalizer = weakref.finalize(self, _abandon, os.getpid(), loop, self._waiting)
            self._finalizer.atexit = False

    def _forget_running(self) -> None:
        """Forget the event loop and the waits that still run there, or that ended with it."""
        if self._finalizer is not None:
            self._finalizer.detach()  # it refers to the event loop
        self._loop = self._finalizer = None
        for future, iterator in list(self._waiting.items()):
            if not _has_come(future):
                del self._waiting[future]
                self._idle.append(iterator)
            elif future not in self._done:
                self._done.append(future)


def _has_come(future: asyncio.Future[Any]) -> bool:
    return future.done() and not future.cancelled()


def _leave(future: asyncio.Future[Any], iterator: AsyncIterator[Any]) -> None:
    """Cancel a wait for a source of `merge`; if it has ended already, give what has come back to the source."""
    if not future.done():
        future.add_done_callback(lambda future: None if future.cancelled() else _leave(future, iterator))
        future.cancel()
        return
    came = not future.cancelled() and (future.exception() is not None or future.result() is not _LAST)
    if came and isinstance(iterator, EventSource | Stream):
        iterator.give_back(future)


def _abandon(
    pid: int, loop: asyncio.AbstractEventLoop, waiting: Mapping[asyncio.Future[Any], AsyncIterator[Any]]
) -> None:
    try:
        is_here = pid == os.getpid() and asyncio.get_running_loop() is loop
    except RuntimeError:
        is_here = False
    for future, iterator in list(waiting.items()):
        if is_here or future.done():  # so that an event is given back before the next wait for its stream
            _leave(future, iterator)
        else:
            _call_in_loop(pid, loop, functools.partial(_leave, future, iterator))


def merge(*sources: AsyncIterable[T]) -> Merged[T]:
    """The items of several sources, in the order in which they arrive. It ends when all sources have ended, or with the
    first error. Streams lose nothing when it is left or fails, and can be read on by themselves. A source of another
    kind loses an item that has come and was not handed out."""
    return Merged(sources)


class _Caller:
    """A thread that waits for the event loop of a `SyncClient`.

    The functions of the user are called there. A Django model, a sqlite3 cursor or a widget works only in its own
    thread.
    """

    def __init__(self) -> None:
        self._due: deque[Callable[[], object]] = deque()  # calls that were not made yet
        self._wakes: queue.SimpleQueue[None] = queue.SimpleQueue()
        self._calling: threading.Thread | None = None

    async def call(self, function: Callable[..., T], *arguments: object) -> T:
        """Call a function in the thread; return its result, or raise its error."""
        pid, loop = os.getpid(), asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()
        outcome: Callable[[], None] | None = None

        def resolve(act: Callable[[Any], None], value: object) -> None:
            if not answer.done():
                act(value)

        def act() -> None:
            nonlocal outcome
            if outcome is None and not answer.cancelled():  # otherwise the wait was given up meanwhile
                try:
                    value = _without_stop(function, *arguments)
                except Exception as error:
                    outcome = functools.partial(resolve, answer.set_exception, error)
                else:
                    outcome = functools.partial(resolve, answer.set_result, value)
            if outcome is not None:
                _call_in_loop(pid, loop, outcome)  # which may have ended: another thread has closed the client

        self._due.append(act)
        self._wakes.put(None)
        return await answer

    def wait(self, future: concurrent.futures.Future[Any]) -> None:
        """Wait until the future is done, and make the calls that come meanwhile. After an interruption, the next wait
        makes the remaining calls, and the one that was interrupted.

        :raises RuntimeError: in one of these calls.
        """
        thread = threading.current_thread()
        if self._calling is thread:
            raise RuntimeError(_WAITS_FOR_ITSELF)
        future.add_done_callback(lambda _: self._wakes.put(None))
        while not future.done():
            if self._due:
                self._calling = thread
                try:
                    self._due[0]()  # Ctrl-C may come at any moment, so the call is due until it has returned
                finally:
                    self._calling = None
                self._due.popleft()
            else:
                self._wakes.get()


def _without_stop(function: Callable[..., T], *arguments: object) -> T:
    """Call a function. A `StopIteration` becomes a RuntimeError, as in a coroutine: a future does not take it."""
    try:
        return function(*arguments)
    except StopIteration as error:
        raise RuntimeError("a function raised StopIteration") from error


class _WorkerThread:
    """Calls functions of the user if no thread waits: in a thread without an event loop, which Django's ORM needs."""

    async def call(self, function: Callable[..., T], *arguments: object) -> T:
        """Call a function; return its result, or raise its error."""
        return await asyncio.to_thread(_without_stop, function, *arguments)


_WORKER_THREAD = _WorkerThread()
_CALLED_BY_ITSELF = "a SyncClient cannot be used in a coroutine that it runs; use its `client` there"
_CALLER: contextvars.ContextVar[_Caller | _WorkerThread | None] = contextvars.ContextVar("_CALLER", default=None)


def _in_callers_thread(function: Callable[..., Any]) -> Callable[..., Awaitable[Any]]:
    """A coroutine function that calls this function in the thread of the waiting caller."""

    @functools.wraps(function)
    async def call(*arguments: object) -> Any:
        caller = _CALLER.get()
        result = function(*arguments) if caller is None else await caller.call(function, *arguments)
        return await result if inspect.isawaitable(result) else result

    return call


async def _items_of_caller(items: Iterable[object]) -> AsyncGenerator[object, None]:
    """The items of an iterable, which is iterated in the caller's thread; each item as soon as it comes."""
    caller = _CALLER.get()
    assert caller is not None
    pid, loop = os.getpid(), asyncio.get_running_loop()
    arrived: asyncio.Queue[object] = asyncio.Queue()
    iterator: Iterator[object] | None = None
    left = False

    def draw() -> None:
        # Only a batch at a time, because callbacks and the next request wait for this thread meanwhile.
        nonlocal iterator
        iterator = iter(items) if iterator is None else iterator
        for _ in range(_BATCH_EVENTS):
            if left:
                return  # nobody would publish what is drawn now
            item = next(iterator, _LAST)
            _call_in_loop(pid, loop, functools.partial(arrived.put_nowait, item))
            if item is _LAST:
                return

    while True:
        drawing = asyncio.create_task(caller.call(draw))
        drawing.add_done_callback(lambda _: arrived.put_nowait(_PAUSE))
        try:
            while (item := await arrived.get()) is not _PAUSE:
                if item is _LAST:
                    return
                yield item
            await drawing
        except BaseException:
            left = True  # the thread may draw on, although `drawing` ends at once
            raise
        finally:
            await _cancelled([drawing])


_THREADS: weakref.WeakSet[_LoopThread] = weakref.WeakSet()


def _end_threads() -> None:
    """End the connections of clients that were not closed well, at the end of the program."""
    for thread in list(_THREADS):
        thread.stop()


atexit.register(_end_threads)  # the first function that is registered runs last


class _LoopThread:
    """An event loop in a thread of its own.

    :param refusal: the error of a call in this thread, which would wait for itself.
    """

    def __init__(self, refusal: str, *, inline_names: bool = False) -> None:
        self._refusal = refusal
        self.loop = asyncio.new_event_loop()
        self.loop.set_default_executor(_InlineExecutor() if inline_names else _LastingExecutor())
        self._pid = os.getpid()
        self._thread = threading.Thread(target=_run, args=(self.loop,), name="sse_client", daemon=True)
        self._thread.start()
        _THREADS.add(self)

    def begin(self, function: Callable[[], Coroutine[Any, Any, T]]) -> concurrent.futures.Future[T]:
        """Run a coroutine function without waiting for it.

        :raises RuntimeError: in the thread of the loop.
        """
        if threading.current_thread() is self._thread:
            raise RuntimeError(self._refusal)
        return asyncio.run_coroutine_threadsafe(_called(function), self.loop)

    def stop(self) -> None:
        """End the loop and wait for its thread. A second call does nothing."""
        if self._pid == os.getpid() and not self.loop.is_closed():
            self.loop.call_soon_threadsafe(self.loop.stop)
            if threading.current_thread() is not self._thread:  # the garbage collector may run there
                self._thread.join(_THREAD_PATIENCE)  # a function of the user may block the loop


async def _called(function: Callable[[], Coroutine[Any, Any, T]]) -> T:
    return await function()


def _run(loop: asyncio.AbstractEventLoop) -> None:
    try:
        loop.run_forever()
    finally:
        loop.run_until_complete(_cancelled(asyncio.all_tasks(loop)))
        loop.run_until_complete(loop.shutdown_asyncgens())
        loop.close()


def _blocking(
    method: Callable[Concatenate[SSEClient, P], Coroutine[Any, Any, T]],
) -> Callable[Concatenate[SyncClient, P], T]:
    @functools.wraps(method)
    def call(self: SyncClient, *arguments: P.args, **options: P.kwargs) -> T:
        return self.wait(lambda: method(self.client, *arguments, **options))

    return cast("Callable[Concatenate[SyncClient, P], T]", call)


def _iterating(method: Callable[..., Stream]) -> Callable[..., SyncStream]:
    @functools.wraps(method)
    def call(self: SyncClient, *arguments: Any, **options: Any) -> SyncStream:
        for name in (_CALLBACKS | {"headers"}) & options.keys():
            if callable(options[name]):
                options[name] = _in_callers_thread(options[name])
        return SyncStream(self, method(self.client, *arguments, **options))

    return call


class SyncClient:
    """`SSEClient` without `await`. Its event loop runs in a thread of its own, so it also works in notebooks.

    Callbacks, functions for a token or for headers, and iterables are called in the thread that waits for a method or
    a stream. A forked process has an event loop of its own.

    :param base_url: see `SSEClient`.
    :param options: those of `SSEClient`.
    """

    def __init__(self, base_url: str | URL = DEFAULT_URL, **options: Any) -> None:
        for name in ("token", "headers"):
            if callable(function := options.get(name)):
                options[name] = _in_callers_thread(function)
        self.client = SSEClient(base_url, **options)
        self._lock = threading.Lock()
        self._thread: _LoopThread | None = None
        self._calls: weakref.WeakSet[concurrent.futures.Future[Any]] = weakref.WeakSet()
        _FORKED.add(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def wait(self, function: Callable[[], Coroutine[Any, Any, T]], caller: _Caller | None = None) -> T:
        """Run a coroutine function in the event loop of this client; return its result. Ctrl-C cancels it.

        :raises SSEError: if the client was closed meanwhile.
        """
        caller = caller or _Caller()
        future = self.begin(function, caller)
        try:
            caller.wait(future)
            return self.result(future)
        except BaseException:
            future.cancel()
            raise
        finally:
            del future  # a cycle: its error refers to this frame

    @property
    def has_thread(self) -> bool:
        """Whether a thread runs: from the first call until this client is closed."""
        return self._thread is not None

    def wait_apart(self, function: Callable[[], Coroutine[Any, Any, T]]) -> T:
        """As `wait`, but in an event loop that ends afterwards: nobody may close this client a second time."""
        caller, thread = _Caller(), _LoopThread(_CALLED_BY_ITSELF)

        async def run() -> T:
            _CALLER.set(caller)
            return await function()

        future = thread.begin(run)
        try:
            caller.wait(future)
            return self.result(future)
        finally:
            del future  # a cycle: its error refers to this frame
            thread.stop()

    def result(self, future: concurrent.futures.Future[T]) -> T:
        """The result of a call that has ended, or its error.

        :raises SSEError: if it was cancelled, because the client was closed.
        """
        if future.cancelled():
            raise SSEError("the client was closed before the call had ended")
        try:
            return future.result()
        finally:
            del future  # a cycle: its error refers to this frame

    def begin(self, function: Callable[[], Coroutine[Any, Any, T]], caller: _Caller) -> concurrent.futures.Future[T]:
        """Run a coroutine function without waiting for it.

        :param caller: calls the functions of the user in its thread.
        """

        async def run() -> T:
            _CALLER.set(caller)
            return await function()

        with self._lock:
            if self._thread is None:
                self._thread = _LoopThread(_CALLED_BY_ITSELF)
                self._stop = weakref.finalize(self, self._thread.stop)
                self._stop.atexit = False  # `_end_threads` does it later, because functions of `atexit` may publish
            call = self._thread.begin(run)
            self._calls.add(call)
            return call

    def forked(self) -> None:
        """Make a new lock and forget the thread: a child process has only the thread that forked, and another thread
        may have held the lock."""
        self._lock = threading.Lock()
        if self._thread is not None:
            _keep_for_ever((self._thread, list(self._calls)))
            self._thread, self._calls = None, weakref.WeakSet()

    def close(self) -> None:
        """End all streams, close the connections and end the thread. A second call does nothing. A call of another
        thread raises what it raises when `SSEClient` is closed."""
        with self._lock:
            if self._thread is None:
                return
            closing = self._thread.begin(self.client.close)
            stop, self._thread = self._stop, None  # a call that begins from now on has a thread of its own
            calls, self._calls = list(self._calls), weakref.WeakSet()
        try:
            closing.result()
            concurrent.futures.wait(calls, _CALL_PATIENCE)
        finally:
            stop()

    stream = _iterating(SSEClient.stream)
    channel = _iterating(SSEClient.channel)
    metrics = _iterating(SSEClient.metrics)
    publish = _blocking(SSEClient.publish)
    broadcast = _blocking(SSEClient.broadcast)
    end = _blocking(SSEClient.end)
    forget = _blocking(SSEClient.forget)
    history = _blocking(SSEClient.history)
    health = _blocking(SSEClient.health)

    def channels(self, match: str = "*") -> list[Channel]:
        """See `SSEClient.channels`."""
        return self.wait(self.client.channels(match).all)

    def publish_many(
        self,
        items: Iterable[object] | AsyncIterable[object],
        *,
        on_batch: Callback | None = None,
        **options: Any,
    ) -> int:
        """See `SSEClient.publish_many`. A plain iterable and `on_batch` are used in the thread of the caller."""
        called = None if on_batch is None else _in_callers_thread(on_batch)

        async def publish() -> int:
            if not isinstance(items, Iterable):  # a QuerySet of Django is both
                return await self.client.publish_many(items, on_batch=called, **options)
            async with contextlib.aclosing(_items_of_caller(items)) as source:
                return await self.client.publish_many(source, on_batch=called, **options)

        return self.wait(publish)

    def run(self, channel: str, *, event: str = "message", deadline: float = DEFAULT_DEADLINE) -> SyncRun:
        """See `SSEClient.run`. Use `with`. A token function is called in a thread of its own."""
        return SyncRun(self, self.client.run(channel, event=event, deadline=deadline))


class SyncStream:
    """`Stream` without `await`. `SyncClient` makes it. `with` waits until it is open, as `async with` does. It ends by
    `with` or `close()`, or with its client."""

    def __init__(self, client: SyncClient, stream: Stream) -> None:
        self._client = client
        self._stream = stream
        self._caller = _Caller()
        self._coming: concurrent.futures.Future[Event] | None = None  # the next event
        self._pid = os.getpid()

    def __iter__(self) -> Iterator[Event]:
        return self

    def __next__(self) -> Event:
        self._begin_anew_after_fork()
        if self._coming is None:
            if self._stream.is_over:
                raise StopIteration  # without a thread for it, if its client was closed
            self._coming = self._client.begin(self._stream.__anext__, self._caller)
        self._caller.wait(self._coming)  # after an interruption (Ctrl-C), the next call waits for the same event
        coming, self._coming = self._coming, None
        try:
            return self._client.result(coming)
        except StopAsyncIteration:
            raise StopIteration from None
        finally:
            del coming  # a cycle: its error refers to this frame

    def __enter__(self) -> Self:
        self._begin_anew_after_fork()
        self._client.wait(self._stream.__aenter__, self._caller)
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def _begin_anew_after_fork(self) -> None:
        """A child process gets no events of its parent; it follows by itself."""
        if self._pid != os.getpid():
            self._coming, self._caller, self._pid = None, _Caller(), os.getpid()

    @property
    def last_event_id(self) -> str:
        """See `Stream.last_event_id`."""
        return self._stream.last_event_id

    @property
    def ended(self) -> str | None:
        """See `Stream.ended`."""
        return self._stream.ended

    def close(self) -> None:
        """Close the connection."""
        # The thread of a client that was closed has taken the connection with it.
        wait = self._client.wait if self._client.has_thread else self._client.wait_apart
        wait(self._stream.close)


class SyncRun:
    """`Run` without `await`. `SyncClient.run` makes it. Several threads may write to it, but only in the process that
    has made it."""

    def __init__(self, client: SyncClient, run: Run) -> None:
        self._client = client
        self._run = run
        self._pid = os.getpid()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if self._pid == os.getpid():  # otherwise the parent process publishes the events and the end
            wait = self._client.wait_apart if self._run.lost_its_loop() else self._client.wait
            wait(lambda: self._run.__aexit__(kind, error, trace))

    @property
    def channel(self) -> str:
        """Name of the channel."""
        return self._run.channel

    @property
    def ended(self) -> str | None:
        """See `Run.ended`."""
        return self._run.ended

    def write(self, data: object, *, event: str | None = None) -> None:
        """See `Run.write`."""
        self._wait(lambda: self._run.write(data, event=event))

    def flush(self) -> None:
        """See `Run.flush`."""
        self._wait(self._run.flush)

    def end(self, reason: str = "done") -> None:
        """See `Run.end`."""
        self._wait(lambda: self._run.end(reason))

    def _wait(self, function: Callable[[], Coroutine[Any, Any, None]]) -> None:
        if self._pid != os.getpid():
            raise RuntimeError("another process has begun this run; begin a run of your own, on a channel of its own")
        self._run.check_not_failed()  # here, because a client that was closed would begin a thread for it
        self._client.wait(function)


@attrs.frozen(slots=True)
class Dropped:
    """Events that a `Publisher` has dropped. They were not published, or their publish was not acknowledged."""

    channel: str
    event: str
    data: tuple[str, ...]
    reason: str


@attrs.define(slots=True)
class _QueuedEvent:
    """An event in the queue of a `Publisher`."""

    channel: str
    event: str
    ephemeral: bool
    text: str
    settled: bool = False
    """Whether it is published or dropped, although its batch still runs."""


class _Queue:
    """The queue of a `Publisher`, and the thread that publishes it. They begin and end together."""

    def __init__(self) -> None:
        self.events: deque[_QueuedEvent] = deque()
        self.size = 0  # of the texts, in characters
        self.thread = _LoopThread("a Publisher cannot wait in its own thread", inline_names=True)
        self.stop: Callable[[], object] = self.thread.stop
        self.working: asyncio.Task[None] | None = None  # the task that publishes

    def take(self, events: Sequence[_QueuedEvent]) -> None:
        """Remove the first events, which are these."""
        for each in events:
            self.events.popleft()
            self.size -= len(each.text)

    async def drained(self) -> None:
        """Wait until no task publishes."""
        while self.working is not None and not self.working.done():
            await asyncio.wait([self.working])


class Publisher:
    """Publishes from code that must not wait: web handlers, tasks, signal handlers.

    `publish()` puts an event into a queue. A thread publishes the queue in batches: each event exactly once, and in
    order within a channel. At the end of the program, the rest is published within `exit_deadline`. A forked process
    has a queue and a thread of its own. The parent process publishes the events that were in the queue at the fork.

    :param base_url: see `SSEClient`.
    :param limit: largest number of events in the queue; further ones are dropped.
    :param limit_bytes: largest size of the queue; each character counts as a byte.
    :param deadline: seconds within which each batch must be acknowledged; otherwise it is dropped.
    :param exit_deadline: seconds for which the end of the program waits.
    :param on_drop: called with a `Dropped`, in any thread; by default, a warning is logged.
    :param options: options of `SSEClient`. A token function is called in the thread of the publisher.
    """

    def __init__(
        self,
        base_url: str | URL = DEFAULT_URL,
        *,
        limit: int = 10_000,
        limit_bytes: int = 64 << 20,
        deadline: float = DEFAULT_DEADLINE,
        exit_deadline: float = 5.0,
        on_drop: Callable[[Dropped], object] | None = None,
        **options: Any,
    ) -> None:
        self.dropped = 0
        """Number of dropped events."""
        self._client = SSEClient(base_url, **options)
        self._limit, self._limit_bytes = limit, limit_bytes
        self._deadline, self.exit_deadline = deadline, exit_deadline
        self._on_drop = on_drop or _log_drop  # no method: this publisher would refer to itself
        self._queue: _Queue | None
        self._reset()
        _FORKED.add(self)
        atexit.register(_close_at_exit, weakref.ref(self))

    def publish(self, data: object, *, channel: str = "main", event: str = "message", ephemeral: bool = False) -> bool:
        """Publish an event soon. This never waits.

        :return: whether the event is in the queue; False if the queue is full and the event was dropped.
        :raises ValueError: if the data or a name cannot be published; see `SSEClient.publish`.
        """
        queued = _QueuedEvent(_utf8(channel), _utf8(event), ephemeral, _text(data))
        size = len(queued.text)
        with self._lock:
            queue = self._running()
            full = len(queue.events) >= self._limit or queue.size + size > self._limit_bytes
            if not full:
                queue.events.append(queued)
                queue.size += size  # without a call in between, in which a signal handler could change it
                queue.thread.loop.call_soon_threadsafe(self._work, queue)
        if full:
            self._drop([queued], f"the queue is full: {self._limit} events or {self._limit_bytes} bytes")
        return not full

    def flush(self, timeout: float | None = None) -> bool:
        """Wait until all queued events are published or dropped; return whether that was done in time.

        :param timeout: seconds; None for no limit.
        :raises RuntimeError: in the thread of this publisher: in `on_drop` or a token function.
        """
        with self._lock:  # so that `close` does not end the thread meanwhile
            if self._queue is None:
                return True
            draining = self._queue.thread.begin(self._queue.drained)
        return _done_in_time(draining, timeout)

    def close(self, timeout: float | None = None) -> None:
        """Publish the queued events, end the thread, and drop the events that were not published in time. An event that
        is published from then on has a thread of its own.

        :param timeout: seconds for publishing; None for no limit.
        :raises RuntimeError: see `flush`.
        """
        queue = self._taken(timeout)
        if queue is None:
            return
        _done_in_time(queue.thread.begin(functools.partial(self._ended, queue)), _THREAD_PATIENCE)
        queue.stop()
        left = [each for each in queue.events if not each.settled]
        self._drop(left, "the publisher was closed before the hub had acknowledged them")

    def forked(self) -> None:
        """Begin again: a child process does not have the thread, and lock and queue belong to its parent."""
        if self._queue is not None:
            _keep_for_ever(self._queue)
        self._reset()

    def _reset(self) -> None:
        # A signal handler may interrupt `publish` and publish itself. So a thread may acquire the lock again.
        self._lock = threading.RLock()
        self._queue = None
        self._ends_with_process = False

    def _running(self) -> _Queue:
        if self._queue is None:
            queue = _Queue()
            if self._queue is not None:  # a signal handler has made one meanwhile
                queue.stop()
                return self._queue
            self._queue = queue
            queue.stop = stop = weakref.finalize(self, queue.thread.stop)
            stop.atexit = False
            # The processes of multiprocessing do not run `atexit`.
            if not self._ends_with_process and (util := sys.modules.get("multiprocessing.util")) is not None:
                self._ends_with_process = True
                util.Finalize(None, _close_at_exit, args=(weakref.ref(self),), exitpriority=10)
        return self._queue

    def _taken(self, timeout: float | None) -> _Queue | None:
        """The queue, as soon as it is empty or the time is over. It is no longer that of this publisher."""
        end = math.inf if timeout is None else time.monotonic() + timeout
        while True:
            self.flush(None if timeout is None else max(end - time.monotonic(), 0))
            with self._lock:  # so that no event comes between the last look at the queue and its end
                queue = self._queue
                if queue is None or not queue.events or time.monotonic() >= end:
                    self._queue = None
                    return queue

    async def _ended(self, queue: _Queue) -> None:
        """Stop publishing. The events stay in the queue."""
        if queue.working is not None:
            await _cancelled([queue.working])
        await self._client.close()

    def _work(self, queue: _Queue) -> None:
        if queue.working is None or queue.working.done():
            queue.working = asyncio.create_task(self._publish_all(queue))

    async def _publish_all(self, queue: _Queue) -> None:
        while True:
            with self._lock:
                batch = list(itertools.islice(queue.events, _EVENTS_AT_ONCE))
            if not batch:
                return
            channels: dict[str, list[_QueuedEvent]] = {}
            for each in batch:
                channels.setdefault(each.channel, []).append(each)
            groups = list(channels.values())
            for begin in range(0, len(groups), _CHANNELS_AT_ONCE):
                await asyncio.gather(*map(self._publish_channel, groups[begin : begin + _CHANNELS_AT_ONCE]))
            with self._lock:
                queue.take(batch)

    async def _publish_channel(self, events: Sequence[_QueuedEvent]) -> None:
        for (event, ephemeral), group in itertools.groupby(events, lambda each: (each.event, each.ephemeral)):
            left = list(group)

            def settle(published: Published, left: list[_QueuedEvent] = left) -> None:
                for each in left[: published.count]:
                    each.settled = True
                del left[: published.count]

            try:
                await self._client.publish_many(
                    [each.text for each in left],
                    channel=left[0].channel,
                    event=event,
                    ephemeral=ephemeral,
                    deadline=self._deadline,
                    on_batch=settle,
                )
            except Exception as error:  # one channel must not stop the others, whatever is wrong with it
                for each in left:
                    each.settled = True
                self._drop(left, f"{type(error).__name__}: {error}")

    def _drop(self, events: Sequence[_QueuedEvent], reason: str) -> None:
        count = len(events)
        with self._lock:
            self.dropped += count
        for (channel, event), group in itertools.groupby(events, lambda each: (each.channel, each.event)):
            try:
                self._on_drop(Dropped(channel, event, tuple(each.text for each in group), reason))
            except Exception:
                logger.exception("on_drop failed")


def _log_drop(dropped: Dropped) -> None:
    count, channel = len(dropped.data), dropped.channel
    logger.warning("%d events for channel %s were dropped: %s", count, channel, dropped.reason)


def _done_in_time(future: concurrent.futures.Future[Any], timeout: float | None) -> bool:
    """Wait for a call in the thread of a publisher; return whether it ended within this time, and by itself.

    :param timeout: seconds; None for no limit.
    """
    try:
        future.result(timeout)
    except (TimeoutError, concurrent.futures.CancelledError):
        future.cancel()
        return False
    return True


def _close_at_exit(reference: weakref.ref[Publisher]) -> None:
    publisher = reference()
    if publisher is not None:
        publisher.close(publisher.exit_deadline)


class _InlineExecutor(concurrent.futures.ThreadPoolExecutor):
    """Runs functions in the calling thread: asyncio resolves host names by an executor.

    At the end of a program, when the last events are published, Python starts no more threads. The thread of a
    publisher does nothing else, so it may wait for a name.
    """

    def submit(self, function: Callable[..., T], /, *arguments: Any, **options: Any) -> concurrent.futures.Future[T]:
        future: concurrent.futures.Future[T] = concurrent.futures.Future()
        try:
            future.set_result(function(*arguments, **options))
        except Exception as error:
            future.set_exception(error)
        return future


class _LastingExecutor(_InlineExecutor):
    """Runs functions in threads; at the end of a program, in the calling thread."""

    def submit(self, function: Callable[..., T], /, *arguments: Any, **options: Any) -> concurrent.futures.Future[T]:
        try:
            return concurrent.futures.ThreadPoolExecutor.submit(self, function, *arguments, **options)
        except RuntimeError:  # Python starts no more threads
            return super().submit(function, *arguments, **options)


def main() -> int:
    """Run the command line, which is a part of sse-hub and not of this module; return the exit status."""
    try:
        from sse_hub.console import main as run
    except ImportError:
        print("The command line comes with sse-hub: pip install sse-hub", file=sys.stderr)
        return 1
    except KeyboardInterrupt:  # the imports take a moment; `run` handles it from then on
        return 130
    return run()


if __name__ == "__main__":
    raise SystemExit(main())
