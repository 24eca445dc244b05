"""Clients that read no answers, and clients that read slowly."""

from __future__ import annotations

import asyncio
import socket

import pytest
from eventually import eventually
from hubs import serving
from sockets import get, raw

POST = b"POST /realtime/main HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx"


@pytest.mark.skipif(not hasattr(socket, "TCP_USER_TIMEOUT"), reason="only Linux has this option")
@pytest.mark.parametrize("store", ["memory", "sqlite"])
@pytest.mark.parametrize(
    "request_bytes",
    [get("/api/openapi.json"), get("/web/app/page.js"), get("/metrics", Accept="text/plain"), get("/nowhere"), POST],
    ids=["document", "file", "figures", "problem", "publish"],
)
async def test_a_client_that_reads_no_answers_is_disconnected_after_the_send_timeout(
    store: str, request_bytes: bytes, sqlite_store: str
) -> None:
    async with serving(send_timeout=0.5, store=sqlite_store if store == "sqlite" else store) as server:
        async with raw(server.port, request_bytes * 200, window_bytes=4096) as client:
            client.freeze()
            await eventually(lambda: server.connections == 0)


async def test_a_client_that_reads_a_large_answer_slowly_gets_all_of_it() -> None:
    data = "x" * 10_000_000 + "the end"  # more than the kernel's buffers hold
    async with serving(send_timeout=3) as server:
        await server.hub.publish(data)
        async with raw(server.port, get("/api/channels/main/events"), window_bytes=20_000) as client:
            client.freeze()
            for _ in range(20):
                await asyncio.sleep(0.25)  # how slow the client is: five seconds in all
                client.thaw()
                await client.read()
                client.freeze()
            client.thaw()
            await client.until(b"the end")
