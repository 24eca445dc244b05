"""Signing in on the page, and its list of subscribers."""

from __future__ import annotations

import re

from hubs import serving
from playwright.async_api import Page, expect
from tokens import SECRET, mint


async def test_the_page_asks_for_a_token_and_goes_on_with_it(page: Page) -> None:
    async with serving(jwt_key=SECRET) as server:
        await page.goto(f"{server.url}/#streams=main")
        await page.get_by_label("Token").fill(mint(["main"], ["main"], sub="anna"))
        await page.get_by_role("button", name="Sign in").click()
        await expect(page.locator('.card[data-stream="main"] .state')).to_have_attribute("data-state", "live")
        await expect(page.locator("#session-answer")).to_contain_text("anna")
        await page.get_by_role("textbox", name="Message").fill("from anna")
        await page.locator("#send").click()
        await expect(page.locator("#answer")).to_have_attribute("data-state", "published")
        assert "sse_token" not in str(await page.evaluate("document.cookie"))


async def test_a_bad_token_is_explained_on_the_page(page: Page) -> None:
    async with serving(jwt_key=SECRET) as server:
        await page.goto(server.url)
        await page.get_by_label("Token").fill(mint(["main"], lasts=-60))
        await page.get_by_role("button", name="Sign in").click()
        await expect(page.locator("#session-answer")).to_contain_text("it has expired")


async def test_signing_out_takes_the_cookie_back(page: Page) -> None:
    async with serving(jwt_key=SECRET) as server:
        await page.goto(f"{server.url}/#streams=main")
        await page.get_by_label("Token").fill(mint(["main"]))
        await page.get_by_role("button", name="Sign in").click()
        await page.get_by_role("button", name="Sign out").click()
        await expect(page.locator('.card[data-stream="main"] .state')).to_have_attribute("data-state", "closed")
        assert await page.context.cookies() == []


async def test_an_open_server_does_not_ask_to_sign_in(page: Page) -> None:
    async with serving() as server:
        await page.goto(f"{server.url}/#streams=main")
        await expect(page.locator('.card[data-stream="main"] .state')).to_have_attribute("data-state", "live")
        await expect(page.locator("#session")).to_be_hidden()


async def test_publishing_to_a_server_that_is_open_for_reading_only_asks_to_sign_in(page: Page) -> None:
    async with serving(anonymous="subscribe", jwt_key=SECRET) as server:
        await page.goto(f"{server.url}/#streams=main")
        await page.locator("#send").click()
        await expect(page.locator("#answer")).to_contain_text("token")
        await expect(page.locator("#sign-in")).to_be_visible()


async def test_the_page_lists_subscribers_and_can_end_a_stream(page: Page) -> None:
    async with serving() as server, server.stream("/stream?channel=<b>bold&channel=a.*") as stream:
        await stream.next()
        await page.goto(f"{server.url}/#streams=main")
        row = page.locator("#subscribers tbody tr", has_text="<b>bold")
        await expect(row).to_contain_text("127.0.0.1")
        await row.get_by_role("button", name=re.compile("End")).click()
        await stream.rest()
        await expect(row).to_have_count(0)


async def test_without_the_right_the_page_lists_no_subscribers(page: Page) -> None:
    async with serving(anonymous="subscribe", jwt_key=SECRET) as server:
        await page.goto(f"{server.url}/#streams=main")
        await expect(page.locator('.card[data-stream="main"] .state')).to_have_attribute("data-state", "live")
        await expect(page.locator("#subscribers")).to_be_hidden()
