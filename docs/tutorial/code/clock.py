import asyncio
import time
from pathlib import Path

from aiohttp import web


async def clock(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    while True:
        await response.write(f"event: tick\ndata: {time.ctime()}\n\n".encode())
        await asyncio.sleep(1)


async def page(request: web.Request) -> web.FileResponse:
    return web.FileResponse(Path(__file__).with_name("clock.html"))


app = web.Application()
app.add_routes([web.get("/", page), web.get("/clock", clock)])

if __name__ == "__main__":
    web.run_app(app, host="127.0.0.1", port=8080)
