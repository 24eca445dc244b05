"""The states of subscribers, LIVE and BEHIND, in which they get every event once and in order."""

from __future__ import annotations

from typing import cast

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from rig import Connection, Rig, done

from sse_hub.core.events import Draft, EventId
from sse_hub.core.hub import State, Subscriber
from sse_hub.core.pages import EncodedPage
from sse_hub.core.ports import Archive
from sse_hub.core.subscription import Subscription


def test_a_live_subscriber_gets_all_events_of_a_turn_in_one_write(rig: Rig) -> None:
    connection, _ = rig.subscribe()
    rig.publish("a")
    rig.publish("b", "c")
    assert connection.written == []
    rig.turn()
    assert len(connection.written) == 1
    assert connection.data == ["a", "b", "c"]


def test_a_turn_with_much_data_is_flushed_early_so_that_its_memory_is_bounded(rig: Rig) -> None:
    connection, _ = rig.subscribe()
    rig.publish("x" * 70_000)
    assert len(connection.written) == 1


def test_a_large_event_is_written_to_64_subscribers_a_turn(rig: Rig) -> None:
    connections = [rig.subscribe()[0] for _ in range(1000)]

    def got() -> int:
        return sum(connection.data == ["x" * 70_000] for connection in connections)

    rig.publish("x" * 70_000)
    assert got() <= 64
    before = got()
    (turn,) = rig.turns
    rig.turns.clear()
    turn()
    assert before < got() <= before + 64
    rig.turn()
    assert got() == 1000


def test_a_large_event_is_written_to_64_subscribers_a_turn_also_if_each_has_a_subscription_of_its_own(rig: Rig) -> None:
    connections = [rig.subscribe("main", f"user.{number}")[0] for number in range(200)]
    rig.publish("x" * 70_000)
    assert sum(len(connection.written) for connection in connections) <= 64
    rig.turn()
    assert all(connection.data == ["x" * 70_000] for connection in connections)


def test_an_event_waits_until_the_large_one_before_it_is_written_so_that_memory_is_bounded(rig: Rig) -> None:
    for _ in range(200):
        rig.subscribe()
    rig.publish("x" * 70_000)
    steps = rig.hub.deliver([Draft("main", "message", "after it").accepted(EventId(9000, 0), 9000)])
    assert next(steps, "done") is None
    assert rig.hub.log.head < EventId(9000, 0)
    rig.turn()
    assert next(steps, "done") == "done"
    assert rig.hub.log.head == EventId(9000, 0)


def test_the_early_writes_of_a_turn_are_counted_again_in_the_next(rig: Rig) -> None:
    connections = [rig.subscribe()[0] for _ in range(40)]
    for number in range(5):
        rig.publish("x" * 70_000)
        assert all(len(connection.written) == number + 1 for connection in connections)
        rig.turn()


def test_the_type_filter_lets_only_those_types_through(rig: Rig) -> None:
    connection, _ = rig.subscribe(types=["b"])
    rig.publish("no", type="a")
    rig.publish("yes", type="b")
    rig.turn()
    assert [event.data for event in connection.received] == ["yes"]


def test_an_envelope_subscriber_gets_every_type_as_a_message(rig: Rig) -> None:
    connection, _ = rig.subscribe("*", envelope=True)
    rig.publish("x", channel="c", type="t")
    rig.turn()
    assert [(e.type, e.json()["event"], e.json()["channel"]) for e in connection.received] == [("message", "t", "c")]


def test_live_and_lost_carry_no_id_so_that_they_move_no_cursor(rig: Rig) -> None:
    rig.publish("a")
    connection, _ = rig.subscribe(replay=0)
    assert b"id:" not in b"".join(connection.written)


def test_nothing_is_written_to_a_subscriber_that_is_behind(rig: Rig) -> None:
    connection, subscriber = rig.subscribe()
    connection.can_take = False
    rig.publish("a")
    rig.turn()
    assert subscriber.state is State.BEHIND
    rig.publish("b")
    rig.turn()
    assert connection.data == ["a"]


def test_a_subscriber_that_can_take_again_is_fed_from_the_log_without_gap_or_duplicate(rig: Rig) -> None:
    connection, subscriber = rig.subscribe()
    connection.can_take = False
    rig.publish("a")
    rig.turn()
    rig.publish("b", "c")
    connection.can_take = True
    assert not rig.hub.advance(subscriber)
    rig.turn()
    rig.publish("d")
    rig.turn()
    assert connection.data == ["a", "b", "c", "d"]


def test_a_joiner_does_not_get_twice_the_events_that_its_group_still_holds(rig: Rig) -> None:
    first, _ = rig.subscribe()
    rig.publish("a")
    second, _ = rig.subscribe(replay=1)
    rig.publish("b")
    rig.turn()
    assert first.data == second.data == ["a", "b"]


@pytest.mark.parametrize("moment", range(5))
def test_an_event_published_during_a_replay_arrives_once_and_in_order(moment: int) -> None:
    rig = Rig()
    rig.publish(*(f"{n}" + "x" * 30_000 for n in range(8)))
    connection, subscriber = rig.subscribe(replay=8, live=False)
    for step in range(6):
        if step == moment:
            rig.publish("during")
        rig.hub.advance(subscriber)
        rig.turn()
    rig.publish("after")
    rig.turn()
    assert [data.rstrip("x") for data in connection.data] == [*map(str, range(8)), "during", "after"]


def test_a_subscriber_whose_events_have_gone_is_informed_and_goes_on_from_there() -> None:
    rig = Rig(history=2)
    connection, subscriber = rig.subscribe()
    connection.can_take = False
    rig.publish("a")
    rig.turn()
    rig.publish("b", "c", "d")
    connection.can_take = True
    rig.hub.advance(subscriber)
    assert [(e.type, e.data) for e in connection.received] == [
        ("message", "a"),
        ("lost", '{"after":"2001-0","next":"2002-1"}'),
        ("message", "c"),
        ("message", "d"),
    ]


def test_a_loss_by_age_without_publishes_is_reported_too() -> None:
    rig = Rig(history_age=1)
    connection, subscriber = rig.subscribe()
    connection.can_take = False
    rig.publish("a")
    rig.turn()
    rig.publish("b")
    rig.hub.expire(9000)
    connection.can_take = True
    rig.hub.advance(subscriber)
    assert [e.type for e in connection.received] == ["message", "lost"]


def test_a_subscriber_that_has_left_gets_nothing_more_and_may_leave_twice(rig: Rig) -> None:
    connection, subscriber = rig.subscribe()
    rig.publish("a")
    rig.hub.unsubscribe(subscriber)
    rig.hub.unsubscribe(subscriber)
    rig.turn()
    assert connection.written == []
    assert not rig.hub.advance(subscriber)
    assert rig.hub.statistics().subscribers == 0


def test_a_flush_to_one_subscriber_hands_over_its_events_so_that_a_farewell_comes_after_them(rig: Rig) -> None:
    connection, subscriber = rig.subscribe()
    rig.publish("a")
    rig.hub.flush_to(subscriber)
    assert connection.data == ["a"]


def test_an_ephemeral_event_goes_to_live_subscribers_and_to_no_later_one(rig: Rig) -> None:
    connection, _ = rig.subscribe()
    rig.publish("now", ephemeral=True)
    rig.turn()
    assert connection.data == ["now"]
    assert rig.subscribe(replay=5)[0].data == []


def test_an_invalid_draft_publishes_none_of_its_batch(rig: Rig) -> None:
    with pytest.raises(ValueError, match="the hub's own"):
        done(rig.hub.publish_all([Draft("main", "message", "a"), Draft("main", "live", "b")]))
    assert rig.hub.statistics().published == 0


def test_the_statistics_count_events_and_deliveries(rig: Rig) -> None:
    rig.subscribe()
    rig.subscribe()
    rig.publish("a", "b")
    rig.turn()
    statistics = rig.hub.statistics()
    assert (statistics.published, statistics.delivered, statistics.retained) == (2, 4, 2)
    assert statistics.subscribers == 2
    assert statistics.behind == 0


@pytest.mark.parametrize("gzip", [False, True])
def test_handed_bytes_follow_a_subscriber_through_its_states(rig: Rig, gzip: bool) -> None:
    rig.publish("a")
    rig.subscribe(gzip=gzip)
    connection, subscriber = rig.subscribe(replay=1, gzip=gzip)
    rig.publish("b")
    rig.turn()
    connection.can_take = False
    rig.publish("c")
    rig.turn()
    assert subscriber.handed_bytes == len(b"".join(connection.written))


def test_a_second_loss_on_another_channel_is_reported_too() -> None:
    rig = Rig(history=2)
    rig.publish("1", channel="a")
    start = rig.hub.log.head
    connection, subscriber = rig.subscribe("a", "b", cursor=start)
    connection.can_take = False
    rig.publish("full", channel="a")
    rig.turn()
    for number in range(5):
        rig.publish(f"a{number}", channel="a")
        rig.publish(f"b{number}", channel="b")
    rig.hub.advance(subscriber)
    first = [event for event in connection.received if event.type == "lost"]
    for number in range(5, 9):
        rig.publish(f"b{number}", channel="b")
    connection.can_take = True
    while rig.hub.advance(subscriber):
        pass
    assert len(first) == 1
    assert [event.type for event in connection.received].count("lost") == 2


def test_next_is_the_id_of_an_event_above_every_floor() -> None:
    rig = Rig(history=2)
    connection, subscriber = rig.subscribe("busy", "quiet")
    connection.can_take = False
    rig.publish("full", channel="busy")
    rig.turn()
    rig.publish("kept", channel="quiet")
    rig.publish(*map(str, range(20)), channel="busy")
    connection.can_take = True
    while rig.hub.advance(subscriber):
        pass
    (lost,) = [event for event in connection.received if event.type == "lost"]
    following = EventId.parse(lost.json()["next"])
    assert following > rig.hub.log.floors.of("busy")
    assert str(following) in [event.id for event in connection.received]
    assert connection.data == ["full", "kept", "18", "19"]


class EveryHistory(RuleBasedStateMachine):
    """After any sequence of steps, each subscriber has got its events once and in order, except the reported losses,
    and every reported loss is a real one."""

    gzip = False

    def __init__(self) -> None:
        super().__init__()
        self.rig = Rig(history=4, history_age=1)
        self.published: list[tuple[EventId, str, str]] = []
        self.readers: list[tuple[Connection, Subscriber, tuple[str, ...], EventId]] = []
        self.informed: dict[Subscriber, tuple[EventId, EventId]] = {}  # of a loss before it began

    @rule(channel=st.sampled_from("abc"), count=st.integers(1, 3), back=st.integers(-5, 5))
    def publish(self, channel: str, count: int, back: int) -> None:
        self.rig.now_ms += back
        drafts = [Draft(channel, "message", str(len(self.published) + n)) for n in range(count)]
        for event in done(self.rig.hub.publish_all(drafts)):
            assert event.id is not None
            self.published.append((event.id, channel, event.data))

    @rule(channel=st.sampled_from("ade"))
    def publish_ephemeral(self, channel: str) -> None:
        self.rig.publish("now", channel=channel, type="ephemeral", ephemeral=True)

    @rule(later_ms=st.sampled_from([0, 500, 1100, -3000]))
    def expire(self, later_ms: int) -> None:
        self.rig.now_ms += later_ms
        self.rig.hub.expire(self.rig.now_ms)

    @rule()
    def turn(self) -> None:
        self.rig.turn()

    @rule(names=st.sampled_from([("a",), ("a", "b"), ("*",), ("c*",)]), back=st.one_of(st.none(), st.integers(0, 9)))
    def subscribe(self, names: tuple[str, ...], back: int | None) -> None:
        cursor = self.published[-back - 1][0] if back is not None and back < len(self.published) else None
        covers = Subscription(frozenset(names)).covers
        floor = max([self.rig.hub.log.floors.of(channel) for channel in "abc" if covers(channel)])
        connection, subscriber = self.rig.subscribe(*names, cursor=cursor, live=False, gzip=self.gzip)
        if subscriber.lost:
            assert cursor is not None
            self.informed[subscriber] = cursor, floor.next()
        self.readers.append((connection, subscriber, names, subscriber.cursor))

    @rule(which=st.integers(0, 99), can_take=st.booleans())
    def advance(self, which: int, can_take: bool) -> None:
        if self.readers:
            connection, subscriber, *_ = self.readers[which % len(self.readers)]
            connection.can_take = can_take
            self.rig.hub.advance(subscriber)

    @rule(which=st.integers(0, 99))
    def leave(self, which: int) -> None:
        if self.readers:
            self.rig.hub.unsubscribe(self.readers[which % len(self.readers)][1])

    @rule()
    def share(self) -> None:
        self.rig.join_shared()

    @rule()
    def ping(self) -> None:
        self.rig.ping()

    @invariant()
    def each_has_a_prefix_of_what_it_asked_for(self) -> None:
        for reader in self.readers:
            self.check(reader, whole=False)

    def teardown(self) -> None:
        for reader in self.readers:
            reader[0].can_take = True
            while self.rig.hub.advance(reader[1]):
                pass
        self.rig.turn()
        for reader in self.readers:
            self.check(reader, whole=reader[1].state is State.LIVE)

    def check(self, reader: tuple[Connection, Subscriber, tuple[str, ...], EventId], whole: bool) -> None:
        connection, subscriber, names, start = reader
        covers = Subscription(frozenset(names)).covers
        due = {id: data for id, channel, data in self.published if id > start and covers(channel)}
        ranges = [self.informed[subscriber]] if subscriber in self.informed else []
        got: dict[EventId, str] = {}
        for event in connection.received:
            if event.type == "message":
                id = EventId.parse(event.id)
                assert id > max(got, default=start)
                got[id] = event.data
            elif event.type == "lost":
                ranges.append((EventId.parse(event.json()["after"]), EventId.parse(event.json()["next"])))
        assert got.items() <= due.items()
        missing = [id for id in due if id not in got]
        if not whole:
            missing = [id for id in missing if id < max(got, default=start)]
        for id in missing:
            assert any(after < id < following for after, following in ranges)
        if whole:
            for after, following in ranges:
                assert any(after < id < following for id in missing)


EveryHistory.TestCase.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)


TestEveryHistory = EveryHistory.TestCase


class EveryCompressedHistory(EveryHistory):
    """The same for subscribers with shared deflate streams."""

    gzip = True


EveryCompressedHistory.TestCase.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)


TestEveryCompressedHistory = EveryCompressedHistory.TestCase


def test_a_restart_breaks_off_all_plain_streams(rig: Rig) -> None:
    plain = [rig.subscribe(f"c{number}", plain=True)[0] for number in range(3)]
    other, _ = rig.subscribe("c1")
    rig.hub.restart(EventId(rig.now_ms + 1, 0))
    rig.hub.set_ready(EventId(rig.now_ms + 1, 0))
    rig.turn()
    assert [connection.finished for connection in plain] == [False] * 3
    assert [event.type for event in other.received] == ["lost"]


def test_a_subscriber_that_the_store_has_fed_beyond_the_head_gets_nothing_twice(rig: Rig) -> None:
    hub, lost = rig.hub, EventId(5000, 0)
    hub.archive = cast("Archive", object())
    event = Draft("b", "message", "B").accepted(EventId(3000, 0), 3000)
    connection, subscriber = rig.subscribe("*", live=False)
    after = subscriber.cursor
    hub.lose({"a": lost})
    upto = hub.below_log(subscriber)
    assert upto == lost
    hub.feed(subscriber, after, EncodedPage.of(subscriber.subscription, [event], after, upto, {"a": lost}))
    assert hub.advance(subscriber)
    for _ in hub.deliver([event]):
        pass
    hub.pass_to(lost)
    while hub.advance(subscriber):
        pass
    rig.turn()
    assert connection.data == ["B"]
