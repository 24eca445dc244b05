"""The front door: what is the same for every request, before and after its handler.

It is one middleware and not several, because each one would add a coroutine to every request.
"""

from __future__ import annotations

from aiohttp import web
from aiohttp.typedefs import Handler

from .access import check_sender
from .headers import preflight
from .problems import answer_to
from .request_log import begin_request
from .requests import check_encoding

__all__ = ["front"]


@web.middleware
async def front(request: web.Request, handler: Handler) -> web.StreamResponse:
    """Give the request an id, check its encoding, `Host` and `Origin`, answer `OPTIONS`, and render every error as
    `application/problem+json`."""
    begin_request(request)
    try:
        check_encoding(request)
        check_sender(request)
        if request.method == "OPTIONS" and (answer := preflight(request)) is not None:
            return answer
        return await handler(request)
    except Exception as error:
        return answer_to(request, error)
