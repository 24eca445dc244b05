"""The connection to a Redis: sockets that break, hang, lead elsewhere or are slow."""

from __future__ import annotations

import asyncio

import aiohttp
import pytest
from eventually import eventually
from hubs import Remote, serving
from network import Network
from programs import Start
from redis_server import RedisServer


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
async def test_a_node_comes_back_after_its_connections_were_reset_and_refused(
    program: Start, redis: RedisServer, loop: str
) -> None:
    async with Network(redis.port) as network, aiohttp.ClientSession() as client:
        address = f"redis://127.0.0.1:{network.port}/0"
        running = await asyncio.to_thread(program, "--no-demo", "--loop", loop, "--store", address)
        server = Remote(running.url, client)
        async with server.stream() as stream:
            await stream.until("connected")
            for round in range(3):
                await server.post("/realtime/main", data=str(round))
                assert (await stream.next()).data == str(round)
                posts = [asyncio.create_task(server.post("/realtime/main", data=b"?")) for _ in range(20)]
                network.reset()
                await asyncio.gather(*posts)
                await server.until_status("degraded")
                await network.mend()
                await server.until_status("ok")
                await server.post("/realtime/main", data=b"after")
                while (event := await stream.next()).data != "after":
                    assert event.data == "?"  # it may have arrived


async def test_a_node_begins_with_large_events_over_a_slow_line(redis: RedisServer) -> None:
    async with serving(store=redis.store) as server:
        for _ in range(30):
            await server.post("/realtime/main", data=b"x" * 1_000_000)
    async with Network(redis.port) as network:
        network.bytes_per_second = 3_000_000
        async with serving(store=f"redis://127.0.0.1:{network.port}/0") as server:
            await server.until_status("ok")
            assert await server.status("/realtime/main", "POST", data=b"x") == 200


async def test_after_a_failover_a_node_finds_the_new_master_before_the_next_publish(
    redis: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = RedisServer(tmp_path_factory.mktemp("replica"))
    try:
        other.ask("REPLICAOF", "127.0.0.1", str(redis.port))
        async with Network(redis.port) as network:
            async with serving(store=f"redis://127.0.0.1:{network.port}/0") as server, server.stream() as stream:
                await stream.until("connected")
                await server.hub.publish("before")
                assert (await stream.next()).data == "before"

                async def replicated() -> bool:
                    return other.ask("XLEN", "{sse-hub}:events") == b":1\r\n"

                await eventually(replicated)
                network.target = other.port
                other.ask("REPLICAOF", "NO", "ONE")
                redis.ask("REPLICAOF", "127.0.0.1", str(other.port))

                async def moved() -> bool:
                    await server.get("/health")
                    return b"addr=" in other.ask("CLIENT", "LIST", "TYPE", "NORMAL") and not server.hub.store.trouble

                await eventually(moved)

                async def published() -> bool:
                    return await server.status("/realtime/main", "POST", data=b"after") == 200

                await eventually(published)
                assert (await stream.next()).data == "after"
                assert other.ask("XLEN", "{sse-hub}:events") == b":2\r\n"
    finally:
        other.stop()


async def test_a_read_only_replica_degrades_health_before_the_next_publish(redis: RedisServer) -> None:
    async with serving(store=redis.store) as server:
        redis.ask("REPLICAOF", "127.0.0.1", "1")

        async def explained() -> bool:
            return "read only replica" in (await server.health()).get("reason", "")

        await eventually(explained)
        redis.ask("REPLICAOF", "NO", "ONE")
        await server.until_status("ok")
        assert (await server.post("/realtime/main", data=b"x"))[0].status == 200


async def test_a_replica_that_has_lost_its_master_is_no_node_of_a_cluster(redis: RedisServer) -> None:
    redis.ask("CONFIG", "SET", "replica-serve-stale-data", "no")
    redis.ask("CONFIG", "SET", "replica-read-only", "no")  # else it refuses as a read-only replica
    async with serving(store=redis.store) as server:
        redis.ask("REPLICAOF", "127.0.0.1", "1")

        async def explained() -> bool:
            return "Link with MASTER is down" in (await server.health()).get("reason", "")

        await eventually(explained)
        assert "Cluster" not in (await server.health())["reason"]
        redis.ask("REPLICAOF", "NO", "ONE")
        await server.until_status("ok")


async def test_a_password_in_the_address_is_used_and_never_shown(
    redis: RedisServer, caplog: pytest.LogCaptureFixture
) -> None:
    redis.ask("CONFIG", "SET", "requirepass", "s3cret")
    url = f"redis://:s3cret@127.0.0.1:{redis.port}/0?prefix=mine"
    async with serving(store=url) as server:
        _, answer = await server.get("/health")
        assert (answer["status"], answer["store"]) == ("ok", "redis")
    assert "s3cret" not in f"{answer} {caplog.text}"
    async with serving(store=url.replace("s3cret", "mistaken")) as server:
        reason = await server.until_status("degraded")
    assert "mistaken" not in reason + caplog.text


async def test_scripts_that_redis_has_forgotten_are_given_to_it_again(redis: RedisServer) -> None:
    async with serving(store=redis.store) as server:
        redis.ask("SCRIPT", "FLUSH")
        posts = [server.post("/realtime/main", data=str(n)) for n in range(20)]
        assert {response.status for response, _ in await asyncio.gather(*posts)} == {200}
