"""The answers of a language model: channels with an end, with a real hub, a real browser and the client of OpenAI."""

from __future__ import annotations

import asyncio
import json
import re
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from pathlib import Path

import pytest
from aiohttp import web
from hubs import Remote, mounted, remote
from playwright.async_api import Browser, Page, expect
from programs import ROOT, Start, free_port
from shells import Shell, adapted, shell

FOLDER = ROOT / "examples" / "answers"
FOR_EVER = "1000000"


@asynccontextmanager
async def hub_with(rules: Path, start: Start) -> AsyncIterator[Remote]:
    """A hub as the README starts it, whose readers come back soon."""
    async with remote(start("--no-demo", "--config", str(rules), "--retry", "100").url) as hub:
        yield hub


@pytest.fixture
async def hub(program: Start) -> AsyncIterator[Remote]:
    """A hub with the rules of the example."""
    async with hub_with(FOLDER / "hub.toml", program) as hub:
        yield hub


class Application:
    """The application of the example."""

    def __init__(self, run: Shell, url: str) -> None:
        self.run = run
        self.url = url

    async def until(self, text: bytes) -> None:
        await asyncio.to_thread(self.run.until, text)


@contextmanager
def application(hub: Remote, **variables: str) -> Iterator[Application]:
    port = free_port()
    with shell(f"exec uvicorn app:app --port {port}", FOLDER, SSE_URL=hub.url, **variables) as run:
        run.until(b"running on")
        yield Application(run, f"http://127.0.0.1:{port}/")


async def ask(page: Page, url: str) -> None:
    """Ask, and wait for the first words."""
    await page.goto(url)
    await page.get_by_placeholder("question").fill("Who are you?")
    await page.get_by_role("button", name="Ask").click()
    await expect(page.locator("#state")).to_have_text("writing")


async def test_a_reload_and_a_late_reader_get_the_whole_answer(hub: Remote, browser: Browser, page: Page) -> None:
    with application(hub, WORDS="60") as app:
        await ask(page, app.url)
        await page.reload()
        await expect(page.locator("#state")).to_have_text("done")
        text = await page.locator("#answer").text_content()
        assert text is not None
        assert len(text.split()) == 60
        late = await (await browser.new_context()).new_page()
        await late.goto(page.url)
        await expect(late.locator("#state")).to_have_text("done")
        assert await late.locator("#answer").text_content() == text


async def test_a_broken_connection_costs_no_word_and_doubles_none(hub: Remote, page: Page) -> None:
    with application(hub, WORDS="60") as app:
        await ask(page, app.url)
        for each in (await hub.get("/api/subscribers"))[1]["subscribers"]:
            await hub.ask("DELETE", f"/api/subscribers/{each['id']}")
        await expect(page.locator("#state")).to_have_text("done")
        *words, _end = await hub.retained(f"answers.{page.url.partition('#')[2]}")
        assert await page.locator("#answer").text_content() == "".join(words)


async def test_stop_ends_the_answer_and_the_model(hub: Remote, page: Page) -> None:
    with application(hub, WORDS=FOR_EVER) as app:
        await ask(page, app.url)
        await page.get_by_role("button", name="Stop").click()
        await expect(page.locator("#state")).to_have_text("cancelled")
        await app.until(b": cancelled\n")
        await expect(page.get_by_role("button", name="Stop")).to_be_disabled()


async def test_an_answer_whose_application_has_died_is_ended_by_the_hub(
    page: Page, program: Start, tmp_path: Path
) -> None:
    rules = adapted(FOLDER / "hub.toml", tmp_path, "idle_end = 1", "idle_end = 120")
    async with hub_with(rules, program) as hub:
        with application(hub, WORDS=FOR_EVER) as app:
            await ask(page, app.url)
            app.run.kill()
            await expect(page.locator("#state")).to_have_text("abandoned")


async def test_a_reader_who_comes_too_late_for_the_beginning_learns_of_it(
    page: Page, program: Start, tmp_path: Path
) -> None:
    rules = adapted(FOLDER / "hub.toml", tmp_path, "history = 5", "history = 50000")
    async with hub_with(rules, program) as hub:
        with application(hub, WORDS=FOR_EVER) as app:
            await ask(page, app.url)
            await expect(page.locator("#answer")).to_have_text(re.compile(r"(\S+ ){10}"))
            await page.reload()
            await expect(page.locator("#state")).to_have_text("incomplete")


def chunk(*choices: str) -> bytes:
    """A piece of an answer, as the API of OpenAI sends it."""
    deltas = [{"index": number, "delta": {"content": text}} for number, text in enumerate(choices)]
    piece = {"id": "1", "object": "chat.completion.chunk", "created": 0, "model": "m", "choices": deltas}
    return b"data: " + json.dumps(piece).encode() + b"\n\n"


async def complete(request: web.Request) -> web.StreamResponse:
    """Speaks as the API of OpenAI does: it repeats the question; to a bad one, the connection breaks."""
    question = (await request.json())["messages"][0]["content"]
    response = web.StreamResponse(headers={"Content-Type": "text/event-stream"})
    await response.prepare(request)
    for word in ("", "You asked: ", question, "\nGoodbye."):
        await response.write(chunk(word))
        if "break" in question and word == question:
            assert request.transport is not None
            request.transport.abort()
    await response.write(chunk() + b"data: [DONE]\n\n")
    return response


@pytest.mark.parametrize(
    ("question", "answer", "state"),
    [
        ("Who are you?", "You asked: Who are you?\nGoodbye.", "done"),
        ("Please break", "You asked: Please break", "failed"),
    ],
)
async def test_the_lines_for_openai_write_what_its_client_reads(
    hub: Remote, page: Page, question: str, answer: str, state: str
) -> None:
    openai = web.Application()
    openai.add_routes([web.post("/chat/completions", complete)])
    async with mounted(openai) as url:
        with application(hub, OPENAI_BASE_URL=url, OPENAI_API_KEY="key") as app:
            await page.goto(app.url)
            await page.get_by_placeholder("question").fill(question)
            await page.get_by_role("button", name="Ask").click()
            await expect(page.locator("#state")).to_have_text(state)
            assert await page.locator("#answer").text_content() == answer
