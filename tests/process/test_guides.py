"""The programs and pages that README, how-to guides and pages about frameworks quote, with a real hub."""

from __future__ import annotations

import asyncio
from pathlib import Path

from eventually import eventually
from hubs import Server, serving
from playwright.async_api import Page, expect
from programs import ROOT, fetch, free_port
from shells import adapted, shell
from tokens import SECRET

CODE = ROOT / "docs" / "tutorial" / "code"
FRAMEWORKS = ROOT / "docs" / "frameworks"


async def test_the_page_of_the_readme_shows_what_is_published(server: Server, page: Page, tmp_path: Path) -> None:
    await page.goto(adapted(CODE / "page.html", tmp_path, server.url).as_uri())
    await server.until_subscribers(1)
    await server.post("/realtime/news", data="Hello")
    await expect(page.locator("#news li")).to_have_text(["Hello"])


async def test_the_program_of_the_readme_prints_what_is_published(server: Server, tmp_path: Path) -> None:
    with shell(f"exec python -u {adapted(CODE / 'listen.py', tmp_path, server.url)}", tmp_path) as run:
        await server.until_subscribers(1)
        await server.post("/realtime/orders.new", data="a book")
        await asyncio.to_thread(run.until, b"orders.new a book\n")


async def test_the_application_with_a_hub_inside_publishes_an_order(tmp_path: Path) -> None:
    port = free_port()
    url = f"http://127.0.0.1:{port}"
    program = adapted(ROOT / "docs/how-to/code/embed.py", tmp_path, f"port={port}", "port=8001")
    with shell(f"exec python -u {program}", tmp_path) as run:
        run.until(b"Running on")
        assert fetch(f"{url}/order", b"a book").status == 200
        answer = await eventually(lambda: fetch(f"{url}/events/api/channels/orders/events"))
        assert b"sold: a book" in answer.body


async def test_a_script_publishes_without_a_coroutine(server: Server, tmp_path: Path) -> None:
    with shell(f"python {ROOT / 'docs/how-to/code/publish.py'}", tmp_path, SSE_URL=server.url) as run:
        await asyncio.to_thread(run.wait)
    assert await server.retained("user.7") == ['{"total":42}']


async def test_a_token_that_an_application_signs_grants_the_channel_of_its_user(tmp_path: Path) -> None:
    with shell(f"python {FRAMEWORKS / 'tokens.py'}", tmp_path, SSE_JWT_KEY=SECRET) as run:
        token = run.wait().strip()
    async with serving(jwt_key=SECRET) as hub:
        async with hub.stream(f"/stream?channel=user.7&token={token}") as stream:
            assert (await stream.next()).type == "connected"
        assert await hub.status(f"/stream?channel=user.8&token={token}") == 403
