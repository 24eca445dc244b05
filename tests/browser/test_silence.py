"""A connection that says nothing any more is given up, and resumed: behind relays, servers and networks that hang."""

from __future__ import annotations

import signal
from collections.abc import AsyncIterator

import pytest
from eventually import eventually
from hubs import Server, remote, serving
from network import Network
from playwright.async_api import BrowserContext
from programs import Start
from tabs import LIVE, follow, got, reached, tab


@pytest.fixture
async def pinging() -> AsyncIterator[Server]:
    """A hub that pings five times a second."""
    async with serving(ping=0.2) as running:
        yield running


async def test_the_hub_says_how_often_it_pings_and_three_pings_are_waited_for(
    context: BrowserContext, pinging: Server
) -> None:
    page = await follow(await tab(context, pinging.url))
    await page.wait_for_function("hub.streams[0]?.pings >= 2")
    facts = await page.evaluate("hub.streams[0]")
    assert (facts["ping"], round(facts["silence"], 3)) == (0.2, 0.6)


async def test_a_relay_that_stops_forwarding_without_closing_is_noticed(
    context: BrowserContext, pinging: Server
) -> None:
    async with Network(pinging.port) as relay:
        page = await follow(await tab(context, pinging.url), hub=relay.url)
        await page.wait_for_function(LIVE)
        await pinging.hub.publish("before")
        await got(page, "before")
        relay.cut()
        await pinging.hub.publish("meanwhile")
        await page.wait_for_function('states.at(-1).name !== "live"')
        await relay.mend()
        await got(page, "before", "meanwhile")
        await page.wait_for_function(LIVE)
        await pinging.hub.publish("after")
        await got(page, "before", "meanwhile", "after")


async def test_a_server_that_is_stopped_is_noticed_and_found_again(context: BrowserContext, program: Start) -> None:
    hub = program("--ping", "0.2", "--no-demo")
    page = await follow(await tab(context, hub.url))
    await page.wait_for_function(LIVE)
    hub.process.send_signal(signal.SIGSTOP)
    await page.wait_for_function('states.at(-1).name !== "live"')
    hub.process.send_signal(signal.SIGCONT)
    await page.wait_for_function(LIVE)
    async with remote(hub.url) as client:
        await client.post("/realtime/main", data="after")
    await got(page, "after")


async def test_a_server_that_is_killed_is_found_again(
    context: BrowserContext, program: Start, unused_tcp_port: int, sqlite_store: str
) -> None:
    arguments = ("--port", str(unused_tcp_port), "--no-demo", "--store", sqlite_store, "--retry", "100")
    hub = program(*arguments)
    page = await follow(await tab(context, hub.url))
    await page.wait_for_function(LIVE)
    hub.end(signal.SIGKILL)
    waiting = await page.wait_for_function('states.find(({ name }) => name === "waiting")')
    assert (await waiting.json_value())["nextAttempt"] > 0
    program(*arguments)
    async with remote(hub.url) as client:
        await client.post("/realtime/main", data="after")
    await got(page, "after")
    assert await page.evaluate("losses") == []


async def test_a_page_that_becomes_visible_looks_at_a_stream_that_has_missed_a_ping(
    context: BrowserContext, pinging: Server
) -> None:
    async with Network(pinging.port) as relay:
        page = await follow(await tab(context, pinging.url), hub=relay.url, silence=1000)
        await page.wait_for_function("hub.streams[0]?.pings >= 1")
        relay.cut()
        await page.wait_for_function("Date.now() - hub.streams[0]?.heardAt > 1000")
        await page.evaluate('document.dispatchEvent(new Event("visibilitychange"))')
        await relay.mend()
        await pinging.hub.publish("after")
        await got(page, "after")
        await page.wait_for_function("hub.streams[0]?.attempts === 2")


async def test_a_page_that_is_online_again_begins_anew_at_once(context: BrowserContext, pinging: Server) -> None:
    page = await follow(await tab(context, pinging.url), silence=1000)
    await page.wait_for_function(LIVE)
    await context.set_offline(True)
    await pinging.hub.publish("meanwhile")
    await context.set_offline(False)
    await got(page, "meanwhile")
    await page.wait_for_function("hub.streams[0]?.attempts >= 2")
    await page.wait_for_function(LIVE)
    await pinging.until_subscribers(1)


async def test_a_page_that_goes_offline_says_so_at_once(context: BrowserContext, pinging: Server) -> None:
    page = await follow(await tab(context, pinging.url), silence=1000)
    await page.wait_for_function(LIVE)
    await context.set_offline(True)
    await reached(page, "waiting")
    await context.set_offline(False)
    await page.wait_for_function(LIVE)


async def test_a_machine_that_has_slept_finds_its_dead_connection_soon(context: BrowserContext, server: Server) -> None:
    async with Network(server.port) as relay:
        page = await follow(await tab(context, server.url), hub=relay.url)
        await page.wait_for_function(LIVE)
        relay.cut()
        # While a machine sleeps, only its wall clock goes on.
        await page.evaluate("() => { const awake = Date.now; Date.now = () => awake() + 3_600_000; }")
        await relay.mend()
        await server.hub.publish("after")
        await got(page, "after")


async def test_a_page_out_of_the_cache_of_the_browser_goes_on_without_loss(
    context: BrowserContext, server: Server
) -> None:
    page = await follow(await tab(context, server.url))
    await page.wait_for_function(LIVE)
    await server.hub.publish("before")
    await got(page, "before")
    # What the browser tells a page that it puts into the cache, and takes out again.
    await page.evaluate('dispatchEvent(new PageTransitionEvent("pagehide", { persisted: true }))')
    await server.until_subscribers(0)
    await server.hub.publish("meanwhile")
    await page.evaluate('dispatchEvent(new PageTransitionEvent("pageshow", { persisted: true }))')
    await got(page, "before", "meanwhile")


async def test_the_retry_of_the_hub_is_obeyed(context: BrowserContext) -> None:
    async with serving(retry=100) as server:
        page = await follow(await tab(context, server.url))
        await page.wait_for_function(LIVE)
        retry = await eventually(lambda: page.evaluate("hub.streams[0]?.retry"))
        assert 50 <= retry <= 150
        await page.evaluate("hub.cut()")
        waiting = await page.wait_for_function('states.find(({ name }) => name === "waiting")')
        assert (await waiting.json_value())["seconds"] == retry / 1000
        await page.wait_for_function(LIVE)
