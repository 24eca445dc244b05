"""Publishing once for repeated requests."""

from __future__ import annotations

import asyncio

import pytest
from hubs import Server, serving
from tokens import bearer

from sse_hub.http.idempotency import IdempotencyCache
from sse_hub.metrics import Metrics


async def test_the_same_key_on_the_same_path_publishes_once_and_answers_alike(server: Server) -> None:
    key = {"Idempotency-Key": "k"}
    _, first = await server.post("/realtime/c", data=b"x", headers=key)
    _, second = await server.post("/realtime/c", data=b"y", headers=key)
    _, elsewhere = await server.post("/realtime/d", data=b"x", headers=key)
    assert first == second
    assert elsewhere["id"] != first["id"]
    assert await server.retained("c") == ["x"]


async def test_ten_publishes_at_once_with_one_key_publish_once(server: Server) -> None:
    posts = [server.post("/realtime/c", data=b"x", headers={"Idempotency-Key": "k"}) for _ in range(10)]
    answers = [answer for _, answer in await asyncio.gather(*posts)]
    assert all(answer == answers[0] for answer in answers)
    assert await server.retained("c") == ["x"]


async def test_a_key_of_more_than_256_characters_is_a_400(server: Server) -> None:
    response, problem = await server.post("/realtime/c", data=b"x", headers={"Idempotency-Key": "k" * 257})
    assert response.status == 400
    assert "256" in problem["detail"]


async def test_two_tokens_do_not_share_keys(guarded: Server) -> None:
    ids = []
    for name in ("anna", "ben", "anna"):
        headers = bearer((), ["*"], sub=name) | {"Idempotency-Key": "1"}
        ids.append((await guarded.post("/realtime/main", data="x", headers=headers))[1]["id"])
    assert ids[0] == ids[2] != ids[1]


async def test_the_answers_that_are_kept_are_limited() -> None:
    async with serving(max_idempotency_keys=2) as server:
        ids = []
        for key in ("1", "2", "3", "3", "1"):
            _, answer = await server.post("/realtime/main", data="x", headers={"Idempotency-Key": key})
            ids.append(answer["id"])
        assert ids[3] == ids[2]
        assert len(set(ids)) == 4  # the answer to the first key was forgotten
        assert await server.figure("sse_idempotency_keys") == 2
        assert await server.hits("idempotency_keys") == 2


async def test_a_publish_that_failed_is_not_kept_so_that_it_can_be_tried_again(server: Server) -> None:
    cache = IdempotencyCache(10, Metrics(server.hub.statistics, "node"))

    async def fail() -> bytes:
        raise OSError("away")

    async def succeed() -> bytes:
        return b"published"

    with pytest.raises(OSError, match="away"):
        await cache.once("key", fail)
    assert await cache.once("key", succeed) == b"published"
    assert await cache.once("key", fail) == b"published"


async def test_a_publish_is_completed_though_its_client_has_left(server: Server) -> None:
    cache = IdempotencyCache(10, Metrics(server.hub.statistics, "node"))
    begun, let = asyncio.Event(), asyncio.Event()

    async def publish() -> bytes:
        begun.set()
        await let.wait()
        return b"published"

    first = asyncio.create_task(cache.once("key", publish))
    await begun.wait()
    first.cancel()
    with pytest.raises(asyncio.CancelledError):
        await first
    let.set()
    assert await cache.once("key", publish) == b"published"
