"""The least that aiohttp and aiohttp-sse do: a handler that answers JSON, and one that opens a stream."""

from __future__ import annotations

import asyncio
import sys

from aiohttp import web
from aiohttp_sse import EventSourceResponse, sse_response


async def publish(request: web.Request) -> web.Response:
    await request.text()
    return web.json_response({"id": "1763949600123-0", "channel": "main", "event": "message", "subscribers": 0})


async def follow(request: web.Request) -> EventSourceResponse:
    async with sse_response(request) as response:
        await response.send('{"channels":["main"],"resumed":false,"lost":false}', id="1", event="connected")
        await response.wait()
    return response


async def main() -> None:
    app = web.Application()
    app.add_routes([web.post("/realtime/{channel}", publish), web.get("/realtime/{channel}", follow)])
    runner = web.AppRunner(app, access_log=None)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0, backlog=4096).start()
    print(f"aiohttp is at http://127.0.0.1:{runner.addresses[0][1]}/", file=sys.stderr, flush=True)
    await asyncio.Event().wait()


try:
    import uvloop
except ImportError:
    asyncio.run(main())
else:
    uvloop.run(main())
