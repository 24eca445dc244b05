"""At a name of the local network, by plain http: no secure context, so much is missing there."""

from __future__ import annotations

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from aiohttp import web
from hubs import Server, mounted, serving
from playwright.async_api import BrowserContext, Page, expect
from programs import ROOT
from screen import opened
from tabs import LIVE, follow, got, tab


@pytest.fixture
async def at_home() -> AsyncIterator[Server]:
    async with serving(allowed_hosts=("hub.lan", "127.0.0.1")) as running:
        yield running


def named(server: Server) -> str:
    return f"http://hub.lan:{server.port}"


async def shown(page: Page, server: Server) -> None:
    """The page of the hub, live."""
    await opened(page, named(server), "main", more="&view=publish")


async def test_it_is_no_secure_context(context: BrowserContext, at_home: Server) -> None:
    page = await tab(context, named(at_home))
    assert await page.evaluate("[isSecureContext, crypto.randomUUID, navigator.locks]") == [False, None, None]


async def test_each_tab_has_a_connection_of_its_own(context: BrowserContext, at_home: Server) -> None:
    tabs = [await follow(await tab(context, named(at_home))) for _ in range(2)]
    for page in tabs:
        await page.wait_for_function(LIVE)
    await at_home.until_subscribers(2)
    await at_home.hub.publish("a")
    for page in tabs:
        await got(page, "a")


async def test_the_page_shows_events_and_publishes(context: BrowserContext, at_home: Server) -> None:
    page = await context.new_page()
    await shown(page, at_home)
    await page.locator("#send").click()
    await expect(page.locator("#answer")).to_contain_text("went to 1 subscriber.")
    await expect(page.locator(".row:visible").first).to_contain_text("Hello from the page")


async def test_a_text_is_copied_without_a_clipboard_for_pages(context: BrowserContext, at_home: Server) -> None:
    page = await context.new_page()
    await shown(page, at_home)
    line = await page.locator("#publish-code code").inner_text()
    copy = page.locator("#publish-code button")
    await copy.click()
    await expect(copy).to_have_text("Copied")
    await page.locator("#publish textarea").focus()
    await page.keyboard.press("Control+a")
    await page.keyboard.press("Control+v")
    await expect(page.locator("#publish textarea")).to_have_value(line)


@pytest.mark.parametrize("name", ["dashboard", "notifications", "monitoring", "sensors", "activity", "answer"])
async def test_the_examples_of_the_page_work_there(context: BrowserContext, at_home: Server, name: str) -> None:
    page = await context.new_page()
    await page.set_viewport_size({"width": 390, "height": 844})
    await page.goto(f"{named(at_home)}/#case={name}")
    await expect(page.locator(f".case-{name}")).to_be_visible()
    if name == "notifications":
        await expect(page.locator(".case")).to_contain_text("Notifications of the browser need https.")
        await page.get_by_role("button", name="Send a test").click()
        await expect(page.locator(".notices li")).to_contain_text("from your browser to the hub and back")
    if name == "answer":
        await page.get_by_role("button", name="Ask", exact=True).click()
        await expect(page.locator(".answer-text")).to_contain_text("Server-Sent Events are")


async def test_the_experiment_with_tabs_says_what_is_missing_there(context: BrowserContext, at_home: Server) -> None:
    page = await context.new_page()
    await page.goto(f"{named(at_home)}/#view=lab")
    await page.locator('#lab-place button[name="tabs"]').click()
    await page.get_by_role("button", name="Start", exact=True).click()
    await expect(page.locator(".lab-result")).to_contain_text("This experiment needs https or localhost.")


@asynccontextmanager
async def example(name: str, hub: Server) -> AsyncIterator[str]:
    """The page of an example, served in the network; its address. Only the port of the hub is another."""
    text = (ROOT / "examples" / name / "page.html").read_text().replace(":8000", f":{hub.port}")

    async def show(request: web.Request) -> web.Response:
        return web.Response(text=text, content_type="text/html")

    app = web.Application()
    app.router.add_get("/page.html", show)
    async with mounted(app) as url:
        yield url.replace("127.0.0.1", "hub.lan") + "/page.html"


@pytest.mark.parametrize("name", ["activity-feed", "dashboard", "monitoring", "sensors"])
async def test_the_page_of_an_example_finds_the_hub_at_its_own_host(
    context: BrowserContext, at_home: Server, name: str
) -> None:
    async with example(name, at_home) as url:
        page = await context.new_page()
        await page.goto(url)
        await at_home.until_subscribers(1)
        await page.goto("about:blank")


async def test_the_dashboard_shows_figures_on_a_telephone(context: BrowserContext, at_home: Server) -> None:
    async with example("dashboard", at_home) as url:
        page = await context.new_page()
        await page.goto(url)
        await at_home.post("/realtime/hosts.one?event=figures", json={"cpu": 7, "memory": 40, "disk": 10})
        await expect(page.locator("#hosts tr")).to_contain_text("40 %")
        await page.goto("about:blank")
