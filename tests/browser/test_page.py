from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from aiohttp import web
from conftest import Server, serving
from playwright.async_api import Page, async_playwright, expect

from sse_hub.state import STREAMS
from sse_server import Settings, create_app

ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]


@pytest.fixture
async def page(chromium: str) -> AsyncIterator[Page]:
    """A page of a real browser; an error on its console fails the test."""
    errors: list[str] = []
    async with async_playwright() as playwright:
        browser = await playwright.chromium.launch(executable_path=chromium, args=ARGUMENTS)
        page = await browser.new_page()
        page.on("pageerror", lambda error: errors.append(str(error)))
        page.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
        yield page
        await browser.close()
    # A refused request and a connection that was cut are logged by the browser itself, whatever the page does.
    assert [error for error in errors if "ERR_" not in error and "Failed to load resource" not in error] == []


async def connected(page: Page, server: Server, path: str = "/") -> None:
    await page.goto(server.url + path)
    await expect(page.locator("#state")).to_have_attribute("data-state", "live")


async def test_the_page_shows_every_kind_of_the_demonstration_feed_as_it_comes(page: Page) -> None:
    async with serving(no_demo=False) as server:
        await connected(page, server)
        for type in ("message", "sensor", "heartbeat", "notification"):
            await expect(page.locator(f'#events li[data-type="{type}"]').first).to_be_visible(timeout=12_000)


async def test_what_is_published_on_the_page_arrives_on_the_page(page: Page, server: Server) -> None:
    await connected(page, server)
    await page.get_by_label("Message").fill("Hello")
    await page.get_by_role("button", name="Publish").click()
    await expect(page.locator("#answer")).to_contain_text("went to 1 subscribers")
    await expect(page.locator("#events .data").first).to_contain_text('"message":"Hello"')


async def test_a_refused_publish_shows_what_the_server_says(page: Page, server: Server) -> None:
    await connected(page, server)
    await page.get_by_label("Type").fill("live")
    await page.get_by_role("button", name="Publish").click()
    await expect(page.locator("#answer")).to_contain_text("the hub's own")


async def test_a_script_in_an_event_is_text(page: Page, server: Server) -> None:
    await connected(page, server)
    await server.hub.publish("<img src=x onerror=alert(1)>", event="<b>type</b>")
    await expect(page.locator("#events .data").first).to_have_text("<img src=x onerror=alert(1)>")
    assert await page.locator("#events img, #events b b").count() == 0


async def test_other_channels_and_patterns_can_be_followed(page: Page, server: Server) -> None:
    await connected(page, server)
    await page.get_by_label("Channels and patterns").fill("logs, sensors.*")
    await page.get_by_role("button", name="Follow").click()
    await expect(page.locator("#state")).to_have_text("live: logs, sensors.*")
    await server.hub.publish("a line", channel="logs", event="line")
    await expect(page.locator("#events .data").first).to_have_text("a line")


async def test_a_cut_connection_resumes_without_loss(page: Page, server: Server) -> None:
    await connected(page, server)
    await server.hub.publish("before")
    await expect(page.locator("#events li")).to_have_count(1)
    for stream in list(server.app[STREAMS]._open):
        stream.abort()
    await server.hub.publish("meanwhile")
    await expect(page.locator("#events .data").first).to_have_text("meanwhile", timeout=10_000)
    await expect(page.locator("#events li")).to_have_count(2)


async def test_a_full_server_is_waited_for(page: Page) -> None:
    async with serving(max_subscribers=1, retry=200) as server:
        async with server.stream() as stream:
            await stream.next()
            await page.goto(server.url)
            await expect(page.locator('#events li[data-type="error"] .data').first).to_contain_text("places are taken")
        await expect(page.locator("#state")).to_have_attribute("data-state", "live")


async def test_the_page_works_below_a_prefix_of_another_application(page: Page) -> None:
    outer = web.Application()
    outer.add_subapp("/events", create_app(Settings(no_demo=True)))
    runner = web.AppRunner(outer, shutdown_timeout=1)
    await runner.setup()
    await web.TCPSite(runner, "127.0.0.1", 0).start()
    await page.goto(f"http://127.0.0.1:{runner.addresses[0][1]}/events/")
    await expect(page.locator("#state")).to_have_attribute("data-state", "live")
    await page.close()
    await runner.cleanup()
