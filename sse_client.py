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

What is under way belongs to an object and not to the task or thread that waits: a cancelled wait loses nothing. An
object may be left, used in one event loop after the other, and used in a process that was forked after it was made.

Errors:

SSEError                 whatever goes wrong here for good
    Refused              an answer that trying again will not change; has `status` and `problem`
        Ended            the channel has ended and takes no more events; has `reason`
    NotAnEventStream     an answer that is no event stream
    GaveUp               the last of `max_retries` attempts failed
    NotAcknowledged      a publish was not acknowledged within its deadline
    EventTooLarge        an event larger than `max_event_bytes`

Run as a program, it is the command line of sse-hub: `python sse_client.py --help`.
"""

from __future__ import annotations

import asyncio
import atexit
import concurrent.futures
import contextlib
import contextvars
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
"""Seconds: three times the pings of most servers."""
DEFAULT_MAX_EVENT_BYTES = 16 << 20
DEFAULT_DEADLINE = 60.0

_TRY_AGAIN = frozenset({408, 425, 429})  # of the 4xx those that are about the moment, not the request
_LONGEST_NAME = len(b"event: ")
_PROBLEM_BYTES = 64 << 10
_PROBLEM_TIMEOUT = 2.0
_ANSWER_BYTES = 64 << 20
_LONGEST_ID = 4096  # servers take 8 kB of headers
_STOOD = 1.0  # seconds after which a connection that brought bytes was a good one
_LONGEST_WAIT = 86_400.0  # seconds; a server that says more is mistaken
_PAGE = 1000  # channels that are asked for at once
_BATCH_EVENTS = 500
_BATCH_BYTES = 256 << 10  # a quarter of what a hub accepts by default
_RUN_EVENTS, _RUN_BYTES = 2000, 1 << 20  # that wait in a run; a further one waits for room
_GATHERING = 0.02  # seconds between two requests of a run
_BRIEFLY = 5.0  # seconds for the end of a channel, if the task that writes it is to end
_REASONS = ("done", "failed", "cancelled")
_LARGE_BODY = 1 << 20  # bytes; aiohttp warns of larger ones that it is to send in one piece
_READ_AHEAD_BYTES = 256 << 10
_TAKEN_AT_ONCE = 5000  # events that a publisher looks at to find those of the same channel
_CHANNELS_AT_ONCE = 8  # requests of a publisher
_ENDING = 5.0  # seconds for which the end of a thread is waited for
_LINGER = 0.05
_ANSWER_TIMEOUT = 30.0
_LEFT_REQUESTS = 64  # publishes that may be under way while nobody waits for them
_LOOK = 1.0
"""Seconds between two looks at whether the connection is there: aiohttp 3.14 closes one on which a chunk is malformed
without waking the reader."""
_UNSENDABLE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")
_ID = re.compile(r"([0-9]{1,20})-([0-9]{1,20})")

logger = logging.getLogger("sse_client")

P = ParamSpec("P")
T = TypeVar("T")
_CONTROL = {"connected", "live", "lost", "closing", "error"}
"""Types of the events by which a hub speaks of the stream itself."""
_CALLBACKS = {"on_open", "on_message", "on_error", "on_lost", "on_notice"}
Headers = Mapping[str, str] | Iterable[tuple[str, str]] | None
Callback = Callable[..., object]
Call = tuple[Callback | None, tuple[object, ...]]
"""A callback, if there is one, and its arguments."""


_FORKED: weakref.WeakSet[Any] = weakref.WeakSet()
"""Objects whose method `forked` is called in a child process, before anything else runs there."""


_INHERITED: list[object] = []


def _after_fork() -> None:
    for each in list(_FORKED):
        each.forked()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def _keep_for_ever(value: object) -> None:
    """Keep an inherited object from being finalized. A connection that a child process finalizes takes itself from the
    list of sockets that the kernel watches for its parent (epoll), and with TLS ends it: the parent hangs or breaks."""
    _INHERITED.append(value)
    with contextlib.suppress(ImportError, AttributeError):  # CPython empties this module at the end of the program, too
        import ctypes

        ctypes.pythonapi.Py_IncRef(ctypes.py_object(value))


def _tell(pid: int, loop: asyncio.AbstractEventLoop, call: Callable[[], object]) -> None:
    """Have a loop make a call, from any thread; nothing if the loop has ended or is that of a parent process."""
    if pid == os.getpid():
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(call)


_URL = re.compile(r"([a-z][a-z0-9+.-]*://)(?:[^\s/?#'\"]*@)?([^\s?#'\"<>()]*)(?:[?#][^\s'\"<>()]*)?", re.IGNORECASE)


def _public(text: object) -> str:
    """A URL, or a text with URLs in it, for logs and errors: without users, passwords and queries."""
    return _URL.sub(r"\1\2", str(text))


class SSEError(Exception):
    """Whatever goes wrong here for good. Its text shows no password, no token and no query of a URL."""

    def __init__(self, text: str) -> None:
        super().__init__(_public(text))


class Refused(SSEError, ConnectionRefusedError):
    """An answer that trying again will not change.

    :param status: its HTTP status code.
    :param problem: its problem document (RFC 9457), empty if it has none.
    """

    def __init__(self, url: URL | str, status: int, problem: Mapping[str, Any]) -> None:
        self.status = status
        self.problem = problem
        detail = problem.get("detail") or problem.get("title") or "no reason given"
        super().__init__(f"{_public(url)} answered {status}: {detail}")
        self._arguments = _public(url), status, dict(problem)

    def __reduce__(self) -> tuple[type[Refused], tuple[str, int, dict[str, Any]]]:
        return type(self), self._arguments  # a Celery worker sends it to another process


class Ended(Refused):
    """The channel has ended. It takes no more events until it is forgotten.

    `reason` is `done`, `failed`, `cancelled` or `abandoned`.
    """

    def __init__(self, url: URL | str, status: int, problem: Mapping[str, Any]) -> None:
        super().__init__(url, status, problem)
        self.reason = str(problem.get("reason", ""))


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
        super().__init__(_public(reason))
        self.wait = wait
        """Seconds that the server asks us to wait at least."""


async def _value_of(value: object) -> Any:
    """A value, or what a function or coroutine function gives."""
    result = value() if callable(value) else value
    return await result if inspect.isawaitable(result) else result


async def _fresh(value: object, what: str) -> Any:
    """A value, or what the user's function for it gives.

    :raises _Passing: if the function fails: a server that issues tokens may be away for a moment.
    """
    try:
        return await _value_of(value)
    except Exception as error:
        raise _Passing(f"the function for {what} failed: {type(error).__name__}: {error}") from error


def _bearer(token: object) -> dict[str, str]:
    """The header of a token; none for None.

    :raises ValueError: if no header can have it. The message does not show it.
    """
    if token is None:
        return {}
    if not (isinstance(token, str) and token and token.isascii() and token.isprintable()):
        raise ValueError("the token is not a text of printable ASCII characters, as a header needs it")
    return {"Authorization": f"Bearer {token}"}


def _sendable(headers: CIMultiDict[str]) -> CIMultiDict[str]:
    """The headers as they are.

    :raises ValueError: if one cannot be sent. The message does not show its value.
    """
    for name, value in headers.items():
        if _UNSENDABLE.search(f"{name}{value}"):
            raise ValueError(f"the header {name!r} has a control character, which no request can have")
    return headers


async def _call(callback: Callback | None, *arguments: object) -> None:
    if callback is not None:
        result = callback(*arguments)
        if inspect.isawaitable(result):
            await result


async def _call_all(due: deque[Call]) -> None:
    """Make the calls that are due, oldest first. One that is cancelled stays due; one that raises has been made."""
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
    if due and due[0] is call:  # the callback may have closed the stream, and with that cleared the queue
        due.popleft()


def _retry_after(headers: Mapping[str, str]) -> float:
    """Seconds of `Retry-After` (RFC 9110, section 10.2.3), 0 where there is none that can be read."""
    text = headers.get("Retry-After", "").strip()
    if text.isascii() and text.isdigit():
        return min(float(text[:18]), _LONGEST_WAIT)
    try:
        moment = parsedate_to_datetime(text)
        moment = moment if moment.tzinfo else moment.replace(tzinfo=UTC)
        return min(max((moment - datetime.now(UTC)).total_seconds(), 0.0), _LONGEST_WAIT)
    except (ValueError, OverflowError):
        return 0.0


async def _body(response: aiohttp.ClientResponse, most_bytes: int) -> bytes:
    """The body of an answer.

    :raises ValueError: if it is larger.
    """
    body = bytearray()
    async for part in response.content.iter_any():
        body += part
        if len(body) > most_bytes:
            raise ValueError(f"an answer of more than {most_bytes} bytes")
    return bytes(body)


async def _problem(response: aiohttp.ClientResponse) -> dict[str, Any]:
    """The problem document of an answer, empty if it is none or does not come soon."""
    try:
        async with asyncio.timeout(_PROBLEM_TIMEOUT):
            return _object(await _body(response, _PROBLEM_BYTES))
    except (aiohttp.ClientError, OSError, TimeoutError, ValueError):
        return {}


def _object(text: str | bytes) -> dict[str, Any]:
    """The JSON object in a text, empty if there is none."""
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _moved(response: aiohttp.ClientResponse, url: URL) -> Refused:
    """The error for a redirect that is not followed, because method and body would not be kept."""
    try:
        place = f"it has moved to {_public(url.join(URL(response.headers['Location'])))}; use that address"
    except (KeyError, ValueError):
        place = "it has moved, and does not say where to"
    return Refused(url, response.status, {"detail": place})


@contextlib.contextmanager
def _understood(url: str) -> Iterator[None]:
    """Reads the answer of a hub.

    :raises Refused: if it cannot be read as one.
    """
    try:
        yield
    except (LookupError, TypeError, ValueError, AttributeError, RecursionError):
        detail = "this is not the answer of a hub; is another server there, or a sign-in page on the way?"
        raise Refused(url, 200, {"detail": detail}) from None


def _reason(error: Exception) -> str:
    """What went wrong with a connection, in a few words."""
    if not isinstance(error, aiohttp.ClientConnectorError):
        return _public(error) or type(error).__name__
    where = f"{error.host}:{error.port}"
    if isinstance(error, aiohttp.ClientConnectorDNSError):
        return f"the name {error.host} does not resolve: {error.os_error.strerror or error.os_error}"
    if isinstance(error, aiohttp.ClientConnectorCertificateError):
        return f"the certificate of {where} is not accepted: {error.certificate_error}"
    if isinstance(error, aiohttp.ClientSSLError) or not error.os_error.errno:
        return f"cannot connect to {where}: {error.os_error}"
    return f"cannot connect to {where}: {os.strerror(error.os_error.errno)}"


def _refusal_of_proxy(error: aiohttp.ClientHttpProxyError, url: URL) -> Exception:
    """The error for a proxy that opens no tunnel."""
    if error.status in _TRY_AGAIN or error.status >= 500:
        return _Passing(f"the proxy on the way answered {error.status}")
    return Refused(url, error.status, {"detail": "this is the answer of a proxy; does it need a name and a password?"})


def _seconds(value: timedelta | float) -> float:
    return value.total_seconds() if isinstance(value, timedelta) else float(value)


class _Sessions:
    """The `aiohttp.ClientSession` for the event loop that runs: the user's, or one for each loop, made when it is
    needed. One of ours is closed by `close()`, or with its loop (by `loop.shutdown_asyncgens()`, which `asyncio.run`
    calls), or when nothing holds it any more.

    :param given: the user's session, which is left open.
    """

    def __init__(self, given: aiohttp.ClientSession | None) -> None:
        self._given = given
        self._kept: weakref.WeakKeyDictionary[
            asyncio.AbstractEventLoop, tuple[aiohttp.ClientSession, AsyncGenerator[None, None]]
        ] = weakref.WeakKeyDictionary()
        self._proxies: dict[tuple[str, str | None, int | None], str | None] = {}  # of the few servers that it asks
        _FORKED.add(self)

    def forked(self) -> None:
        _keep_for_ever(list(self._kept.items()))
        self._kept = weakref.WeakKeyDictionary()

    async def get(self) -> aiohttp.ClientSession:
        if self._given is not None:
            return self._given
        loop = asyncio.get_running_loop()
        if loop not in self._kept or self._kept[loop][0].closed:
            # Streams stay open; with aiohttp's limit of 100 connections, the next publish would wait for ever.
            session = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
            keeper = _kept_open(session)
            await anext(keeper)
            self._kept[loop] = session, keeper
        return self._kept[loop][0]

    async def request(self, method: str, url: URL, **options: Any) -> aiohttp.ClientResponse:
        """The answer to a request; with a session of ours, through the proxy that the environment names."""
        session = await self.get()
        if self._given is None and options.get("proxy") is None:
            place = url.scheme, url.host, url.port
            if place not in self._proxies:  # looking it up takes a quarter of the time of a request
                self._proxies[place] = _environment_proxy(url)
            options["proxy"] = self._proxies[place]
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


async def _kept_open(session: aiohttp.ClientSession) -> AsyncGenerator[None, None]:
    """A generator that closes the session when it is closed: the event loop does so at its end."""
    try:
        yield
    finally:
        await session.close()


@attrs.frozen
class _Request:
    """One attempt to open a stream. It has all that an attempt needs and does not hold the `EventSource`, so that
    an attempt which is under way does not keep alive a source that its user has left."""

    method: str
    url: URL
    headers: Headers | Callable[[], Headers | Awaitable[Headers]]
    last_event_id: str
    abroad: bool
    """Whether the URL is of another origin than the one that the user gave."""
    answer_timeout: float | None
    options: Mapping[str, Any]

    async def open(self, sessions: _Sessions) -> _Incoming | None:
        """An event stream that is open; None if the server wants no more reconnects (204, WHATWG HTML 9.2.3).

        :raises _Passing: if trying again may help.
        :raises SSEError: if not.
        """
        for last in (not callable(self.headers), True):
            response = await self._answer(sessions)
            if response.method != self.method and response.history:
                response.close()
                raise _moved(response.history[0], self.url)
            if response.status == 200 and response.content_type == "text/event-stream":
                return _Incoming(response)
            try:
                if response.status == 204:
                    return None
                if response.status != 401 or last:
                    await self._refuse(response)
            finally:
                response.close()
        raise AssertionError("the second answer was returned or raised")

    async def _answer(self, sessions: _Sessions) -> aiohttp.ClientResponse:
        try:
            async with asyncio.timeout(self.answer_timeout) as scope:
                return await sessions.request(
                    self.method, self.url, **{**self.options, "headers": await self._all_headers()}
                )
        except SSEError:  # some are OSErrors, too
            raise
        except TimeoutError as error:
            reason = f"nothing came for {self.answer_timeout:g} s" if scope.expired() else _reason(error)
            raise _Passing(reason) from None
        except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError, aiohttp.TooManyRedirects) as error:
            raise SSEError(f"{self.url} cannot be connected to: {str(error) or type(error).__name__}") from None
        except aiohttp.ClientHttpProxyError as error:
            raise _refusal_of_proxy(error, self.url) from None
        except (aiohttp.ClientError, OSError) as error:
            raise _Passing(_reason(error)) from None

    async def _all_headers(self) -> CIMultiDict[str]:
        headers: CIMultiDict[str] = await _fresh(self._given_headers, "headers")
        headers.setdefault("Accept", "text/event-stream")
        # The cache mode is no-store (WHATWG HTML 9.2.2); with it, Fetch adds these (HTTP-network-or-cache fetch).
        headers.setdefault("Cache-Control", "no-cache")
        headers.setdefault("Pragma", "no-cache")
        if self.last_event_id:
            headers["Last-Event-ID"] = self.last_event_id
        if self.abroad:
            # As in a redirect that is followed at once, no secret goes to another origin (Fetch, section 4.4).
            for name in ("Authorization", "Cookie", "Proxy-Authorization"):
                headers.popall(name, None)
        return headers

    async def _given_headers(self) -> CIMultiDict[str]:
        return _sendable(CIMultiDict(await _value_of(self.headers) or ()))

    async def _refuse(self, response: aiohttp.ClientResponse) -> NoReturn:
        status = response.status
        if status in _TRY_AGAIN or status >= 500:
            raise _Passing(f"{response.url} answered {status}", _retry_after(response.headers))
        if status >= 400:
            raise Refused(response.url, status, await _problem(response))
        kind = response.headers.get("Content-Type", "no content type")
        raise NotAnEventStream(
            f"{response.url} answered {status} with {kind}; an event stream is 200 text/event-stream"
        )


class _Incoming:
    """The bytes of an event stream. They are read ahead, up to 256 KiB: what has come before a connection breaks is not
    lost with it, although aiohttp gives nothing more once a connection is broken."""

    def __init__(self, response: aiohttp.ClientResponse) -> None:
        self.response = response
        self._chunks: deque[bytes] = deque()
        self._bytes = 0
        self._end = ""  # why nothing more comes
        self._came, self._taken = asyncio.Event(), asyncio.Event()
        self._reading = asyncio.create_task(self._read())
        self._reading.add_done_callback(_noticed)

    async def next(self) -> bytes:
        """The next bytes. A wait that is cancelled loses none.

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
        except (aiohttp.ClientError, OSError, RuntimeError) as error:  # RuntimeError: the connection had ended before
            self._end = f"the connection broke: {_reason(error)}"
        finally:
            self._end = self._end or "reading was cancelled"
            self._came.set()
            self.response.close()

    async def _some(self) -> bytes:
        while True:
            scope = asyncio.timeout(_LOOK)
            try:
                async with scope:
                    return await self.response.content.readany()
            except TimeoutError:
                if not scope.expired():  # one of aiohttp's own
                    raise
            if self.response.connection is not None and self.response.connection.transport is None:
                raise _Passing("the connection broke")


class _Line:
    """What an `EventSource` has in one event loop: an attempt to connect, or a connection."""

    def __init__(self, loop: asyncio.AbstractEventLoop) -> None:
        self.loop = loop
        self._pid = os.getpid()
        _FORKED.add(self)
        # Two tasks may wait for the same source: one of them goes on, the other one after it.
        self.lock = asyncio.Lock()
        self.scopes: set[asyncio.Timeout] = set()  # of what is being waited for
        self.attempt: asyncio.Task[_Incoming | None] | None = None
        self.incoming: _Incoming | None = None

    def begin(self, attempt: Coroutine[Any, Any, _Incoming | None]) -> None:
        self.attempt = asyncio.create_task(attempt)
        self.attempt.add_done_callback(_noticed)

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
        """Close it from any thread: the garbage collector may run in each."""
        _tell(self._pid, self.loop, self.close)

    def forked(self) -> None:
        _keep_for_ever((self.loop, self.attempt, self.incoming))
        self.attempt = self.incoming = None


def _noticed(task: asyncio.Task[Any]) -> None:
    """An error of a task for which nobody waits any more is no error of the program."""
    if not task.cancelled():
        task.exception()


def _close_opened(attempt: asyncio.Task[_Incoming | None]) -> None:
    if not attempt.cancelled() and attempt.exception() is None and (incoming := attempt.result()) is not None:
        incoming.close()


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

    The pause before the next attempt, the attempt, the connection and the events that have come belong to this object
    and not to the task that waits: a wait that is cancelled is taken up again by the next one.
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
        if not callable(headers):
            _sendable(CIMultiDict(headers or ()))
        self._url = URL(url)
        self._origin_url = self._url
        self._method = (option or {}).get("method", "GET")
        self._sessions, self._borrowed = _Sessions(session), False
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
        self._was_open = False
        self._failures = 0  # connections in a row that did not stand or brought nothing
        self._opened_at = math.inf  # monotonic clock
        self._not_before = 0.0  # the moment (monotonic clock) before which nothing is tried
        self._brought = False  # whether this connection has brought bytes
        self._unsendable = ""  # the last id that no header can have
        self._quiet_since: float | None = None  # since when nothing has come although it is waited for
        self._due: deque[Call] = deque()  # callbacks that have not been called yet
        self._error: SSEError | None = None  # for good, and not raised yet
        self._held: _Line | None = None

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
        await self._go_on_until(lambda line: bool(self._events) or self._ready_state == READY_STATE_CLOSED)
        if self._ready_state == READY_STATE_CLOSED:
            raise StopAsyncIteration
        parsed, cursor = self._events.popleft(), self._last_event_id
        type, data, id = parsed
        # While more is waiting, the cursor is that of what has been handed out.
        self._last_event_id = id if self._events else self._parser.last_event_id
        event = Event(type or "message", type, data, self._origin, id)
        try:
            await _call(self._on_message, event)
        except asyncio.CancelledError:
            self._events.appendleft(parsed)
            self._last_event_id = cursor
            raise
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
        incoming = None if self._held is None else self._held.incoming
        return str((self._url if incoming is None else incoming.response.url).origin())

    async def connect(self, retry: int | None = None) -> None:
        """Wait until the stream is open, trying again as often as may be.

        :param retry: instead of `max_connect_retry`.
        :raises SSEError: see the class.
        """
        self._max_connect_retry = self._max_connect_retry if retry is None else retry
        await self._go_on_until(lambda line: line.incoming is not None or self._ready_state == READY_STATE_CLOSED)

    async def close(self) -> None:
        """Close the connection; an iteration that waits ends."""
        self._ready_state = READY_STATE_CLOSED
        self._due.clear()
        await self._release()

    def borrow(self, sessions: _Sessions) -> None:
        """Use the sessions of a client, and leave them open."""
        self._sessions, self._borrowed = sessions, True

    async def _go_on_until(self, reached: Callable[[_Line], bool]) -> None:
        """Go on step by step, callbacks and errors first."""
        while True:
            line = self._line()
            if self._due:
                await _call_all(self._due)
            elif self._error is not None:
                await self._release()
                error, self._error = self._error, None
                if error is not None:
                    raise error
            elif reached(line):
                return
            else:
                async with line.lock:
                    if not (self._due or self._error or reached(line)):
                        await self._step(line)

    def _line(self) -> _Line:
        loop = asyncio.get_running_loop()
        if self._held is None or self._held.loop is not loop:
            if self._held is not None:
                self._held.abandon()
            self._held = _Line(loop)
            weakref.finalize(self, self._held.abandon).atexit = False
        return self._held

    async def _step(self, line: _Line) -> None:
        if line.incoming is not None:
            await self._receive(line, line.incoming)
        elif (pause := self._not_before - time.monotonic()) > 0:
            with contextlib.suppress(_Passing):
                await self._within(line, None, asyncio.sleep(pause))
        else:
            await self._attempt(line)

    async def _attempt(self, line: _Line) -> None:
        if line.attempt is None:
            line.begin(self._request().open(self._sessions))
        assert line.attempt is not None
        with contextlib.suppress(_Passing):
            await self._within(line, None, asyncio.wait([line.attempt]))
        attempt, line.attempt = line.attempt, None
        if attempt is None:
            return  # closed meanwhile
        try:
            incoming = attempt.result()
        except _Passing as passing:
            self._pause(passing)
        except SSEError as error:
            self._fail(error)
        except asyncio.CancelledError:  # of the attempt, by someone who cancels all tasks, and not of this one
            self._pause(_Passing("the attempt was cancelled"))
        else:
            await self._opened(line, incoming)

    def _request(self) -> _Request:
        abroad = self._url.origin() != self._origin_url.origin()
        id = self._sendable_id()
        return _Request(self._method, self._url, self._headers, id, abroad, self._idle_timeout, self._kwargs)

    def _sendable_id(self) -> str:
        """The cursor, empty where no header can have it: a request that cannot be sent would fail for ever."""
        id = self._parser.last_event_id
        if len(id) <= _LONGEST_ID and not _UNSENDABLE.search(id) and _is_utf8(id):
            return id
        if id != self._unsendable:
            self._unsendable = id
            logger.warning("%s: the id %.50r cannot be sent; the stream does not resume", _public(self._url), id)
        return ""

    async def _opened(self, line: _Line, incoming: _Incoming | None) -> None:
        if incoming is None:
            self._ready_state = READY_STATE_CLOSED
            await self._release()
            return
        line.incoming = incoming
        self._remember_redirects(incoming.response)
        self._parser.reset()
        self._was_open = True
        self._quiet_since, self._opened_at, self._brought = None, time.monotonic(), False
        self._ready_state = READY_STATE_OPEN
        self._due.append((self._on_open, ()))

    def _remember_redirects(self, response: aiohttp.ClientResponse) -> None:
        hops = [*response.history, response]
        for hop, following in pairwise(hops):
            if hop.status not in {301, 308}:
                return
            same = following.url.origin() == self._url.origin()
            # aiohttp takes user and password out of a URL; within an origin they stay what they are.
            user, password = (self._url.user, self._url.password) if same else (None, None)
            self._url = following.url.with_user(user).with_password(password) if user else following.url
            self._kwargs.pop("params", None)  # they are in the new URL, or not wanted there
            if self._url.origin() != self._origin_url.origin():
                self._kwargs.pop("auth", None)

    async def _receive(self, line: _Line, incoming: _Incoming) -> None:
        """Wait for bytes and queue the events in them; when there is none to come, close the connection."""
        try:
            self._events.extend(self._parser.feed(await self._some_of(line, incoming)))
        except EventTooLarge as error:
            self._fail(error)
        except _Passing as passing:
            line.close()
            if self._brought and time.monotonic() - self._opened_at >= _STOOD:
                self._failures = 0
            self._pause(passing)
        else:
            self._brought = True
            if self._events:
                self._failures = 0
            else:
                self._last_event_id = self._parser.last_event_id

    async def _some_of(self, line: _Line, incoming: _Incoming) -> bytes:
        """The next bytes.

        :raises _Passing: if there are no more, or if none comes for `idle_timeout`.
        """
        left = None
        if self._idle_timeout is not None:
            # The time goes on from one wait to the next: short waits would never notice a silence.
            self._quiet_since = self._quiet_since or time.monotonic()
            left = max(self._quiet_since + self._idle_timeout - time.monotonic(), 0)
        data = await self._within(line, left, incoming.next())
        self._quiet_since = None
        return data

    def _pause(self, passing: _Passing) -> None:
        """Determine when the next attempt is: after the time that the server told, then later with each failure in a
        row, at random, so that many clients do not come back at once."""
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
        logger.log(level, "%s: %s; connecting again in %.1f s", _public(self._url), passing, delay)
        self._failures += 1
        self._not_before = time.monotonic() + delay

    def _delay(self, passing: _Passing) -> float:
        told = None if self._parser.retry_ms is None else self._parser.retry_ms / 1000
        base = self._reconnection_time if told is None else told
        # A time of our own is spread over its second half; one that the server told has been spread by the server.
        first = min(base, self._max_reconnection_time) / 2 if told is None else min(told, _LONGEST_WAIT)
        if told is not None and not self._failures:
            return max(first, passing.wait)
        # A reconnection time of 0 is no reason to knock at a closed door without a pause.
        grown = max(base, 0.1 if self._failures else 0.0) * 2 ** min(self._failures, 30)
        spread = min(grown, self._max_reconnection_time)
        return max(first, passing.wait) + random.uniform(0, spread if told is not None else max(spread - first, 0.0))

    async def _within(self, line: _Line, seconds: float | None, awaitable: Awaitable[T]) -> T:
        """Wait for something for so long, or until the line is closed."""
        scope = asyncio.timeout(seconds)
        try:
            async with scope:
                line.scopes.add(scope)
                return await awaitable
        except TimeoutError:
            if not scope.expired():  # one of aiohttp's own
                raise
            raise _Passing(f"nothing came for {self._idle_timeout} s") from None
        finally:
            line.scopes.discard(scope)

    def _fail(self, error: SSEError) -> None:
        """End with an error, which is raised when the callback has been called."""
        if self._ready_state != READY_STATE_CLOSED:
            self._ready_state = READY_STATE_CLOSED
            self._due.append((self._on_error, ()))
        self._error = error

    async def _release(self) -> None:
        if self._held is not None:
            if self._held.loop is asyncio.get_running_loop():
                self._held.close()
            else:
                self._held.abandon()
        if not self._borrowed:
            await self._sessions.close()


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
    first: str | None = None
    last: str | None = None


class Channels:
    """The channels of a hub, read page by page while they are iterated. `await` gives a list of all."""

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
        """A list of all of them."""
        return [channel async for channel in self]


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


def _is_utf8(text: str) -> bool:
    try:
        return text.isascii() or bool(text.encode())
    except UnicodeEncodeError:
        return False


def _utf8(text: str) -> str:
    """The text as it is.

    :raises ValueError: if UTF-8 cannot express it: bytes of the command line that were not understood, for example.
    """
    if not _is_utf8(text):
        raise ValueError(f"UTF-8 cannot express {text[:50]!a}: it has a lone surrogate")
    return text


def _segment(name: str) -> str:
    """A name as a segment of a path."""
    return quote(_utf8(name), safe="")


def _known(value: Mapping[str, Any], cls: type[T]) -> T:
    """The object of a class from the keys that it knows; a newer hub may have more."""
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
    """Channels of a hub, as an asynchronous iterator of `Event`: each once and in order, through any number of
    reconnects. Made by `SSEClient`; `async with` or `close()` ends it, as the end of its client does."""

    def __init__(
        self,
        source: EventSource,
        on_lost: Callback | None,
        on_notice: Callback | None,
        ends: bool,
    ) -> None:
        self.ended: str | None = None
        """Why the channel has ended: `done`, `failed`, `cancelled`, `abandoned`; None if it has not."""
        self._source = source
        self._ends = ends
        self._on_lost = on_lost or self._log_loss
        self._on_notice = on_notice
        self._newest = _id_order(source.last_event_id)  # of the events that have come
        self._due: deque[Call] = deque()  # callbacks that have not been called yet

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> Event:
        while True:
            await _call_all(self._due)
            if self.ended is not None:
                await self.close()
                raise StopAsyncIteration
            received = await anext(self._source)
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
        """The event in an envelope. An `end` may come without one.

        :raises SSEError: if it is none.
        """
        if received.type == "end":
            return received
        try:
            return _enveloped(json.loads(received.data), received.origin, received.last_event_id)
        except (LookupError, TypeError, ValueError, AttributeError, RecursionError):
            url = self._source.url
            raise SSEError(f"{url} sent an event that is not a hub's: an EventSource reads any server") from None

    def _is_new(self, id: object) -> bool:
        order = _id_order(id) if isinstance(id, str) else None
        if order is not None:
            if self._newest is not None and order <= self._newest:
                return False  # it has come already: a cut connection brought it, but not to where a cursor is kept
            self._newest = order
        return True

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
        self._due.clear()
        await self._source.close()

    def _notice(self, event: Event) -> None:
        """What the hub says of the stream itself."""
        said = _object(event.data)
        if event.type == "error":
            logger.warning("%s: %s", _public(self._source.url), _public(event.data))
        elif event.type == "connected" and said.get("lost"):
            before = "" if self._newest is None else "{}-{}".format(*self._newest)
            self._newest = _id_order(event.last_event_id)  # another hub's ids, perhaps
            self._due.append((self._on_lost, (Lost(before, event.last_event_id),)))
        elif event.type == "lost":
            self._due.append((self._on_lost, (Lost(str(said.get("after", "")), str(said.get("next", ""))),)))
        self._due.append((self._on_notice, (event,)))

    def _log_loss(self, lost: Lost) -> None:
        url = _public(self._source.url)
        after = lost.after or "an unknown id"
        logger.warning("%s: events after %s are lost; the stream goes on from %s", url, after, lost.next)


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
        if not callable(token):
            _bearer(token)
        if token is not None and URL(base_url).user is not None:
            raise ValueError("the URL has a user and there is a token: a request has one of them")
        self._base = str(base_url).rstrip("/")
        self._token = token
        self._given_session = session
        self._sessions = _Sessions(session)
        self._idle_timeout = idle_timeout
        self._options = options
        self._streams: weakref.WeakSet[Stream] = weakref.WeakSet()
        self._requests: set[asyncio.Task[Any]] = set()  # that are under way
        self._failures = 0  # publishes in a row that were not acknowledged
        self._not_before = 0.0  # the moment (monotonic clock) before which nothing is published
        self._reason = "no answer"  # why not
        _FORKED.add(self)

    def forked(self) -> None:
        """Requests that are under way are those of the parent process."""
        _keep_for_ever(self._requests)
        self._requests = set()

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
        loop = asyncio.get_running_loop()
        await _cancelled(task for task in self._requests if task.get_loop() is loop)
        await self._sessions.close()

    def stream(self, *channels: str, **options: Any) -> Stream:
        """The events of these channels and patterns; of `main`, if none is named.

        :param options: those of `follow`.
        """
        names = channels or ("main",)
        options.setdefault("ends", len(names) == 1 and "*" not in names[0])
        return self.follow("/stream", [("channel", _utf8(name)) for name in names], **options)

    def channel(self, name: str, **options: Any) -> Stream:
        """The events of one channel.

        :param options: those of `follow`.
        """
        return self.follow(f"/realtime/{_segment(name)}", **{"ends": True, **options})

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
        **options: Any,
    ) -> Stream:
        """The event stream at a path of the hub.

        :param parameters: of the query.
        :param events: only these types.
        :param replay: begin so many events back; with `latest`, begin with the newest event of each channel.
        :param from_start: begin with the first event of each channel.
        :param conflate: seconds in which at most one event of each channel and type comes: the newest.
        :param last_event_id: resume after this id instead.
        :param on_lost: called with a `Lost` where events are gone for good; by default, a warning is logged.
        :param on_notice: called with each `Event` by which the hub speaks of the stream itself: `connected`, `live`,
            `lost`, `closing`, `error`.
        :param ends: whether the stream ends when its channel does; `end` is an event like others if not. By default, a
            stream of one channel does.
        :param options: of `EventSource`: `max_retries`, `on_open`, `on_error` …
        """
        query = [*parameters, ("envelope", "1"), *(("event", type) for type in events)]
        if replay is not None:
            query.append(("replay", str(replay)))
        if from_start:
            query.append(("from", "start"))
        if conflate is not None:
            query.append(("conflate", str(round(conflate * 1000))))
        source = EventSource(
            URL(self._base + path, encoded=True).extend_query(query),
            session=self._given_session,
            headers=self._headers if callable(self._token) else _bearer(self._token),
            last_event_id=last_event_id,
            **{"idle_timeout": self._idle_timeout, **self._options, **options},
        )
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

        :param data: text as it stands; bytes as UTF-8; anything else as JSON.
        :param end: end the channel with this event, in the same step: `done`, `failed`, `cancelled`.
        :param deadline: seconds within which it must be acknowledged; a hub remembers a publish for 600 s.
        :raises NotAcknowledged: if it was not.
        :raises Ended: if the channel has ended.
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
        """Forget what a channel retains, its end included: it begins anew.

        :param deadline: see `publish`.
        :raises NotAcknowledged: if it was not acknowledged in time.
        """
        await self._insist("DELETE", f"/realtime/{_segment(channel)}", deadline, expected=(200, 204))

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
        :param interrupt: follow the channel, and interrupt the block as soon as somebody else has ended it. Otherwise,
            the next `write` fails.
        :param deadline: seconds within which each request must be acknowledged.
        """
        return Run(self, f"{self._base}/realtime/{_segment(channel)}", channel, event, interrupt, deadline)

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
        with _understood(self._base):
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
        async with contextlib.aclosing(_batches(items)) as batches:
            async for batch in batches:
                async for published in self._publish_batch(channel, query, batch, "", deadline):
                    count += published.count
                    await _call(on_batch, published)
        return count

    async def _publish_batch(
        self, channel: str, query: Mapping[str, str], texts: Sequence[str], end: str, deadline: float
    ) -> AsyncIterator[Published]:
        """Publish texts in one request; in several, if the hub takes no batch of this size (413).

        :param query: `event`, `ephemeral`.
        :param texts: if they are several, each is one line that is not empty.
        :param end: why the channel ends with them; empty if it goes on.
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
        answer = await self._post(f"/realtime/{_segment(channel)}", {**query, **ending}, body, kind, deadline)
        with _understood(self._base):
            return self._published(answer)

    def channels(self, match: str = "*") -> Channels:
        """The channels of the hub by name: `async for channel in client.channels()`, or `await client.channels()` for a
        list of all.

        :param match: only those that match this pattern.
        """
        return Channels(functools.partial(self._page, match))

    async def _page(self, match: str, after: str) -> tuple[list[Channel], str]:
        """Some channels after this name, and the name to go on after; empty at the end."""
        query = {"limit": str(_PAGE), "match": match, **({"after": after} if after else {})}
        answer = await self._get("/api/channels", query)
        with _understood(self._base):
            following = answer.get("next", "")
            if following and following <= after:
                raise ValueError("pages that go on for ever")
            return [_known(channel, Channel) for channel in answer["channels"]], following

    async def history(self, channel: str = "main", *, after: str = "", limit: int = 100) -> History:
        """Retained events of a channel, oldest first.

        :param after: only events after this id.
        :param limit: at most so many; a hub gives up to 1000 at once.
        """
        query = {"limit": str(limit), **({"after": after} if after else {})}
        answer = await self._get(f"/api/channels/{_segment(channel)}/events", query)
        with _understood(self._base):
            return History([_enveloped(e, self._base, e["id"]) for e in answer["events"]], answer["lost"])

    async def health(self) -> dict[str, Any]:
        """How the hub is; `status` is `ok`, `degraded` or `draining`."""
        answer = await self._get("/health", expected=(200, 503))
        return cast("dict[str, Any]", answer)

    async def request(self, method: str, path: str, **options: Any) -> aiohttp.ClientResponse:
        """The answer to a request for a path of the hub, with the token, as it comes from aiohttp: for whatever has no
        method here.

        :param options: of `aiohttp.ClientSession.request`.
        :raises aiohttp.ClientError: if there is none.
        """
        headers = {**await self._headers(), **options.pop("headers", {})}
        url = URL(self._base + path, encoded=True)
        unlimited = aiohttp.ClientTimeout(total=None, sock_connect=_ANSWER_TIMEOUT)
        return await self._sessions.request(
            method, url, **{"timeout": unlimited, **self._options, **options, "headers": headers}
        )

    @staticmethod
    def _published(answer: Mapping[str, Any]) -> Published:
        return _known({**answer, "id": answer["ids"][1] if "ids" in answer else answer["id"]}, Published)

    @staticmethod
    def _publish_query(event: str, ephemeral: bool) -> dict[str, str]:
        return {"event": _utf8(event), **({"ephemeral": "1"} if ephemeral else {})}

    async def _headers(self) -> dict[str, str]:
        return _bearer(await _value_of(self._token))

    async def _get(self, path: str, query: Mapping[str, str] | None = None, expected: Sequence[int] = (200,)) -> Any:
        try:
            async with asyncio.timeout(_ANSWER_TIMEOUT):
                return await self._ask("GET", path, expected=expected, params=query)
        except _Passing as passing:
            raise SSEError(f"{self._base}{path}: {passing}") from passing.__cause__
        except TimeoutError:
            raise SSEError(f"no answer from {self._base}{path} within {_ANSWER_TIMEOUT:g} s") from None

    async def _post(self, path: str, query: Mapping[str, str], body: bytes, kind: str, deadline: float) -> Any:
        headers = {"Content-Type": kind, "Idempotency-Key": uuid.uuid4().hex}
        return await self._insist("POST", path, deadline, headers=headers, params=query, data=body)

    async def _insist(self, method: str, path: str, deadline: float, **request: Any) -> Any:
        """The answer to a request that is sent again until it is acknowledged."""
        try:
            async with asyncio.timeout(deadline):
                while True:
                    if (pause := self._not_before - time.monotonic()) > 0:
                        await asyncio.sleep(pause)
                        continue
                    with contextlib.suppress(_Passing):
                        return await self._kept(self._counted(method, path, **request))
        except TimeoutError:
            reason = self._reason
            raise NotAcknowledged(f"{self._base}{path} did not acknowledge within {deadline:g} s: {reason}") from None

    async def _counted(self, method: str, path: str, **request: Any) -> Any:
        """The answer to a publish. A failure determines the next pause, although nobody may wait for it any more."""
        began = time.monotonic()
        try:
            answer = await self._ask(method, path, **request)
        except _Passing as passing:
            self._pause(path, passing, began)
            raise
        self._failures = 0
        return answer

    def _pause(self, path: str, passing: _Passing, began: float) -> None:
        """Determine when the next publish is, for all of this client: publishes that failed together count once."""
        self._reason = str(passing)
        if began < self._not_before:
            return
        delay = passing.wait + random.uniform(0, min(0.1 * 2**self._failures, 5.0))
        self._failures = min(self._failures + 1, 30)
        self._not_before = time.monotonic() + delay
        logger.info("%s%s: %s; publishing again in %.1f s", _public(self._base), path, passing, delay)

    async def _kept(self, request: Coroutine[Any, Any, T]) -> T:
        """The answer to a request that is not thrown away when the wait for it is cancelled: it ends within 30 s."""
        task = asyncio.create_task(request)
        self._requests.add(task)
        task.add_done_callback(self._requests.discard)
        task.add_done_callback(_noticed)
        try:
            await asyncio.wait([task])
        except asyncio.CancelledError:
            if len(self._requests) > _LEFT_REQUESTS:
                task.cancel()
            raise
        return task.result()

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
            all_headers = {**await _fresh(self._headers, "the token"), **(headers or {})}
            url = URL(self._base + path, encoded=True)
            body = options.get("data")
            everything = {
                "timeout": aiohttp.ClientTimeout(total=_ANSWER_TIMEOUT),
                **self._options,
                **options,
                "headers": all_headers,
                "allow_redirects": False,
                "data": io.BytesIO(body) if body and len(body) > _LARGE_BODY else body,
            }
            try:
                async with await self._sessions.request(method, url, **everything) as response:
                    if response.status != 401 or last:
                        return await self._answer(response, url, expected)
            except SSEError:  # some are OSErrors, too
                raise
            except TimeoutError:
                raise _Passing(f"no answer within {_ANSWER_TIMEOUT:g} s") from None
            except (aiohttp.InvalidURL, aiohttp.NonHttpUrlClientError) as error:
                raise SSEError(f"{self._base} cannot be connected to: {str(error) or type(error).__name__}") from None
            except aiohttp.ClientHttpProxyError as error:
                raise _refusal_of_proxy(error, url) from None
            except (aiohttp.ClientError, OSError) as error:
                raise _Passing(_reason(error)) from None
        raise AssertionError("the second answer was returned or raised")

    async def _answer(self, response: aiohttp.ClientResponse, url: URL, expected: Sequence[int]) -> Any:
        status = response.status
        if status == 200 or (status in expected and "json" in response.content_type):
            with _understood(self._base):
                return json.loads(await _body(response, _ANSWER_BYTES))
        if status in _TRY_AGAIN or status >= 500:
            raise _Passing(f"the answer was {status}", _retry_after(response.headers))
        if status >= 400:
            problem = await _problem(response)
            raise (Ended if status == 409 and "reason" in problem else Refused)(url, status, problem)
        if status >= 300:
            raise _moved(response, url)
        if status == 204 and status in expected:
            return None
        with _understood(self._base):
            raise ValueError(status)


def _text(data: object) -> str:
    """Data as it is published.

    :raises ValueError: if UTF-8 or JSON cannot express it: NaN, for example.
    :raises TypeError: if it is neither text, bytes nor something that JSON has.
    """
    if isinstance(data, str):
        return _utf8(data)
    if isinstance(data, bytes | bytearray | memoryview):
        try:
            return bytes(data).decode()
        except UnicodeDecodeError as error:
            raise ValueError(f"data is text, and these bytes are not UTF-8: {error}") from None
    return _utf8(json.dumps(data, ensure_ascii=False, separators=(",", ":"), allow_nan=False))


def _end_reason(reason: str) -> str:
    """:raises ValueError: if it is no reason for an end."""
    if reason not in _REASONS:
        raise ValueError(f"{reason[:40]!r} is no reason for an end: {', '.join(_REASONS)} are")
    return reason


def _stands_alone(text: str) -> bool:
    """Whether a text cannot be a line of a batch."""
    return not text or "\n" in text or text.endswith("\r")


async def _batches(items: Iterable[object] | AsyncIterable[object]) -> AsyncGenerator[list[str], None]:
    """Lists of texts that can be published together: several, if each is one line that is not empty."""
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
    """What a generator gives, and the error that ends it: what it gave before is to be published first."""
    async with contextlib.aclosing(texts):
        try:
            async for text in texts:
                yield text
        except Exception as error:
            yield error


async def _with_pauses(items: Iterable[object] | AsyncIterable[object]) -> AsyncGenerator[str | None, None]:
    """The items as text, and None where the source makes one wait."""
    if not isinstance(items, AsyncIterable):  # a QuerySet of Django is both, and must be this here
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
            if item is _LAST:
                return
            yield _text(item)
    finally:
        if following is not None:
            await _cancelled([following])


class _Written(NamedTuple):
    """An event of a run that is not published yet."""

    event: str
    text: str
    moment: float
    """When it was written (monotonic clock)."""


class Run:
    """A channel that is written to its end: the answer of a language model, a job, an upload. Made by `SSEClient.run`.

    What is written is published in order and exactly once, in the batches that come: the first text at once, others
    within 20 ms. A slow hub makes batches larger, up to 500 events; while 2,000 wait, `write` waits.

    `async with` ends the channel: as `done`; as `cancelled` if the task is cancelled or the generator is closed; as
    `failed` after any other error. A producer that dies ends nothing; a rule of the hub can (`idle_end`).
    """

    def __init__(self, client: SSEClient, url: str, channel: str, event: str, interrupt: bool, deadline: float) -> None:
        self.channel = channel
        self.ended: str | None = None
        """Why the channel has ended, as far as this run knows; None if it has not."""
        self._client, self._event, self._interrupt, self._deadline = client, _utf8(event), interrupt, deadline
        self._url = url
        self._written: deque[_Written] = deque()
        self._size = 0  # of the texts, in characters
        self._published = 0
        self._ending = ""  # why this run ends the channel; empty while it goes on
        self._error: SSEError | None = None  # why nothing more can be published
        self._raised = False  # whether the user has got that error
        self._room, self._hurry = asyncio.Event(), asyncio.Event()
        self._not_before = 0.0  # the moment (monotonic clock) before which single texts are gathered
        self._sending: asyncio.Task[None] | None = None
        self._watch: _Watch | None = None

    async def write(self, data: object, *, event: str | None = None) -> None:
        """Have an event published; wait only for room. A wait that is cancelled has written nothing.

        :param data: text as it stands; bytes as UTF-8; anything else as JSON.
        :param event: its type; by default that of the run.
        :raises Ended: if the channel has ended.
        :raises SSEError: if an event that was written before could not be published; see `SSEClient.publish`.
        :raises ValueError: if data cannot be published. The run goes on.
        """
        written = _Written(self._event if event is None else _utf8(event), _text(data), time.monotonic())
        self._check()
        while self._written and (len(self._written) >= _RUN_EVENTS or self._size + len(written.text) > _RUN_BYTES):
            self._room.clear()
            await self._room.wait()
            self._check()
        self._written.append(written)
        self._size += len(written.text)
        if self._fills_a_batch():
            self._hurry.set()
        self._go_on()

    async def flush(self) -> None:
        """Wait until everything that was written so far is published.

        :raises SSEError: as `write`.
        """
        due = self._published + len(self._written)
        while self._published < due and self._error is None:
            self._hurry.set()
            self._room.clear()
            await self._room.wait()
        self._raise()

    async def end(self, reason: str = "done") -> None:
        """Publish the rest and end the channel.

        :param reason: `done`, `failed` or `cancelled`.
        :raises SSEError: as `write`.
        """
        _end_reason(reason)
        self._check()
        self._ending = reason
        if self._watch is not None:
            self._watch.dismiss()
        self._room.set()
        self._go_on()
        await self._sent()

    async def _sent(self) -> None:
        """Wait until the end is published."""
        if self._sending is not None:
            await asyncio.wait([self._sending])
        self._raise()

    async def __aenter__(self) -> Self:
        if self._interrupt and self._watch is None:
            # A loss is nothing to this stream, which waits for the end only.
            self._watch = _Watch(self._client.channel(self.channel, events=["end"], on_lost=lambda _: None))
        return self

    async def __aexit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        try:
            if self._watch is not None:
                found, ours = await self._watch.leave(error)
                if found is not None:
                    self._stop(self._ended_as(found) if isinstance(found, str) else found)
                if ours:
                    error, self._raised = None, False
            await self._leave(error)
        finally:
            if self._sending is not None:
                await _cancelled([self._sending])

    async def _leave(self, error: BaseException | None) -> None:
        reason = "done"
        if error is not None:
            stopped = isinstance(error, asyncio.CancelledError | GeneratorExit | KeyboardInterrupt)
            reason = "cancelled" if stopped else "failed"
        if self._error is None:
            try:
                async with asyncio.timeout(_BRIEFLY if reason == "cancelled" else None):
                    await (self._sent() if self._ending else self.end(reason))
            except (SSEError, TimeoutError) as why:
                if error is None:
                    raise
                text = str(why) or f"no answer within {_BRIEFLY:g} s"
                logger.warning("%s: the end (%s) could not be published: %s", _public(self._url), reason, text)
        else:
            await self._fail(self._error)
            if error is None and not self._raised:
                self._raise()

    async def _fail(self, error: SSEError) -> None:
        """End the channel as `failed` if it has lost events, so that nobody waits for them for ever."""
        if not isinstance(error, Ended):
            with contextlib.suppress(SSEError):
                await self._client.end(self.channel, "failed", deadline=_BRIEFLY)

    def _check(self) -> None:
        """:raises SSEError: if nothing more can be written."""
        self._raise()
        if self._ending:
            raise self._ended_as(self._ending)

    def _raise(self) -> None:
        """:raises SSEError: if nothing more can be published."""
        if self._error is not None:
            self._raised = True
            raise self._error.with_traceback(None)  # which would grow with each time

    def _ended_as(self, reason: str) -> Ended:
        problem = {"detail": f"The channel {self.channel} has ended: {reason}.", "reason": reason}
        return Ended(self._url, 409, problem)

    def _stop(self, error: SSEError) -> None:
        """Publish nothing more, for this reason."""
        if self._error is None:
            self._error = error
        if isinstance(self._error, Ended):
            self.ended = self._error.reason
        self._written.clear()
        self._size = 0
        self._room.set()

    def _go_on(self) -> None:
        if self._sending is None or self._sending.done():
            self._sending = asyncio.create_task(self._send())

    async def _send(self) -> None:
        if _CALLER.get() is not None:
            _CALLER.set(_ASIDE)  # the thread that waits for `write` does not wait for this
        try:
            while self._written or (self._ending and self.ended is None and self._error is None):
                await self._gather()
                await self._send_batch()
        except SSEError as error:
            self._stop(error)
        except BaseException as error:
            self._stop(SSEError(f"publishing to {self._url} was broken off: {type(error).__name__}: {error}"))
            raise

    def _fills_a_batch(self) -> bool:
        return len(self._written) >= _BATCH_EVENTS or self._size >= _BATCH_BYTES

    async def _gather(self) -> None:
        """Wait for further texts, if a request began a moment ago, nobody waits, and no text has waited long enough."""
        if self._written and not self._ending and not self._fills_a_batch():
            pause = min(self._not_before, self._written[0].moment + _GATHERING) - time.monotonic()
            with contextlib.suppress(TimeoutError):
                async with asyncio.timeout(max(pause, 0)):
                    await self._hurry.wait()
        self._hurry.clear()
        self._not_before = time.monotonic() + _GATHERING

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
    """Follows a channel, and interrupts the task that has made this when the channel ends."""

    def __init__(self, stream: Stream) -> None:
        task = asyncio.current_task()
        assert task is not None
        self._task, self._cancelling = task, task.cancelling()
        self._stream = stream
        self._dismissed = False
        self._found: SSEError | str | None = None
        self._following = asyncio.create_task(self._follow())

    def dismiss(self) -> None:
        """Interrupt the task no more."""
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
        """End this.

        :param error: that ends the block.
        :return: why the channel has ended, or what went wrong with following it, if that interrupted the task; and
            whether the error is that interruption and nothing else.
        """
        self.dismiss()
        if self._found is None:
            await _cancelled([self._following])
            return None, False
        interrupted = isinstance(error, asyncio.CancelledError)
        if not interrupted:
            with contextlib.suppress(asyncio.CancelledError):  # which has not reached the block any more
                await asyncio.sleep(0)
        alone = self._task.uncancel() <= self._cancelling
        return self._found, interrupted and alone


_LAST = object()
_PAUSE = object()


async def _next(iterator: AsyncIterator[T]) -> T | object:
    return await anext(iterator, _LAST)


async def _cancelled(futures: Iterable[asyncio.Future[Any]]) -> None:
    """Cancel what is still running and wait until it has ended."""
    futures = list(futures)
    for future in futures:
        future.cancel()
    await asyncio.gather(*futures, return_exceptions=True)


class Merged(Generic[T]):
    """Several sources as one asynchronous iterator. Made by `merge`; `async with` or `aclose()` ends it.

    The attempt under way belongs to this object: a wait that is cancelled loses nothing.
    """

    def __init__(self, sources: Sequence[AsyncIterable[T]]) -> None:
        self._sources: list[AsyncIterator[T]] | None = [aiter(source) for source in sources]
        self._waiting: dict[asyncio.Future[T | object], AsyncIterator[T]] = {}
        self._done: deque[asyncio.Future[T | object]] = deque()

    def __aiter__(self) -> Self:
        return self

    async def __anext__(self) -> T:
        self._begin()
        while self._waiting:
            if not self._done:
                done, _ = await asyncio.wait(self._waiting, return_when=asyncio.FIRST_COMPLETED)
                self._done.extend(done)
            future = self._done.popleft()
            iterator = self._waiting.pop(future, None)
            if iterator is None:
                continue  # another task took it, or all were cancelled
            try:
                item = future.result()
            except BaseException:
                await self.aclose()
                raise
            if item is not _LAST:
                self._wait_for(iterator)
                return cast("T", item)
        raise StopAsyncIteration

    async def __aenter__(self) -> Self:
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.aclose()

    async def aclose(self) -> None:
        """End what is being waited for. The sources stay as they are."""
        self._sources = None
        waiting = list(self._waiting)
        self._waiting.clear()
        self._done.clear()
        await _cancelled(waiting)

    def _begin(self) -> None:
        if self._sources is not None:
            weakref.finalize(self, _abandon, os.getpid(), asyncio.get_running_loop(), self._waiting).atexit = False
            sources, self._sources = self._sources, None
            for iterator in sources:
                self._wait_for(iterator)

    def _wait_for(self, iterator: AsyncIterator[T]) -> None:
        self._waiting[asyncio.ensure_future(_next(iterator))] = iterator


def _abandon(pid: int, loop: asyncio.AbstractEventLoop, waiting: Iterable[asyncio.Future[Any]]) -> None:
    for future in list(waiting):
        _tell(pid, loop, future.cancel)


def merge(*sources: AsyncIterable[T]) -> Merged[T]:
    """What several sources give, as it comes; it ends when all have. An error of one ends all."""
    return Merged(sources)


class _Caller:
    """A thread that waits for the event loop of a `SyncClient`. The functions of the user are called there: a Django
    model, a sqlite3 cursor or a widget may be used in no other one."""

    def __init__(self) -> None:
        self._calls: queue.SimpleQueue[Callable[[], object]] = queue.SimpleQueue()

    async def call(self, function: Callable[..., T], *arguments: object) -> T:
        """Have the thread call a function; what it returns or raises."""
        loop = asyncio.get_running_loop()
        answer: asyncio.Future[T] = loop.create_future()

        def settle(act: Callable[[Any], None], value: object) -> None:
            if not answer.done():
                act(value)

        def act() -> None:
            try:
                value = function(*arguments)
            except Exception as error:
                loop.call_soon_threadsafe(settle, answer.set_exception, error)
            else:
                loop.call_soon_threadsafe(settle, answer.set_result, value)

        self._calls.put(act)
        return await answer

    def wait(self, future: concurrent.futures.Future[Any]) -> None:
        """Wait until it is done; make the calls that come meanwhile. An interruption leaves them to the next."""
        future.add_done_callback(lambda _: self._calls.put(_nothing))
        while not future.done():
            self._calls.get()()


def _nothing() -> None:
    """Wakes a thread that waits for calls."""


class _Aside:
    """Calls functions of the user where no thread waits: in one that has no event loop, which Django's ORM demands."""

    async def call(self, function: Callable[..., T], *arguments: object) -> T:
        """What the function returns or raises."""
        return await asyncio.to_thread(function, *arguments)


_ASIDE = _Aside()
_CALLER: contextvars.ContextVar[_Caller | _Aside | None] = contextvars.ContextVar("_CALLER", default=None)


def _in_callers_thread(function: Callable[..., Any]) -> Callable[..., Awaitable[Any]]:
    """The function as one that is called in the thread of the caller that waits."""

    @functools.wraps(function)
    async def call(*arguments: object) -> Any:
        caller = _CALLER.get()
        result = function(*arguments) if caller is None else await caller.call(function, *arguments)
        return await result if inspect.isawaitable(result) else result

    return call


async def _drawn(items: Iterable[object]) -> AsyncGenerator[object, None]:
    """The items of an iterable, drawn in the caller's thread and given on one by one, as they come."""
    caller = _CALLER.get()
    assert caller is not None
    loop = asyncio.get_running_loop()
    drawn: asyncio.Queue[object] = asyncio.Queue()
    iterator: Iterator[object] | None = None

    def draw() -> None:
        # So many and no more: callbacks and the next batch wait for this thread meanwhile.
        nonlocal iterator
        iterator = iter(items) if iterator is None else iterator
        for _ in range(_BATCH_EVENTS):
            item = next(iterator, _LAST)
            loop.call_soon_threadsafe(drawn.put_nowait, item)
            if item is _LAST:
                return

    while True:
        drawing = asyncio.create_task(caller.call(draw))
        drawing.add_done_callback(lambda _: drawn.put_nowait(_PAUSE))
        try:
            while (item := await drawn.get()) is not _PAUSE:
                if item is _LAST:
                    return
                yield item
            await drawing
        finally:
            await _cancelled([drawing])


class _LoopThread:
    """An event loop in a thread of its own."""

    def __init__(self, *, inline_names: bool = False) -> None:
        self.loop = asyncio.new_event_loop()
        if inline_names:
            self.loop.set_default_executor(_InlineExecutor())
        self._pid = os.getpid()
        self._thread = threading.Thread(target=_run, args=(self.loop,), name="sse_client", daemon=True)
        self._thread.start()

    def begin(self, function: Callable[[], Coroutine[Any, Any, T]]) -> concurrent.futures.Future[T]:
        """Run a coroutine function without waiting for it.

        :raises RuntimeError: if that is asked for in the loop's own thread, which would then wait for itself.
        """
        if threading.current_thread() is self._thread:
            raise RuntimeError("a SyncClient cannot be used in a coroutine that it runs itself; use its `client`")
        return asyncio.run_coroutine_threadsafe(_called(function), self.loop)

    def stop(self) -> None:
        """End the loop and wait for it; a second call does nothing."""
        if self._pid == os.getpid() and not self.loop.is_closed():
            self.loop.call_soon_threadsafe(self.loop.stop)
            if threading.current_thread() is not self._thread:  # the garbage collector may run there
                self._thread.join(_ENDING)  # a function of the user may hold up the loop


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
        for name in _CALLBACKS & options.keys():
            if options[name] is not None:
                options[name] = _in_callers_thread(options[name])
        return SyncStream(self, method(self.client, *arguments, **options))

    return call


class SyncClient:
    """`SSEClient` without `await`: its event loop runs in a thread of its own, so that it works in notebooks, too.

    Callbacks, token functions and iterables are called in the thread that waits for a method or a stream. A process
    that is forked has an event loop of its own.

    :param base_url: see `SSEClient`.
    :param options: those of `SSEClient`.
    """

    def __init__(self, base_url: str | URL = DEFAULT_URL, **options: Any) -> None:
        if callable(token := options.get("token")):
            options["token"] = _in_callers_thread(token)
        self.client = SSEClient(base_url, **options)
        self._lock = threading.Lock()
        self._thread: _LoopThread | None = None
        _FORKED.add(self)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def wait(self, function: Callable[[], Coroutine[Any, Any, T]], caller: _Caller | None = None) -> T:
        """What a coroutine function gives in the event loop of this client; an interruption (Ctrl-C) cancels it."""
        caller = caller or _Caller()
        future = self.begin(function, caller)
        try:
            caller.wait(future)
            return future.result()
        except BaseException:
            future.cancel()
            raise

    def begin(self, function: Callable[[], Coroutine[Any, Any, T]], caller: _Caller) -> concurrent.futures.Future[T]:
        """Run a coroutine function without waiting for it.

        :param caller: in whose thread the user's functions are called.
        """

        async def run() -> T:
            _CALLER.set(caller)
            return await function()

        with self._lock:
            if self._thread is None:
                self._thread = _LoopThread()
                # At the end of the program, too: the connections of a client that nobody closed end well.
                self._stop = weakref.finalize(self, self._thread.stop)
            return self._thread.begin(run)

    def forked(self) -> None:
        """A child process has no thread but the one that forked; the lock may be that of another one."""
        self._lock = threading.Lock()
        if self._thread is not None:
            _keep_for_ever(self._thread)
            self._thread = None

    def close(self) -> None:
        """End all streams, close the connections, end the thread; a second call does nothing."""
        if self._thread is not None:
            self.wait(self.client.close)
            with self._lock:
                self._thread = None
            self._stop()

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
        """See `SSEClient.publish_many`. Items are drawn, and `on_batch` is called, in the thread of the caller."""
        called = None if on_batch is None else _in_callers_thread(on_batch)

        async def publish() -> int:
            source = _drawn(items) if isinstance(items, Iterable) else items  # a QuerySet of Django is both
            return await self.client.publish_many(source, on_batch=called, **options)

        return self.wait(publish)

    def run(self, channel: str, *, event: str = "message", deadline: float = DEFAULT_DEADLINE) -> SyncRun:
        """See `SSEClient.run`; entered by `with`. A token function is called in a thread of its own."""
        return SyncRun(self, self.client.run(channel, event=event, deadline=deadline))


class SyncStream:
    """`Stream` without `await`. Made by `SyncClient`; `with` or `close()` ends it, as the end of its client does."""

    def __init__(self, client: SyncClient, stream: Stream) -> None:
        self._client = client
        self._stream = stream
        self._caller = _Caller()
        self._coming: concurrent.futures.Future[Event] | None = None  # that is being waited for
        self._pid = os.getpid()

    def __iter__(self) -> Iterator[Event]:
        return self

    def __next__(self) -> Event:
        if self._pid != os.getpid():  # nothing comes to a child process any more; it follows by itself
            self._coming, self._caller, self._pid = None, _Caller(), os.getpid()
        if self._coming is None:
            self._coming = self._client.begin(self._stream.__anext__, self._caller)
        self._caller.wait(self._coming)  # an interruption (Ctrl-C) leaves it to the next call
        coming, self._coming = self._coming, None
        try:
            return coming.result()
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

    @property
    def ended(self) -> str | None:
        """Why the channel has ended, as that of `Stream`."""
        return self._stream.ended

    def close(self) -> None:
        """Close the connection."""
        self._client.wait(self._stream.close)


class SyncRun:
    """`Run` without `await`. Made by `SyncClient.run`. It may be written to from several threads, and from no other
    process than that in which it was made."""

    def __init__(self, client: SyncClient, run: Run) -> None:
        self._client = client
        self._run = run
        self._pid = os.getpid()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, kind: object, error: BaseException | None, trace: object) -> None:
        if self._pid == os.getpid():  # the end is that of the parent process, and so is what it has written
            self._client.wait(lambda: self._run.__aexit__(kind, error, trace))

    @property
    def channel(self) -> str:
        """The channel that is written to."""
        return self._run.channel

    @property
    def ended(self) -> str | None:
        """Why the channel has ended, as that of `Run`."""
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
            raise RuntimeError("this run was begun by another process; begin one here, on a channel of its own")
        self._client.wait(function)


@attrs.frozen(slots=True)
class Dropped:
    """Events that a `Publisher` did not publish, or of which it does not know whether they are published."""

    channel: str
    event: str
    data: tuple[str, ...]
    reason: str


@attrs.frozen(slots=True)
class _Waiting:
    """An event that waits to be published."""

    channel: str
    event: str
    ephemeral: bool
    text: str


class Publisher:
    """Publishes from code that must not wait: web handlers, tasks, signal handlers.

    `publish()` puts an event into a queue. A thread publishes what is in the queue in batches, each exactly once, in
    order within a channel. At the end of the program, the rest has `exit_deadline` to be published. A process that is
    forked has a queue and a thread of its own; events that waited at the fork are published by the parent process.

    :param base_url: see `SSEClient`.
    :param limit: events that may wait; a further one is dropped.
    :param limit_bytes: the same for the text of the events, in bytes.
    :param deadline: seconds within which each batch must be acknowledged; it is dropped otherwise.
    :param exit_deadline: seconds for which the end of the program waits.
    :param on_drop: called with a `Dropped`, in the thread that finds out; by default, a warning is logged.
    :param options: of `SSEClient`. A token function is called in the thread of the publisher.
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
        """How many events were dropped."""
        self._client = SSEClient(base_url, **options)
        self._limit, self._limit_bytes = limit, limit_bytes
        self._deadline, self.exit_deadline = deadline, exit_deadline
        self._on_drop = on_drop or self._log
        self._queue: deque[_Waiting]
        self._thread: _LoopThread | None
        self._working: asyncio.Task[None] | None
        self._begin_anew()
        _FORKED.add(self)
        atexit.register(_close_at_exit, weakref.ref(self))

    def publish(self, data: object, *, channel: str = "main", event: str = "message", ephemeral: bool = False) -> bool:
        """Have an event published soon. This never waits.

        :return: whether it was taken; False if the queue is full and the event was dropped.
        :raises ValueError: if data or a name cannot be published: see `SSEClient.publish`.
        """
        waiting = _Waiting(_utf8(channel), _utf8(event), ephemeral, _text(data))
        with self._lock:
            full = len(self._queue) >= self._limit or self._bytes + len(waiting.text) > self._limit_bytes
            if not full:
                self._queue.append(waiting)
                self._bytes += len(waiting.text)
                self._running().loop.call_soon_threadsafe(self._work)
        if full:
            self._drop([waiting], f"{self._limit} events wait already")
        return not full

    def flush(self, timeout: float | None = None) -> bool:
        """Wait until all that was taken is published or dropped; whether that was so within `timeout` seconds."""
        if self._thread is None:
            return True
        draining = asyncio.run_coroutine_threadsafe(self._drained(), self._thread.loop)
        try:
            draining.result(timeout)
        except TimeoutError:
            draining.cancel()
            return False
        return True

    def close(self, timeout: float | None = None) -> None:
        """Publish the rest, for so many seconds at most, and end the thread. The rest is dropped."""
        done = self.flush(timeout)
        thread, self._thread = self._thread, None
        if thread is not None:
            closing = asyncio.run_coroutine_threadsafe(self._client.close(), thread.loop)
            with contextlib.suppress(TimeoutError):
                closing.result(_ENDING)
            thread.stop()
        if not done:
            with self._lock:
                left, self._queue, self._bytes = list(self._queue), deque(), 0
            self._drop(left, "the publisher was closed before the hub had acknowledged them")

    def forked(self) -> None:
        """A child process has no thread, and the lock and the queue are those of its parent."""
        if self._thread is not None:
            _keep_for_ever((self._thread, self._working))
        self._begin_anew()

    def _begin_anew(self) -> None:
        # A lock that the thread which holds it may take again: a signal handler interrupts `publish`, and publishes.
        self._lock = threading.RLock()
        self._queue = deque()
        self._bytes = 0
        self._thread = None
        self._working = None

    def _running(self) -> _LoopThread:
        if self._thread is None:
            self._thread = _LoopThread(inline_names=True)
            weakref.finalize(self, self._thread.stop).atexit = False
            if (util := sys.modules.get("multiprocessing.util")) is not None:  # whose children do not run `atexit`
                util.Finalize(None, _close_at_exit, args=(weakref.ref(self),), exitpriority=10)
        return self._thread

    async def _drained(self) -> None:
        while self._working is not None and not self._working.done():
            await asyncio.wait([self._working])

    def _work(self) -> None:
        if self._working is None or self._working.done():
            self._working = asyncio.create_task(self._publish_all())

    async def _publish_all(self) -> None:
        while True:
            with self._lock:
                batch = list(itertools.islice(self._queue, _TAKEN_AT_ONCE))
            if not batch:
                return
            channels: dict[str, list[_Waiting]] = {}
            for each in batch:
                channels.setdefault(each.channel, []).append(each)
            groups = list(channels.values())
            for begin in range(0, len(groups), _CHANNELS_AT_ONCE):
                await asyncio.gather(*map(self._publish_channel, groups[begin : begin + _CHANNELS_AT_ONCE]))
            with self._lock:
                for each in batch:
                    self._queue.popleft()
                    self._bytes -= len(each.text)

    async def _publish_channel(self, events: Sequence[_Waiting]) -> None:
        for (event, ephemeral), group in itertools.groupby(events, lambda each: (each.event, each.ephemeral)):
            left = list(group)

            def taken(published: Published, left: list[_Waiting] = left) -> None:
                del left[: published.count]

            try:
                await self._client.publish_many(
                    [each.text for each in left],
                    channel=left[0].channel,
                    event=event,
                    ephemeral=ephemeral,
                    deadline=self._deadline,
                    on_batch=taken,
                )
            except Exception as error:  # one channel must not stop the others, whatever is wrong with it
                self._drop(left, f"{type(error).__name__}: {error}")

    def _drop(self, events: Sequence[_Waiting], reason: str) -> None:
        with self._lock:
            self.dropped += len(events)
        for (channel, event), group in itertools.groupby(events, lambda each: (each.channel, each.event)):
            try:
                self._on_drop(Dropped(channel, event, tuple(each.text for each in group), reason))
            except Exception:
                logger.exception("on_drop failed")

    def _log(self, dropped: Dropped) -> None:
        count, channel = len(dropped.data), dropped.channel
        logger.warning("%d events for channel %s were dropped: %s", count, channel, dropped.reason)


def _close_at_exit(reference: weakref.ref[Publisher]) -> None:
    publisher = reference()
    if publisher is not None:
        publisher.close(publisher.exit_deadline)


class _InlineExecutor(concurrent.futures.ThreadPoolExecutor):
    """Resolves names in the thread that asks. At the end of a program, when the last events are published, Python
    starts no thread any more; and a thread that does nothing but publish may wait for a name."""

    def submit(self, function: Callable[..., T], /, *arguments: Any, **options: Any) -> concurrent.futures.Future[T]:
        future: concurrent.futures.Future[T] = concurrent.futures.Future()
        try:
            future.set_result(function(*arguments, **options))
        except Exception as error:
            future.set_exception(error)
        return future


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
