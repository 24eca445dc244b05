"""A node's follower of the stream in Redis, and the losses that it finds."""

from __future__ import annotations

import asyncio
import contextlib
import signal

import aiohttp
import pytest
from eventually import eventually
from hubs import NDJSON, Remote, serving
from network import Network
from programs import Start
from redis_server import RedisServer
from turns import most_in_a_turn
from wire import Received

from sse_hub.core.events import Draft, EventId
from sse_hub.core.rules import Rule


async def test_a_node_waits_for_a_cursor_that_it_has_not_reached_yet(redis_store: str) -> None:
    async with serving(store=redis_store) as a, serving(store=redis_store) as b:
        for number in range(50):
            id = await a.hub.publish(str(number))
            async with b.stream(headers={"Last-Event-ID": str(id)}) as stream:
                connected, *events = await stream.until("live")
                assert (connected.json()["lost"], len(events)) == (False, 1)


async def test_after_flushall_every_subscriber_is_informed_and_ids_go_on_increasing(redis: RedisServer) -> None:
    async with serving(store=redis.store) as a, serving(store=redis.store) as b:
        async with a.stream() as one, b.stream() as other:
            await one.until("connected")
            await other.until("connected")
            before = await a.hub.publish("before")
            assert (await one.next()).data == (await other.next()).data == "before"
            redis.ask("FLUSHALL")
            for stream in (one, other):
                lost = await stream.next()
                assert (lost.type, lost.json()["after"]) == ("lost", str(before))
            await a.until_status("ok")
            _, answer = await a.post("/realtime/main", data=b"after")
            assert before is not None
            assert EventId.parse(answer["id"]) > before
            assert (await one.next()).data == (await other.next()).data == "after"
        async with b.stream(headers={"Last-Event-ID": str(before)}) as stream:
            connected, *events = await stream.until("live")
            assert (connected.json()["lost"], [event.data for event in events[:-1]]) == (True, ["after"])


async def test_a_cursor_from_before_a_flushall_is_lost_even_if_the_node_has_not_noticed_it(redis: RedisServer) -> None:
    async with serving(store=redis.store, cache=10) as server:
        start = str(server.hub.log.head)
        await server.post("/realtime/main", data=b"line\n" * 100, headers=NDJSON)
        redis.ask("FLUSHALL")
        events: list[Received] = []
        while not any(event.type == "live" for event in events):
            # While the node finds out, a stream ends with an error. The client then comes back with its cursor.
            cursor = next((event.id for event in reversed(events) if event.id), start)
            async with server.stream(headers={"Last-Event-ID": cursor}) as stream, asyncio.timeout(20):
                with contextlib.suppress(EOFError):
                    while not any(event.type == "live" for event in events):
                        events.append(await stream.next())
        lost = [event for event in events if event.type == "lost" or ("lost" in event.data and event.json()["lost"])]
        assert lost, "90 events are gone, and the client does not know it"


async def test_another_redis_behind_the_address_is_a_loss(redis: RedisServer, shared_redis: RedisServer) -> None:
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


async def test_a_failover_after_which_both_servers_took_as_many_events_is_a_loss(
    redis: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = RedisServer(tmp_path_factory.mktemp("replica"))
    try:
        async with Network(redis.port) as network, serving(store=f"redis://127.0.0.1:{network.port}/0") as here:
            await here.hub.publish("before")
            other.ask("REPLICAOF", "127.0.0.1", str(redis.port))
            await eventually(lambda: other.number("XLEN", "{sse-hub}:events") == 1)
            other.ask("REPLICAOF", "NO", "ONE")
            async with serving(store=other.url) as there, here.stream() as stream, there.stream() as right:
                await stream.until("connected")
                await there.hub.publish("at the new master")
                old = str(await here.hub.publish("at the old master"))
                assert (await stream.next()).data == "at the old master"
                network.target = other.port
                network.reset()
                await here.until_status("degraded")
                await there.hub.publish("next")
                await network.mend()
                event = await stream.next()
                assert (event.type, event.json()["after"]) == ("lost", old)
                await right.until("lost")  # a client that comes from the other node has lost an event, too
                async with there.stream(headers={"Last-Event-ID": old}) as resumed:
                    assert (await resumed.next()).json()["lost"] is True
    finally:
        other.stop()


async def test_a_cursor_is_lost_when_the_stream_was_trimmed_past_it_and_not_when_before_it(
    redis: RedisServer,
) -> None:
    async with serving(store=redis.store, cache=0) as server:
        ids = [str(await server.hub.publish(str(number))) for number in range(10)]
        redis.ask("XTRIM", "{sse-hub}:events", "MINID", ids[5])
        for cursor, lost in ((ids[3], True), (ids[6], False)):
            async with server.stream(headers={"Last-Event-ID": cursor}) as stream:
                connected, *events = await stream.until("live")
                assert connected.json()["lost"] is lost
                assert [event.data for event in events[:-1]] == (list("56789") if lost else list("789"))


async def test_events_trimmed_while_a_node_was_cut_off_are_a_loss_of_their_channel_only(
    redis: RedisServer,
) -> None:
    async with Network(redis.port) as network:
        cut_off = f"redis://127.0.0.1:{network.port}/0?grace=0"
        settings = {"history": 3}
        async with (
            serving(store=cut_off, **settings) as here,
            serving(store=f"{redis.store}&grace=0", **settings) as there,
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

            await eventually(trimmed)
            await here.until_status("degraded")
            await network.mend()
            *in_flight, _ = await busy.until("lost")  # an answer that was on its way may arrive late
            assert [event.data for event in in_flight] == [str(number) for number in range(len(in_flight))]
            assert [event.data for event in await busy.take(3)] == ["7", "8", "9"]
            assert (await quiet.next()).data == "x"


@pytest.mark.parametrize("history", [20, 0])
async def test_events_trimmed_while_a_node_begins_are_a_loss(redis: RedisServer, history: int) -> None:
    store = "redis://127.0.0.1:{}/0?grace=0"
    async with Network(redis.port) as network, serving(store=store.format(redis.port)) as there:
        ids = [str(await there.hub.publish(str(number))) for number in range(40)]
        reads = 0

        async def trim_before_the_second_read(request: bytes) -> None:
            nonlocal reads
            reads += request.startswith(b"*6\r\n$9\r\nXREVRANGE")
            if reads == 2 and network.before is not None:
                network.before = None
                if not history:  # the log must not begin within what it has not read
                    await there.hub.publish("40")
                there.hub.log.rules.replace([Rule(match="main", history=history)])
                await eventually(lambda: redis.number("XLEN", "{sse-hub}:events") == history)

        network.before = trim_before_the_second_read
        async with serving(store=store.format(network.port)) as here:
            async with here.stream(headers={"Last-Event-ID": ids[5]}) as stream:
                connected, *events = await stream.until("live")
                assert connected.json()["lost"] is True
                assert [event.data for event in events[:-1]] == [str(number) for number in range(40 - history, 40)]
                await there.hub.publish("after")
                assert (await stream.next()).data == "after"


async def test_a_gap_before_a_forgotten_channel_is_a_loss(redis: RedisServer) -> None:
    async with Network(redis.port) as network:
        cut_off = f"redis://127.0.0.1:{network.port}/0?grace=0"
        async with (
            serving(store=cut_off, history=1) as here,
            serving(store=f"{redis.url}?grace=0", history=1) as there,
            here.stream("/realtime/a") as stream,
            here.stream("/realtime/b") as forgotten,
        ):
            await stream.until("connected")
            await forgotten.until("connected")
            await there.hub.publish("before", channel="b")
            await there.hub.publish("before", channel="a")
            await stream.until_data("before")
            await forgotten.until_data("before")
            network.cut()
            for number in range(5):
                await there.hub.publish(str(number), channel="a")
            assert await there.status("/realtime/b", "DELETE") == 204
            await there.hub.publish("after", channel="b")
            await there.hub.publish("after", channel="a")

            async def trimmed() -> bool:
                return redis.ask("XLEN", "{sse-hub}:events") == b":3\r\n"

            await eventually(trimmed)  # there is the entry that says that b was forgotten, and one event of each
            await here.until_status("degraded")
            await network.mend()
            events = await stream.until_data("after")
            assert "lost" in [event.type for event in events]
            events = await forgotten.until_data("after")
            assert [event.type for event in events] == ["lost", "message"]


async def test_channels_that_were_forgotten_while_a_node_was_cut_off_are_forgotten_in_different_turns(
    redis: RedisServer,
) -> None:
    async with Network(redis.port) as network, serving(store=redis.url) as there:
        async with (
            serving(store=f"redis://127.0.0.1:{network.port}/0") as here,
            here.stream("/stream?channel=*") as stream,
        ):
            await stream.until("connected")
            await there.hub.publish_all([Draft(f"run.{number}", "message", "x") for number in range(20)])
            await stream.take(20)
            network.cut()
            for number in range(20):
                await there.hub.store.forget(f"run.{number}")
            await there.hub.publish("after")

            async def catch_up() -> None:
                await here.until_status("degraded")
                await network.mend()
                assert [event.type for event in await stream.take(21)] == ["lost"] * 20 + ["message"]

            assert await most_in_a_turn(catch_up(), lambda: here.hub.statistics().lost) == 1
            assert here.hub.log.retained == 1


async def test_the_newest_entries_deleted_by_hand_while_a_node_was_cut_off_are_a_loss(redis: RedisServer) -> None:
    async with Network(redis.port) as network, serving(store=redis.url) as there:
        async with serving(store=f"redis://127.0.0.1:{network.port}/0") as here, here.stream() as stream:
            await stream.until("connected")
            await there.hub.publish("before")
            assert (await stream.next()).data == "before"
            network.cut()
            ids = [str(await there.hub.publish(str(number))) for number in range(3)]
            redis.ask("XDEL", "{sse-hub}:events", *ids)
            await here.until_status("degraded")
            await network.mend()
            await here.until_status("ok")
            await there.hub.publish("after")
            events = await stream.until_data("after")
            assert "lost" in [event.type for event in events]


async def publish_batch(server: Remote, channel: str) -> None:
    """Publish fifty events."""
    assert await server.status(f"/realtime/{channel}", "POST", data=b"line\n" * 50, headers=NDJSON) == 200


async def test_a_node_that_was_stopped_while_others_published_and_trimmed_goes_on(
    program: Start, redis_store: str
) -> None:
    async with serving(store=redis_store, history=50) as here, aiohttp.ClientSession() as client:
        running = program("--no-demo", "--history", "50", "--store", redis_store)
        there = Remote(running.url, client)
        async with there.stream("/stream?channel=*") as stream:
            await stream.until("connected")
            running.process.send_signal(signal.SIGSTOP)
            for number in range(60):
                await publish_batch(here, f"c{number % 3}")
            await here.until_trimmed("c0", 50)
            running.process.send_signal(signal.SIGCONT)

            async def published() -> bool:
                return await there.status("/realtime/main", "POST", data=b"last") == 200

            await eventually(published)  # a node that was stopped for too long has to connect to Redis again
            events = [await stream.next()]
            while events[-1].data != "last":
                events.append(await stream.next())
        ids = [EventId.parse(event.id) for event in events if event.type == "message"]
        assert ids == sorted(set(ids))
        assert "lost" in [event.type for event in events]
        assert (await there.get("/health"))[1]["status"] == "ok"


async def test_entries_of_other_programs_are_passed_over_and_counted(shared_redis: RedisServer) -> None:
    store = f"{shared_redis.store}&prefix=foreign&grace=0"
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
        await server.until_trimmed("main", 3)


@pytest.mark.parametrize("how", ["hangs", "is gone", "refuses"])
async def test_a_cursor_newer_than_the_node_is_asked_to_come_back_while_redis_fails(
    redis: RedisServer, how: str
) -> None:
    async with Network(redis.port) as network, serving(store=redis.store) as there:
        async with serving(store=f"redis://127.0.0.1:{network.port}/0") as here:
            network.cut()
            id = await there.hub.publish("newer")
            if how != "hangs":
                network.reset()
            if how == "refuses":
                redis.ask("CONFIG", "SET", "requirepass", "changed")
                await network.mend()
            async with here.stream(headers={"Last-Event-ID": str(id)}) as stream:
                event = await stream.next()
                assert (event.type, event.json()["status"]) == ("error", 503)


async def test_an_event_that_comes_late_is_not_lost(redis: RedisServer) -> None:
    async with Network(redis.port) as network, serving(store=redis.store) as there:
        async with serving(store=f"redis://127.0.0.1:{network.port}/0") as here:
            network.bytes_per_second = 400_000
            for _ in range(4):
                await there.post("/realtime/main", data=b"x" * 1_000_000)
            id = await there.hub.publish("newest")
            async with here.stream(headers={"Last-Event-ID": str(id)}) as stream:
                event = await stream.next()
                assert (event.type, event.json()["status"]) == ("error", 503)
            network.bytes_per_second = 0
            await here.until_status("ok")
            await eventually(lambda: here.hub.log.head == id)
            async with here.stream(headers={"Last-Event-ID": str(id)}) as stream:
                assert (await stream.next()).json()["lost"] is False


async def test_an_entry_that_was_deleted_by_hand_is_reported_as_lost(redis: RedisServer) -> None:
    async with Network(redis.port) as network, serving(store=redis.store) as there:
        async with (
            serving(store=f"redis://127.0.0.1:{network.port}/0") as here,
            here.stream() as stream,
        ):
            await stream.until("connected")
            network.cut()
            ids = [str(await there.hub.publish(str(number))) for number in range(3)]
            redis.ask("XDEL", "{sse-hub}:events", ids[1])
            await here.until_status("degraded")
            await network.mend()
            events = await stream.until("lost")
            lost = events[-1].json()
            assert EventId.parse(lost["after"]) < EventId.parse(ids[1]) < EventId.parse(lost["next"])
