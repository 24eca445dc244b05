from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

import aiohttp
from conftest import PATIENCE, Program, Server, Stream, serving
from redis_server import Network, RedisServer

from sse_hub.events import EventId

Start = Callable[..., Program]


async def until(true: Callable[[], Awaitable[bool]], patience: float = PATIENCE) -> None:
    async with asyncio.timeout(patience):
        while not await true():
            await asyncio.sleep(0.05)


async def until_status(server: Server, status: str) -> str:
    async def reached() -> bool:
        return bool((await server.get("/health"))[1]["status"] == status)

    await until(reached)
    return str((await server.get("/health"))[1].get("reason"))


async def test_two_nodes_deliver_what_is_published_alternately_in_the_same_order(
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


async def test_a_cursor_that_this_node_has_not_reached_yet_is_waited_for(redis_store: str) -> None:
    async with serving(store=redis_store) as a, serving(store=redis_store) as b:
        for number in range(50):
            id = await a.hub.publish(str(number))
            async with b.stream(headers={"Last-Event-ID": str(id)}) as stream:
                connected, *events = await stream.until("live")
                assert (connected.json()["lost"], len(events)) == (False, 1)


async def test_a_key_holds_on_the_other_node(redis_store: str) -> None:
    async with serving(store=redis_store) as a, serving(store=redis_store) as b:
        key = {"Idempotency-Key": "k"}
        answers = await asyncio.gather(*(s.post("/realtime/c", data=b"x", headers=key) for s in (a, b)))
        assert answers[0][1] == answers[1][1]
        _, said = await a.get("/api/channels/c/events")
        assert len(said["events"]) == 1


async def test_ephemeral_events_reach_the_subscribers_of_every_node(redis_store: str) -> None:
    async with serving(store=redis_store) as a, serving(store=redis_store) as b, b.stream() as stream:
        await stream.until("connected")
        await a.hub.publish("now", ephemeral=True)
        assert (await stream.next()).data == "now"


async def test_subscribers_are_counted_over_all_nodes_and_a_dead_nodes_are_forgotten(
    program: Start, redis_store: str
) -> None:
    async with serving(store=redis_store) as server:
        other = program("--no-demo", "--store", redis_store)
        async with server.stream("/realtime/c") as here, aiohttp.ClientSession() as client:
            await here.next()
            streams = [await client.get(other.url + path) for path in ("/realtime/c", "/stream?channel=*")]
            for response in streams:
                await Stream(response).next()

            async def count(expected: int) -> bool:
                said = (await server.post("/realtime/c", data=b"x"))[1]["subscribers"]
                listed = (await server.get("/api/channels"))[1]["channels"]
                return said == expected and {"c": expected} == {each["name"]: each["subscribers"] for each in listed}

            await until(lambda: count(3))
            other.process.kill()
            await until(lambda: count(1), 12)


async def test_one_node_produces_the_feed_and_another_takes_over_within_ten_seconds(
    program: Start, redis_store: str
) -> None:
    nodes = {name: program("--store", redis_store, "--node", name) for name in ("a", "b")}
    async with serving(store=redis_store) as watching, watching.stream("/metrics") as stream:
        await stream.until("connected")
        names = [(await stream.next()).json()["node"] for _ in range(4)]
        assert len(set(names)) == 1
        nodes[names[0]].process.kill()
        async with asyncio.timeout(10):
            while (taken := (await stream.next()).json()["node"]) == names[0]:
                pass
        assert {taken, names[0]} == {"a", "b"}


async def test_a_node_that_ends_well_passes_the_feed_on_at_once(redis_store: str) -> None:
    async with AsyncExitStack() as stack:
        first = await stack.enter_async_context(serving(store=redis_store, node="a"))
        store = first.hub.store
        assert await store.lease("demo")  # type: ignore[attr-defined]
        second = await stack.enter_async_context(serving(store=redis_store, node="b"))
        assert not await second.hub.store.lease("demo")  # type: ignore[attr-defined]
        await first.app.cleanup()
        assert await second.hub.store.lease("demo")  # type: ignore[attr-defined]


async def test_while_the_network_is_cut_streams_stay_publishes_get_503_and_nothing_is_missed(
    redis: RedisServer,
) -> None:
    async with Network(redis.port) as network:
        cut_off = f"redis://127.0.0.1:{network.port}/0"
        async with serving(store=cut_off) as here, serving(store=redis.url) as there, here.stream() as stream:
            await stream.until("connected")
            await here.hub.publish("before")
            assert (await stream.next()).data == "before"
            network.cut()
            response, problem = await here.post("/realtime/main", data=b"refused")
            assert response.status == 503
            assert int(response.headers["Retry-After"]) > 0
            assert "Redis" in problem["detail"]
            assert "Redis" in await until_status(here, "degraded")
            for number in range(20):
                await there.hub.publish(f"during {number}")
            network.mend()
            await until_status(here, "ok")
            await here.post("/realtime/main", data=b"after")
            events = [await stream.next()]
            while events[-1].data != "after":
                events.append(await stream.next())
            data = [event.data for event in events if event.data != "refused"]  # it may have arrived, once
            assert data == [*(f"during {number}" for number in range(20)), "after"]
            assert [event.type for event in events].count("lost") == 0


async def test_after_flushall_everybody_is_told_and_ids_go_on_increasing(redis: RedisServer) -> None:
    async with serving(store=redis.url) as a, serving(store=redis.url) as b:
        async with a.stream() as one, b.stream() as other:
            await one.until("connected")
            await other.until("connected")
            before = await a.hub.publish("before")
            assert (await one.next()).data == (await other.next()).data == "before"
            redis.ask("FLUSHALL")
            for stream in (one, other):
                lost = await stream.next()
                assert (lost.type, lost.json()["after"]) == ("lost", str(before))
            await until_status(a, "ok")
            _, said = await a.post("/realtime/main", data=b"after")
            assert before is not None
            assert EventId.parse(said["id"]) > before
            assert (await one.next()).data == (await other.next()).data == "after"
        async with b.stream(headers={"Last-Event-ID": str(before)}) as stream:
            connected, *events = await stream.until("live")
            assert (connected.json()["lost"], [event.data for event in events[:-1]]) == (True, ["after"])


async def test_another_redis_behind_the_address_is_told_as_a_loss(
    redis: RedisServer, shared_redis: RedisServer
) -> None:
    async with (
        Network(redis.port) as network,
        serving(store=f"redis://127.0.0.1:{network.port}/0?prefix=swapped") as server,
        server.stream() as stream,
    ):
        await stream.until("connected")
        id = await server.hub.publish("before")
        await stream.next()
        await asyncio.to_thread(redis.stop)
        network.target = shared_redis.port
        lost = await stream.next()
        assert (lost.type, lost.json()["after"]) == ("lost", str(id))


async def test_a_stream_trimmed_by_hand_past_a_cursor_is_lost_and_one_trimmed_before_it_is_not(
    redis: RedisServer,
) -> None:
    async with serving(store=redis.url, cache=0) as server:
        ids = [str(await server.hub.publish(str(number))) for number in range(10)]
        redis.ask("XTRIM", "{sse-hub}:events", "MINID", ids[5])
        for cursor, lost in ((ids[3], True), (ids[6], False)):
            async with server.stream(headers={"Last-Event-ID": cursor}) as stream:
                connected, *events = await stream.until("live")
                assert connected.json()["lost"] is lost
                assert [event.data for event in events[:-1]] == (list("56789") if lost else list("789"))


async def test_what_was_trimmed_while_a_node_was_cut_off_is_told_to_the_subscribers_of_that_channel_only(
    redis: RedisServer,
) -> None:
    async with Network(redis.port) as network:
        cut_off = f"redis://127.0.0.1:{network.port}/0?grace=0"
        settings = {"history": 3}
        async with (
            serving(store=cut_off, **settings) as here,
            serving(store=f"{redis.url}?grace=0", **settings) as there,
            here.stream("/realtime/busy") as busy,
            here.stream("/realtime/quiet") as quiet,
        ):
            await busy.until("connected")
            await quiet.until("connected")
            network.cut()
            for number in range(10):
                await there.hub.publish(str(number), channel="busy")
            await there.hub.publish("x", channel="quiet")

            async def trimmed() -> bool:
                return redis.ask("XLEN", "{sse-hub}:events") == b":4\r\n"

            await until(trimmed)
            await until_status(here, "degraded")
            network.mend()
            assert [(await busy.next()).type for _ in range(4)] == ["lost", *["message"] * 3]
            assert (await quiet.next()).data == "x"


async def test_a_redis_that_refuses_to_write_degrades_the_node_and_recovers(redis: RedisServer) -> None:
    async with serving(store=redis.url) as server, server.stream() as stream:
        await stream.until("connected")
        redis.ask("CONFIG", "SET", "maxmemory", "1")
        response, problem = await server.post("/realtime/main", data=b"x")
        assert (response.status, "maxmemory" in problem["detail"]) == (503, True)
        assert (await server.get("/health"))[1]["status"] == "degraded"
        redis.ask("CONFIG", "SET", "maxmemory", "0")
        await until_status(server, "ok")
        await server.post("/realtime/main", data=b"y")
        assert (await stream.next()).data == "y"


async def test_scripts_that_redis_has_forgotten_are_given_to_it_again(redis: RedisServer) -> None:
    async with serving(store=redis.url) as server:
        redis.ask("SCRIPT", "FLUSH")
        posts = [server.post("/realtime/main", data=str(n)) for n in range(20)]
        assert {response.status for response, _ in await asyncio.gather(*posts)} == {200}


async def test_a_redis_that_is_not_there_yet_is_waited_for(redis: RedisServer) -> None:
    await asyncio.to_thread(redis.stop)
    async with serving(store=redis.url) as server:
        assert "Redis" in await until_status(server, "degraded")
        async with server.stream() as stream:
            (event,) = await stream.rest()
            assert (event.type, event.json()["status"]) == ("error", 503)
        await asyncio.to_thread(redis.start)
        await until_status(server, "ok")
        async with server.stream() as stream:
            await stream.until("connected")
            await server.hub.publish("x")
            assert (await stream.next()).data == "x"


async def test_a_password_in_the_address_is_used_and_never_shown(redis: RedisServer, capfd: object) -> None:
    redis.ask("CONFIG", "SET", "requirepass", "s3cret")
    url = f"redis://:s3cret@127.0.0.1:{redis.port}/0?prefix=mine"
    async with serving(store=url) as server:
        _, said = await server.get("/health")
        assert (said["status"], said["store"]) == ("ok", "redis")
    async with serving(store=url.replace("s3cret", "wrong")) as server:
        reason = await until_status(server, "degraded")
        assert "wrong" not in reason.replace("WRONGPASS", "")


async def test_nodes_with_another_prefix_are_another_hub(shared_redis: RedisServer) -> None:
    urls = [f"{shared_redis.url}?prefix=hub-{name}" for name in "ab"]
    async with serving(store=urls[0]) as a, serving(store=urls[1]) as b:
        await a.hub.publish("x")
        assert (await b.get("/api/channels"))[1]["channels"] == []


async def test_the_stream_is_bounded_as_a_whole_too_and_what_goes_is_told(shared_redis: RedisServer) -> None:
    async with serving(store=f"{shared_redis.url}?prefix=bounded&maxlen=100", cache=10, history=10_000) as server:
        first = await server.hub.publish("first")
        for _ in range(30):
            await server.post("/realtime/main", data=b"x\n" * 10, headers={"Content-Type": "application/x-ndjson"})
        async with server.stream(headers={"Last-Event-ID": str(first)}) as stream:
            connected, *events = await stream.until("live")
            assert connected.json()["lost"] is True
            assert 100 <= len(events) - 1 <= 210  # MAXLEN ~ lets go of a hundred at a time
