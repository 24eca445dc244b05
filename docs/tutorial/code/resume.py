import asyncio
from collections.abc import AsyncIterator
from pathlib import Path

from aiohttp import web

events: list[str] = []


async def produce(app: web.Application) -> AsyncIterator[None]:
    async def run() -> None:
        while True:
            events.append(f"number {len(events) + 1}")
            await asyncio.sleep(0.5)

    task = asyncio.create_task(run())
    yield
    task.cancel()


async def stream(request: web.Request) -> web.StreamResponse:
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    await response.write(b"retry: 1000\n\n")
    position = int(request.headers.get("Last-Event-ID", len(events)))
    while True:
        for data in events[position:]:
            position += 1
            await response.write(f"id: {position}\ndata: {data}\n\n".encode())
        await asyncio.sleep(0.1)


async def busy(request: web.Request) -> web.Response:
    return web.Response(status=503)


async def page(request: web.Request) -> web.FileResponse:
    return web.FileResponse(Path(__file__).with_name("busy.html"))


app = web.Application()
app.cleanup_ctx.append(produce)
app.add_routes([web.get("/", page), web.get("/numbers", stream), web.get("/busy", busy)])

if __name__ == "__main__":
    web.run_app(app, host="127.0.0.1", port=8080)
