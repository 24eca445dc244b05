"""Signing in on the page, and its list of subscribers."""

from __future__ import annotations

import re

from hubs import serving
from playwright.async_api import Page, expect
from screen import opened, stream
from tokens import SECRET, mint

DIALOG = "#session"


async def sign_in(page: Page, token: str) -> None:
    await page.locator(DIALOG).get_by_label("Token").fill(token)
    await page.locator(DIALOG).get_by_role("button", name="Sign in").click()


async def test_the_page_asks_for_a_token_and_goes_on_with_it(page: Page) -> None:
    async with serving(jwt_key=SECRET) as server:
        await page.goto(f"{server.url}/#streams=main&view=publish")
        await sign_in(page, mint(["main"], ["main"], sub="anna"))
        await expect(stream(page)).to_have_attribute("data-state", "live")
        await expect(page.locator("#who")).to_have_text("anna")
        await page.get_by_role("textbox", name="Message").fill("from anna")
        await page.locator("#send").click()
        await expect(page.locator("#answer")).to_have_attribute("data-state", "published")
        assert "sse_token" not in str(await page.evaluate("document.cookie"))


async def test_a_bad_token_is_explained_on_the_page(page: Page) -> None:
    async with serving(jwt_key=SECRET) as server:
        await page.goto(server.url)
        await sign_in(page, mint(["main"], lasts=-60))
        await expect(page.locator("#session-answer")).to_contain_text("The server asks for a token.")
        await expect(page.locator("#session-answer [lang=en]")).to_contain_text("it has expired")


async def test_signing_out_takes_the_cookie_back(page: Page) -> None:
    async with serving(jwt_key=SECRET) as server:
        await page.goto(f"{server.url}/#streams=main")
        await sign_in(page, mint(["main"]))
        await expect(stream(page)).to_have_attribute("data-state", "live")
        await page.locator("#who").click()
        await page.get_by_role("button", name="Sign out").click()
        await expect(stream(page)).to_have_attribute("data-state", "closed")
        assert await page.context.cookies() == []


async def test_a_session_that_has_expired_is_not_shown_as_one(page: Page) -> None:
    async with serving(jwt_key=SECRET) as server:
        await page.goto(f"{server.url}/#streams=main")
        await sign_in(page, mint(["main"], sub="anna", lasts=15))
        await expect(page.locator("#who")).to_have_text("anna")
        await expect(page.locator("#who")).to_have_text("Sign in")
        await expect(page.locator("#session-answer")).to_have_text("The session has expired. Sign in again.")


async def test_an_open_server_does_not_ask_to_sign_in(page: Page) -> None:
    async with serving() as server:
        await opened(page, server.url)
        await expect(page.locator(DIALOG)).to_be_hidden()
        await expect(page.locator("#who")).to_be_hidden()


async def test_publishing_to_a_server_that_is_open_for_reading_only_asks_to_sign_in(page: Page) -> None:
    async with serving(anonymous="subscribe", jwt_key=SECRET) as server:
        await opened(page, server.url, more="&view=publish")
        await page.locator("#send").click()
        await expect(page.locator("#answer")).to_contain_text("token")
        await expect(page.locator("#sign-in")).to_be_visible()


async def test_the_page_lists_subscribers_and_ends_a_stream_when_it_is_meant(page: Page) -> None:
    async with serving() as server, server.stream("/stream?channel=<b>bold&channel=a.*") as other:
        await other.next()
        await opened(page, server.url, more="&view=figures")
        row = page.locator("#subscribers tbody tr", has_text="<b>bold")
        await expect(row).to_contain_text("127.0.0.1")
        button = row.get_by_role("button", name=re.compile("End|end"))
        await button.click()
        await expect(button).to_have_text("Really end?")
        await button.click()
        await other.rest()
        await expect(row).to_have_count(0)
        await expect(page.locator("#subscribers-answer")).to_contain_text("was ended")
        assert await page.evaluate("document.activeElement !== document.body")


async def test_the_rows_of_subscribers_stay_while_one_uses_them(page: Page) -> None:
    async with serving() as server, server.stream("/stream?channel=x") as other:
        await other.next()
        await opened(page, server.url, more="&view=figures")
        button = page.locator("#subscribers tbody tr", has_text="x").first.get_by_role("button")
        await button.focus()
        async with page.expect_response("**/api/subscribers?**"):
            pass
        async with page.expect_response("**/api/subscribers?**"):
            pass
        await expect(button).to_be_focused()


async def test_without_the_right_the_page_lists_no_subscribers(page: Page) -> None:
    async with serving(anonymous="subscribe", jwt_key=SECRET) as server:
        await opened(page, server.url, more="&view=figures")
        await expect(page.locator("#subscribers")).to_be_hidden()
