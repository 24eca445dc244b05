"""The Mercure protocol in tests: publishers, followers and tokens.

A mark such as S19 in the docstring of a test is the number of the requirement that the test proves.
"""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from typing import Any

import aiohttp
import jwt
from hubs import Remote, Stream
from tokens import SECRET
from yarl import URL

__all__ = ["PATH", "follow", "pairs", "publish", "update", "with_token"]

PATH = "/.well-known/mercure"


def with_token(
    *, publish: Sequence[str] | None = None, subscribe: Sequence[str] | None = None, key: Any = SECRET, **claims: Any
) -> dict[str, str]:
    """The header with a token of this claim, without `exp` unless it is given."""
    payload = {"payload": claims.pop("payload")} if "payload" in claims else {}
    claim = {"publish": publish, "subscribe": subscribe, **payload}
    return {"Authorization": f"Bearer {jwt.encode({'mercure': claim, **claims}, key)}"}


async def publish(hub: Remote, topics: str | Sequence[str], data: str = "d", **more: Any) -> tuple[int, str]:
    """Publish an update; the status and the body of the answer.

    :param more: further fields; `headers` are those of the request.
    """
    headers = more.pop("headers", None)
    fields = [("topic", topic) for topic in ([topics] if isinstance(topics, str) else topics)]
    fields += [("data", data), *((name, value) for name, value in more.items())]
    async with hub.client.post(hub.url + PATH, data=aiohttp.FormData(fields), headers=headers) as answer:
        return answer.status, await answer.text()


async def update(hub: Remote, topics: str | Sequence[str], data: str = "d", **more: Any) -> str:
    """Publish an update that is accepted; its id."""
    status, body = await publish(hub, topics, data, **more)
    assert status == 200, body
    return body


def pairs(topics: str | Sequence[str], **query: str) -> list[tuple[str, str]]:
    """The query of a subscription."""
    return [*(("topic", topic) for topic in ([topics] if isinstance(topics, str) else topics)), *query.items()]


@asynccontextmanager
async def follow(
    hub: Remote, topics: str | Sequence[str], headers: dict[str, str] | None = None, **query: str
) -> AsyncIterator[Stream]:
    """A stream of these topics."""
    url = URL(hub.url + PATH).with_query(pairs(topics, **query))
    async with hub.client.get(url, headers=headers) as response:
        assert response.status == 200, await response.text()
        yield Stream(response)
