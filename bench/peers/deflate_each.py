"""Compression as it is usually done: a compressor for each connection, which deflates every event again.

The same event loop as the hub, aiohttp, and nothing but what is needed: no log, no ids.
"""

from __future__ import annotations

import asyncio
import socket
import sys
import zlib

from aiohttp import web

__all__ = ["main"]

_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"


class _Follower:
    def __init__(self, response: web.StreamResponse) -> None:
        self.response = response
        self.compressor = zlib.compressobj(6, zlib.DEFLATED, -15)

    async def send(self, frame: bytes) -> None:
        await self.response.write(self.compressor.compress(frame) + self.compressor.flush(zlib.Z_SYNC_FLUSH))


_followers: set[_Follower] = set()


async def follow(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream", "Content-Encoding": "gzip"})
    await response.prepare(request)
    await response.write(_HEADER)
    follower = _Follower(response)
    await follower.send(b"event: connected\ndata:\n\n")
    _followers.add(follower)
    try:
        await asyncio.Event().wait()
    finally:
        _followers.discard(follower)
    return response


async def publish(request: web.Request) -> web.Response:
    frame = b"data: " + await request.read() + b"\n\n"
    await asyncio.gather(*(follower.send(frame) for follower in _followers), return_exceptions=True)  # some have left
    return web.json_response({"subscribers": len(_followers)})


def main() -> int:
    """Serve at a free port of the loopback interface, which is printed on stderr as the hub prints its own."""
    import uvloop

    app = web.Application()
    app.add_routes([web.get("/realtime/{channel}", follow), web.post("/realtime/{channel}", publish)])
    listener = socket.create_server(("127.0.0.1", 0))
    print(f"deflate each is at http://127.0.0.1:{listener.getsockname()[1]}/", file=sys.stderr, flush=True)
    loop = uvloop.new_event_loop()
    web.run_app(app, sock=listener, loop=loop, access_log=None, handler_cancellation=True, print=None)
    return 0


if __name__ == "__main__":
    raise SystemExit(main())
