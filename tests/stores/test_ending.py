"""Streams with an end, on every store: an end is an event, stored, replayed and forgotten like one."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from eventually import eventually
from hubs import NDJSON, Remote, Server, serving

from sse_hub.core.ends import Ended
from sse_hub.core.rules import Rule
from sse_hub.core.subscription import Subscription

REASONS = ["done", "failed", "cancelled"]


async def ending(server: Remote, channel: str, *texts: str, reason: str = "done") -> str:
    """Publish these texts and end the channel; the id of the end."""
    for text in texts:
        await server.post(f"/realtime/{channel}", data=text.encode())
    response, answer = await server.post(f"/realtime/{channel}?end={reason}")
    assert response.status == 200
    return str(answer["id"])


async def from_start(server: Remote, channel: str, query: str = "") -> tuple[bool, list[str], Any]:
    """What a late reader is told of losses, the data that it gets, and the data of the end."""
    async with server.stream(f"/realtime/{channel}?from=start{query}") as stream:
        connected, *events, end = await stream.rest()
        assert end.type == "end"
        return connected.json()["lost"], [event.data for event in events], end.json()


@pytest.mark.parametrize("reason", REASONS)
async def test_late_readers_get_everything_and_how_it_ended(store: str, reason: str) -> None:
    async with serving(store=store) as server:
        await ending(server, "run", "a", "b", reason=reason)
        for _ in range(2):
            end = {"channel": "run", "reason": reason}
            assert await from_start(server, "run") == (False, ["a", "b"], end)


async def test_a_body_is_the_last_event_before_the_end(store: str) -> None:
    async with serving(store=store) as server:
        _, answer = await server.post("/realtime/run?event=result&end=done", data=b"42")
        assert answer["event"] == "end"
        assert await from_start(server, "run") == (False, ["42"], {"channel": "run", "reason": "done"})


async def test_a_batch_and_the_end_are_one_publish(store: str) -> None:
    async with serving(store=store) as server:
        _, answer = await server.post("/realtime/run?end=failed", data=b"a\nb\n", headers=NDJSON)
        assert answer["count"] == 3
        assert (await from_start(server, "run"))[1] == ["a", "b"]


async def test_a_channel_that_has_ended_takes_nothing_more_and_says_why(store: str) -> None:
    async with serving(store=store) as server:
        await ending(server, "run", "a", reason="cancelled")
        for path in ("/realtime/run", "/realtime/run?end=done", "/realtime/run?ephemeral=1"):
            response, problem = await server.post(path, data=b"late")
            assert response.status == 409
            assert "cancelled" in problem["detail"]
        broadcast = {"message": 1, "channel": ["other", "run"]}
        assert (await server.post("/api/broadcast", json=broadcast))[0].status == 409
        assert await server.retained("other") == []
        with pytest.raises(Ended) as refused:
            await server.hub.publish("late", channel="run")
        assert (refused.value.channel, refused.value.reason) == ("run", "cancelled")


async def test_live_readers_get_the_end_and_then_the_end_of_the_stream(store: str) -> None:
    async with serving(store=store) as server, server.stream("/realtime/run") as stream:
        await stream.until("connected")
        await server.hub.publish("a", channel="run")
        id = await server.hub.end("run", "failed")
        *events, end = await stream.rest()
        assert [event.data for event in events] == ["a"]
        assert (end.type, end.id, end.json()) == ("end", str(id), {"channel": "run", "reason": "failed"})
        await server.until_subscribers(0)


async def test_on_a_stream_of_several_channels_an_end_is_an_event_like_others(store: str) -> None:
    async with serving(store=store) as server, server.stream("/stream?channel=run&channel=b.*") as stream:
        await stream.until("connected")
        await server.hub.end("run")
        await server.hub.publish("goes on", channel="b.1")
        end, event = await stream.take(2)
        assert (end.type, event.data) == ("end", "goes on")


async def test_a_reconnect_is_204_exactly_when_its_cursor_is_at_or_past_the_end(store: str) -> None:
    async with serving(store=store) as server:
        first = str(await server.hub.publish("a", channel="run"))
        end = await ending(server, "run", "b")
        past = str(await server.hub.publish("x", channel="other"))
        for cursor, status in ((first, 200), (end, 204), (past, 204)):
            assert await server.status("/realtime/run", headers={"Last-Event-ID": cursor}) == status
        assert await server.status("/stream?channel=run", headers={"Last-Event-ID": end}) == 204
        async with server.stream("/realtime/run", {"Last-Event-ID": first}) as stream:
            assert [event.type for event in await stream.rest()] == ["connected", "message", "end"]


async def test_a_first_connection_learns_how_a_channel_has_ended(store: str) -> None:
    async with serving(store=store) as server:
        await ending(server, "run", "a")
        async with server.stream("/realtime/run") as stream:
            assert [event.type for event in await stream.rest()] == ["connected", "end"]
        async with server.stream("/realtime/run?event=other") as stream:
            assert [event.type for event in await stream.rest()] == ["connected", "end"]


async def test_ended_204_answers_at_once_for_channels_that_have_ended_or_do_not_exist(store: str) -> None:
    async with serving(store=store) as server:
        assert await server.status("/realtime/run?ended=204&from=start") == 204
        await server.hub.publish("a", channel="run")
        async with server.stream("/realtime/run?ended=204&from=start") as stream:
            assert [event.type for event in await stream.take(3)] == ["connected", "message", "live"]
        await server.hub.end("run")
        assert await server.status("/realtime/run?ended=204&from=start") == 204
        assert await server.status("/stream?channel=run&channel=b&ended=204") == 400


async def test_an_ended_channel_is_kept_for_its_end_age_and_then_may_be_used_anew(store: str) -> None:
    rules = (Rule(match="run.*", end_age=1.0, history_age=60.0), Rule(match="kept.*", end_age=60.0, history_age=1.0))
    async with serving(store=store, rules=rules) as server:
        end = await ending(server, "run.1", "old")
        await ending(server, "kept.1", "a")

        async def usable() -> bool:
            return await server.status("/realtime/run.1", "POST", data=b"new") == 200

        await eventually(usable)
        server.hub.log.rules.replace([Rule(match="run.*", end_age=60.0), rules[1]])
        async with server.stream("/realtime/run.1", {"Last-Event-ID": end}) as stream:
            assert (await stream.next()).json()["lost"] is False
        await ending(server, "run.1")
        assert await from_start(server, "run.1") == (False, ["new"], {"channel": "run.1", "reason": "done"})
        assert (await from_start(server, "kept.1"))[:2] == (False, ["a"])


async def test_a_channel_whose_publisher_is_silent_is_ended_as_abandoned(store: str) -> None:
    async with serving(store=store, rules=(Rule(match="run.*", idle_end=1.0),)) as server:
        async with server.stream("/stream?channel=*") as stream, server.stream("/realtime/run.1") as run:
            await stream.until("connected")
            await server.hub.publish("a", channel="run.1")
            await server.hub.publish("b", channel="other")
            *events, end = await run.rest()
            assert [event.data for event in events[1:]] == ["a"]
            assert end.json() == {"channel": "run.1", "reason": "abandoned"}
        assert await server.status("/realtime/run.1", "POST", data=b"late") == 409
        assert await server.status("/realtime/other", "POST", data=b"more") == 200


async def test_a_channel_that_retains_no_events_is_ended_as_abandoned_unless_it_is_deleted(store: str) -> None:
    rules = (Rule(match="run.*", idle_end=1.0), Rule(match="none", idle_end=1.0, history=0))
    async with serving(store=store, rules=rules) as server:
        await server.hub.publish("working", channel="run.deleted", ephemeral=True)
        assert await server.status("/realtime/run.deleted", "DELETE") == 204
        async with server.stream("/realtime/run.1") as run, server.stream("/realtime/none") as none:
            await server.hub.publish("working", channel="run.1", ephemeral=True)
            await server.hub.publish("a", channel="none")
            for stream, channel, data in ((run, "run.1", "working"), (none, "none", "a")):
                *events, end = await stream.rest()
                assert [event.data for event in events[1:]] == [data]
                assert end.json() == {"channel": channel, "reason": "abandoned"}
        assert await from_start(server, "run.1") == (False, [], {"channel": "run.1", "reason": "abandoned"})
        assert await server.status("/realtime/run.1", "POST", data=b"late") == 409
        assert await server.status("/realtime/run.deleted", "POST", data=b"new") == 200


async def test_a_channel_that_is_forgotten_before_its_idle_end_is_not_ended(store: str) -> None:
    rules = (Rule(match="forgotten", idle_end=1.0, history_age=0.5), Rule(match="run", idle_end=2.0))
    async with serving(store=store, rules=rules) as server, server.stream("/stream?channel=*") as stream:
        await stream.until("connected")
        for channel in ("forgotten", "run"):
            await server.hub.publish("working", channel=channel, ephemeral=True)
        *events, end = await stream.until("end")
        assert [event.data for event in events] == ["working", "working"]
        assert end.json()["channel"] == "run"


async def test_a_value_that_is_kept_stays_whatever_its_age(store: str) -> None:
    rules = (Rule(match="sensors.*", history=1, history_age=0.5, keep_last=True),)
    async with serving(store=store, rules=rules, history_age=0.5) as server:
        for value in ("20", "21"):
            await server.hub.publish(value, channel="sensors.a")
            await server.hub.publish(value, channel="b")
        await server.until_trimmed("b", 0)
        assert await server.retained("sensors.a") == ["21"]
        await server.hub.publish("22", channel="sensors.a")
        await server.until_trimmed("sensors.a", 1)
        assert await server.retained("sensors.a") == ["22"]


async def test_each_channel_has_the_history_of_its_rule(store: str) -> None:
    async with serving(store=store, history=5, rules=(Rule(match="a.*", history=2),)) as server:
        for channel in ("a.1", "b.1"):
            await server.post(f"/realtime/{channel}", data="\n".join("12345678"), headers=NDJSON)
        await server.until_trimmed("a.1", 2)
        await server.until_trimmed("b.1", 5)
        assert await server.retained("a.1") == ["7", "8"]
        assert await server.retained("b.1") == list("45678")


async def test_rules_that_are_replaced_count_for_channels_that_are_there(store: str) -> None:
    async with serving(store=store) as server:
        await server.post("/realtime/a", data="\n".join("12345678"), headers=NDJSON)
        server.hub.log.rules.replace([Rule(match="a", history=3)])
        await server.until_trimmed("a", 3)
        assert await server.retained("a") == ["6", "7", "8"]


async def test_an_idle_end_that_is_added_or_shortened_ends_silent_channels(store: str) -> None:
    async with serving(store=store, rules=(Rule(match="shortened", idle_end=3600.0),)) as server:
        for channel in ("added", "shortened", "other"):
            await server.hub.publish("a", channel=channel)
        rules = [Rule(match=channel, idle_end=0.5) for channel in ("added", "shortened")]
        server.hub.log.rules.replace(rules)

        async def abandoned() -> bool:
            return all([await server.status(f"/realtime/{rule.match}?ended=204&from=start") == 204 for rule in rules])

        await eventually(abandoned)
        assert await server.status("/realtime/other", "POST", data=b"more") == 200


async def test_an_end_is_retained_whatever_the_history_says(store: str) -> None:
    async with serving(store=store, rules=(Rule(match="run", history=0),)) as server:
        await ending(server, "run", "a", "b")
        await server.until_trimmed("run", 1)
        async with server.stream("/realtime/run?from=start") as stream:
            assert [event.type for event in await stream.rest()] == ["connected", "end"]


async def test_from_start_says_lost_exactly_when_something_of_the_beginning_is_gone(store: str) -> None:
    async with serving(store=store, history=3) as server:
        for channel, count in (("whole", 3), ("cut", 5)):
            for number in range(count):
                await server.hub.publish(str(number), channel=channel)
        await server.until_trimmed("cut", 3)
        for query, lost in (("whole", False), ("cut", True), ("new", False), ("w*", False), ("*", True)):
            async with server.stream(f"/stream?channel={query}&from=start") as stream:
                connected, *events = await stream.until("live")
                assert (query, connected.json()["lost"]) == (query, lost)
                if query == "whole":
                    assert [event.data for event in events[:-1]] == ["0", "1", "2"]


async def test_replay_latest_gives_the_newest_event_of_each_channel_in_the_order_of_ids(store: str) -> None:
    async with serving(store=store) as server:
        for value in range(3):
            for channel in ("s.a", "s.b", "t"):
                await server.hub.publish(f"{channel}={value}", channel=channel)
        await server.hub.publish("s.a=last", channel="s.a")
        async with server.stream("/stream?channel=s.*&channel=t&replay=latest") as stream:
            assert await stream.replay() == ["s.b=2", "t=2", "s.a=last"]
            await server.hub.publish("live", channel="t")
            assert (await stream.next()).data == "live"


async def test_replay_latest_with_a_filter_gives_the_newest_wanted_event(store: str) -> None:
    async with serving(store=store) as server:
        for event in ("alert", "note", "note"):
            await server.hub.publish(event, channel="a", event=event)
        async with server.stream("/realtime/a?event=alert&replay=latest") as stream:
            assert [each.data for each in await stream.take(3)][1:] == ["alert", '{"replayed":1}']


async def test_replay_latest_of_a_channel_that_has_ended_gives_the_end_and_ends(store: str) -> None:
    async with serving(store=store) as server:
        await ending(server, "run", "a")
        await server.hub.publish("b", channel="other")
        for query, types in (
            ("", ["end"]),
            ("&conflate=100", ["end"]),
            ("&event=none", ["end"]),
            ("&event=message", ["message", "end"]),
        ):
            async with server.stream(f"/realtime/run?replay=latest{query}") as stream:
                assert [event.type for event in await stream.rest()] == ["connected", *types]


async def test_replay_latest_gives_each_of_a_thousand_channels_once_where_patterns_overlap(store: str) -> None:
    names = [f"s.{number}é" for number in range(1100)]  # more than are looked up in one step
    async with serving(store=store) as server:
        for first in range(0, len(names), 100):
            body = {"message": 1, "channel": names[first : first + 100]}
            assert (await server.post("/api/broadcast", json=body))[0].status == 200
        async with server.stream("/stream?channel=s.*&channel=s.1*&channel=*%C3%A9&replay=latest&envelope=1") as stream:
            events = await stream.until("live")
        assert [event.json()["channel"] for event in events[1:-1]] == names


async def test_replay_latest_gives_megabytes_of_values_once_each(store: str) -> None:
    async with serving(store=store) as server:
        for number in range(10):
            await server.hub.publish(str(number).ljust(400_000), channel=f"s.{number % 7}")
        async with server.stream("/stream?channel=s.*&replay=latest") as stream:
            values = [int(value) for value in await stream.replay()]
    assert values == [*range(3, 10)]


async def test_a_step_of_replay_latest_ends_after_a_megabyte(durable: str) -> None:
    async with serving(store=durable) as server:
        for number in range(8):
            await server.hub.publish(str(number).ljust(400_000), channel=f"s.{number}")
        catalogue = server.hub.catalogue
        assert catalogue is not None
        subscription, steps = Subscription(frozenset({"s.*"})), []
        after: str | None = ""
        while after is not None:
            events, after = await catalogue.latest(subscription, after, 100)
            steps.append([event.channel for event in events])
    assert steps == [["s.0", "s.1", "s.2"], ["s.3", "s.4", "s.5"], ["s.6", "s.7"]]


async def test_replay_latest_of_many_megabytes_that_the_log_does_not_hold_leaves_out_the_oldest(durable: str) -> None:
    async with serving(store=durable, max_retained_bytes=2_000_000) as server:
        for number in range(36):
            await server.hub.publish(str(number).ljust(1_000_000), channel=f"s.{number}")
        async with server.stream("/stream?channel=s.*&replay=latest") as stream:
            connected, *events = await stream.until("live")
    assert connected.json()["lost"] is True
    assert [int(event.data) for event in events[:-1]] == [*range(36 - len(events) + 1, 36)]
    assert 25 < len(events) < 36


async def test_delete_forgets_the_events_and_the_end_and_informs_followers(store: str) -> None:
    async with serving(store=store) as server, server.stream("/stream?channel=*") as stream:
        await stream.until("connected")
        first = str(await server.hub.publish("kept", channel="other"))
        await ending(server, "run", "a", "b")
        assert await server.status("/realtime/run", "DELETE") == 204
        assert [event.type for event in await stream.take(5)] == ["message", "message", "message", "end", "lost"]
        assert await server.retained("run") == []
        assert await server.retained("other") == ["kept"]
        await ending(server, "run", "new")
        assert (await from_start(server, "run"))[:2] == (False, ["new"])
        async with server.stream("/realtime/run", {"Last-Event-ID": first}) as late:
            assert (await late.next()).json()["lost"] is True
        assert await server.status("/realtime/nothing", "DELETE") == 204


@pytest.mark.usefixtures("no_loop_debug")
async def test_a_large_channel_is_deleted_whole(store: str) -> None:
    async with serving(store=store, history=10_000) as server:
        await server.post("/realtime/run", data="x\n" * 3000, headers=NDJSON)
        assert await server.status("/realtime/run", "DELETE") == 204
        await server.hub.publish("new", channel="run")
        assert await server.retained("run") == ["new"]


async def test_an_end_with_a_key_is_answered_alike_and_is_one_end(store: str) -> None:
    async with serving(store=store) as server:
        key = {"Idempotency-Key": "k"}
        answers = [(await server.post("/realtime/run?end=done", data=b"a", headers=key))[1] for _ in range(2)]
        assert answers[0] == answers[1]
        assert (await from_start(server, "run"))[1] == ["a"]


async def test_ends_survive_a_restart(durable: str) -> None:
    async with serving(store=durable) as server:
        end = await ending(server, "run", "a")
        await server.hub.publish("b", channel="open")
    async with serving(store=durable, cache=0) as server:
        assert await server.status("/realtime/run", "POST", data=b"late") == 409
        assert await server.status("/realtime/run", headers={"Last-Event-ID": end}) == 204
        assert (await from_start(server, "run"))[:2] == (False, ["a"])
        async with server.stream("/realtime/open?ended=204&from=start") as stream:
            assert (await stream.take(2))[1].data == "b"


async def test_a_forgotten_channel_begins_anew_after_a_restart_too(durable: str) -> None:
    async with serving(store=durable) as server:
        await ending(server, "run", "old")
        await server.ask("DELETE", "/realtime/run")
    async with serving(store=durable) as server:
        await ending(server, "run", "new")
        assert (await from_start(server, "run"))[:2] == (False, ["new"])


async def test_a_run_that_was_open_when_the_server_ended_is_abandoned_by_the_next(durable: str) -> None:
    async with serving(store=durable) as server:
        await server.hub.publish("a", channel="run")
    async with serving(store=durable, rules=(Rule(match="run", idle_end=0.5),)) as server:

        async def abandoned() -> bool:
            return await server.status("/realtime/run?ended=204&from=start") == 204

        await eventually(abandoned)
        assert (await from_start(server, "run"))[2]["reason"] == "abandoned"


async def test_a_run_begun_on_one_node_and_read_on_the_other_is_whole(redis_store: str) -> None:
    async with serving(store=redis_store) as a, serving(store=redis_store) as b:
        async with b.stream("/realtime/run?from=start") as early:
            await early.until("live")
            for number in range(20):
                await (a if number % 2 else b).hub.publish(str(number), channel="run")
            await a.hub.end("run")
            got = [event.data for event in (await early.rest())[:-1]]
        assert got == [str(number) for number in range(20)]
        assert await from_start(b, "run") == (False, got, {"channel": "run", "reason": "done"})
        assert await b.status("/realtime/run", "POST", data=b"late") == 409


async def test_a_channel_that_one_node_deletes_is_forgotten_on_all(redis_store: str) -> None:
    async with serving(store=redis_store) as a, serving(store=redis_store) as b:
        async with b.stream("/realtime/run") as stream:
            await stream.until("connected")
            await a.hub.publish("a", channel="run")
            assert await a.status("/realtime/run", "DELETE") == 204
            assert [event.type for event in await stream.take(2)] == ["message", "lost"]
        await eventually(lambda: b.hub.log.get("run") is None)
        assert await b.retained("run") == []


async def test_many_readers_and_publishers_of_many_runs_all_have_the_same_text(store: str) -> None:
    async def write(number: int) -> None:
        for token in range(20):
            await server.hub.publish(str(token), channel=f"run.{number}")
        await server.hub.end(f"run.{number}")

    async def read(server: Server, number: int) -> list[str]:
        async with server.stream(f"/realtime/run.{number}?from=start") as stream:
            return [event.data for event in await stream.rest() if event.type == "message"]

    async with serving(store=store) as server, asyncio.TaskGroup() as tasks:
        readers = [tasks.create_task(read(server, number)) for number in range(10) for _ in range(3)]
        for number in range(10):
            tasks.create_task(write(number))
    assert all(reader.result() == [str(token) for token in range(20)] for reader in readers)
