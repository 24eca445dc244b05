"""`conflate=MS`: the newest event of each channel and type, once an interval, for all that follow the same."""

from __future__ import annotations

import pytest
from hubs import serving

from sse_hub import Draft


async def test_what_is_superseded_within_the_interval_is_not_sent() -> None:
    async with serving() as server, server.stream("/realtime/s?conflate=300&replay=0") as stream:
        await stream.until("live")
        await server.hub.publish("first", channel="s")
        assert (await stream.next()).data == "first"  # after quiet, at once
        for value in range(50):
            await server.hub.publish(str(value), channel="s")
        assert (await stream.next()).data == "49"
        assert await server.figure("sse_events_conflated_total") == 49


async def test_channels_and_types_are_told_apart() -> None:
    async with serving() as server, server.stream("/stream?channel=*&conflate=50&replay=0") as stream:
        await stream.until("live")
        for value in range(5):
            for channel, event in (("a", "x"), ("a", "y"), ("b", "x")):
                await server.hub.publish(f"{channel}{event}{value}", channel=channel, event=event)
        got: dict[str, str] = {}
        while sorted(got.values()) != ["ax4", "ay4", "bx4"]:
            event_got = await stream.next()
            got[event_got.data[:2]] = event_got.data


async def test_in_a_replay_what_is_superseded_is_left_out(store: str) -> None:
    async with serving(store=store) as server:
        drafts = [Draft("ab"[value % 2], "message", str(value)) for value in range(2500)]
        for begin in range(0, 2500, 500):
            await server.hub.publish_all(drafts[begin : begin + 500])
        async with server.stream("/stream?channel=a&channel=b&conflate=100&from=start") as stream:
            assert await stream.replay() == ["2498", "2499"]


async def test_everybody_gets_the_same_bytes() -> None:
    async with serving() as server:
        path = "/realtime/s?conflate=100"
        async with server.stream(path) as one, server.stream(path) as other:
            for stream in (one, other):
                await stream.until("connected")
            for value in range(20):
                await server.hub.publish(str(value), channel="s")
            assert [each.data for each in await one.until_data("19")] == [
                each.data for each in await other.until_data("19")
            ]


async def test_a_channel_ends_with_its_last_value() -> None:
    async with serving() as server, server.stream("/realtime/s?conflate=200") as stream:
        await stream.until("connected")
        for value in range(20):
            await server.hub.publish(str(value), channel="s")
        await server.hub.end("s")
        *_, last, end = await stream.rest()
        assert (last.data, end.type) == ("19", "end")


async def test_a_plain_stream_ends_with_its_channel() -> None:
    async with serving() as server, server.stream("/realtime/s?conflate=100&plain=1&from=start") as stream:
        await server.hub.publish("0", channel="s")
        await stream.until_data("0")
        await server.hub.end("s")
        assert await stream.rest() == []


async def test_somebody_who_joins_while_values_wait_gets_each_once() -> None:
    async with serving() as server, server.stream("/realtime/s?conflate=400&replay=0") as first:
        await first.until("live")
        await server.hub.publish("0", channel="s")
        await first.until_data("0")
        await server.hub.publish("1", channel="s")
        async with server.stream("/realtime/s?conflate=400&from=start") as second:
            assert await second.replay() == ["1"]
            await server.hub.publish("2", channel="s")
            assert (await second.next()).data == "2"
            await first.until_data("2")


@pytest.mark.parametrize("value", ["0", "9", "60001", "x", "-1", "1.5"])
async def test_an_interval_out_of_bounds_is_refused(value: str) -> None:
    async with serving() as server:
        response, problem = await server.get(f"/stream?conflate={value}")
        assert response.status == 400
        assert "from 10 to 60000" in problem["detail"]
