"""The retained events of a channel, read in pages."""

from __future__ import annotations

import pytest
from hubs import Server, serving
from tokens import bearer


async def test_history_is_read_in_pages_from_the_oldest(server: Server) -> None:
    for number in range(5):
        await server.hub.publish(str(number), channel="c")
    _, page = await server.get("/api/channels/c/events?limit=2")
    assert [event["data"] for event in page["events"]] == ["0", "1"]
    _, rest = await server.get("/api/channels/c/events", params={"after": page["events"][-1]["id"]})
    assert [event["data"] for event in rest["events"]] == ["2", "3", "4"]
    assert rest["lost"] is False


async def test_a_page_ends_after_a_megabyte_and_the_next_one_goes_on(server: Server) -> None:
    data = [letter * 600_000 for letter in "abc"]
    for each in data:
        await server.hub.publish(each, channel="c")
    _, page = await server.get("/api/channels/c/events")
    assert [event["data"] for event in page["events"]] == data[:2]
    _, rest = await server.get("/api/channels/c/events", params={"after": page["next"]})
    assert [event["data"] for event in rest["events"]] == data[2:]
    assert "next" not in rest


async def test_history_says_when_events_after_the_cursor_are_gone() -> None:
    async with serving(history=1) as server:
        first = await server.hub.publish("a", channel="c")
        for data in "bc":
            await server.hub.publish(data, channel="c")
        _, answer = await server.get(f"/api/channels/c/events?after={first}")
        assert (answer["lost"], [event["data"] for event in answer["events"]]) == (True, ["c"])


@pytest.mark.parametrize("query", ["limit=0", "limit=1001", "limit=x", "after=x"])
async def test_a_malformed_history_request_is_a_400(server: Server, query: str) -> None:
    assert (await server.get(f"/api/channels/c/events?{query}"))[0].status == 400


async def test_the_history_of_a_channel_that_is_not_granted_is_403(guarded: Server) -> None:
    sensors = bearer(["sensors.*"])
    assert await guarded.status("/api/channels/secrets/events", headers=sensors) == 403
    assert await guarded.status("/api/channels/sensors.kitchen/events", headers=sensors) == 200
