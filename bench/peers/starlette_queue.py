"""A queue for each subscriber, on uvicorn: sse-starlette, or FastAPI's own event streams (`--fastapi`).

Set up as well as it goes: uvloop and httptools, no access log, no check of what is published, no ids.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from collections.abc import AsyncIterator
from typing import Any, cast

import uvicorn
from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response
from starlette.routing import Route

__all__ = ["main"]

_queues: set[asyncio.Queue[str]] = set()


async def publish(request: Request) -> Response:
    data = (await request.body()).decode()
    for queue in _queues:
        queue.put_nowait(data)
    return JSONResponse({"subscribers": len(_queues)})


async def _messages() -> AsyncIterator[str]:
    queue: asyncio.Queue[str] = asyncio.Queue()
    _queues.add(queue)
    try:
        while True:
            yield await queue.get()
    finally:
        _queues.discard(queue)


def _sse_starlette() -> Starlette:
    from sse_starlette import EventSourceResponse, ServerSentEvent

    async def events() -> AsyncIterator[ServerSentEvent]:
        yield ServerSentEvent("", event="connected")
        async for data in _messages():
            yield ServerSentEvent(data, sep="\n")

    async def follow(_: Request) -> Response:
        return EventSourceResponse(events(), sep="\n")

    path = "/realtime/{channel}"
    return Starlette(routes=[Route(path, follow, methods=["GET"]), Route(path, publish, methods=["POST"])])


def _fastapi() -> Starlette:
    from fastapi import FastAPI
    from fastapi.sse import EventSourceResponse, ServerSentEvent

    app: Any = FastAPI()

    async def follow() -> AsyncIterator[ServerSentEvent]:
        yield ServerSentEvent(raw_data="", event="connected")
        async for data in _messages():
            yield ServerSentEvent(raw_data=data)

    app.get("/realtime/{channel}", response_class=EventSourceResponse)(follow)
    app.add_route("/realtime/{channel}", publish, methods=["POST"])
    return cast("Starlette", app)


def main() -> int:
    """Serve at a free port of the loopback interface, which is printed on stderr as the hub prints its own."""
    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    print(f"uvicorn is at http://127.0.0.1:{listener.getsockname()[1]}/", file=sys.stderr, flush=True)
    app = _fastapi() if "--fastapi" in sys.argv[1:] else _sse_starlette()
    config = uvicorn.Config(app, loop="uvloop", http="httptools", access_log=False, log_level="error", backlog=4096)
    uvicorn.Server(config).run(sockets=[listener])
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
