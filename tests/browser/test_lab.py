"""The lab of the page: each experiment, at a real server."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest
from eventually import eventually
from hubs import Server, serving
from playwright.async_api import Page, Route, expect
from tokens import SECRET

SEEN = {
    "cut": "All 12 events arrived, in order and each once.",
    "behind": "The slow reader has all 40 events",
    "lose": "The client got the events 1, 2, 3, 7, 8, and was told of the rest",
    "full": "the client got in by itself",
    "restart": "The client waited",
    "tabs": "no tab missed anything",
    "proxy": "Without the proxy, every event was there at once.",
}
SIMULATED = {"behind", "full", "restart"}
PATIENCE_MS = 60_000


async def opened(page: Page, url: str, experiment: str, *, language: str = "en") -> None:
    """Open the lab, and an experiment in it."""
    await page.goto(f"{url}/#view=lab&language={language}")
    await page.locator(f'#lab-place button[name="{experiment}"]').click()


async def lab_channels(server: Server) -> list[str]:
    _, answer = await server.get("/api/channels?match=lab.*")
    return [each["name"] for each in answer["channels"]]


@pytest.mark.timeout(120)
@pytest.mark.parametrize(("experiment", "words"), SEEN.items(), ids=SEEN)
async def test_an_experiment_shows_what_it_promises_and_leaves_nothing(
    page: Page, server: Server, experiment: str, words: str
) -> None:
    await opened(page, server.url, experiment)
    await page.get_by_role("button", name="Start", exact=True).click()
    await expect(page.locator(".lab-result")).to_contain_text(words, timeout=PATIENCE_MS)
    await expect(page.locator(".lab-result")).to_have_attribute("data-state", "seen")
    await expect(page.locator(".lab-bytes")).to_contain_text("event: connected")
    assert await eventually(lambda: _forgotten(server))
    if experiment in SIMULATED:
        assert server.hub.statistics().published == 0
        await expect(page.locator(".lab-kind")).to_contain_text("simulated")
    else:
        assert 0 < server.hub.statistics().published <= 40


async def _forgotten(server: Server) -> bool:
    return not await lab_channels(server)


async def test_an_experiment_that_is_cancelled_leaves_nothing(page: Page, server: Server) -> None:
    await opened(page, server.url, "cut")
    await page.get_by_role("button", name="Start", exact=True).click()
    await eventually(lambda: server.hub.statistics().published >= 2)
    await page.get_by_role("button", name="Cancel", exact=True).click()
    await expect(page.locator(".lab-result")).to_contain_text("Cancelled.")
    await expect(page.get_by_role("button", name="Start", exact=True)).to_be_focused()
    assert await eventually(lambda: _forgotten(server))


async def test_an_experiment_that_is_left_leaves_nothing(page: Page, server: Server) -> None:
    await opened(page, server.url, "cut")
    await page.get_by_role("button", name="Start", exact=True).click()
    await eventually(lambda: server.hub.statistics().published >= 2)
    await page.goto("about:blank")
    assert await eventually(lambda: _forgotten(server))


@pytest.fixture
async def let_it_forget(page: Page) -> Callable[[], Awaitable[None]]:
    """Let the hub answer the end of an experiment. It does not before."""
    answered = asyncio.Event()

    async def hold(route: Route) -> None:
        if route.request.method == "DELETE":
            await answered.wait()
        await route.continue_()

    async def answer() -> None:
        async with page.expect_event("requestfinished", lambda request: request.method == "DELETE"):
            answered.set()
        await page.evaluate("() => new Promise((resolve) => setTimeout(resolve))")

    await page.route("**/realtime/*", hold)
    return answer


async def begin_to_cut(page: Page, server: Server) -> None:
    """Start an experiment and let it publish."""
    await opened(page, server.url, "cut")
    await page.get_by_role("button", name="Start", exact=True).click()
    assert await eventually(lambda: server.hub.statistics().published >= 2)


async def test_the_lab_may_be_opened_again_while_an_experiment_ends(
    page: Page, server: Server, let_it_forget: Callable[[], Awaitable[None]]
) -> None:
    await begin_to_cut(page, server)
    async with page.expect_request(lambda request: request.method == "DELETE"):
        await page.locator('#views [data-view="events"]').click()
    await page.locator('#views [data-view="lab"]').click()
    await let_it_forget()
    await expect(page.locator(".lab-bench h3")).to_have_count(1)


async def test_the_experiment_that_was_chosen_last_is_shown(
    page: Page, server: Server, let_it_forget: Callable[[], Awaitable[None]]
) -> None:
    await begin_to_cut(page, server)
    for name in ("lose", "restart"):
        await page.locator(f'#lab-place button[name="{name}"]').click()
    await let_it_forget()
    await expect(page.locator(".lab-bench h3")).to_have_text("A hub that restarts")


async def test_a_visitor_who_may_not_publish_is_told_so(page: Page) -> None:
    async with serving(jwt_key=SECRET, anonymous="subscribe") as server:
        await opened(page, server.url, "cut")
        await page.get_by_role("button", name="Start", exact=True).click()
        await expect(page.locator(".lab-result")).to_contain_text("This hub does not let you do this: 401")
        await expect(page.locator(".lab-result")).to_have_attribute("data-state", "failed")


async def test_a_simulated_experiment_needs_no_right(page: Page) -> None:
    async with serving(jwt_key=SECRET, anonymous="subscribe") as server:
        await opened(page, server.url, "full")
        await page.get_by_role("button", name="Start", exact=True).click()
        await expect(page.locator(".lab-result")).to_contain_text(SEEN["full"], timeout=PATIENCE_MS)


async def test_the_words_follow_the_language(page: Page, server: Server) -> None:
    await opened(page, server.url, "lose", language="pt-BR")
    await expect(page.locator(".lab-bench h3")).to_have_text("Perder eventos e ser avisado")
    await expect(page.get_by_role("button", name="Começar")).to_be_visible()
    await page.get_by_role("button", name="Começar").click()
    notes = page.locator(".lab-entry.note")
    await expect(notes.filter(has_text="Cliente: Conectando.")).not_to_have_count(0)
    await expect(notes.filter(has_text="Cliente: Ao vivo.")).not_to_have_count(0)
