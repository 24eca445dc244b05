"""The Redis store: any number of nodes are one hub, through all failures of Redis."""

from __future__ import annotations

import asyncio
from collections import Counter

import aiohttp
import pytest
from hubs import Stream, serving
from network import Network
from programs import Start
from redis_server import RedisServer

from sse_hub.core.events import LOWEST_ID, EventId
from sse_hub.core.hub import Hub
from sse_hub.core.log import Log
from sse_hub.core.ports import Archive, Catalogue, StoreUnavailable
from sse_hub.core.subscription import Subscription
from sse_hub.stores.redis import RedisStore
from sse_hub.tasks import Background


async def test_two_nodes_deliver_events_that_are_published_alternately_in_one_order(
    program: Start, redis_store: str
) -> None:
    nodes = [program("--no-demo", "--store", redis_store) for _ in range(2)]
    async with aiohttp.ClientSession() as client:
        streams = [Stream(await client.get(node.url + "/stream")) for node in nodes]
        for stream in streams:
            await stream.until("connected")
        for number in range(200):
            async with client.post(nodes[number % 2].url + "/realtime/main", data=str(number)) as answer:
                assert answer.status == 200
        received = [[await stream.next() for _ in range(200)] for stream in streams]
        assert received[0] == received[1]
        assert [event.data for event in received[0]] == [str(number) for number in range(200)]
        streams[0].response.close()
        cut = received[0][99].id
        response = await client.get(nodes[1].url + "/stream", headers={"Last-Event-ID": cut})
        resumed = Stream(response)
        assert (await resumed.next()).json()["lost"] is False
        assert [await resumed.next() for _ in range(100)] == received[0][100:]
        for stream in (streams[1], resumed):
            stream.response.close()


async def test_publishes_at_two_nodes_at_once_arrive_in_one_order_at_both(redis_store: str) -> None:
    async with serving(store=redis_store) as a, serving(store=redis_store) as b:
        async with a.stream() as one, b.stream() as other:
            await one.until("connected")
            await other.until("connected")
            await asyncio.gather(*(node.hub.publish(str(n)) for n in range(200) for node in (a, b)))
            received = [[(await stream.next()).id for _ in range(400)] for stream in (one, other)]
        assert received[0] == received[1] == sorted(received[0], key=EventId.parse)


async def test_ephemeral_events_reach_the_subscribers_of_every_node(redis_store: str) -> None:
    async with serving(store=redis_store) as a, serving(store=redis_store) as b, b.stream() as stream:
        await stream.until("connected")
        await a.hub.publish("now", ephemeral=True)
        assert (await stream.next()).data == "now"


async def test_while_the_network_is_cut_streams_stay_publishes_get_503_and_nothing_is_missed(
    redis: RedisServer,
) -> None:
    async with Network(redis.port) as network:
        cut_off = f"redis://127.0.0.1:{network.port}/0"
        async with serving(store=cut_off) as here, serving(store=redis.store) as there, here.stream() as stream:
            await stream.until("connected")
            await here.hub.publish("before")
            assert (await stream.next()).data == "before"
            network.cut()
            response, problem = await here.post("/realtime/main", data=b"refused")
            assert response.status == 503
            assert int(response.headers["Retry-After"]) > 0
            assert "Redis" in problem["detail"]
            assert "Redis" in await here.until_status("degraded")
            for number in range(20):
                await there.hub.publish(f"during {number}")
            await network.mend()
            await here.until_status("ok")
            await here.post("/realtime/main", data=b"after")
            events = [await stream.next()]
            while events[-1].data != "after":
                events.append(await stream.next())
            data = [event.data for event in events if event.data != "refused"]  # it may have arrived, once
            assert data == [*(f"during {number}" for number in range(20)), "after"]
            assert [event.type for event in events].count("lost") == 0


async def test_a_redis_that_refuses_to_write_degrades_the_node_and_recovers(redis: RedisServer) -> None:
    async with serving(store=redis.store) as server, server.stream() as stream:
        await stream.until("connected")
        redis.ask("CONFIG", "SET", "maxmemory", "1")
        response, problem = await server.post("/realtime/main", data=b"x")
        assert (response.status, "maxmemory" in problem["detail"]) == (503, True)
        assert (await server.get("/health"))[1]["status"] == "degraded"
        redis.ask("CONFIG", "SET", "maxmemory", "0")
        await server.until_status("ok")
        await server.post("/realtime/main", data=b"y")
        assert (await stream.next()).data == "y"


async def test_a_node_waits_for_a_redis_that_has_not_started(redis: RedisServer) -> None:
    await asyncio.to_thread(redis.stop)
    async with serving(store=redis.store) as server:
        assert "Redis" in await server.until_status("degraded")
        async with server.stream() as stream:
            (event,) = await stream.rest()
            assert (event.type, event.json()["status"]) == ("error", 503)
        await asyncio.to_thread(redis.start)
        await server.until_status("ok")
        async with server.stream() as stream:
            await stream.until("connected")
            await server.hub.publish("x")
            assert (await stream.next()).data == "x"


async def test_nodes_with_another_prefix_are_another_hub(shared_redis: RedisServer) -> None:
    urls = [f"{shared_redis.store}&prefix=hub-{name}" for name in "ab"]
    async with serving(store=urls[0]) as a, serving(store=urls[1]) as b:
        await a.hub.publish("x")
        assert (await b.get("/api/channels"))[1]["channels"] == []


async def test_a_redis_that_may_forget_keys_gets_a_warning(redis: RedisServer, program: Start) -> None:
    redis.ask("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    running = program("--no-demo", "--store", redis.store)
    running.until("maxmemory-policy is allkeys-lru; set it to noeviction")


async def test_changes_of_other_nodes_are_read_again_after_an_exchange_that_failed_in_the_middle(
    redis: RedisServer,
) -> None:
    hub, background = Hub(Log(LOWEST_ID), asyncio.get_running_loop().call_soon), Background()
    one, other = (
        RedisStore(redis.store, hub, background, node=node, keys="{sse-hub}", most=100, grace=0)
        for node in ("one", "other")
    )
    await one.exchange({}, all=True)
    await other.exchange({"subscription": 7}, all=True)
    redis.ask("CONFIG", "SET", "maxmemory", "12mb")
    with pytest.raises(StoreUnavailable, match="maxmemory"):  # the first part fills the memory: it is stored as JSON
        await one.exchange({f"{number}" + "\x01" * 5000: 1 for number in range(600)}, all=False)
    assert redis.number("HLEN", "{sse-hub}:follows:one") == 501
    redis.ask("CONFIG", "SET", "maxmemory", "0")
    exchanged = await one.exchange({}, all=True)
    assert exchanged.nodes == {"other"}
    assert exchanged.changes == [("other", {"subscription": 7}, True)]
    for store in (one, other):
        await store.close()


async def test_many_floors_are_read_in_slices(redis: RedisServer) -> None:
    names = [f"run.{number}" for number in range(20_000)]
    looks = Counter[int]()
    turn = 0

    class Watched(Subscription):
        """Counts the channels that are looked at in each turn of the event loop."""

        def covers(self, channel: str) -> bool:
            looks[turn] += 1
            return Subscription.covers(self, channel)

    async def count() -> None:
        nonlocal turn
        while True:
            turn += 1
            await asyncio.sleep(0)

    async with serving(store=redis.url) as server:
        store = server.hub.store
        assert isinstance(store, Archive)
        assert isinstance(store, Catalogue)
        start = server.hub.log.head
        floor = str(await server.hub.publish("x"))
        redis.ask("HSET", "{sse-hub}:floors", *(word for name in names for word in (name, floor)))
        redis.ask("HSET", "{sse-hub}:hub", "highest", floor)
        subscription = Watched(frozenset({"run.*"}))
        counting = asyncio.create_task(count())
        page = await store.page(subscription, start, start)
        assert page.floors == dict.fromkeys(names, EventId.parse(floor))
        _, lost, floors = await store.beginning(subscription)
        assert (lost, floors) == (True, page.floors)
        assert max(looks.values()) <= 1000
        counting.cancel()
