"""The programs and pages of the tutorial, used as its chapters say."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from eventually import eventually
from hubs import Server, remote, serving
from playwright.async_api import Page, expect
from programs import ROOT, fetch, free_port
from shells import ADDRESS, Shell, adapted, shell
from tokens import SECRET, mint

CODE = ROOT / "docs" / "tutorial" / "code"


@contextmanager
def started(name: str, folder: Path, url: str, address: str = ADDRESS, **variables: str) -> Iterator[Shell]:
    """A program of the tutorial that runs, with the pages beside it."""
    for path in CODE.glob("*.html"):
        (folder / path.name).write_text(path.read_text())
    with shell(f"exec python -u {adapted(CODE / name, folder, url, address)}", folder, **variables) as run:
        yield run


@contextmanager
def by_hand(name: str, folder: Path) -> Iterator[str]:
    """A server of the first two chapters; its URL."""
    port = free_port()
    with started(name, folder, f"port={port}", "port=8080") as run:
        run.until(b"Running on")
        yield f"http://127.0.0.1:{port}"


async def test_chapter_1_a_page_shows_the_time_that_a_stream_by_hand_tells(page: Page, tmp_path: Path) -> None:
    with by_hand("clock.py", tmp_path) as url:
        await page.goto(url)
        await expect(page.locator("#time")).to_have_text(re.compile(r"\d\d:\d\d:\d\d"))
        async with remote(url) as server, server.stream("/clock") as stream:
            assert (await stream.next()).type == "tick"


async def test_chapter_2_a_reader_that_comes_back_gets_what_it_missed(tmp_path: Path) -> None:
    with by_hand("resume.py", tmp_path) as url:
        async with remote(url) as server, server.stream("/numbers", {"Last-Event-ID": "1"}) as stream:
            assert [(each.id, each.data) for each in await stream.take(2)] == [("2", "number 2"), ("3", "number 3")]


async def test_chapter_2_a_503_closes_a_stream_of_a_browser_for_ever(page: Page, tmp_path: Path) -> None:
    with by_hand("resume.py", tmp_path) as url:
        await page.goto(url)
        await expect(page.locator("#busy")).to_have_text("closed for ever")
        await expect(page.locator("#numbers")).to_have_text("open")


async def test_chapter_3_what_one_program_publishes_another_one_prints(server: Server, tmp_path: Path) -> None:
    with started("listen.py", tmp_path, server.url) as listener:
        await server.until_subscribers(1)
        with started("count.py", tmp_path, server.url):
            await asyncio.to_thread(listener.until, b"news number 2\n")


async def test_chapter_3_with_a_file_no_number_is_missing_after_a_restart(tmp_path: Path) -> None:
    port = free_port()
    hub = f"exec sse-hub --no-demo --store sqlite:tutorial.db --port {port} --retry 100"
    url = f"http://127.0.0.1:{port}"
    with started("listen.py", tmp_path, url) as listener:
        with shell(hub, tmp_path) as first:
            first.until(f":{port}/".encode())
            await eventually(lambda: b'"subscribers":1' in fetch(f"{url}/health").body)
            fetch(f"{url}/realtime/news", b"before")
            listener.until(b"news before\n")
        with shell(hub, tmp_path) as second:
            second.until(f":{port}/".encode())
            fetch(f"{url}/realtime/news", b"while away")
            fetch(f"{url}/realtime/news", b"after")
            printed = listener.until(b"news after\n").splitlines()
    assert [line for line in printed if line.startswith(b"news ")] == [b"news while away", b"news after"]


async def test_chapter_4_the_dashboard_shows_figures_and_says_when_they_are_old(page: Page, tmp_path: Path) -> None:
    async with serving() as server:
        with started("figures.py", tmp_path, server.url):
            await page.goto(adapted(CODE / "dashboard.html", tmp_path, server.url).as_uri())
            await expect(page.locator("#state")).to_have_text("live")
            memory = page.locator("#memory")
            await eventually(lambda: memory.evaluate("meter => meter.value > 0"))
    await expect(page.locator("#state")).to_have_text("away")


async def test_chapter_5_only_a_token_that_grants_it_publishes_and_reads(page: Page, tmp_path: Path) -> None:
    async with serving(jwt_key=SECRET) as server:
        with started("figures.py", tmp_path, server.url, SSE_TOKEN=mint(publish=["figures"])):
            await eventually(lambda: server.hub.statistics().channels)
            dashboard = adapted(CODE / "dashboard.html", tmp_path, server.url).as_uri()
            await page.goto(f"{dashboard}#{mint(['figures'])}")
            await expect(page.locator("#state")).to_have_text("live")
            await page.goto("about:blank")
            await page.goto(f"{dashboard}#{mint(publish=['figures'])}")
            await expect(page.locator("#state")).to_have_text("refused")
