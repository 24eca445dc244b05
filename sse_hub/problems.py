"""Errors as problem documents (RFC 9457).

Problem              an answer that says what was wrong and what would be right; it holds its status, detail and headers
  (no subclasses: a client tells problems apart by status)
StoreUnavailable     (ports.py) the store is away: 503, to be tried again
KeysAway             (auth.py) no key can be had to check a token: 503, to be tried again

`problem_documents` is the one place that renders them: those raised by handlers, aiohttp's own, and, as a 500 without
any detail of the code, whatever nobody expected.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Mapping
from http import HTTPStatus

from aiohttp import web
from aiohttp.typedefs import Handler

from .auth import KeysAway
from .core.ports import StoreUnavailable
from .limits import TooMuch
from .logs import begin_request, tell
from .state import METRICS, hub_of

__all__ = ["REQUEST_ID", "Problem", "problem_documents"]

logger = logging.getLogger("sse_hub")

_RETRY_AFTER = "2"  # seconds; a store in trouble is tried every second
_KEYS_RETRY_AFTER = "10"  # as often as a key set is tried again

REQUEST_ID: web.RequestKey[str] = web.RequestKey("request id", str)
_ABOUT: dict[int, str] = {
    404: "There is nothing at {path}. The page at the hub's root and its README list what there is.",
    405: "{method} is not possible at {path}; allowed: {allow}.",
    413: "The body is larger than this server accepts.",
}


class Problem(Exception):
    """A request that cannot be fulfilled.

    :param status: HTTP status code.
    :param detail: what was wrong and what would be right, for a person.
    :param headers: further headers of the answer.
    """

    def __init__(self, status: int, detail: str, headers: Mapping[str, str] | None = None) -> None:
        super().__init__(detail)
        self.status = status
        self.detail = detail
        self.headers = headers or {}

    def __str__(self) -> str:
        """The problem document."""
        title = HTTPStatus(self.status).phrase
        return json.dumps({"type": "about:blank", "title": title, "status": self.status, "detail": self.detail})

    def response(self) -> web.Response:
        """The problem document as an answer."""
        return web.Response(
            status=self.status, text=str(self), content_type="application/problem+json", headers=self.headers
        )


@web.middleware
async def problem_documents(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Render every error as `application/problem+json`."""
    request[REQUEST_ID] = begin_request(request)
    try:
        return await handler(request)
    except Problem as problem:
        return problem.response()
    except KeysAway as error:
        tell(logger, logging.ERROR, f"no token can be checked: {error}")
        return Problem(503, f"Tokens cannot be checked now: {error}.", {"Retry-After": _KEYS_RETRY_AFTER}).response()
    except TooMuch:
        hub_of(request)[METRICS].hit_limit("in_flight")
        return Problem(
            503,
            "The requests that are being received hold as many bytes as this server allows (--max-in-flight). "
            "Try again soon.",
            {"Retry-After": _RETRY_AFTER, "Connection": "close"},
        ).response()
    except StoreUnavailable as error:
        hub_of(request)[METRICS].store_errors.inc()
        return Problem(503, f"{error.reason} Try again soon.", {"Retry-After": _RETRY_AFTER}).response()
    except web.HTTPException as error:
        if error.status < 400:
            raise
        allow = error.headers.get("Allow", "")
        about = _ABOUT.get(error.status)
        detail = about.format(path=request.path, method=request.method, allow=allow) if about else error.reason
        return Problem(error.status, detail, {"Allow": allow} if allow else None).response()
    except (ConnectionError, web.GracefulExit):
        raise
    except Exception:
        logger.exception("%s %s failed", request.method, request.path)
        return Problem(500, "The server made a mistake, which it has logged. Trying again may help.").response()
