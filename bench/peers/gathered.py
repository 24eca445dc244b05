"""The obvious way to broadcast with aiohttp-sse, to measure the hub against: every publish sends to each response, and
waits for all of them.

Set up as well as it goes: the same event loop as the hub, no access log, no check of what is published, no ids, no log.
"""

from __future__ import annotations

import asyncio
import socket
import sys

from aiohttp import web
from aiohttp_sse import EventSourceResponse, sse_response

__all__ = ["create_app", "main"]

RESPONSES = web.AppKey("responses", set[EventSourceResponse])


async def follow(request: web.Request) -> web.StreamResponse:
    responses = request.app[RESPONSES]
    async with sse_response(request) as response:
        await response.send("", event="connected")
        responses.add(response)
        try:
            await response.wait()
        finally:
            responses.discard(response)
    return response


async def publish(request: web.Request) -> web.Response:
    data = await request.text()
    responses = request.app[RESPONSES]
    await asyncio.gather(*(response.send(data) for response in responses))
    return web.json_response({"subscribers": len(responses)})


def create_app() -> web.Application:
    """One channel, whatever the path says."""
    app = web.Application()
    app[RESPONSES] = set()
    app.add_routes([web.get("/realtime/{channel}", follow), web.post("/realtime/{channel}", publish)])
    return app


def main() -> int:
    """Serve at a free port of the loopback interface, which is printed on stderr as the hub prints its own."""
    try:
        import uvloop
    except ImportError:
        loop = asyncio.new_event_loop()
    else:
        loop = uvloop.new_event_loop()
    listener = socket.create_server(("127.0.0.1", 0), backlog=4096)
    print(f"gathered send() is at http://127.0.0.1:{listener.getsockname()[1]}/", file=sys.stderr, flush=True)
    how = {"access_log": None, "handler_cancellation": True, "backlog": 4096, "print": None}
    web.run_app(create_app(), sock=listener, loop=loop, **how)  # type: ignore[arg-type]
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
