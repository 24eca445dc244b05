from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack

import aiohttp
import pytest
from conftest import PATIENCE, Program, Server, Stream, serving
from redis_server import Network, RedisServer

from sse_hub.core.events import EventId

Start = Callable[..., Program]
NDJSON = {"Content-Type": "application/x-ndjson"}


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
            await network.mend()
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
            await network.mend()
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


# What ended a node, or left one behind that answered 503 for ever


@pytest.mark.parametrize("loop", ["asyncio", "uvloop"])
async def test_a_node_comes_back_after_its_connections_were_reset_and_refused(
    program: Start, redis: RedisServer, loop: str
) -> None:
    async with Network(redis.port) as network, aiohttp.ClientSession() as client:
        address = f"redis://127.0.0.1:{network.port}/0"
        running = await asyncio.to_thread(program, "--no-demo", "--loop", loop, "--store", address)
        server = Server(None, running.url, client)  # type: ignore[arg-type]
        async with server.stream() as stream:
            await stream.until("connected")
            for round in range(3):
                await server.post("/realtime/main", data=str(round))
                assert (await stream.next()).data == str(round)
                posts = [asyncio.create_task(server.post("/realtime/main", data=b"?")) for _ in range(20)]
                network.reset()
                await asyncio.gather(*posts)
                await until_status(server, "degraded")
                await network.mend()
                await until_status(server, "ok")
                await server.post("/realtime/main", data=b"after")
                while (event := await stream.next()).data != "after":
                    assert event.data == "?"  # it may have arrived


async def test_a_node_that_was_stopped_while_others_published_and_trimmed_goes_on(
    program: Start, redis_store: str
) -> None:
    async with serving(store=redis_store, history=50) as here, aiohttp.ClientSession() as client:
        running = program("--no-demo", "--history", "50", "--store", redis_store)
        there = Server(None, running.url, client)  # type: ignore[arg-type]
        async with there.stream("/stream?channel=*") as stream:
            await stream.until("connected")
            running.process.send_signal(signal.SIGSTOP)
            for number in range(60):
                lines = "\n".join(f"{number}-{line}" for line in range(50))
                await here.post(f"/realtime/c{number % 3}", data=lines, headers=NDJSON)
            await until_trimmed(here, "c0", 50)
            running.process.send_signal(signal.SIGCONT)
            await there.post("/realtime/main", data=b"last")
            events = [await stream.next()]
            while events[-1].data != "last":
                events.append(await stream.next())
        ids = [EventId.parse(event.id) for event in events if event.type == "message"]
        assert ids == sorted(set(ids))
        assert "lost" in [event.type for event in events]
        assert (await there.get("/health"))[1]["status"] == "ok"


async def until_trimmed(server: Server, channel: str, count: int) -> None:
    async def trimmed() -> bool:
        _, said = await server.get(f"/api/channels/{channel}/events", params={"limit": "1000"})
        return len(said["events"]) <= count

    await until(trimmed)


async def test_entries_of_others_are_passed_over_and_counted(shared_redis: RedisServer) -> None:
    store = f"{shared_redis.url}?prefix=foreign&grace=0"
    async with serving(store=store, history=3) as server, server.stream() as stream:
        await stream.until("connected")
        first = await server.hub.publish("before")
        for fields in (("some", "thing"), ("c", "main", "t", "a\nb", "d", "x"), ("n", "1", "c", "main"), ("n", "x")):
            shared_redis.ask("XADD", "{foreign}:events", "*", *fields)
        shared_redis.ask("XADD", "{foreign}:ephemeral", "*", "some", "thing")
        await server.hub.publish("after")
        assert [(await stream.next()).data for _ in range(2)] == ["before", "after"]
        assert server.hub.statistics().passed_over == 5
        assert (await server.get("/health"))[1]["status"] == "ok"
    async with serving(store=store, history=3) as server:
        async with server.stream("/stream?channel=*", {"Last-Event-ID": str(first)}) as stream:
            connected, *events = await stream.until("live")
            assert (connected.json()["lost"], [event.data for event in events[:-1]]) == (False, ["after"])
        for number in range(5):
            await server.hub.publish(str(number))
        await until_trimmed(server, "main", 3)


async def test_a_redis_whose_memory_is_full_makes_room_and_is_used_again(redis: RedisServer) -> None:
    async with serving(store=f"{redis.url}?grace=0", history_age=3.0) as server:
        redis.ask("CONFIG", "SET", "maxmemory", "6mb")
        while (answer := await server.post("/realtime/main", data=b"x" * 100_000))[0].status == 200:
            pass
        assert "maxmemory" in answer[1]["detail"]
        assert "maxmemory" in (await server.get("/health"))[1]["reason"]
        assert (await server.get("/api/channels/main/events", params={"limit": "1"}))[0].status == 200
        await until_status(server, "ok")  # old events have gone
        assert (await server.post("/realtime/main", data=b"x"))[0].status == 200


async def test_a_node_begins_with_large_events_over_a_slow_line(redis: RedisServer) -> None:
    async with serving(store=redis.url) as server:
        for _ in range(30):
            await server.post("/realtime/main", data=b"x" * 1_000_000)
    async with Network(redis.port) as network:
        network.bytes_per_second = 3_000_000
        async with serving(store=f"redis://127.0.0.1:{network.port}/0") as server:
            await until_status(server, "ok")
            await server.post("/realtime/main", data=b"x")


async def test_after_a_failover_a_node_finds_the_new_master_before_anybody_publishes(
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

                await until(replicated)
                network.target = other.port
                other.ask("REPLICAOF", "NO", "ONE")
                redis.ask("REPLICAOF", "127.0.0.1", str(other.port))

                async def moved() -> bool:
                    await server.get("/health")
                    return b"addr=" in other.ask("CLIENT", "LIST", "TYPE", "NORMAL") and not server.hub.store.trouble

                await until(moved)
                async with asyncio.timeout(PATIENCE):
                    while (await server.post("/realtime/main", data=b"after"))[0].status != 200:
                        await asyncio.sleep(0.1)
                assert (await stream.next()).data == "after"
                assert other.ask("XLEN", "{sse-hub}:events") == b":2\r\n"
    finally:
        other.stop()


async def test_a_read_only_replica_degrades_health_before_anybody_publishes(redis: RedisServer) -> None:
    async with serving(store=redis.url) as server:
        redis.ask("REPLICAOF", "127.0.0.1", "1")
        assert "READONLY" in await until_status(server, "degraded") or "replica" in await until_status(
            server, "degraded"
        )
        redis.ask("REPLICAOF", "NO", "ONE")
        await until_status(server, "ok")
        assert (await server.post("/realtime/main", data=b"x"))[0].status == 200


# What was said of losses


@pytest.mark.parametrize("how", ["hangs", "is gone", "refuses"])
async def test_a_cursor_newer_than_the_node_is_asked_to_come_back_while_redis_fails(
    redis: RedisServer, how: str
) -> None:
    async with Network(redis.port) as network, serving(store=redis.url) as there:
        async with serving(store=f"redis://127.0.0.1:{network.port}/0") as here:
            network.cut()
            id = await there.hub.publish("newer")
            if how == "is gone":
                network.reset()
            if how == "refuses":
                redis.ask("CONFIG", "SET", "requirepass", "changed")
                await network.mend()
            async with here.stream(headers={"Last-Event-ID": str(id)}) as stream:
                event = await stream.next()
                assert event.type in {"error", "connected"}
                if event.type == "connected":  # it was mended in time
                    assert (how, event.json()["lost"]) == ("refuses", False)
                else:
                    assert event.json()["status"] == 503
            redis.ask("AUTH", "changed")


async def test_an_event_that_comes_late_is_not_lost(redis: RedisServer) -> None:
    async with Network(redis.port) as network, serving(store=redis.url) as there:
        async with serving(store=f"redis://127.0.0.1:{network.port}/0") as here:
            network.bytes_per_second = 400_000
            for _ in range(4):
                await there.post("/realtime/main", data=b"x" * 1_000_000)
            id = await there.hub.publish("newest")
            async with here.stream(headers={"Last-Event-ID": str(id)}) as stream:
                event = await stream.next()
                assert (event.type, event.json()["status"]) == ("error", 503)
            network.bytes_per_second = 0
            await until_status(here, "ok")
            async with asyncio.timeout(PATIENCE):
                while here.hub.log.head < (id or here.hub.log.head):
                    await asyncio.sleep(0.1)
            async with here.stream(headers={"Last-Event-ID": str(id)}) as stream:
                assert (await stream.next()).json()["lost"] is False


@pytest.mark.parametrize("key", ["floors", "events", "hub"])
async def test_a_key_that_was_evicted_makes_no_loss_silent(redis: RedisServer, key: str) -> None:
    async with serving(store=f"{redis.url}?grace=0", history=2) as server:
        ids = [str(await server.hub.publish(str(number))) for number in range(5)]
        await until_trimmed(server, "main", 2)
    redis.ask("DEL", f"{{sse-hub}}:{key}")
    async with serving(store=f"{redis.url}?grace=0", history=2) as server:
        async with server.stream(headers={"Last-Event-ID": ids[0]}) as stream:
            assert (await stream.next()).json()["lost"] is True
        if key == "floors":
            async with server.stream(headers={"Last-Event-ID": ids[3]}) as stream:
                assert (await stream.next()).json()["lost"] is False
        await server.hub.publish("after")


async def test_a_redis_that_may_forget_keys_is_warned_of(redis: RedisServer, program: Start) -> None:
    redis.ask("CONFIG", "SET", "maxmemory-policy", "allkeys-lru")
    running = program("--no-demo", "--store", redis.url)
    assert "maxmemory-policy is allkeys-lru; set it to noeviction" in running.first_line


async def test_an_entry_that_somebody_took_out_by_hand_is_reported_as_lost(redis: RedisServer) -> None:
    async with Network(redis.port) as network, serving(store=redis.url) as there:
        async with (
            serving(store=f"redis://127.0.0.1:{network.port}/0") as here,
            here.stream() as stream,
        ):
            await stream.until("connected")
            network.cut()
            ids = [str(await there.hub.publish(str(number))) for number in range(3)]
            redis.ask("XDEL", "{sse-hub}:events", ids[1])
            await until_status(here, "degraded")
            await network.mend()
            events = await stream.until("lost")
            lost = events[-1].json()
            assert EventId.parse(lost["after"]) < EventId.parse(ids[1]) < EventId.parse(lost["next"])


async def test_a_clock_that_was_ahead_does_not_keep_events_for_ever(redis: RedisServer) -> None:
    async with serving(store=f"{redis.url}?grace=0", history_age=2.0) as server:
        year = 365 * 24 * 3600 * 1000
        ahead = f"{server.hub.log.head.ms + year}-0"
        redis.ask("XADD", "{sse-hub}:events", ahead, "n", "1", "c", "main", "t", "message", "d", "ahead")
        redis.ask("HINCRBY", "{sse-hub}:hub", "added", "1")
        redis.ask("HSET", "{sse-hub}:hub", "last", ahead)
        await server.hub.publish("right again")
        _, said = await server.get("/api/channels/main/events")
        assert [event["data"] for event in said["events"]] == ["ahead", "right again"]
        assert said["events"][1]["timestamp"] < said["events"][0]["timestamp"]

        async def gone() -> bool:
            return redis.ask("XLEN", "{sse-hub}:events") == b":0\r\n"

        await until(gone)
