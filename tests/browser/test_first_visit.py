"""The first moments of the page, and browsers that give it less than usual."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from conftest import CHROMIUM_ARGUMENTS
from hubs import Server, serving
from playwright.async_api import Browser, BrowserContext, Page, Route, async_playwright, expect
from screen import lines, opened, stream, the_state
from tokens import SECRET

WATCH = """
window.shown = [];
const look = () => {
  const state = document.querySelector("#connection-state")?.textContent;
  if (state && shown.at(-1) !== state) shown.push(state);
};
new MutationObserver(look).observe(document, { childList: true, subtree: true, characterData: true });
"""
REFUSE_STORAGE = """
for (const name of ["localStorage", "sessionStorage"]) {
  Object.defineProperty(window, name, { get() { throw new DOMException("refused", "SecurityError"); } });
}
"""
FULL_STORAGE = """
Storage.prototype.setItem = () => { throw new DOMException("full", "QuotaExceededError"); };
"""
REFUSE_LOCKS = """
LockManager.prototype.request = async () => { throw new DOMException("refused", "SecurityError"); };
"""
HOLD_BACK = """
const real = fetch;
window.fetch = async (url, options) => {
  if (!String(url).includes("/stream?")) return real(url, options);
  const body = new ReadableStream({ start(out) {
    options.signal.addEventListener("abort", () => out.error(options.signal.reason));
  } });
  return new Response(body, { headers: { "Content-Type": "text/event-stream" } });
};
"""
FEW_STEPS = """
for (const name of ["pushState", "replaceState"]) {
  history[name] = () => { throw new DOMException("more than 100 times per 30 seconds", "SecurityError"); };
}
"""


async def test_the_page_connects_and_says_nothing_else(page: Page, server: Server) -> None:
    await page.add_init_script(WATCH)
    await opened(page, server.url)
    await expect(the_state(page)).to_have_attribute("data-state", "live")
    shown: Any = await page.evaluate("shown")
    assert shown[0] == "Connecting"
    assert set(shown) <= {"Connecting", "Catching up", "Live"}


async def test_a_page_that_is_refused_says_so_and_why(page: Page) -> None:
    async with serving(jwt_key=SECRET) as server:
        await page.goto(server.url)
        await expect(the_state(page)).to_have_attribute("data-state", "closed")
        await expect(page.locator("#connection-state")).to_have_text("Refused")
        await expect(page.locator("#connection-why")).to_contain_text("token")
        await expect(page.locator("#connection-why")).to_have_attribute("lang", "en")
        await expect(page.get_by_role("button", name="Cut")).to_be_disabled()
        await expect(page.get_by_label("Token")).to_be_focused()


async def test_a_page_in_portuguese_shows_no_english_before(browser: Browser, server: Server) -> None:
    context = await browser.new_context(locale="pt-BR")
    page = await context.new_page()
    arrived = asyncio.Event()

    async def hold(route: Route) -> None:
        await arrived.wait()
        await route.continue_()

    await page.route("**/words.js", hold)
    await page.goto(server.url, wait_until="commit")
    await expect(page.get_by_text("Streams").first).to_be_attached()
    await expect(page.locator("h1")).to_be_hidden()
    arrived.set()
    await expect(page.get_by_role("heading", name="Fluxos")).to_be_visible()
    await context.close()


async def test_no_words_wait_for_the_module_that_needs_them(page: Page, server: Server) -> None:
    arrived = asyncio.Event()

    async def hold(route: Route) -> None:
        await arrived.wait()
        await route.continue_()

    await page.route("**/dress.js", hold)
    async with page.expect_request("**/words/lab.js"):
        await page.goto(server.url, wait_until="commit")
    arrived.set()
    await expect(the_state(page)).to_have_attribute("data-state", "live")


async def test_a_page_whose_words_never_come_is_shown_in_english(browser: Browser, server: Server) -> None:
    context = await browser.new_context(locale="pt-BR")
    page = await context.new_page()
    await page.route("**/words.js", lambda route: route.abort())
    await page.goto(server.url)
    await expect(page.get_by_role("heading", name="Streams")).to_be_visible()
    await context.close()


LESS = {"no-storage": REFUSE_STORAGE, "full": FULL_STORAGE, "no-locks": REFUSE_LOCKS, "no-history": FEW_STEPS}


@pytest.mark.parametrize("less", LESS.values(), ids=LESS)
async def test_the_page_works_without_storage_locks_and_history(
    context: BrowserContext, server: Server, less: str
) -> None:
    page = await context.new_page()
    await page.add_init_script(less)
    await opened(page, server.url)
    for data in ("a", "b"):
        await server.hub.publish(data)
    await expect(lines(page)).to_have_text(["b", "a"])
    await page.get_by_role("searchbox", name="Text").fill("a")
    await expect(lines(page)).to_have_text(["a"])
    await page.locator("#add input").fill("sensors.*")
    await page.locator("#add input").press("Enter")
    await expect(stream(page, "sensors.*")).to_have_attribute("data-state", "live")


async def test_a_page_in_the_cache_of_the_browser_holds_no_connection_and_goes_on(
    chromium: str, server: Server
) -> None:
    async with async_playwright() as playwright:
        # Playwright turns this cache off.
        browser = await playwright.chromium.launch(
            executable_path=chromium, args=CHROMIUM_ARGUMENTS, ignore_default_args=["--disable-back-forward-cache"]
        )
        page = await browser.new_page()
        await opened(page, server.url, "main", "others?plain=1")
        await server.hub.publish("before")
        await expect(lines(page)).to_have_text(["before"])
        await page.evaluate("() => { window.isTheSame = true; }")
        await page.goto("data:text/html,elsewhere")
        await server.until_subscribers(0)
        await server.hub.publish("meanwhile")
        await page.go_back(wait_until="commit")
        await expect(lines(page)).to_have_text(["meanwhile", "before"])
        assert await page.evaluate("window.isTheSame")
        await server.until_subscribers(2)
        await browser.close()


async def test_the_link_to_the_events_leads_there_and_changes_nothing_else(page: Page, server: Server) -> None:
    await opened(page, server.url, more="&text=a&view=figures")
    await server.hub.publish("a")
    await page.get_by_role("link", name="Go to the events").press("Enter")
    await expect(page.locator("#log")).to_be_focused()
    await expect(page.get_by_role("searchbox", name="Text")).to_have_value("a")
    await expect(lines(page)).to_have_text(["a"])


async def test_a_proxy_that_holds_the_bytes_back_is_not_taken_for_a_server_that_is_away(
    page: Page, server: Server
) -> None:
    await page.add_init_script(HOLD_BACK)
    await page.goto(server.url)
    await expect(the_state(page)).to_have_attribute("data-state", "connecting")
    # A clock that goes a hundred times as fast: the first silence is followed by another attempt at once.
    await page.evaluate("() => { const before = Date.now; Date.now = () => before() + 100 * performance.now(); }")
    await expect(the_state(page)).to_have_attribute("data-state", "waiting")
    await expect(page.locator("#connection-why")).to_contain_text("A proxy may hold the bytes back.")


async def test_the_search_finds_events_by_data_type_and_id(page: Page, server: Server) -> None:
    await opened(page, server.url)
    id = await server.hub.publish("apple", event="fruit")
    await server.hub.publish("carrot", event="vegetable")
    search = page.get_by_role("searchbox", name="Text")
    for text in ("APPLE", "Fruit", str(id)):
        await search.fill(text)
        await expect(lines(page)).to_have_text(["apple"])


async def test_control_and_enter_publish_nothing_where_no_form_is_seen(page: Page, server: Server) -> None:
    await opened(page, server.url)
    await page.get_by_role("searchbox", name="Text").press("Control+Enter")
    await page.get_by_role("button", name="Settings").click()
    await page.get_by_label("Theme").press("Control+Enter")
    assert server.hub.statistics().published == 0
