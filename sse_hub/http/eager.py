"""Requests that are answered in the same call in which the event loop hands over their bytes.

For each request, aiohttp wakes the task of its connection, and that one starts another task for the handler. The event
loop turns three or four times before the answer is written, which takes longer than the hub needs for a publish. Most
publishes, and most openings of streams, wait for nothing. Their handlers run here at once and without a task, as eager
tasks do (Python 3.12).

Only two results are finished here: the acknowledgement of a publish, and an opened stream. aiohttp's tasks do the rest:
they continue a handler that waits, and send every other answer.
"""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable, Callable, Coroutine, Generator
from typing import Any, cast

import aiohttp
from aiohttp import StreamReader, web
from aiohttp.http_parser import RawRequestMessage
from aiohttp.http_writer import StreamWriter
from aiohttp.web_protocol import RequestHandler

from ..settings import Settings
from .answers import Acknowledgement
from .connection import Handshake
from .patience import PatientConnection, PatientServer

__all__ = ["Begin", "EagerServer"]

_Handling = Coroutine[Any, Any, web.StreamResponse]
Begin = Callable[[web.Request], _Handling | None]
"""Begins to handle a request. It returns None for a request that must go aiohttp's way."""
_AIOHTTP = frozenset({"3.14.4", "3.14.5"})
"""The releases of aiohttp whose code was read for this module, because it uses parts that are not documented. With any
other release, all requests go aiohttp's way. Patch releases change it, too: 3.14.0 has no `message_consumed`, and until
3.14.3 an idle connection would never end after a publish."""


class EagerServer(PatientServer):
    """A server whose connections answer some requests at once.

    :param server: aiohttp's server, which this one replaces; it must have no connections yet.
    :param begin: begins to handle a request.
    """

    def __init__(self, server: web.Server, settings: Settings, begin: Begin) -> None:
        super().__init__(server, settings)
        self._begin = begin

    @staticmethod
    def is_possible() -> bool:
        """Whether this release of aiohttp is one that is known here."""
        return aiohttp.__version__ in _AIOHTTP

    def __call__(self) -> RequestHandler:
        """A connection."""
        return _Connection(self._begin, self._settings, self, loop=self._loop, **self._kwargs)


class _Connection(PatientConnection):
    __slots__ = ("_begin", "_begun")

    def __init__(self, begin: Begin, *arguments: Any, **options: Any) -> None:
        super().__init__(*arguments, **options)
        self._begin = begin
        self._begun: tuple[web.BaseRequest, Awaitable[web.StreamResponse]] | None = None

    def data_received(self, data: bytes) -> None:
        """Answer a request at once if it is the only one and the task of the connection waits for it. Otherwise wake
        the task."""
        # Without the waiter, aiohttp takes the connection for busy and wakes no task. A handler that resumes reading
        # calls this method again; that call wakes no task either.
        waiter, self._waiter = self._waiter, None
        try:
            super().data_received(data)
            if waiter is not None and not waiter.done() and len(self._messages) == 1 and not self._upgraded:
                message, payload = self._messages.popleft()
                if not (isinstance(message, RawRequestMessage) and self._answer(message, payload)):
                    self._messages.appendleft((message, payload))
        finally:
            self._waiter = waiter
        if waiter is None or waiter.done():
            return
        if self._close or self._force_close:
            waiter.cancel()
        elif self._messages:
            waiter.set_result(None)

    def _answer(self, message: RawRequestMessage, payload: StreamReader) -> bool:
        """Answer a request; return whether this is done."""
        asks_for_stream = message.headers.get("Accept") == "text/event-stream"  # as browsers and our client send it
        if not (message.method == "POST" or asks_for_stream) or message.should_close or not payload.is_eof():
            return False
        if self._logging_enabled or self.writing_paused:
            return False
        assert self._request_factory is not None
        assert self._task_handler is not None
        writer = StreamWriter(self, self._loop)
        request = cast("web.Request", self._request_factory(message, payload, self, writer, self._task_handler))
        handling = self._begin(request)
        if handling is None:
            return False
        context = contextvars.copy_context()  # as for a task: log lines have the id of their request
        try:
            waits_for = context.run(handling.send, None)
        except StopIteration as end:
            if self._finish(request, end.value):
                return True
            self._begun = request, _returned(end.value)
        except BaseException as error:
            self._begun = request, _raised(error)
        else:
            self._begun = request, _Begun(handling, waits_for, context)
        return False

    def _finish(self, request: web.Request, answer: web.StreamResponse) -> bool:
        """Send an answer; return False if that may take more than a call."""
        if isinstance(answer, Handshake) and answer.is_taken_over:
            self.force_close()  # the connection has another owner
            return True
        if not isinstance(answer, Acknowledgement) or self._close or self._force_close:
            return False
        if self.transport is None or self.transport.is_closing():
            return False
        answer.send(request)
        if self._parser is not None:
            self._parser.message_consumed()
        self._next_keepalive_close_time = self._loop.time() + self._keepalive_timeout
        return True

    async def _handle_request(
        self,
        request: web.BaseRequest,
        start_time: float | None,
        request_handler: Callable[[web.BaseRequest], Awaitable[web.StreamResponse]],
    ) -> tuple[web.StreamResponse, bool]:
        if self._begun is not None:
            (request, begun), self._begun = self._begun, None

            def request_handler(_: web.BaseRequest) -> Awaitable[web.StreamResponse]:
                return begun

        return await super()._handle_request(request, start_time, request_handler)


class _Begun(Awaitable[web.StreamResponse]):
    """A handler that has run until it waits. The task that awaits this continues it.

    :param waits_for: what the handler has yielded to the task that was not there.
    """

    def __init__(self, handling: _Handling, waits_for: object, context: contextvars.Context) -> None:
        self._handling = handling
        self._waits_for = waits_for
        self._context = context
        self._mark(False)

    def _mark(self, waiting: bool) -> None:
        """Set or remove the mark of a future that has just been yielded. A task removes it at once, because nothing
        else can wait for the same future until then."""
        if asyncio.isfuture(self._waits_for):
            self._waits_for._asyncio_future_blocking = waiting

    def __await__(self) -> Generator[Any, Any, web.StreamResponse]:
        self._mark(True)
        waits_for = self._waits_for
        while True:
            try:
                value = yield waits_for
            except GeneratorExit:
                self._handling.close()
                raise
            except BaseException as error:
                step: Callable[[Any], object] = self._handling.throw
                argument: object = error
            else:
                step, argument = self._handling.send, value
            try:
                waits_for = self._context.run(step, argument)
            except StopIteration as end:
                return cast("web.StreamResponse", end.value)
            finally:
                del argument  # an error's traceback holds this frame, which must not hold the error


async def _returned(answer: web.StreamResponse) -> web.StreamResponse:
    return answer


async def _raised(error: BaseException) -> web.StreamResponse:
    raise error
