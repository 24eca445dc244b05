"""The applications of one file of the pages about frameworks, with a real hub, and a browser that uses their page."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Iterator

import pytest
from hubs import Server, serving
from playwright.async_api import Browser, Page, expect
from programs import ROOT, fetch, free_port
from redis_server import RedisServer
from shells import shell
from tokens import SECRET

FRAMEWORKS = ROOT / "docs" / "frameworks"


@pytest.fixture
async def hub() -> AsyncIterator[Server]:
    """A hub with a key."""
    async with serving(jwt_key=SECRET, retry=100) as server:
        yield server


@pytest.fixture(
    params=[
        ("uvicorn fastapi_app:app --port {port}", b"running on"),
        ("flask --app flask_app run --port {port}", b"Running on"),
        ("python django_app.py runserver --noreload {port}", b"Starting development server"),
    ],
    ids=["fastapi", "flask", "django"],
)
def application(request: pytest.FixtureRequest, hub: Server) -> Iterator[str]:
    """Each application in turn; its address."""
    command, ready = request.param
    port = free_port()
    with shell(
        f"exec {command.format(port=port)}", FRAMEWORKS, PYTHONUNBUFFERED="1", SSE_URL=hub.url, SSE_JWT_KEY=SECRET
    ) as run:
        run.until(ready)
        yield f"http://127.0.0.1:{port}"


async def log_in(browser: Browser, url: str, user: str, password: str) -> Page:
    """A page in a browser of that user."""
    page = await (await browser.new_context()).new_page()
    await page.goto(url)
    await page.get_by_placeholder("user").fill(user)
    await page.get_by_placeholder("password").fill(password)
    await page.get_by_role("button", name="Log in").click()
    return page


async def order(page: Page, item: str) -> None:
    await page.locator("[name=item]").fill(item)
    await page.get_by_role("button", name="Order").click()


async def test_users_see_their_own_orders_in_the_page_of_the_template(
    hub: Server, application: str, browser: Browser
) -> None:
    anna = await log_in(browser, application, "anna", "blue")
    bruno = await log_in(browser, application, "bruno", "green")
    await hub.until_subscribers(2)
    await order(anna, "a book")
    await expect(anna.locator("#orders li")).to_have_text(["a book"])
    await order(bruno, "<b>tea</b>")
    await expect(bruno.locator("#orders li")).to_have_text(["<b>tea</b>"])
    await anna.reload()
    await expect(anna.locator("#orders li")).to_have_text(["a book"])


async def test_a_page_whose_token_is_over_reloads_itself_with_a_new_one(
    hub: Server, application: str, browser: Browser
) -> None:
    anna = await log_in(browser, application, "anna", "blue")
    await hub.until_subscribers(1)
    await anna.evaluate("source.close(); source.onerror()")
    await hub.until_subscribers(0)
    await hub.until_subscribers(1)
    await order(anna, "a book")
    await expect(anna.locator("#orders li")).to_have_text(["a book"])


async def test_nobody_orders_without_a_log_in_or_with_a_wrong_password(application: str) -> None:
    def post(path: str, body: bytes) -> int:
        return fetch(application + path, body).status

    assert await asyncio.to_thread(post, "/orders", b"item=book") == 403
    assert await asyncio.to_thread(post, "/login", b"user=anna&password=green") == 403


@pytest.mark.parametrize(
    ("worker", "ready", "enqueue"),
    [
        (
            "celery --app celery_app worker --concurrency 1 --loglevel INFO",
            b"ready.",
            "celery --app celery_app call report --args '[\"monday\"]'",
        ),
        ("rq worker --path .", b"Listening on", "rq enqueue report.report monday"),
    ],
    ids=["celery", "rq"],
)
async def test_a_worker_that_forks_publishes_the_steps_of_a_job_and_its_end(
    server: Server, shared_redis: RedisServer, worker: str, ready: bytes, enqueue: str
) -> None:
    variables = {"SSE_URL": server.url, "REDIS_URL": shared_redis.url, "RQ_REDIS_URL": shared_redis.url}
    with shell(f"exec {worker}", FRAMEWORKS, **variables) as running:
        await asyncio.to_thread(running.until, ready)
        async with server.stream("/realtime/reports.monday?from=start") as stream:
            with shell(enqueue, FRAMEWORKS, **variables) as enqueuing:
                await asyncio.to_thread(enqueuing.wait)
            events = [event for event in await stream.rest() if event.type not in {"connected", "live"}]
    assert [event.data for event in events[:-1]] == ["reading", "counting", "writing"]
    assert (events[-1].type, '"reason":"done"' in events[-1].data) == ("end", True)
