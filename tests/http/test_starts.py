"""Where a stream should begin, as its request says, and what a wrong request gets."""

from __future__ import annotations

import pytest
from hubs import Server, serving
from tokens import bearer


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("from=start&replay=5", "Only one of the parameters from and replay"),
        ("from=start&replay=latest", "Only one of the parameters from and replay"),
        ("from=end", "The parameter from is 'end'; it takes start."),
        ("from=", "The parameter from is ''; it takes start."),
        ("replay=newest", "a whole number of at least 0, or latest"),
        ("ended=1", "The parameter ended is '1'; it takes 204."),
        ("ended=204&channel=a&channel=b", "a stream of exactly one channel"),
        ("ended=204&channel=a.*", "a stream of exactly one channel"),
        ("plain=yes", "The parameter plain is 'yes'; it takes 1 or 0."),
    ],
)
async def test_a_request_that_cannot_be_is_a_400_that_says_why(server: Server, query: str, said: str) -> None:
    response, problem = await server.get(f"/stream?{query}")
    assert response.status == 400
    assert said in problem["detail"]


@pytest.mark.parametrize("reason", ["", "1", "abandoned", "Done", "x" * 500])
async def test_an_end_for_a_reason_that_nobody_may_give_is_a_400(server: Server, reason: str) -> None:
    response, problem = await server.post("/realtime/run", params={"end": reason}, data=b"x")
    assert response.status == 400
    assert "it takes one of done, failed, cancelled" in problem["detail"]
    assert await server.retained("run") == []


async def test_nobody_publishes_an_end_by_its_name(server: Server) -> None:
    assert await server.status("/realtime/run?event=end", "POST", data=b"x") == 400
    assert await server.status("/api/broadcast", "POST", json={"message": 1, "event": "end"}) == 400
    async with server.stream("/stream?event=end") as stream:  # but anybody may ask for it
        assert (await stream.next()).type == "connected"


async def test_ending_and_deleting_need_the_right_to_publish_there(guarded: Server) -> None:
    reader, writer = bearer(["run"], []), bearer([], ["run"])
    for headers, status in ((reader, 403), (bearer([], ["other"]), 403), (writer, 200)):
        assert await guarded.status("/realtime/run?end=cancelled", "POST", headers=headers) == status
    for headers, status in (({}, 401), (reader, 403), (writer, 204)):
        assert await guarded.status("/realtime/run", "DELETE", headers=headers) == status


async def test_a_cursor_wins_over_what_a_first_connection_asks_for(server: Server) -> None:
    ids = [str(await server.hub.publish(text, channel="run")) for text in "abc"]
    for query in ("from=start", "replay=latest", "replay=3"):
        async with server.stream(f"/realtime/run?{query}", {"Last-Event-ID": ids[1]}) as stream:
            assert await stream.replay() == ["c"]


async def test_a_client_that_dies_before_its_first_value_loses_none(server: Server) -> None:
    for channel in "abc":
        await server.hub.publish(channel, channel=channel)
    async with server.stream("/stream?channel=*&replay=latest") as stream:
        cursor = (await stream.next()).id
    async with server.stream("/stream?channel=*&replay=latest", {"Last-Event-ID": cursor}) as stream:
        assert await stream.replay() == ["a", "b", "c"]


async def test_more_values_than_may_be_replayed_are_the_newest_and_that_is_a_loss() -> None:
    async with serving(max_replay=600) as server:
        for number in range(1500):
            await server.hub.publish(str(number), channel=f"c{number:04}")
        async with server.stream("/stream?channel=*&replay=latest") as stream:
            assert (await stream.next()).json()["lost"] is True
            events = await stream.until("live")
            assert [event.data for event in events[:-1]] == [str(number) for number in range(900, 1500)]
