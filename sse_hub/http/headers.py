"""The headers of every answer: security headers and CORS (WHATWG Fetch, section 3.2). Also `OPTIONS` on every path.

CORS is written by hand. The library for it, aiohttp-cors, wants to own the routes of the application, and this
application is often mounted in another one.
"""

from __future__ import annotations

import re

from aiohttp import web
from multidict import CIMultiDict

from .app_keys import SETTINGS, hub_app
from .peer import is_secure
from .request_log import REQUEST_ID
from .requests import listed

__all__ = ["allowed_origin", "common_headers", "complete_headers", "preflight"]

_REQUEST_HEADERS = ("Authorization", "Cache-Control", "Content-Type", "Idempotency-Key", "Last-Event-ID")
_FIELD_NAME = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")  # RFC 9110, section 5.1
_EXPOSED = "ETag, Last-Event-ID, Link, Mercure-Last-Event-ID, Retry-After, X-Request-ID"
_ALWAYS = {
    "Server": "sse-hub",  # without the version, which would help an attacker; /health has it
    "X-Content-Type-Options": "nosniff",
    "Referrer-Policy": "no-referrer",  # a URL may hold a token
}
_STRICT_TRANSPORT = "max-age=31536000"  # a year; without subdomains, which may be other servers
_PREFLIGHT_AGE = "7200"  # seconds; browsers keep a preflight no longer (Chromium 2 h, Firefox 24 h)


def preflight(request: web.Request) -> web.Response | None:
    """The answer to `OPTIONS` for an existing path: the methods that are allowed there. None for any other path."""
    refusal = request.match_info.http_exception
    if not isinstance(refusal, web.HTTPMethodNotAllowed):
        return None
    methods = ", ".join(sorted({*refusal.allowed_methods, "OPTIONS"}))
    return web.Response(
        status=204,
        headers={
            "Allow": methods,
            "Access-Control-Allow-Methods": methods,
            "Access-Control-Allow-Headers": _allowed_headers(request),
            "Access-Control-Max-Age": _PREFLIGHT_AGE,
        },
    )


def _allowed_headers(request: web.Request) -> str:
    """The headers that the hub reads, and those that the page asks for. The hub ignores these, so they do no harm.

    Libraries send headers of their own on each request (htmx `HX-Request`, Datastar `Datastar-Request`). The answer
    cannot be `*`, because that does not cover `Authorization`, nor a request with cookies (WHATWG Fetch, 3.2.5).
    """
    asked = listed(request, "Access-Control-Request-Headers").split(",")
    others = {name.strip().lower() for name in asked} - {name.lower() for name in _REQUEST_HEADERS}
    return ", ".join([*_REQUEST_HEADERS, *sorted(filter(_FIELD_NAME.fullmatch, others))])


async def complete_headers(request: web.Request, response: web.StreamResponse) -> None:
    """Add the common headers to an answer. A signal handler for `on_response_prepare`."""
    allowed = hub_app(request)[SETTINGS].cors_origin
    common_headers(
        response.headers, secure=is_secure(request), origin=allowed_origin(allowed, request), any_origin="*" in allowed
    )
    if REQUEST_ID in request:
        response.headers["X-Request-ID"] = request[REQUEST_ID]


def common_headers(headers: CIMultiDict[str], *, secure: bool, origin: str | None, any_origin: bool) -> None:
    """Add the headers that all answers have, except the request id.

    :param secure: whether the client came by TLS.
    :param origin: the client's, if it may read the answer.
    :param any_origin: whether pages of any origin may read it.
    """
    headers.update(_ALWAYS)
    headers.setdefault("Content-Security-Policy", "frame-ancestors 'none'")
    if secure:
        headers["Strict-Transport-Security"] = _STRICT_TRANSPORT
    headers["Access-Control-Expose-Headers"] = _EXPOSED
    if any_origin:
        headers["Access-Control-Allow-Origin"] = "*"
        return
    headers.add("Vary", "Origin")  # a cache must not give the answer of one origin to another
    if origin is not None:
        headers["Access-Control-Allow-Origin"] = origin
        headers["Access-Control-Allow-Credentials"] = "true"


def allowed_origin(allowed: tuple[str, ...], request: web.Request) -> str | None:
    """The origin of the request, if it is in the list of allowed origins. None if every origin is allowed."""
    if "*" in allowed:
        return None
    origin = request.headers.get("Origin")
    return origin if origin in allowed else None
