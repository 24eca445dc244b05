"""The list of subscribers, and ending a stream."""

from __future__ import annotations

import json
from contextlib import AsyncExitStack

import pytest
from hubs import Server
from tokens import bearer


async def test_an_admin_sees_every_connection(guarded: Server) -> None:
    await guarded.hub.publish("x")
    async with guarded.stream("/stream?channel=main&channel=a.*", bearer(["*"], sub="anna")) as stream:
        await stream.next()
        _, answer = await guarded.get("/api/subscribers", headers=bearer(admin=True))
    (visitor,) = answer["subscribers"]
    assert visitor["address"] == "127.0.0.1"
    assert visitor["channels"] == ["main", "a.*"]
    assert visitor["cursor"] == str(guarded.hub.log.head)
    assert (visitor["lag"], visitor["queued_bytes"], visitor["subject"]) == (0, 0, "anna")
    assert visitor["since"].endswith("Z")


async def test_an_admin_ends_a_stream(guarded: Server) -> None:
    admin = bearer(admin=True)
    async with guarded.stream("/stream", bearer(["main"])) as stream:
        await stream.next()
        _, answer = await guarded.get("/api/subscribers", headers=admin)
        path = f"/api/subscribers/{answer['subscribers'][0]['id']}"
        assert (await guarded.ask("DELETE", path, headers=admin))[0].status == 204
        (event,) = await stream.rest()
        assert event.type == "error"
        assert "operator" in json.loads(event.data)["detail"]
    assert (await guarded.ask("DELETE", path, headers=admin))[0].status == 404


@pytest.mark.parametrize("method", ["GET", "DELETE"])
async def test_a_token_that_is_not_an_admins_neither_sees_nor_ends_connections(guarded: Server, method: str) -> None:
    path = "/api/subscribers" if method == "GET" else "/api/subscribers/1"
    response, problem = await guarded.ask(method, path, headers=bearer(["*"], ["*"]))
    assert response.status == 403
    assert '"admin": true' in problem["detail"]


async def test_subscribers_are_listed_in_pages_in_the_order_in_which_they_came(server: Server) -> None:
    async with AsyncExitStack() as stack:
        for number in range(5):
            stream = await stack.enter_async_context(server.stream(f"/realtime/c{number}"))
            await stream.next()
        found = await server.pages("/api/subscribers", "subscribers", 2)
        assert [[each["channels"][0] for each in page] for page in found] == [["c0", "c1"], ["c2", "c3"], ["c4"]]
