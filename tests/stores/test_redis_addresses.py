"""The addresses of a Redis that work, tried with real servers."""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest
from certificates import certify
from eventually import PATIENCE, eventually
from hubs import serving
from programs import tool
from redis_server import RedisServer

from sse_hub.stores.redis_connection import RedisConnection

Make = Callable[..., RedisServer]


@pytest.fixture
def make(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Make]:
    """Starts a Redis with these options; all are ended."""
    started: list[RedisServer] = []

    def start(*options: str, program: str = "") -> RedisServer:
        started.append(RedisServer(tmp_path_factory.mktemp("redis"), *options, program=program))
        return started[-1]

    yield start
    for each in started:
        each.stop()


async def works(store: str) -> None:
    """A hub with this store works and delivers events."""
    async with serving(store=store) as server:
        await server.until_status("ok")
        async with server.stream() as stream:
            await stream.until("connected")
            response, _ = await server.post("/realtime/main", data=b"x")
            assert (response.status, (await stream.next()).data) == (200, "x")


async def test_a_socket_of_this_machine(make: Make, tmp_path: Path) -> None:
    make("--unixsocket", str(tmp_path / "redis.sock"))
    await works(f"unix://{tmp_path}/redis.sock?db=0")


async def test_a_user_with_no_more_rights_than_a_hub_needs(make: Make) -> None:
    redis = make()
    rights = "ACL SETUSER hub on >s3cret resetkeys ~{sse-hub}* nocommands +@read +@write +@scripting +@connection +time"
    redis.ask(*rights.split(), "-@dangerous")
    await works(f"redis://hub:s3cret@127.0.0.1:{redis.port}/0")


async def test_tls(make: Make, tmp_path: Path) -> None:
    cert, key = certify(tmp_path, "localhost")
    options = ["--port", "0", "--tls-port", "{port}", "--tls-cert-file", cert, "--tls-key-file", key]
    redis = make(
        *options, "--tls-ca-cert-file", cert, "--tls-auth-clients", "no", program=tool("redis-server", "redis-server")
    )
    await works(f"rediss://localhost:{redis.port}/0?ssl_ca_certs={cert}")
    async with serving(store=f"rediss://localhost:{redis.port}/0") as server:
        assert "certificate" in (await server.until_status("degraded")).lower()


async def test_sentinels_lead_to_the_new_master_after_a_failover(make: Make, tmp_path: Path) -> None:
    master = make()
    replica = make("--replicaof", "127.0.0.1", str(master.port))
    config = tmp_path / "sentinel.conf"
    config.write_text(
        f"sentinel monitor shop 127.0.0.1 {master.port} 1\n"
        "sentinel down-after-milliseconds shop 500\nsentinel failover-timeout shop 3000\n"
    )
    sentinel = make(program=sentinel_of(config))
    async with serving(store=f"redis+sentinel://127.0.0.1:{sentinel.port}/shop/0") as server:
        await server.until_status("ok")
        async with server.stream() as stream:
            await stream.until("connected")
            await server.hub.publish("before")
            assert (await stream.next()).data == "before"
            await eventually(lambda: replica.ask("XLEN", "{sse-hub}:events") == b":1\r\n")
            await eventually(lambda: str(replica.port).encode() in sentinel.ask("SENTINEL", "REPLICAS", "shop"))
            await asyncio.to_thread(master.stop)

            async def published() -> bool:
                return await server.status("/realtime/main", "POST", data=b"after") == 200

            await eventually(published, 2 * PATIENCE)
            assert (await stream.next()).data == "after"


async def test_a_connection_that_is_being_made_while_all_are_replaced_is_closed(make: Make, tmp_path: Path) -> None:
    master = make()
    config = tmp_path / "sentinel.conf"
    config.write_text(f"sentinel monitor shop 127.0.0.1 {master.port} 1\n")
    sentinel = make(program=sentinel_of(config))
    connection = RedisConnection(f"redis+sentinel://127.0.0.1:{sentinel.port}/shop/0", "key")
    sentinel.freeze()
    asking = asyncio.create_task(connection.ask("PING"))
    following = asyncio.create_task(connection.follow("PING"))
    await asyncio.sleep(0)
    await connection.connect_anew()
    sentinel.thaw()
    await asyncio.gather(asking, following, return_exceptions=True)
    gc.collect()  # an open connection would be a ResourceWarning
    assert await connection.ask("ECHO", "here") == "here"
    await connection.close()


def sentinel_of(config: Path) -> str:
    """A program that is a Sentinel with this configuration, which it takes as its first argument."""
    from redis_server import binary

    script = config.with_suffix(".sh")
    script.write_text(f'#!/bin/sh\nexec {binary()} {config} --sentinel "$1" "$2"\n')  # --port N
    script.chmod(0o755)
    return str(script)


async def test_a_cluster_of_one_node_works_and_a_node_without_the_slot_says_so(make: Make) -> None:
    redis = make("--cluster-enabled", "yes")
    store = f"redis://127.0.0.1:{redis.port}/0"
    async with serving(store=store) as server:
        assert "Redis Cluster that does not hold the hub's keys" in await server.until_status("degraded")
        redis.ask("CLUSTER", "ADDSLOTSRANGE", "0", "16383")
        await server.until_status("ok")
    await works(store)
