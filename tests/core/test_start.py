"""The start position of a stream."""

from __future__ import annotations

import sys

import pytest
from rig import Connection, Rig, done, no_pause

from sse_hub.core.events import EventId
from sse_hub.core.start import Start
from sse_hub.core.subscription import Subscription


def test_a_replay_begins_that_many_events_back_and_ends_with_live(rig: Rig) -> None:
    rig.publish("a", "b", "c")
    connection, _ = rig.subscribe(replay=2)
    assert [(e.type, e.data) for e in connection.received] == [
        ("message", "b"),
        ("message", "c"),
        ("live", '{"replayed":2}'),
    ]


def test_live_comes_only_if_a_replay_was_asked_for(rig: Rig) -> None:
    rig.publish("a")
    assert rig.subscribe()[0].received == []
    assert [e.type for e in rig.subscribe(replay=0)[0].received] == ["live"]


def test_a_stream_continues_after_its_cursor(rig: Rig) -> None:
    rig.publish("a", "b")
    connection, subscriber = rig.subscribe(cursor=EventId(2001, 0))
    assert connection.data == ["b"]
    assert (subscriber.resumed, subscriber.lost) == (True, False)


@pytest.mark.parametrize("cursor", [EventId(1, 0), EventId(9999, 0), None])
def test_a_cursor_that_is_outdated_or_unknown_is_lost_and_starts_at_the_oldest_event(cursor: EventId | None) -> None:
    rig = Rig(history=2)
    rig.publish("a", "b", "c")
    connection, subscriber = rig.subscribe(cursor=cursor, resume=True)
    assert (subscriber.resumed, subscriber.lost) == (False, True)
    assert connection.data == ["b", "c"]


def test_after_a_loss_no_event_comes_again_that_the_client_has() -> None:
    rig = Rig(history=2)
    rig.publish("has", channel="quiet")
    cursor = rig.hub.log.head
    rig.publish("1", "2", "3", channel="busy")
    connection, subscriber = rig.subscribe("quiet", "busy", cursor=cursor)
    assert subscriber.lost
    assert connection.data == ["2", "3"]


def test_a_loss_on_a_channel_that_the_hub_has_forgotten_is_reported() -> None:
    rig = Rig(history_age=1)
    start = rig.hub.log.head
    rig.publish("gone", channel="a")
    rig.now_ms += 5000
    rig.hub.expire(rig.now_ms)
    assert rig.subscribe("a", cursor=start)[1].lost
    assert rig.subscribe("*", cursor=start)[1].lost
    assert not rig.subscribe("b", cursor=start)[1].lost


def test_a_cursor_of_an_earlier_hub_whose_clock_was_ahead_is_unknown_also_when_this_hubs_ids_have_passed_it() -> None:
    rig = Rig()
    rig.publish("before")
    cursor = EventId(rig.now_ms + 60_000, 0)
    rig.now_ms += 600_000
    rig.publish("after")
    connection, subscriber = rig.subscribe(cursor=cursor, resume=True)
    assert subscriber.lost
    assert connection.data == ["before", "after"]


def test_it_is_unknown_also_below_the_floor_of_another_channel() -> None:
    rig = Rig(history=2)
    rig.publish("quiet", channel="a")
    for number in range(5):
        rig.now_ms += 1000
        rig.publish(str(number), channel="b")
    cursor = EventId(rig.now_ms - 2500, 0)
    assert rig.subscribe("a", cursor=cursor, resume=True)[1].lost


def test_a_cursor_of_another_channel_whose_event_is_gone_is_known() -> None:
    rig = Rig(history=2)
    rig.publish("quiet", channel="a")
    ids = []
    for number in range(5):
        rig.now_ms += 1000
        rig.publish(str(number), channel="b")
        ids.append(rig.hub.log.head)
    assert not rig.subscribe("a", cursor=ids[1], resume=True)[1].lost


def test_a_cursor_immediately_before_the_first_event_is_known() -> None:
    rig = Rig()
    rig.publish("a")
    assert rig.subscribe(cursor=rig.hub.log.head.preceding(), resume=True)[1].lost is False


@pytest.mark.parametrize("name", ["main", "m*"])
async def test_a_beginning_that_goes_while_it_is_searched_for_is_lost(name: str) -> None:
    rig = Rig(history=3)
    rig.publish("1", "2", "3")

    async def pause() -> None:
        rig.publish("4")

    subscription = Subscription(frozenset({name}), chunked=False)
    position = await Start(from_start=True).locate(rig.hub, subscription, pause)
    assert rig.hub.subscribe(subscription, Connection(), position, replays=True).lost


STARTS = [Start(), Start(replay=1), Start(latest=True), Start(from_start=True), Start(True, EventId(2001, 0))]


@pytest.mark.parametrize("start", STARTS)
@pytest.mark.parametrize("plain", [False, True])
def test_events_that_go_between_the_search_for_a_start_and_the_stream_are_lost(start: Start, plain: bool) -> None:
    rig = Rig(history=1)
    rig.publish("before")
    connection, subscription = Connection(), Subscription(frozenset({"main"}), chunked=False, plain=plain)
    position = done(start.locate(rig.hub, subscription, no_pause))
    assert not position.lost
    rig.publish("gone", "after")
    subscriber = rig.hub.subscribe(subscription, connection, position, resumes=start.resumes, replays=start.replays)
    while rig.hub.advance(subscriber):
        pass
    # A plain stream cannot report the loss, so it breaks off.
    assert (subscriber.lost, connection.finished) == ((False, False) if plain else (True, None))
    assert ("after" in connection.data) is not plain


async def test_no_step_of_a_replay_of_latest_values_looks_at_all_of_them(rig: Rig) -> None:
    rig.hub.max_replay = 5000
    for number in range(6000):
        rig.publish("value", channel=f"sensor.{number}")
    calls, steps = [0], list[int]()

    def count(frame: object, event: str, argument: object) -> None:
        calls[0] += event in {"call", "c_call"}

    async def pause() -> None:
        steps.append(calls[0])
        calls[0] = 0

    sys.setprofile(count)
    try:
        position = await Start(latest=True).locate(rig.hub, Subscription(frozenset({"sensor.*"})), pause)
    finally:
        sys.setprofile(None)
    assert len(position.first) == 5000
    assert position.lost
    assert len(steps) > 10
    assert calls[0] < 100, "after the last step, only the sorting of those that were kept may be left"


async def test_a_step_that_looks_for_a_type_looks_at_a_bounded_number_of_events(rig: Rig) -> None:
    for number in range(60):
        rig.publish(str(number), channel=f"c.{number}", type="rare")
        rig.publish(*["value"] * 999, channel=f"c.{number}")
    pauses = [0]

    async def pause() -> None:
        pauses[0] += 1

    rare = Subscription(frozenset({"c.*"}), frozenset({"rare"}))
    position = await Start(latest=True).locate(rig.hub, rare, pause)
    assert [event.data for event in position.first] == [str(number) for number in range(60)]
    assert pauses[0] > 5


async def test_a_step_of_a_hundred_patterns_looks_at_fewer_channels(rig: Rig) -> None:
    for number in range(500):
        rig.publish("value", channel=f"sensor.{number}")
    pauses = [0]

    async def pause() -> None:
        pauses[0] += 1

    patterns = frozenset({f"sensor.*{number}*" for number in range(100)})
    position = await Start(latest=True).locate(rig.hub, Subscription(patterns), pause)
    assert len(position.first) == 500
    assert pauses[0] > 10


async def test_a_replay_of_latest_values_of_a_type_loses_none_that_the_log_holds(rig: Rig) -> None:
    for number in range(40):
        rig.publish(str(number).ljust(1 << 20), channel=f"c{number}", type="value")
        rig.publish("small", channel=f"c{number}", type="note")
    position = await Start(latest=True).locate(rig.hub, Subscription(frozenset({"*"}), frozenset({"value"})), no_pause)
    assert not position.lost
    assert [int(event.data) for event in position.first] == list(range(40))
