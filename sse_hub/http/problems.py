"""Errors as `application/problem+json` (RFC 9457). Each says what was wrong and what would be right.

Problem           a request that cannot be fulfilled
Ended             a channel takes no more events (`ends`)
StoreUnavailable  the store cannot be used now, or the outcome is unknown (`ports`)
KeySetUnavailable there is no key now to check a token (`keys`)
BudgetExceeded    all requests together hold too many bytes (`limits`)

`answer_to` renders all of them: errors of handlers, errors of aiohttp, and unexpected errors, which become a
500 without any detail of the code. It is written by hand, in a dozen lines, because the libraries for it belong to
other frameworks.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from http import HTTPStatus

import msgspec
from aiohttp import web
from msgspec import UNSET, UnsetType

from ..core.ends import Ended
from ..core.ports import StoreUnavailable
from ..keys import KeySetUnavailable
from ..limits import BudgetExceeded
from ..logs import log_line
from . import schemas
from .app_keys import METRICS, hub_app

__all__ = ["Problem", "answer_to"]

logger = logging.getLogger("sse_hub")

_RETRY_AFTER = "2"  # seconds; a store in trouble is tried every second
_KEYS_RETRY_AFTER = "10"  # as often as a key set is tried again
_AFTER_END = "It takes no more events until it is forgotten; DELETE forgets it at once."
_ABOUT: dict[int, str] = {
    404: "There is nothing at {path}. GET /api/openapi.json describes all endpoints.",
    405: "{method} is not possible at {path}; allowed: {allow}.",
    413: "The body is larger than this server accepts.",
}


class Problem(Exception):
    """A request that cannot be fulfilled.

    :param status: HTTP status code.
    :param detail: what was wrong and what would be right, for a person.
    :param headers: further headers of the answer.
    :param reason: why the channel of the request has ended, for programs.
    """

    def __init__(
        self, status: int, detail: str, headers: Mapping[str, str] | None = None, reason: str | UnsetType = UNSET
    ) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers or {}
        self.reason = reason

    @property
    def document(self) -> bytes:
        """The problem document."""
        title = HTTPStatus(self.status).phrase
        return msgspec.json.encode(schemas.Problem("about:blank", title, self.status, _utf8(self.detail), self.reason))

    def response(self) -> web.Response:
        """The problem document as an answer."""
        return web.Response(
            status=self.status,
            body=self.document,
            content_type="application/problem+json",
            charset="utf-8",
            headers=self.headers,
        )


def _utf8(text: str) -> str:
    """The text without lone surrogates, which a quoted piece of a request may hold."""
    return text.encode("utf-8", "replace").decode()


def answer_to(request: web.Request, error: Exception) -> web.StreamResponse:
    """The problem document for an error.

    :raises Exception: the error itself, if it needs no document: a redirect, or a client that has left.
    """
    match error:
        case Problem():
            return error.response()
        case KeySetUnavailable():
            log_line(logger, logging.ERROR, f"no token can be checked: {error}")
            detail = f"Tokens cannot be checked now: {error}."
            return Problem(503, detail, {"Retry-After": _KEYS_RETRY_AFTER}).response()
        case BudgetExceeded():
            hub_app(request)[METRICS].hit_limit("in_flight")
            return Problem(
                503,
                "All requests and answers together hold more bytes than this server allows (--max-in-flight). "
                "Try again soon.",
                {"Retry-After": _RETRY_AFTER, "Connection": "close"},
            ).response()
        case Ended():
            detail = f"The channel {error.channel} has ended: {error.reason}. {_AFTER_END}"
            return Problem(409, detail, reason=error.reason).response()
        case StoreUnavailable():
            hub_app(request)[METRICS].store_errors.inc()
            return Problem(503, f"{error.reason} Try again soon.", {"Retry-After": _RETRY_AFTER}).response()
        case web.HTTPException() if error.status >= 400:
            allow = error.headers.get("Allow", "")
            about = _ABOUT.get(error.status)
            detail = about.format(path=request.path, method=request.method, allow=allow) if about else error.reason
            return Problem(error.status, detail, {"Allow": allow} if allow else None).response()
        case web.HTTPException() | ConnectionError():
            raise error
        case _:
            logger.exception("%s %s failed", request.method, request.path)
            return Problem(500, "The server has failed; its log has the details. Trying again may help.").response()
