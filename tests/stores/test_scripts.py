"""The scripts in Redis: appending once, trimming, the record of lost events, and what is kept when the stream begins
anew."""

from __future__ import annotations

import asyncio
import time
from dataclasses import replace

import pytest
from eventually import eventually
from hubs import NDJSON, serving
from network import Network
from redis_server import RedisServer

from sse_hub.core.ports import Archive
from sse_hub.core.rules import Rule
from sse_hub.core.subscription import Subscription


async def test_a_key_holds_on_the_other_node(redis_store: str) -> None:
    async with serving(store=redis_store) as a, serving(store=redis_store) as b:
        key = {"Idempotency-Key": "k"}
        answers = await asyncio.gather(*(s.post("/realtime/c", data=b"x", headers=key) for s in (a, b)))
        assert answers[0][1] == answers[1][1]
        _, answered = await a.get("/api/channels/c/events")
        assert len(answered["events"]) == 1


async def test_the_stream_is_bounded_as_a_whole_and_subscribers_are_informed_of_the_loss(
    shared_redis: RedisServer,
) -> None:
    async with serving(store=f"{shared_redis.store}&prefix=bounded&maxlen=100", cache=10, history=10_000) as server:
        first = await server.hub.publish("first")
        for _ in range(30):
            await server.post("/realtime/main", data=b"x\n" * 10, headers={"Content-Type": "application/x-ndjson"})
        async with server.stream(headers={"Last-Event-ID": str(first)}) as stream:
            connected, *events = await stream.until("live")
            assert connected.json()["lost"] is True
            assert 100 <= len(events) - 1 <= 210  # MAXLEN ~ lets go of a hundred at a time


async def test_the_history_of_thousands_of_channels_is_applied_in_few_steps(redis: RedisServer) -> None:
    names = [f"sensors.{number}" for number in range(1000)]
    rule = Rule(match="sensors.*", history=1, keep_last=True)
    async with serving(store=f"{redis.store}&grace=0", rules=(rule,)) as server:
        await eventually(lambda: redis.calls("zrangebyscore"))  # the first round looks at all channels
        for _ in range(2):
            for first in range(0, len(names), 100):
                body = {"message": 1, "channel": names[first : first + 100]}
                assert (await server.post("/api/broadcast", json=body))[0].status == 200
        before = redis.calls("zrangebyscore")  # each step looks for the channels that are due
        await eventually(lambda: redis.number("XLEN", "{sse-hub}:events") == len(names))
        assert redis.calls("zrangebyscore") - before < 25


async def test_large_entries_are_removed_in_steps(redis: RedisServer) -> None:
    count = 200
    async with serving(store=f"{redis.store}&grace=0", history=count) as server:
        for _ in range(count):
            assert await server.status("/realtime/main", "POST", data=b"x" * 200_000) == 200
        before = redis.calls("zrangebyscore")
        server.hub.log.rules.replace([Rule(match="main", history=0)])
        await eventually(lambda: redis.number("XLEN", "{sse-hub}:events") == 0)
        assert redis.calls("zrangebyscore") - before > 2  # each of these steps removes fewer than a hundred


async def test_a_page_ends_after_large_entries_of_other_channels(redis: RedisServer) -> None:
    subscription = Subscription(frozenset(f"c{number}" for number in range(600)))  # too many to be found by their lists
    async with serving(store=redis.store) as server:
        store, head = server.hub.store, server.hub.log.head
        assert isinstance(store, Archive)
        for _ in range(100):
            assert await server.status("/realtime/large", "POST", data=b"x" * 200_000) == 200
        last = await server.hub.publish("small", channel="c0")
        assert last is not None
        page = await store.page(subscription, head, last)
        assert head < page.reached < last
        while page.reached < last:
            page = await store.page(subscription, page.reached, last)
        assert [event.data for event in page.events] == ["small"]


async def test_channels_that_a_node_of_the_former_release_has_noted_are_trimmed(redis: RedisServer) -> None:
    async with serving(store=f"{redis.store}&grace=0", history=2) as server:
        await eventually(lambda: redis.calls("zrangebyscore"))
        await server.hub.publish("1")
        for number in range(2, 5):  # as release 0.2 adds them
            redis.ask("HINCRBY", "{sse-hub}:hub", "added", "1")
            event = ("n", str(number), "c", "main", "t", "message", "d", str(number))
            id = redis.ask("XADD", "{sse-hub}:events", "*", *event).split(b"\r\n")[1].decode()
            redis.ask("HSET", "{sse-hub}:hub", "last", id)
            redis.ask("RPUSH", "{sse-hub}:channel:main", id)
            redis.ask("SADD", "{sse-hub}:over", "main")
        await server.until_trimmed("main", 2)
        assert await server.retained("main") == ["3", "4"]
        await eventually(lambda: redis.number("EXISTS", "{sse-hub}:over") == 0)


async def test_a_redis_whose_memory_is_full_makes_room_and_is_used_again(redis: RedisServer) -> None:
    async with serving(store=f"{redis.store}&grace=0", history_age=3.0) as server:
        redis.ask("CONFIG", "SET", "maxmemory", "6mb")
        while (answer := await server.post("/realtime/main", data=b"x" * 100_000))[0].status == 200:
            pass
        assert "maxmemory" in answer[1]["detail"]
        assert "maxmemory" in (await server.get("/health"))[1]["reason"]
        assert (await server.get("/api/channels/main/events", params={"limit": "1"}))[0].status == 200
        await server.until_status("ok")  # old events have gone
        assert (await server.post("/realtime/main", data=b"x"))[0].status == 200


async def test_new_rules_make_room_in_a_redis_whose_memory_is_full(redis: RedisServer) -> None:
    async with serving(store=f"{redis.store}&grace=0", history=10_000) as server:
        redis.ask("CONFIG", "SET", "maxmemory", "6mb")
        for size in (100_000, 1000, 1):
            while (await server.post("/realtime/main", data=b"x" * size))[0].status == 200:
                pass
    async with serving(store=f"{redis.store}&grace=0", history=1) as server:

        async def accepted() -> bool:
            return (await server.post("/realtime/main", data=b"x" * 100_000))[0].status == 200

        await eventually(accepted)


@pytest.mark.parametrize("key", ["floors", "events", "hub"])
async def test_a_key_that_was_evicted_makes_no_loss_silent(redis: RedisServer, key: str) -> None:
    async with serving(store=f"{redis.store}&grace=0", history=2) as server:
        ids = [str(await server.hub.publish(str(number))) for number in range(5)]
        await server.until_trimmed("main", 2)
    redis.ask("DEL", f"{{sse-hub}}:{key}")
    async with serving(store=f"{redis.store}&grace=0", history=2) as server:
        async with server.stream(headers={"Last-Event-ID": ids[0]}) as stream:
            assert (await stream.next()).json()["lost"] is True
        if key == "floors":
            async with server.stream(headers={"Last-Event-ID": ids[3]}) as stream:
                assert (await stream.next()).json()["lost"] is False
        await server.hub.publish("after")


async def test_the_list_of_a_channel_that_was_evicted_makes_no_loss_silent(redis: RedisServer) -> None:
    async with serving(store=redis.store, cache=0) as server:
        ids = {name: str(await server.hub.publish("1", channel=name)) for name in ("read", "used", "begun")}
        for name in ids:
            await server.hub.publish("2", channel=name)
            redis.ask("DEL", f"{{sse-hub}}:channel:{name}")
        await server.hub.publish("3", channel="used")
        for name in ("read", "used"):
            async with server.stream(f"/realtime/{name}", {"Last-Event-ID": ids[name]}) as stream:
                assert (await stream.next()).json()["lost"] is True
        async with server.stream("/realtime/begun?from=start") as stream:
            assert (await stream.next()).json()["lost"] is True
        last = str(await server.hub.publish("4", channel="used"))
        async with server.stream("/realtime/used", {"Last-Event-ID": last}) as stream:
            assert (await stream.next()).json()["lost"] is False


async def test_lists_that_the_former_release_made_do_not_expire(redis: RedisServer) -> None:
    async with serving(store=redis.store) as server:
        await server.hub.publish("1")
    assert redis.number("PEXPIRE", "{sse-hub}:channel:main", "3600000") == 1
    async with serving(store=redis.store):
        await eventually(lambda: redis.number("PTTL", "{sse-hub}:channel:main") == -1)


async def test_a_quiet_channel_is_read_without_the_entries_of_busy_ones(redis: RedisServer) -> None:
    lines = b"line\n" * 1000
    async with serving(store=redis.store, history=100_000) as server:
        first = str(await server.hub.publish("1", channel="quiet"))
        for data in ("2", "3"):
            for _ in range(2):
                await server.post("/realtime/busy", data=lines, headers=NDJSON)
            await server.hub.publish(data, channel="quiet")
        for _ in range(2):
            await server.post("/realtime/busy", data=lines, headers=NDJSON)
    async with serving(store=redis.store, history=100_000, cache=0) as server:
        before = redis.calls("xrange") + redis.calls("xrevrange")
        assert await server.retained("quiet") == ["1", "2", "3"]
        assert await server.retained("quiet", first) == ["2", "3"]
        assert await server.retained("none") == []
        for path, expected in (
            ("/realtime/quiet?replay=2", ["2", "3"]),
            ("/realtime/quiet?replay=9", ["1", "2", "3"]),
            ("/stream?channel=quiet&channel=none&replay=9", ["1", "2", "3"]),
            ("/realtime/none?replay=9", []),
            (f"/realtime/quiet?lastEventId={first}", ["2", "3"]),
        ):
            async with server.stream(path) as stream:
                assert (path, await stream.replay()) == (path, expected)
        assert redis.calls("xrange") + redis.calls("xrevrange") - before < 150


async def test_pages_of_some_channels_of_many_are_whole(redis_store: str) -> None:
    async with serving(store=redis_store, history=10_000) as server:
        for number in range(600):
            await server.hub.publish(str(number), channel=f"c{(number * number) % 37}")
    async with serving(store=redis_store, history=10_000, cache=0) as server:
        for names in (["c0"], ["c1", "c4", "c9"], [f"c{number}" for number in range(1, 37)], ["c0", "none"]):
            expected = [str(number) for number in range(600) if f"c{(number * number) % 37}" in names]
            query = "&".join(f"channel={name}" for name in names)
            for beginning in ("from=start", "replay=600"):
                async with server.stream(f"/stream?{query}&{beginning}") as stream:
                    assert await stream.replay() == expected
            if len(expected) > 7:
                async with server.stream(f"/stream?{query}&replay=7") as stream:
                    assert await stream.replay() == expected[-7:]


async def test_a_clock_that_was_ahead_does_not_keep_events_for_ever(redis: RedisServer) -> None:
    async with serving(store=f"{redis.store}&grace=0", history_age=2.0) as server:
        year = 365 * 24 * 3600 * 1000
        ahead = f"{server.hub.log.head.ms + year}-0"
        redis.ask("XADD", "{sse-hub}:events", ahead, "n", "1", "c", "main", "t", "message", "d", "ahead")
        redis.ask("HINCRBY", "{sse-hub}:hub", "added", "1")
        redis.ask("HSET", "{sse-hub}:hub", "last", ahead)
        await server.hub.publish("right again")
        _, answered = await server.get("/api/channels/main/events")
        assert [event["data"] for event in answered["events"]] == ["ahead", "right again"]
        assert answered["events"][1]["timestamp"] < answered["events"][0]["timestamp"]

        async def gone() -> bool:
            return redis.ask("XLEN", "{sse-hub}:events") == b":0\r\n"

        await eventually(gone)


async def test_from_start_says_lost_after_trimming_also_of_a_channel_that_began_anew(redis: RedisServer) -> None:
    async with serving(store=redis.url, cache=0) as server:
        for channel in ("cut", "whole"):
            await server.hub.publish("old", channel=channel)
            assert await server.status(f"/realtime/{channel}", "DELETE") == 204
        ids = [str(await server.hub.publish(str(number), channel="cut")) for number in range(10)]
        await server.hub.publish("all", channel="whole")
        redis.ask("XTRIM", "{sse-hub}:events", "MINID", ids[5])
        for query, lost, data in (
            ("channel=cut", True, list("56789")),
            ("channel=whole", False, ["all"]),
            ("channel=cut&channel=whole", True, [*"56789", "all"]),
        ):
            async with server.stream(f"/stream?{query}&from=start") as stream:
                connected, *events = await stream.until("live")
                assert (query, connected.json()["lost"]) == (query, lost)
                assert [event.data for event in events[:-1]] == data
        assert await server.status("/realtime/cut?from=start&plain=1") == 410
        assert await server.status("/realtime/cut", "DELETE") == 204
        async with server.stream("/realtime/cut?from=start") as stream:
            assert (await stream.next()).json()["lost"] is False


async def test_ends_survive_a_failover_that_lost_the_last_entries(
    redis: RedisServer, tmp_path_factory: pytest.TempPathFactory
) -> None:
    other = RedisServer(tmp_path_factory.mktemp("replica"))
    try:
        async with Network(redis.port) as network, serving(store=f"redis://127.0.0.1:{network.port}/0") as server:
            await server.hub.publish("a", channel="chat.1")
            end = str(await server.hub.end("chat.1"))
            await server.hub.publish("b", channel="chat.2")
            other.ask("REPLICAOF", "127.0.0.1", str(redis.port))
            await eventually(lambda: other.ask("XLEN", "{sse-hub}:events") == b":3\r\n")
            other.ask("REPLICAOF", "NO", "ONE")
            await server.hub.publish("lost")
            network.target = other.port
            network.reset()
            await server.until_status("degraded")
            await network.mend()
            await server.until_status("ok")
            assert await server.retained("main") == []
            assert await server.status("/realtime/chat.1", "POST", data=b"late") == 409
            assert await server.status("/realtime/chat.1", headers={"Last-Event-ID": end}) == 204
            async with server.stream("/realtime/chat.1") as stream:
                assert [event.type for event in await stream.rest()] == ["connected", "end"]
            async with server.stream("/realtime/chat.1?from=start") as stream:
                assert [event.type for event in await stream.rest()] == ["connected", "message", "end"]
            async with server.stream("/realtime/chat.1?plain=1") as stream:
                assert await stream.rest() == []
            server.hub.log.rules.replace([Rule(match="chat.*", idle_end=0.5)])

            async def abandoned() -> bool:
                return len(await server.retained("chat.2")) == 2

            await eventually(abandoned)
            assert await server.retained("chat.1") == ["a", '{"channel":"chat.1","reason":"done"}']
    finally:
        other.stop()


async def test_an_end_whose_entry_is_gone_does_not_close_its_channel_after_a_new_beginning(redis: RedisServer) -> None:
    async with serving(store=redis.url) as server:
        await server.hub.end("gone")
        redis.ask("DEL", "{sse-hub}:events")
        await server.until_status("ok")

        async def usable() -> bool:
            return await server.status("/realtime/gone", "POST", data=b"new") == 200

        await eventually(usable)


async def test_an_ephemeral_event_counts_as_a_publish_also_after_a_new_beginning(redis: RedisServer) -> None:
    hour = 3600.0
    for number, channel in enumerate(("run.1", "run.2"), 1):  # each has an event that is two hours old
        id = f"{int(time.time() * 1000 - 2 * hour * 1000)}-{number}"
        redis.ask("XADD", "{sse-hub}:events", id, "n", str(number), "c", channel, "t", "message", "d", "old")
        redis.ask("RPUSH", f"{{sse-hub}}:channel:{channel}", id)
        redis.ask("ZADD", "{sse-hub}:channels", "0", channel)
    rule = Rule(match="run.*", idle_end=10 * hour, history_age=10 * hour)
    async with serving(store=redis.url, rules=(rule,)) as server:
        await server.hub.publish("working", channel="run.1", ephemeral=True)
        redis.ask("HDEL", "{sse-hub}:hub", "origin")
        await eventually(lambda: redis.ask("HEXISTS", "{sse-hub}:hub", "origin") == b":1\r\n")
        await server.until_status("ok")
        server.hub.log.rules.replace([replace(rule, idle_end=hour)])

        async def abandoned() -> bool:
            return len(await server.retained("run.2")) == 2

        await eventually(abandoned)
        assert await server.retained("run.1") == ["old"]
