"""The demonstration feed."""

from __future__ import annotations

from hubs import Server, serving

from sse_hub.http.app_keys import BACKGROUND
from sse_hub.program.demo import CADENCE, next_due


async def test_the_demonstration_feed_publishes_every_kind_with_its_fields() -> None:
    fields = {
        "message": {"sequence", "message", "timestamp"},
        "sensor": {"sensor", "value", "unit", "simulated", "timestamp"},
        "notification": {"level", "title", "message", "timestamp"},
        "heartbeat": {"uptime", "subscribers", "timestamp"},
    }
    async with serving(no_demo=False) as server, server.stream("/stream?replay=9") as stream:
        seen: dict[str, set[str]] = {}
        while seen.keys() < fields.keys():
            event = await stream.next()
            if event.type in fields:
                seen[event.type] = set(event.json())
        assert seen == fields
        async with server.stream("/metrics?replay=1") as metrics:
            assert (await metrics.until("metrics"))[-1].json()["node"]


async def test_the_feed_goes_on_after_one_of_its_channels_was_ended_and_forgotten() -> None:
    async with serving(no_demo=False) as server, server.stream("/stream?event=message") as main:
        await main.until("connected")
        async with server.stream("/metrics") as metrics:
            await metrics.until("metrics")
        await server.post("/realtime/metrics?end=done")
        for _ in range(3):  # they come every two seconds, and the figures would every second
            await main.until("message")
        assert server.app[BACKGROUND].restarts["demo"] == 0
        assert await server.status("/realtime/metrics", "DELETE") == 204
        async with server.stream("/metrics") as metrics:
            await metrics.until("metrics")


def test_the_cadence_of_the_feed_is_that_of_the_protocol() -> None:
    assert CADENCE == {"message": 2, "sensor": 4, "heartbeat": 5, "notification": 8, "metrics": 1}


def test_a_sleep_that_ends_early_publishes_nothing_twice() -> None:
    assert next_due(8.0, 7.9998, 8.0) == 16.0
    assert next_due(8.0, 8.3, 8.0) == 16.0


def test_periods_that_were_missed_are_not_made_up_for() -> None:
    assert next_due(8.0, 25.0, 8.0) == 32.0


async def test_without_the_feed_nothing_is_published(server: Server) -> None:
    async with server.stream("/stream?channel=*&replay=9") as stream:
        await stream.until("live")
        await server.hub.publish("the first", channel="mine")
        assert (await stream.next()).data == "the first"
    assert server.hub.statistics().published == 1
    assert "demo" not in server.app[BACKGROUND].restarts
