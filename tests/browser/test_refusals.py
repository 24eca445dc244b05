"""What a hub refuses is asked for once. A sum is spread over streams, and one channel costs no other anything."""

from __future__ import annotations

import pytest
from eventually import eventually
from hubs import Server, serving
from playwright.async_api import BrowserContext
from scripted import held, raw, scripted, status, stream
from tabs import LIVE, follow, follow_more, got, reached, tab
from tokens import SECRET, mint

CONNECTED = 'id: 1-0\nevent: connected\ndata: {"channels":["main"],"resumed":false,"lost":false}\n\n'
EVENT = 'id: 2-0\ndata: {"id":"2-0","channel":"main","event":"message","data":"a","timestamp":"2026"}\n\n'


async def publish_to_each(server: Server, *channels: str) -> None:
    for channel in channels:
        await server.hub.publish(channel, channel=channel)


async def test_a_hundred_and_one_channels_are_spread_over_two_streams(context: BrowserContext, server: Server) -> None:
    channels = [f"c{n:03}" for n in range(101)]
    page = await follow(await tab(context, server.url), *channels)
    await page.wait_for_function(LIVE)
    await server.until_subscribers(2)
    await publish_to_each(server, *channels)
    await page.wait_for_function("got.length === 101")
    assert sorted(await page.evaluate("got")) == channels


async def test_the_channels_of_tabs_add_up(context: BrowserContext, server: Server) -> None:
    first = [f"a{n}" for n in range(60)]
    second = [f"b{n}" for n in range(60)]
    tabs = [await follow(await tab(context, server.url), *names) for names in (first, second)]
    for page in tabs:
        await page.wait_for_function(LIVE)
    await server.until_subscribers(2)
    await publish_to_each(server, *first, *second)
    for page, names in zip(tabs, (first, second), strict=True):
        await page.wait_for_function("got.length === 60")
        assert sorted(await page.evaluate("got")) == sorted(names)


async def test_a_hub_that_takes_fewer_channels_is_asked_for_so_many(context: BrowserContext) -> None:
    async with serving(max_channels_per_connection=5) as server:
        channels = [f"c{n}" for n in range(10)]
        page = await follow(await tab(context, server.url), *channels)
        await page.wait_for_function(LIVE)
        await publish_to_each(server, *channels)
        await page.wait_for_function("got.length === 10")


async def test_names_that_make_the_address_too_long_are_spread(context: BrowserContext, server: Server) -> None:
    channels = [f"{n:03}{'é' * 120}" for n in range(30)]  # six bytes of the address each
    page = await follow(await tab(context, server.url), *channels)
    await page.wait_for_function(LIVE)
    await publish_to_each(server, *channels)
    await page.wait_for_function("got.length === 30")


async def test_what_fits_into_no_stream_is_closed_with_the_reason_and_costs_no_other_anything(
    context: BrowserContext,
) -> None:
    async with serving(max_channels_per_connection=1) as server:
        asked: list[str] = []
        context.on("request", lambda request: asked.append(request.url) if "/stream?" in request.url else None)
        page = await follow(await tab(context, server.url), *(f"c{n}" for n in range(8)))
        assert "pattern covers many" in (await reached(page, "closed"))["reason"]
        await eventually(lambda: server.hub.statistics().subscribers == 4)
        refused = await server.hits("channels_per_connection")
        await server.hub.publish("a", channel="c0")
        await got(page, "a")
        assert await server.hits("channels_per_connection") == refused > 0  # it was sorted out, once
        assert len(asked) < 50


async def test_a_channel_that_is_not_granted_costs_the_others_nothing(context: BrowserContext) -> None:
    async with serving(jwt_key=SECRET) as server:
        page = await follow(await tab(context, server.url), "a", token=mint(["a", "b", "c"]))
        await follow_more(page, "both", "b", "secret", "c")
        await page.evaluate(
            """() => {
                 window.refused = null;
                 hub.follow("secret", { state: ({ name, reason }) => { if (name === "closed") refused = reason; } });
               }"""
        )
        await page.wait_for_function("refused !== null")
        assert "may not subscribe to 'secret'" in await page.evaluate("refused")
        await page.wait_for_function(LIVE)
        await publish_to_each(server, "a", "secret", "b", "c")
        await got(page, "a")
        await got(page, "b", "c", name="both")


@pytest.mark.parametrize("code", [400, 401, 403, 404, 410, 414, 431])
async def test_a_refusal_is_not_asked_for_again(context: BrowserContext, server: Server, code: int) -> None:
    problem = f'{{"title":"No","status":{code},"detail":"because"}}'
    async with scripted(status(code, "Content-Type: application/problem+json\r\n", problem)) as hub:
        page = await follow(await tab(context, server.url), hub=hub.url)
        assert (await reached(page, "closed"))["reason"] == "because"
        assert await page.evaluate("problems.map(({ detail }) => detail)") == ["because"]
        await page.evaluate("hub.cut()")
        assert len(hub.requests) == 1


@pytest.mark.parametrize("code", [408, 425, 429, 500, 502, 503])
async def test_a_fault_that_passes_is_waited_for(context: BrowserContext, server: Server, code: int) -> None:
    async with scripted(status(code), held("retry: 50\n", CONNECTED, EVENT)) as hub:
        page = await follow(await tab(context, server.url), hub=hub.url)
        await got(page, "a")
        assert len(hub.requests) == 2


async def test_a_page_of_the_network_in_place_of_a_stream_is_waited_for(
    context: BrowserContext, server: Server
) -> None:
    portal = status(200, "Content-Type: text/html\r\n", "<h1>Sign in to this network</h1>")
    async with scripted(portal, held(CONNECTED, EVENT)) as hub:
        page = await follow(await tab(context, server.url), hub=hub.url)
        await got(page, "a")
        assert "text/html" in await page.evaluate('states.find(({ name }) => name === "waiting").reason')


async def test_retry_after_is_obeyed(context: BrowserContext, server: Server) -> None:
    async with scripted(status(503, "Retry-After: 7\r\nAccess-Control-Expose-Headers: Retry-After\r\n")) as hub:
        page = await follow(await tab(context, server.url), hub=hub.url)
        assert (await reached(page, "waiting"))["seconds"] >= 7


async def test_a_server_that_ends_every_stream_at_once_is_asked_less_and_less_often(
    context: BrowserContext, server: Server
) -> None:
    async with scripted(*[stream("retry: 1\n", CONNECTED)] * 4) as hub:
        page = await follow(await tab(context, server.url), hub=hub.url)
        await reached(page, "ended")  # the 204 after the last
        waits = await page.evaluate('states.filter(({ name }) => name === "waiting").map(({ seconds }) => seconds)')
        assert waits[1] < waits[2] < waits[3]


async def test_an_answer_that_is_no_http_is_waited_for(context: BrowserContext, server: Server) -> None:
    async with scripted(raw("SSH-2.0-OpenSSH\r\n"), held(CONNECTED, EVENT)) as hub:
        page = await follow(await tab(context, server.url), hub=hub.url)
        await got(page, "a")
