"""A hub mounted below a prefix of another application."""

from __future__ import annotations

import io
from collections.abc import AsyncIterator

import aiohttp
import pytest
from aiohttp import web
from eventually import eventually
from hubs import Stream, mounted

from sse_server import HUB, Settings, create_app


@pytest.fixture
def events() -> web.Application:
    return create_app(Settings(no_demo=True, max_body=4 << 20))


@pytest.fixture
async def url(events: web.Application) -> AsyncIterator[str]:
    outer = web.Application()
    outer.add_subapp("/events", events)
    runner = web.AppRunner(outer, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    try:
        yield f"http://127.0.0.1:{runner.addresses[0][1]}/events"
    finally:
        await runner.cleanup()


async def test_a_hub_below_a_prefix_is_published_to_in_process(events: web.Application, url: str) -> None:
    async with aiohttp.ClientSession() as client, client.get(url + "/stream?channel=orders") as response:
        stream = Stream(response)
        await stream.until("connected")
        id = await events[HUB].publish("sold", channel="orders", event="order")
        event = await stream.next()
        assert (event.id, event.type, event.data) == (str(id), "order", "sold")


async def test_problems_and_cors_are_those_of_the_hub_below_a_prefix(url: str) -> None:
    async with aiohttp.ClientSession() as client:
        async with client.get(url + "/stream?replay=x") as response:
            assert response.content_type == "application/problem+json"
            assert response.headers["Access-Control-Allow-Origin"] == "*"
        async with client.options(url + "/api/broadcast") as response:
            assert response.status == 204


async def test_the_limit_of_a_body_is_the_hubs_own(url: str) -> None:
    body = io.BytesIO(b"x" * (3 << 20))
    async with aiohttp.ClientSession() as client, client.post(url + "/realtime/c", data=body) as response:
        assert response.status == 200


async def test_a_client_that_leaves_is_noticed(events: web.Application, url: str) -> None:
    async with aiohttp.ClientSession() as client, client.get(url + "/stream") as response:
        await Stream(response).next()
        response.close()
        await eventually(lambda: not events[HUB].statistics().subscribers)


async def test_a_signal_of_the_outer_application_sees_the_answer_to_a_publish(events: web.Application) -> None:
    async def mark(request: web.Request, response: web.StreamResponse) -> None:
        response.headers["X-Outer"] = "1"

    outer = web.Application()
    outer.on_response_prepare.append(mark)
    outer.add_subapp("/events", events)
    async with mounted(outer) as url, aiohttp.ClientSession() as client:
        async with client.post(url + "/events/realtime/main", data="x") as response:
            assert (response.status, response.headers["X-Outer"]) == (200, "1")
