"""The page in a browser, as a person sees it: its streams, its events and its inspector."""

from __future__ import annotations

from urllib.parse import urlencode

from playwright.async_api import Locator, Page, expect

__all__ = ["figure", "inspector", "lines", "newest", "opened", "rows", "stream", "the_state"]


async def opened(page: Page, url: str, *streams: str, more: str = "") -> None:
    """Open the page on these streams (`main` if there are none) and wait until they are live."""
    names = streams or ("main",)
    await page.goto(f"{url}/#{urlencode([('streams', name) for name in names])}{more}")
    for name in names:
        await expect(stream(page, name)).to_have_attribute("data-state", "live")


def stream(page: Page, name: str = "main") -> Locator:
    """The row of a stream. Its `data-state` says how it stands."""
    return page.locator(f'#stream-rows li[data-stream="{name}"]')


def the_state(page: Page) -> Locator:
    """The connection bar. Its `data-state` says how the connection stands."""
    return page.locator("#connection")


def rows(page: Page) -> Locator:
    """The rows of events that are in sight, the newest first."""
    return page.locator(".row:visible")


def lines(page: Page) -> Locator:
    """What the events in sight say."""
    return page.locator(".row:visible .data")


def newest(page: Page) -> Locator:
    return lines(page).first


def inspector(page: Page) -> Locator:
    return page.get_by_role("complementary", name="Inspector")


async def figure(page: Page, name: str, of: str = "main") -> Locator:
    """A figure of a stream, in the inspector."""
    if not await page.locator("#inspector .stream-details").count():
        await stream(page, of).locator(".stream").click()
    return page.locator(f'#inspector [data-figure="{name}"]')
