"""The header `Expect` (RFC 9110, section 10.1.1).

aiohttp refuses expectations that it does not know, before the handler and the middlewares of the application. Such an
answer is no problem document, and the log does not have its request. Here, they are ignored, which the RFC allows.
"""

from __future__ import annotations

from collections.abc import Iterable

from aiohttp import HttpVersion11, web

__all__ = ["with_expectations"]

_CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


def with_expectations(routes: Iterable[web.RouteDef]) -> list[web.RouteDef]:
    """The routes, which invite a client to send its body and ignore other expectations."""
    return [
        web.RouteDef(each.method, each.path, each.handler, {**each.kwargs, "expect_handler": _invite})
        for each in routes
    ]


async def _invite(request: web.Request) -> None:
    """Invite the client to send the body, if it waits for that."""
    if request.version >= HttpVersion11 and request.headers["Expect"].lower() == "100-continue":
        await request.writer.write(_CONTINUE)
        request.writer.output_size = 0  # the answer has not begun
