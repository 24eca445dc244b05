"""Who a connection belongs to: nobody is shown an event that his session does not grant."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

import pytest
from hubs import Server, serving
from playwright.async_api import BrowserContext, Page
from tabs import LIVE, follow, got, reached, tab
from tokens import SECRET, mint

_SIGN_IN = 'token => fetch("/api/session", { method: "POST", headers: { Authorization: `Bearer ${token}` } })'
_SIGN_OUT = '() => fetch("/api/session", { method: "DELETE" })'


def anna(lasts: float = 3600) -> str:
    return mint(["users.anna", "all"], sub="anna", lasts=lasts)


def bob() -> str:
    return mint(["users.bob", "all"], sub="bob")


@pytest.fixture
async def guarded() -> AsyncIterator[Server]:
    """A hub for signed-in people, who come back soon."""
    async with serving(jwt_key=SECRET, retry=100) as running:
        yield running


async def signed_in(context: BrowserContext, server: Server, token: str) -> Page:
    """A tab in which somebody has signed in."""
    page = await tab(context, server.url)
    await page.evaluate(_SIGN_IN, token)
    return page


async def publish(server: Server) -> None:
    """An event for each of them, and one for both."""
    for name in ("anna", "bob"):
        await server.hub.publish(f"for {name}", channel=f"users.{name}")
    await server.hub.publish("for all", channel="all")


async def test_signing_out_in_any_tab_ends_the_connection_of_all(context: BrowserContext, guarded: Server) -> None:
    first = await follow(await signed_in(context, guarded, anna()), "users.*", "all")
    second = await follow(await tab(context, guarded.url), "users.*", "all")
    for page in (first, second):
        await page.wait_for_function(LIVE)
    await publish(guarded)
    for page in (first, second):
        await got(page, "for anna", "for all")
    await second.evaluate(_SIGN_OUT)
    await publish(guarded)
    for page in (first, second):
        assert "token" in (await reached(page, "closed"))["reason"]
        await got(page, "for anna", "for all")
    await guarded.until_subscribers(0)


async def test_signing_in_as_somebody_else_reopens_the_connection_of_all_with_the_cookie_of_now(
    context: BrowserContext, guarded: Server
) -> None:
    first = await follow(await signed_in(context, guarded, anna()), "users.*", "all")
    await first.wait_for_function(LIVE)
    second = await follow(await signed_in(context, guarded, bob()), "users.*", "all")
    await second.wait_for_function(LIVE)
    await first.wait_for_function(LIVE)
    await guarded.until_subscribers(1)
    await publish(guarded)
    for page in (first, second):
        await got(page, "for bob", "for all")


async def test_a_tab_that_joins_takes_nothing_of_a_connection_that_another_cookie_has_opened(
    context: BrowserContext, guarded: Server
) -> None:
    first = await follow(await signed_in(context, guarded, anna()), "users.*", "all")
    await first.wait_for_function(LIVE)
    # Another server of the same host has set the cookie of somebody else: nobody has told the hub or the tabs.
    await context.add_cookies([{"name": "sse_token", "value": bob(), "url": guarded.url}])
    second = await tab(context, guarded.url)
    publishing = asyncio.create_task(_go_on(guarded))
    await follow(second, "users.*", "all")
    await second.wait_for_function("got.length > 20")
    publishing.cancel()
    assert set(await second.evaluate("got")) == {"for bob", "for all"}


async def _go_on(server: Server) -> None:
    while True:
        await publish(server)
        await asyncio.sleep(0.005)


async def test_an_application_that_signs_in_by_itself_says_so(context: BrowserContext, guarded: Server) -> None:
    first = await follow(await signed_in(context, guarded, anna()), "users.*", "all")
    second = await follow(await tab(context, guarded.url), "users.*", "all")
    for page in (first, second):
        await page.wait_for_function(LIVE)
    await context.add_cookies([{"name": "sse_token", "value": bob(), "url": guarded.url}])
    await second.evaluate("() => { states.length = 0; hub.renew(); }")
    await second.wait_for_function(LIVE)
    await publish(guarded)
    for page in (first, second):
        await got(page, "for bob", "for all")


async def test_a_session_that_expires_closes_all_tabs_until_somebody_signs_in(
    context: BrowserContext, guarded: Server
) -> None:
    first = await follow(await signed_in(context, guarded, anna(lasts=20)), "all")
    second = await follow(await tab(context, guarded.url), "all")
    for page in (first, second):
        await page.wait_for_function(LIVE)
    for page in (first, second):
        await reached(page, "closed")
    await second.evaluate(_SIGN_IN, bob())
    await second.evaluate("hub.renew()")
    for page in (first, second):
        await page.wait_for_function(LIVE)
    await publish(guarded)
    for page in (first, second):
        await got(page, "for all")


async def test_eight_tabs_of_two_identities_share_two_connections(context: BrowserContext, guarded: Server) -> None:
    tabs: list[tuple[str, Page]] = []
    for name, token in [("anna", anna()), ("bob", bob())] * 4:
        page = await tab(context, guarded.url)
        tabs.append((name, await follow(page, "users.*", "all", token=token, identity=name)))
    for _, page in tabs:
        await page.wait_for_function(LIVE)
    await guarded.until_subscribers(2)
    await publish(guarded)
    for name, page in tabs:
        await got(page, f"for {name}", "for all")


async def test_a_tab_with_a_token_and_no_identity_keeps_its_connection_to_itself(
    context: BrowserContext, guarded: Server
) -> None:
    for token in (anna(), bob()):
        page = await follow(await tab(context, guarded.url), "users.*", token=token)
        await page.wait_for_function(LIVE)
        assert await page.evaluate("hub.leads")
    await guarded.until_subscribers(2)


async def test_a_token_goes_into_a_header_and_never_into_the_address(context: BrowserContext, guarded: Server) -> None:
    asked: list[str] = []
    context.on("request", lambda request: asked.append(request.url))
    page = await follow(await tab(context, guarded.url), "all", token=anna())
    await page.wait_for_function(LIVE)
    assert not any("token" in url for url in asked)
