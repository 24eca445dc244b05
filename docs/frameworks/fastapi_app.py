"""A FastAPI application that publishes from a route and shows a page that follows the events.

Run: uvicorn fastapi_app:app --port 8001
"""

import os
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

from fastapi import FastAPI
from fastapi.responses import HTMLResponse

from sse_client import SSEClient

HUB = os.environ.get("SSE_URL", "http://127.0.0.1:8000")
PAGE = """<!doctype html>
<title>Orders</title>
<ul id="orders"></ul>
<script>
  const source = new EventSource("HUB/stream?channel=orders.*");
  source.addEventListener("order", ({ data }) => {
    const item = document.createElement("li");
    item.textContent = JSON.parse(data).item;
    document.getElementById("orders").append(item);
  });
</script>
"""


@asynccontextmanager
async def lifespan(app: FastAPI) -> AsyncIterator[None]:
    async with SSEClient(HUB, token=os.environ.get("SSE_TOKEN")) as app.state.hub:
        yield


app = FastAPI(lifespan=lifespan)


@app.post("/orders/{item}")
async def order(item: str) -> dict[str, str | None]:
    published = await app.state.hub.publish({"item": item}, channel="orders.new", event="order")
    return {"event": published.id}


@app.get("/", response_class=HTMLResponse)
async def page() -> str:
    return PAGE.replace("HUB", HUB)
