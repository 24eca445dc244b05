"""The activity feed: an outbox of Postgres, and a bridge that may be killed at any time."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from typing import Any

import asyncpg
import pytest
from eventually import eventually
from hubs import Server
from playwright.async_api import Page, expect
from postgres_server import PostgresServer
from programs import ROOT
from shells import Shell, shell

FOLDER = ROOT / "examples" / "activity-feed"


@pytest.fixture
def postgres() -> Iterator[PostgresServer]:
    server = PostgresServer()
    yield server
    server.stop()


@pytest.fixture
async def database(postgres: PostgresServer) -> AsyncIterator[Any]:
    """A connection to a database with the tables of the example."""
    connection = await asyncpg.connect(postgres.url)
    await connection.execute((FOLDER / "schema.sql").read_text())
    yield connection
    await connection.close()


def bridge(postgres: PostgresServer, server: Server) -> Any:
    return shell("exec python bridge.py", FOLDER, DATABASE_URL=postgres.url, SSE_URL=server.url)


async def post(database: Any, text: str) -> None:
    await database.execute("INSERT INTO posts (author, text) VALUES ('anna', $1)", text)


async def test_a_post_appears_in_the_feed_and_a_rolled_back_one_does_not(
    server: Server, page: Page, postgres: PostgresServer, database: Any
) -> None:
    await page.goto(f"{(FOLDER / 'page.html').as_uri()}?hub={server.url}")
    with bridge(postgres, server):
        transaction = database.transaction()
        await transaction.start()
        await post(database, "never")
        await transaction.rollback()
        await post(database, "hello")
        await expect(page.locator("#feed li")).to_have_text(["anna: hello"])


async def test_nothing_is_lost_or_doubled_when_the_bridge_is_killed_again_and_again(
    server: Server, postgres: PostgresServer, database: Any
) -> None:
    expected = [str(number) for number in range(120)]
    for number in expected:
        await post(database, number)
    for least in (1, 40, 80):
        killed: Shell
        with bridge(postgres, server) as killed:

            async def published(least: int = least) -> bool:
                return len(await server.retained("feed")) > least

            await eventually(published)
            killed.kill()
    with bridge(postgres, server):

        async def empty() -> bool:
            return bool(await database.fetchval("SELECT count(*) FROM outbox") == 0)

        await eventually(empty)
    assert [json.loads(data)["text"] for data in await server.retained("feed")] == expected
