from __future__ import annotations

import random
import zlib
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import replace
from typing import TypeVar

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from wire import Received, parse

from sse_hub.core.events import Draft, EventId
from sse_hub.core.hub import Hub, State, Subscriber
from sse_hub.core.log import Log
from sse_hub.core.pages import PAGE_BYTES
from sse_hub.core.start import Start
from sse_hub.core.subscription import Subscription
from sse_hub.stores.memory import MemoryStore

ORIGIN = EventId(1000, 0)
Result = TypeVar("Result")


def done(publish: Coroutine[None, None, Result]) -> Result:
    """The result of a coroutine that does not wait: the memory store needs no event loop."""
    try:
        publish.send(None)
    except StopIteration as stop:
        return stop.value  # type: ignore[no-any-return]
    raise AssertionError("it waited")


async def no_pause() -> None:
    pass


class Connection:
    """Keeps what it is given; refuses more when it is told to."""

    def __init__(self, *, gzip: bool = False) -> None:
        self.written: list[bytes] = []
        self.can_take = True
        self._gzip = gzip

    def write(self, data: bytes) -> bool:
        self.written.append(data)
        return self.can_take

    @property
    def received(self) -> list[Received]:
        data = b"".join(self.written)
        return parse(zlib.decompressobj(-15).decompress(data) if self._gzip else data)

    @property
    def data(self) -> list[str]:
        return [event.data for event in self.received if event.type == "message"]


class Rig:
    """A hub with a clock and a loop that a test turns by hand."""

    def __init__(self, **bounds: float) -> None:
        self.now_ms = 2000
        self.turns: list[Callable[[], None]] = []
        self.hub = Hub(Log(ORIGIN, **bounds), self.turns.append)  # type: ignore[arg-type]
        self.hub.store = MemoryStore(self.hub, lambda: self.now_ms)

    def publish(self, *data: str, channel: str = "main", type: str = "message", ephemeral: bool = False) -> None:
        self.now_ms += 1
        for begin in range(0, len(data), 200):  # more at once are delivered in slices, which takes an event loop
            done(self.hub.publish_all([Draft(channel, type, each, ephemeral) for each in data[begin : begin + 200]]))

    def ping(self) -> None:
        for _ in self.hub.ping(b": ping\n\n"):
            pass

    def turn(self) -> None:
        while self.turns:
            self.turns.pop()()

    def subscribe(
        self,
        *names: str,
        types: Sequence[str] = (),
        envelope: bool = False,
        cursor: EventId | None = None,
        replay: int | None = None,
        resume: bool = False,
        live: bool = True,
        gzip: bool = False,
    ) -> tuple[Connection, Subscriber]:
        connection = Connection(gzip=gzip)
        subscription = Subscription(frozenset(names or ("main",)), frozenset(types), envelope, chunked=False, gzip=gzip)
        if gzip:  # as it is subscribed over HTTP
            subscription = replace(subscription, unshared=True)
        start = Start(resume or cursor is not None, cursor, replay)
        position = done(start.locate(self.hub, subscription, no_pause))
        subscriber = self.hub.subscribe(
            subscription, connection, position, resumes=start.resumes, replays=replay is not None
        )
        while live and self.hub.advance(subscriber):
            pass
        if live and gzip:
            self.hub.join_shared()
        return connection, subscriber


@pytest.fixture
def rig() -> Rig:
    return Rig()


def test_a_live_subscriber_gets_what_is_published_once_a_turn_in_one_write(rig: Rig) -> None:
    connection, _ = rig.subscribe()
    rig.publish("a")
    rig.publish("b", "c")
    assert connection.written == []
    rig.turn()
    assert len(connection.written) == 1
    assert connection.data == ["a", "b", "c"]


def test_a_large_event_comes_once_to_each_of_several_groups_that_share_a_deflate_stream(rig: Rig) -> None:
    connections = [rig.subscribe(gzip=True)[0] for _ in range(150)]
    large = "".join(random.Random(7).choices("abcdefghijklmnopqrstuvwxyz", k=2 * PAGE_BYTES))  # a flush of its own
    rig.publish(large)
    rig.turn()
    rig.publish(*(f"{number} ".ljust(200, "x") for number in range(600)))
    rig.turn()
    for connection in connections:
        assert [data.split()[0] for data in connection.data] == [large, *map(str, range(600))]


def test_subscribers_of_one_group_are_handed_the_very_same_bytes(rig: Rig) -> None:
    (one, _), (other, _) = rig.subscribe(), rig.subscribe()
    rig.publish("a")
    rig.turn()
    assert one.written[0] is other.written[0]


def test_a_turn_with_much_data_is_flushed_early_so_that_its_memory_is_bounded(rig: Rig) -> None:
    connection, _ = rig.subscribe()
    rig.publish("x" * 70_000)
    assert len(connection.written) == 1


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


def test_a_replay_begins_that_many_events_back_and_ends_with_live(rig: Rig) -> None:
    rig.publish("a", "b", "c")
    connection, _ = rig.subscribe(replay=2)
    assert [(e.type, e.data) for e in connection.received] == [
        ("message", "b"),
        ("message", "c"),
        ("live", '{"replayed":2}'),
    ]


def test_live_is_told_only_where_a_replay_was_asked_for(rig: Rig) -> None:
    rig.publish("a")
    assert rig.subscribe()[0].received == []
    assert [e.type for e in rig.subscribe(replay=0)[0].received] == ["live"]


def test_live_and_lost_carry_no_id_so_that_they_move_no_cursor(rig: Rig) -> None:
    rig.publish("a")
    connection, _ = rig.subscribe(replay=0)
    assert b"id:" not in b"".join(connection.written)


def test_a_cursor_is_continued_after(rig: Rig) -> None:
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


def test_a_joiner_does_not_get_twice_what_its_group_still_holds_for_this_turn(rig: Rig) -> None:
    first, _ = rig.subscribe()
    rig.publish("a")
    second, _ = rig.subscribe(replay=1)
    rig.publish("b")
    rig.turn()
    assert first.data == second.data == ["a", "b"]


@pytest.mark.parametrize("moment", range(5))
def test_what_is_published_during_a_replay_arrives_once_and_in_order(moment: int) -> None:
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


def test_a_subscriber_whose_events_have_gone_meanwhile_is_told_and_goes_on_from_there() -> None:
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


def test_a_loss_by_age_without_publishes_is_told_as_well() -> None:
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


def test_who_has_left_gets_nothing_more_and_may_leave_twice(rig: Rig) -> None:
    connection, subscriber = rig.subscribe()
    rig.publish("a")
    rig.hub.unsubscribe(subscriber)
    rig.hub.unsubscribe(subscriber)
    rig.turn()
    assert connection.written == []
    assert not rig.hub.advance(subscriber)
    assert rig.hub.statistics().subscribers == 0


def test_settling_hands_over_what_is_held_so_that_a_farewell_comes_after_it(rig: Rig) -> None:
    connection, subscriber = rig.subscribe()
    rig.publish("a")
    rig.hub.flush_to(subscriber)
    assert connection.data == ["a"]


def test_an_ephemeral_event_goes_to_whoever_is_live_and_to_nobody_later(rig: Rig) -> None:
    connection, _ = rig.subscribe()
    rig.publish("now", ephemeral=True)
    rig.turn()
    assert connection.data == ["now"]
    assert rig.subscribe(replay=5)[0].data == []


def test_subscribers_of_a_channel_are_counted_by_name_and_by_pattern(rig: Rig) -> None:
    rig.subscribe("a")
    rig.subscribe("*")
    rig.subscribe("b")
    assert rig.hub.subscribers("a") == 2
    assert rig.hub.channels("", 10) == ["a", "b"]


def test_a_group_made_after_its_channel_was_routed_gets_its_events(rig: Rig) -> None:
    rig.subscribe("a")
    rig.publish("x", channel="a")
    later, _ = rig.subscribe("*")
    rig.publish("y", channel="a")
    rig.turn()
    assert later.data == ["y"]


def test_an_invalid_draft_publishes_none_of_its_batch(rig: Rig) -> None:
    with pytest.raises(ValueError, match="the hub's own"):
        done(rig.hub.publish_all([Draft("main", "message", "a"), Draft("main", "live", "b")]))
    assert rig.hub.statistics().published == 0


def test_the_statistics_count_what_was_handed_over(rig: Rig) -> None:
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


# Compressed once for everybody


def test_subscribers_of_one_group_share_compressed_bytes_too(rig: Rig) -> None:
    (one, _), (other, _) = rig.subscribe(gzip=True), rig.subscribe(gzip=True)
    rig.publish("a")
    rig.turn()
    assert one.written[-1] is other.written[-1]
    assert one.data == other.data == ["a"]


def test_groups_of_one_subscription_share_one_stream(rig: Rig) -> None:
    connections = [rig.subscribe(gzip=True)[0] for _ in range(150)]  # three groups
    for number in range(5):
        rig.publish(f"event {number}")
        rig.turn()
    assert len({b"".join(connection.written) for connection in connections}) == 1
    assert connections[149].data == [f"event {number}" for number in range(5)]


def test_what_repeats_is_sent_as_a_reference(rig: Rig) -> None:
    connection, _ = rig.subscribe(gzip=True)
    for number in range(20):
        rig.publish(f'{{"sensor":"temperature","value":21.{number},"unit":"celsius","simulated":true}}')
        rig.turn()
    assert len(connection.written[-1]) * 3 < len(connection.written[0])


def test_a_late_joiner_gets_nothing_that_refers_to_what_it_has_not(rig: Rig) -> None:
    early, _ = rig.subscribe(gzip=True)
    rig.publish("the same again and again")
    rig.turn()
    late, _ = rig.subscribe(gzip=True)
    for _ in range(3):
        rig.publish("the same again and again")
        rig.turn()
    assert late.data == ["the same again and again"] * 3
    assert early.data == ["the same again and again"] * 4


def test_many_joiners_in_a_turn_make_one_key_frame(rig: Rig) -> None:
    connections = [rig.subscribe(gzip=True)[0] for _ in range(100)]
    rig.publish("x")
    rig.turn()
    assert len({connection.written[-1] for connection in connections}) == 1


def test_until_it_joins_a_newcomer_gets_everything_deflated_anew_and_costs_the_others_nothing(rig: Rig) -> None:
    def words(number: int) -> str:
        return f"the same words again and again, only the number is another: {number}"

    early, _ = rig.subscribe(gzip=True)
    rig.publish(words(0))
    rig.turn()
    late, subscriber = rig.subscribe(gzip=True, live=False)
    assert not rig.hub.advance(subscriber)
    rig.publish(words(1))
    rig.turn()
    assert len(early.written[-1]) < len(late.written[-1])
    rig.hub.join_shared()
    rig.publish(words(2))
    rig.turn()
    assert early.written[-1] is late.written[-1]
    assert late.data == [words(1), words(2)]
    assert early.data == [words(0), words(1), words(2)]


def test_one_that_could_take_no_more_rejoins_at_a_key_frame(rig: Rig) -> None:
    steady, _ = rig.subscribe(gzip=True)
    slow, subscriber = rig.subscribe(gzip=True)
    slow.can_take = False
    for number in range(3):
        rig.publish(f"number {number}")
        rig.turn()
    slow.can_take = True
    while rig.hub.advance(subscriber):
        pass
    rig.publish("number 3")
    rig.turn()
    assert slow.data == steady.data == [f"number {number}" for number in range(4)]


def test_a_ping_goes_to_all_who_share_a_stream_and_to_nobody_else(rig: Rig) -> None:
    shared, _ = rig.subscribe(gzip=True)
    plain, _ = rig.subscribe()
    rig.ping()
    rig.turn()
    rig.publish("after it")
    rig.turn()
    assert zlib.decompressobj(-15).decompress(b"".join(shared.written)).startswith(b": ping\n\n")
    assert shared.data == plain.data == ["after it"]


def test_all_who_share_a_stream_are_told_of_a_loss_once(rig: Rig) -> None:
    connections = [rig.subscribe(gzip=True)[0] for _ in range(70)]
    rig.hub.lose({"main": EventId(5000, 0)})
    rig.turn()
    for connection in connections:
        assert [event.type for event in connection.received] == ["lost"]


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


class EveryHistory(RuleBasedStateMachine):
    """Whatever happens, everybody gets what it asked for once and in order, but for what it is informed is lost; and it
    is informed of no loss that is none."""

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
        self.rig.hub.join_shared()

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
    """The same, of those who share deflate streams."""

    gzip = True


EveryCompressedHistory.TestCase.settings = settings(max_examples=100, stateful_step_count=40, deadline=None)
TestEveryCompressedHistory = EveryCompressedHistory.TestCase
