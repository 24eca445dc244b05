"""The newest event of each channel and type, once an interval."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from rig import Connection, Rig, done

from sse_hub.core.events import EventId
from sse_hub.core.hub import State, Subscriber


def release(rig: Rig, now_ms: float) -> float | None:
    next_ms = rig.hub.delivery.release(now_ms)
    rig.turn()
    return next_ms


def release_large(rig: Rig, now_ms: float) -> None:
    """Release values that are so large that they are encoded in several steps."""
    rig.turn()
    while rig.hub.delivery.release(now_ms) == now_ms and not rig.turns:
        pass


def test_after_quiet_an_event_goes_out_at_once_and_the_next_after_the_interval(rig: Rig) -> None:
    connection, _ = rig.subscribe(conflate_ms=100)
    rig.publish("a")
    assert release(rig, 1000) == 1100
    rig.publish("b", "c")
    assert release(rig, 1050) == 1100
    assert connection.data == ["a"]
    assert release(rig, 1100) == 1200
    assert connection.data == ["a", "c"]
    assert release(rig, 1200) is None
    assert rig.hub.statistics().conflated == 1


def test_the_timer_is_asked_for_only_when_nobody_is_about_to_release(rig: Rig) -> None:
    calls: list[None] = []
    rig.hub.delivery.wake = lambda: calls.append(None)
    rig.subscribe(conflate_ms=100)
    rig.publish("a", "b")
    assert len(calls) == 1
    release(rig, 1000)
    rig.publish("c")
    assert len(calls) == 1  # the interval is not over, and the timer is set for its end


def test_all_of_an_audience_get_the_same_bytes(rig: Rig) -> None:
    connections = [rig.subscribe("*", conflate_ms=100)[0] for _ in range(200)]
    for value in "abc":
        for channel in ("x", "y"):
            rig.publish(value, channel=channel)
    release(rig, 1000)
    written = {b"".join(connection.written) for connection in connections}
    assert len(written) == 1
    assert connections[0].data == ["c", "c"]


def test_more_than_a_few_fresh_subscribers_make_the_release_come_early(rig: Rig) -> None:
    calls: list[None] = []
    first, _ = rig.subscribe(conflate_ms=100)
    rig.publish("a")
    release(rig, 1000)
    rig.publish("b")
    rig.hub.delivery.wake = lambda: calls.append(None)
    for _ in range(501):
        rig.subscribe(conflate_ms=100)
    assert len(calls) == 1
    release(rig, 1001)
    assert first.data == ["a", "b"]


def test_twice_as_many_fresh_subscribers_wait_for_no_release(rig: Rig) -> None:
    first, _ = rig.subscribe(conflate_ms=100)
    rig.publish("a")
    release(rig, 1000)
    rig.publish("b")
    for _ in range(1001):
        rig.subscribe(conflate_ms=100)
    rig.turn()
    assert first.data == ["a", "b"]


def joining(rig: Rig, count: int, size: int) -> list[tuple[Connection, Subscriber]]:
    """Subscribers that come between large values, each after one more of them, so that each needs a part of its own."""
    found = []
    for number in range(count):
        rig.publish(f"{number} ".ljust(size), channel=f"c{number}")
        found.append(rig.subscribe("*", conflate_ms=100))
    return found


def writes(joiners: list[tuple[Connection, Subscriber]]) -> int:
    return sum(len(connection.written) for connection, _ in joiners)


def many_types(connection: Connection) -> list[str]:
    return [event.data for event in connection.received if event.type.startswith("type-")]


def test_megabytes_of_different_values_make_the_release_come_early(rig: Rig) -> None:
    calls: list[None] = []
    connection, _ = rig.subscribe(conflate_ms=60_000)
    rig.publish("first")
    release(rig, 1000)
    rig.hub.delivery.wake = lambda: calls.append(None)
    values = [str(number % 10) * 100_000 for number in range(50)]
    for number, value in enumerate(values):
        rig.publish(value, type=f"type-{number}")
    assert len(calls) == 1
    release_large(rig, 1001)
    rig.turn()
    assert many_types(connection) == values


def test_twice_as_many_megabytes_wait_for_no_release(rig: Rig) -> None:
    connection, _ = rig.subscribe(conflate_ms=60_000)
    rig.publish("first")
    release(rig, 1000)
    values = [str(number % 10) * 100_000 for number in range(100)]
    for number, value in enumerate(values):
        rig.publish(value, type=f"type-{number}")
    rig.turn()
    assert len(many_types(connection)) > 50
    release_large(rig, 61_000)
    rig.turn()
    assert many_types(connection) == values


def test_a_release_of_many_values_takes_several_turns(rig: Rig) -> None:
    connection, _ = rig.subscribe("*", conflate_ms=100)
    values = [f"value {number}" for number in range(3500)]
    for number, value in enumerate(values):
        rig.publish(value, channel=f"c{number}")
    for now_ms in (1000, 1001, 1002):
        assert release(rig, now_ms) == now_ms
        assert connection.data == []
    assert release(rig, 1003) == 1100
    assert connection.data == values


def test_values_published_during_a_release_supersede_those_that_are_encoded(rig: Rig) -> None:
    connection, _ = rig.subscribe("*", conflate_ms=100)
    for number in range(1500):
        rig.publish("former", channel=f"c{number}")
    release(rig, 1000)
    rig.publish("newest", channel="c0")
    release(rig, 1001)
    assert connection.data == ["former"] * 1499 + ["newest"]


def test_large_parts_of_a_release_are_written_in_several_turns(rig: Rig) -> None:
    rig.subscribe("*", conflate_ms=100)
    fresh = joining(rig, 10, 300_000)
    release_large(rig, 1000)
    turns = []
    while rig.turns:
        before = writes(fresh)
        rig.turns.pop()()
        turns.append(writes(fresh) - before)
    assert max(turns) <= 2
    assert sum(turns) >= 7
    for number, (connection, subscriber) in enumerate(fresh):
        assert [int(value) for value in connection.data] == list(range(number + 1, 10))
        assert subscriber.handed_bytes == sum(map(len, connection.written))


def test_a_joiner_gets_its_part_of_a_release_before_the_next_one(rig: Rig) -> None:
    rig.subscribe("*", conflate_ms=100)
    fresh = joining(rig, 10, 300_000)
    calls: list[None] = []
    release_large(rig, 1000)
    rig.turns.pop()()
    rig.publish("next")
    rig.hub.delivery.wake = lambda: calls.append(None)
    before = writes(fresh)
    rig.hub.delivery.release(1100)
    assert writes(fresh) == before
    rig.turn()
    assert len(calls) == 1
    release(rig, 1101)
    for number, (connection, subscriber) in enumerate(fresh):
        assert connection.data[-1] == "next"
        assert [int(value) for value in connection.data[:-1]] == list(range(number + 1, 10))
        assert subscriber.handed_bytes == sum(map(len, connection.written))


@pytest.mark.parametrize("others", [1, 64])  # in the group of the joiners, or in another one
def test_a_release_that_waits_for_joiners_comes_when_they_have_left(rig: Rig, others: int) -> None:
    connections = [rig.subscribe("*", conflate_ms=100)[0] for _ in range(others)]
    joiners = joining(rig, 10, 300_000)
    release_large(rig, 1000)
    while writes(joiners) < 2:
        rig.turns.pop(0)()
    rig.publish("next")
    rig.hub.delivery.release(1100)
    calls: list[None] = []
    rig.hub.delivery.wake = lambda: calls.append(None)
    for _, subscriber in joiners:
        rig.hub.unsubscribe(subscriber)
    rig.turn()
    assert len(calls) == 1
    release(rig, 1101)
    assert all(connection.data[-1] == "next" for connection in connections)


def test_one_stream_that_ends_does_not_hurry_the_joiners_beside_it(rig: Rig) -> None:
    rig.subscribe("*", conflate_ms=100)
    joiners = joining(rig, 10, 300_000)
    release_large(rig, 1000)
    before = writes(joiners)
    connection, subscriber = joiners[7]
    rig.hub.flush_to(subscriber)
    rig.hub.unsubscribe(subscriber)
    assert [int(value) for value in connection.data] == [8, 9]
    assert writes(joiners) == before + 1


def test_a_full_connection_ends_with_its_channel_although_joiners_are_still_to_get_their_part(rig: Rig) -> None:
    first, _ = rig.subscribe(conflate_ms=100)
    connections = [first]
    for number in range(3):
        rig.publish(str(number).ljust(1_100_000), type=f"t{number}")
        connections.append(rig.subscribe(conflate_ms=100)[0])
    rig.publish("last".ljust(1_100_000))
    rig.turn()
    done(rig.hub.end("main"))
    for connection in connections:
        connection.can_take = False
    release_large(rig, 1000)
    rig.turn()
    assert [connection.finished for connection in connections] == [True] * 4
    assert all(connection.received[-1].type == "end" for connection in connections)


def test_fresh_subscribers_get_only_the_end_of_a_release(rig: Rig) -> None:
    rig.subscribe("*", conflate_ms=100)
    fresh = []
    for number in range(10):
        rig.publish(str(number), channel=f"c{number}")
        fresh.append(rig.subscribe("*", conflate_ms=100)[0])
        rig.publish(f"{number} (ephemeral)", channel=f"e{number}", ephemeral=True)
    release(rig, 1000)
    for number, connection in enumerate(fresh):
        later = [value for each in range(number + 1, 10) for value in (str(each), f"{each} (ephemeral)")]
        assert connection.data == [f"{number} (ephemeral)", *later]
    assert rig.hub.statistics().delivered == 20 + sum(1 + 2 * (9 - number) for number in range(10))


def test_values_that_supersede_each_other_wait_for_their_interval_however_large(rig: Rig) -> None:
    connection, _ = rig.subscribe(conflate_ms=60_000)
    rig.publish("first")
    release(rig, 1000)
    for number in range(100):
        rig.publish(str(number % 10) * 100_000)
    rig.turn()
    assert connection.data == ["first"]
    release(rig, 61_000)
    assert connection.data == ["first", "9" * 100_000]


def test_a_subscriber_that_leaves_while_values_wait_gets_nothing_more(rig: Rig) -> None:
    rig.subscribe(conflate_ms=100)
    rig.publish("a")
    connection, subscriber = rig.subscribe(conflate_ms=100)
    rig.hub.unsubscribe(subscriber)
    release(rig, 1000)
    assert connection.data == []
    assert rig.hub.statistics().behind == 0


def test_a_plain_stream_ends_with_its_channel_also_if_nothing_but_the_end_waits(rig: Rig) -> None:
    connection, _ = rig.subscribe(conflate_ms=100, plain=True)
    rig.publish("a")
    release(rig, 1000)
    done(rig.hub.end("main"))
    assert release(rig, 1050) == 1100
    assert connection.finished is None
    release(rig, 1100)
    assert connection.finished is True
    assert connection.data == ["a"]


def test_a_release_waits_until_the_large_one_before_it_is_written(rig: Rig) -> None:
    first = [rig.subscribe(conflate_ms=50)[0] for _ in range(200)]
    second = [rig.subscribe(conflate_ms=60)[0] for _ in range(200)]
    rig.publish("x" * 70_000)
    assert rig.hub.delivery.release(0) == 0
    assert rig.hub.delivery.release(0) == 0
    assert sum(len(connection.written) for connection in first + second) <= 64
    rig.turn()
    rig.hub.delivery.release(0)
    rig.turn()
    assert all(connection.data == ["x" * 70_000] for connection in first + second)


class EveryValue(RuleBasedStateMachine):
    """Whatever happens: the last value of each channel that a reader has is that of a dictionary which took every
    event, and it gets no event twice."""

    def __init__(self) -> None:
        super().__init__()
        self.rig = Rig()
        self.now_ms = 0.0
        self.values: dict[tuple[str, str], str] = {}
        self.readers: list[tuple[Connection, Subscriber]] = []

    @rule(channel=st.sampled_from("abc"), type=st.sampled_from(["message", "t"]), count=st.integers(1, 3))
    def publish(self, channel: str, type: str, count: int) -> None:
        for _ in range(count):
            value = f"{channel}{type}{self.rig.now_ms}"
            self.rig.publish(value, channel=channel, type=type)
            self.values[channel, type] = value

    @rule(large=st.sampled_from("ab"))
    def publish_much(self, large: str) -> None:
        value = f"{large}message{self.rig.now_ms}" + "x" * 40_000
        self.rig.publish(value, channel=large)
        self.values[large, "message"] = value

    @rule(later_ms=st.integers(0, 150))
    def release(self, later_ms: int) -> None:
        self.now_ms += later_ms
        self.rig.hub.delivery.release(self.now_ms)

    @rule()
    def turn(self) -> None:
        self.rig.turn()

    @rule(names=st.sampled_from(["*", "a", "[ab]"]), conflate_ms=st.sampled_from([0, 50, 100]), live=st.booleans())
    def subscribe(self, names: str, conflate_ms: int, live: bool) -> None:
        wanted = {"[ab]": ("a", "b")}.get(names, (names,))
        self.readers.append(self.rig.subscribe(*wanted, latest=True, conflate_ms=conflate_ms, live=live))

    @rule(which=st.integers(0, 99), can_take=st.booleans())
    def advance(self, which: int, can_take: bool) -> None:
        if self.readers:
            connection, subscriber = self.readers[which % len(self.readers)]
            connection.can_take = can_take
            self.rig.hub.advance(subscriber)

    @rule(which=st.integers(0, 99))
    def leave(self, which: int) -> None:
        if self.readers:
            self.rig.hub.unsubscribe(self.readers.pop(which % len(self.readers))[1])

    @rule()
    def ping(self) -> None:
        self.rig.ping()

    @invariant()
    def nobody_gets_an_event_twice(self) -> None:
        for connection, _ in self.readers:
            ids = [EventId.parse(event.id) for event in connection.received if event.type in ("message", "t")]
            assert ids == sorted(set(ids))

    def teardown(self) -> None:
        for _ in range(3):
            for connection, subscriber in self.readers:
                connection.can_take = True
                while self.rig.hub.advance(subscriber):
                    pass
            self.now_ms += 1000
            self.rig.hub.delivery.release(self.now_ms)
            self.rig.turn()
        self.nobody_gets_an_event_twice()
        newest: dict[str, str] = {}
        for (channel, _), value in sorted(self.values.items(), key=lambda item: int(item[1].rstrip("x")[-4:])):
            newest[channel] = value
        for connection, subscriber in self.readers:
            assert subscriber.state is State.LIVE
            last: dict[str, str] = {}
            for event in connection.received:
                if event.type in ("message", "t"):
                    last[event.data[0]] = event.data
            covered = {channel: value for channel, value in newest.items() if subscriber.subscription.covers(channel)}
            assert last == covered


EveryValue.TestCase.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)


TestEveryValue = EveryValue.TestCase


def test_a_conflating_subscriber_that_falls_behind_is_informed_of_what_is_gone_since_its_last_release() -> None:
    rig = Rig(history=3)
    connection, subscriber = rig.subscribe("main", "other", conflate_ms=10_000)
    rig.publish("a", channel="other")
    rig.hub.delivery.release(0)
    rig.turn()
    for number in range(6):
        rig.publish(str(number), type=f"t{number}")
    connection.can_take = False
    rig.ping()
    rig.turn()
    connection.can_take = True
    while rig.hub.advance(subscriber):
        pass
    assert "lost" in [event.type for event in connection.received]
