"""Answers in JSON, from the classes in schemas.py."""

from __future__ import annotations

import asyncio
import contextlib
import functools
from collections.abc import AsyncIterator, Mapping

import msgspec
from aiohttp import web
from aiohttp.abc import AbstractStreamWriter
from aiohttp.helpers import rfc822_formatted_time
from aiohttp.http import HttpVersion, HttpVersion11
from multidict import CIMultiDict

from .app_keys import BUDGET, METRICS, SETTINGS
from .headers import allowed_origin, common_headers
from .patience import limit_silence
from .peer import address_of, is_secure
from .request_log import REQUEST_ID

__all__ = ["FRESH", "Acknowledgement", "acknowledge", "json_answer", "send_json", "send_parts"]

FRESH = {"Cache-Control": "no-store"}
"""For answers that are outdated at once."""
_JSON = "application/json; charset=utf-8"
_SLOWEST = 16 << 10
"""Bytes a second that a client has to read of a large answer."""
_OWN_SIGNALS, _OWN_MIDDLEWARES = 2, 1
"""The numbers of signals and middlewares of the hub's own application: see `create_app`."""


def json_answer(value: msgspec.Struct, status: int = 200) -> web.Response:
    """A small answer."""
    return _response(msgspec.json.encode(value), status)


def _response(body: bytes, status: int = 200) -> web.Response:
    return web.Response(body=body, status=status, content_type="application/json", charset="utf-8", headers=FRESH)


def acknowledge(request: web.Request, body: bytes) -> web.StreamResponse:
    """The answer to a publish.

    It is written as ready bytes, which makes a publish take 110 µs and not 150 µs (`python -m bench requests`). If the
    application is mounted in another one, or has additional signals or middlewares, these may change the headers. Then
    the answer is one of aiohttp's own.
    """
    apps = request.match_info.apps
    if len(apps) > 1 or len(apps[0].on_response_prepare) > _OWN_SIGNALS or len(apps[0].middlewares) > _OWN_MIDDLEWARES:
        return _response(body)
    return Acknowledgement(body)


class Acknowledgement(web.StreamResponse):
    """An answer 200 in JSON that is sent in one piece, with the headers that every answer has."""

    def __init__(self, body: bytes) -> None:
        super().__init__()
        self._answer = body
        self._sent = False

    async def prepare(self, request: web.BaseRequest) -> AbstractStreamWriter | None:
        """Send it; see `web.StreamResponse`."""
        assert isinstance(request, web.Request)
        if not self._sent:
            self.send(request)
            await request.writer.drain()
        return None

    def send(self, request: web.Request) -> None:
        """Write it to the connection.

        :raises ConnectionResetError: if the client has left.
        """
        self._sent = True
        app = request.match_info.apps[-1]
        app[METRICS].count_answer(request.match_info.route.resource.canonical, request.method, 200)  # type: ignore[union-attr]
        keep_alive = self._keep_alive = request.keep_alive
        allowed = app[SETTINGS].cors_origin
        block = _header_block(
            request.version, keep_alive, is_secure(request), allowed_origin(allowed, request), "*" in allowed
        )
        transport = request.transport
        if transport is None or transport.is_closing():
            raise ConnectionResetError("the client has left")
        body = self._answer
        transport.write(
            b"%bDate: %b\r\nX-Request-ID: %b\r\nContent-Length: %d\r\n\r\n%b"
            % (block, _date(rfc822_formatted_time()), request[REQUEST_ID].encode(), len(body), body)
        )

    async def write_eof(self, data: bytes = b"") -> None:
        """Do nothing: `prepare` has sent the whole answer."""

    @property
    def body_length(self) -> int:
        """See `web.StreamResponse`; for the log of requests."""
        return len(self._answer)


@functools.lru_cache(8)
def _date(text: str) -> bytes:
    return text.encode()


@functools.lru_cache(256)
def _header_block(version: HttpVersion, keep_alive: bool, secure: bool, origin: str | None, any_origin: bool) -> bytes:
    """The status line and the headers that are the same for many answers."""
    headers = CIMultiDict({"Content-Type": _JSON, **FRESH})
    common_headers(headers, secure=secure, origin=origin, any_origin=any_origin)
    if keep_alive != (version >= HttpVersion11):
        headers["Connection"] = "keep-alive" if keep_alive else "close"
    lines = [f"HTTP/{version.major}.{version.minor} 200 OK", *(f"{name}: {value}" for name, value in headers.items())]
    return "".join(f"{line}\r\n" for line in lines).encode()


async def send_json(request: web.Request, value: msgspec.Struct) -> web.StreamResponse:
    """Send an answer that may be large; see `send_parts`. All of these together may hold a limited number of bytes. A
    client is disconnected, too, if others need the room of its answer.

    :raises BudgetExceeded: if all requests and answers together hold too many bytes, and none of them can be dropped.
    """
    body = msgspec.json.encode(value)
    headers = {"Content-Type": _JSON, **FRESH}
    with request.app[BUDGET].reserve() as reservation:
        if request.method != "HEAD":
            reservation.add(len(body))
            reservation.arrive(lambda: _give_up(request))
        return await send_parts(request, headers, len(body), _one_part(body))


async def _one_part(body: bytes) -> AsyncIterator[bytes]:
    yield body


async def send_parts(
    request: web.Request, headers: Mapping[str, str], length_bytes: int, parts: AsyncIterator[bytes]
) -> web.StreamResponse:
    """Send an answer that is made in parts, each when the client has taken the ones before it. A client that reads
    nothing, or very slowly, is disconnected."""
    response = web.StreamResponse(headers=headers)
    response.content_length = length_bytes
    if request.method == "HEAD":  # it gets no body (RFC 9110, section 9.3.2)
        return response
    with contextlib.suppress(ConnectionError):  # the client has left
        await response.prepare(request)
        limit_silence(request, request.app[SETTINGS])
        try:
            async with asyncio.timeout(request.app[SETTINGS].send_timeout + length_bytes / _SLOWEST):
                async for part in parts:
                    await response.write(part)
        except TimeoutError:
            _abort(request)
    return response


def _give_up(request: web.Request) -> None:
    """Drop an answer, because others need its room."""
    request.app[METRICS].hit_limit("in_flight", address=address_of(request))
    _abort(request)


def _abort(request: web.Request) -> None:
    if request.transport is not None:
        request.transport.abort()
