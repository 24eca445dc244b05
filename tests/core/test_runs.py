"""How channels end, are forgotten, and begin anew, and what their readers get of that."""

from __future__ import annotations

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule
from rig import Connection, Rig, done, no_pause

from sse_hub.core.ends import Ended, Idle, end_draft, read_reason
from sse_hub.core.events import EventId
from sse_hub.core.rules import Rule, Rules
from sse_hub.core.start import Start
from sse_hub.core.subscription import Subscription


def end(rig: Rig, channel: str = "main", reason: str = "done") -> EventId:
    return done(rig.hub.end(channel, reason))


def got(connection: Connection) -> tuple[list[str], bool | None]:
    """The types of what came, and whether the stream has ended, complete or not."""
    return [event.type for event in connection.received], connection.finished


def test_a_live_stream_of_the_channel_ends_with_it_and_is_forgotten(rig: Rig) -> None:
    connection, _ = rig.subscribe()
    rig.publish("a")
    end(rig)
    assert got(connection)[1] is None
    rig.turn()
    assert got(connection) == (["message", "end"], True)
    assert rig.hub.statistics().subscribers == 0


def test_a_stream_that_is_behind_ends_when_it_gets_there(rig: Rig) -> None:
    connection, subscriber = rig.subscribe()
    connection.can_take = False
    rig.publish("x" * 70_000)
    rig.publish("b")
    end(rig)
    rig.turn()
    assert got(connection)[1] is None
    connection.can_take = True
    assert not rig.hub.advance(subscriber)
    assert got(connection) == (["message", "message", "end"], True)


def test_a_stream_of_several_channels_goes_on(rig: Rig) -> None:
    connection, _ = rig.subscribe("main", "other")
    end(rig)
    rig.publish("b", channel="other")
    rig.turn()
    assert got(connection) == (["end", "message"], None)


def test_a_plain_stream_ends_without_a_word_and_one_that_loses_something_breaks_off(rig: Rig) -> None:
    first, _ = rig.subscribe(plain=True)
    second, _ = rig.subscribe("other", plain=True)
    rig.publish("a")
    end(rig)
    rig.turn()
    done(rig.hub.store.forget("nothing"))
    rig.publish("b", channel="other")
    done(rig.hub.store.forget("other"))
    rig.turn()
    assert got(first) == (["message"], True)
    assert second.finished is False


def test_an_end_that_is_forgotten_in_the_same_turn_is_delivered_before_anything_else(rig: Rig) -> None:
    connection, _ = rig.subscribe()
    end(rig)
    done(rig.hub.store.forget("main"))
    rig.publish("next life")
    rig.turn()
    assert got(connection) == (["end"], True)


def test_open_runs_and_ends_are_counted() -> None:
    rig = Rig(Rule(match="run.*", end_age=1))
    for channel in ("run.1", "run.2", "other"):
        rig.publish("x", channel=channel)
    end(rig, "run.1", "failed")
    end(rig, "other", "cancelled")
    statistics = rig.hub.statistics()
    assert statistics.open_runs == 1
    assert {reason: count for reason, count in statistics.ended.items() if count} == {"failed": 1, "cancelled": 1}


@pytest.mark.parametrize("reason", ["", "Done", "abandoned", "x" * 300])
def test_a_reason_that_nobody_may_give_is_refused(rig: Rig, reason: str) -> None:
    with pytest.raises(ValueError, match="done, failed, cancelled"):
        end(rig, reason=reason)


@pytest.mark.parametrize("data", ["", "{", "[]", "1", '{"reason": 1}', '{"reason": "bored"}', "[" * 100_000])
def test_an_end_that_no_hub_has_written_is_none(data: str) -> None:
    assert read_reason("end", data) is None
    assert read_reason("message", end_draft("a", "done").data) is None


def test_an_idle_channel_is_found_once_and_again_only_after_a_publish() -> None:
    idle = Idle(Rules(Rule(), [Rule(match="run", idle_end=1.0)]))
    idle.note("run", 1000)
    idle.note("other", 1000)
    idle.note("run", 1900)
    assert idle.find(2000) == ([], False)
    assert idle.find(2900) == (["run"], False)
    assert idle.find(9000) == ([], False)
    idle.note("run", 9000)
    assert idle.find(5000) == ([], False)  # the clock was set back
    assert idle.find(6001) == (["run"], False)


def idle_of(rules: Rules, published_ms: int) -> Idle:
    idle = Idle(rules)
    idle.note("run", published_ms)
    return idle


def test_a_rule_that_is_shortened_counts_from_the_last_publish() -> None:
    rules = Rules(Rule(), [Rule(match="run", idle_end=3600.0)])
    idle = idle_of(rules, 1000)
    rules.replace([Rule(match="run", idle_end=5.0)])
    idle.review("run", published_ms=0, now_ms=2000)
    assert idle.find(5999) == ([], False)
    assert idle.find(6000) == (["run"], False)


def test_a_rule_that_is_new_counts_from_the_last_publish_that_others_know_of() -> None:
    rules = Rules(Rule())
    idle = idle_of(rules, 1000)
    rules.replace([Rule(match="run", idle_end=5.0)])
    idle.review("run", published_ms=1000, now_ms=2000)
    assert idle.find(6000) == (["run"], False)


def test_publishes_without_a_rule_count_when_there_is_one_again() -> None:
    rules = Rules(Rule(), [Rule(match="run", idle_end=5.0)])
    idle = idle_of(rules, 1000)
    rules.replace([])
    idle.review("run", published_ms=1000, now_ms=2000)
    idle.note("run", 7000)
    rules.replace([Rule(match="run", idle_end=5.0)])
    idle.review("run", published_ms=7000, now_ms=8000)
    assert idle.find(11_999) == ([], False)
    assert idle.find(12_000) == (["run"], False)


def test_a_publish_by_a_clock_that_was_ahead_counts_as_one_of_now_for_a_new_rule() -> None:
    idle = Idle(Rules(Rule(idle_end=5.0)))
    idle.review("run", published_ms=365 * 24 * 3600 * 1000, now_ms=2000)
    assert idle.find(7000) == (["run"], False)


def test_a_step_of_the_search_for_idle_channels_looks_at_some_of_them() -> None:
    idle = Idle(Rules(Rule(idle_end=1.0)))
    for number in range(1000):
        idle.note(f"run.{number}", 1000)
    found, steps, more = list[str](), 0, True
    while more:
        silent, more = idle.find(2000)
        found += silent
        steps += 1
    assert found == [f"run.{number}" for number in range(1000)]
    assert steps >= 10


class EveryRun(RuleBasedStateMachine):
    """Whatever happens, in whatever order: every reader of a run that is kept has the same text, nothing follows an
    end, and a reader has nothing to come back for exactly when its cursor is at or past the end."""

    def __init__(self) -> None:
        super().__init__()
        self.rig = Rig(Rule(match="b", end_age=1.0), history_age=60.0)
        self.text: dict[str, list[str]] = {"a": [], "b": []}
        self.ends: dict[str, tuple[str, EventId, int]] = {}
        self.life = {"a": 0, "b": 0}
        self.readers: list[tuple[str, int, Connection, object]] = []
        self.cursors: list[EventId] = []
        self.finished_text: dict[tuple[str, int], list[str]] = {}

    def begin_anew(self, channel: str) -> None:
        self.life[channel] += 1
        self.text[channel] = []
        self.ends.pop(channel, None)

    @rule(channel=st.sampled_from("ab"), count=st.integers(1, 3))
    def publish(self, channel: str, count: int) -> None:
        texts = [f"{channel}{self.life[channel]}:{len(self.text[channel]) + n}" for n in range(count)]
        if channel in self.ends:
            with pytest.raises(Ended, match=self.ends[channel][0]):
                self.rig.publish(*texts, channel=channel)
        else:
            self.rig.publish(*texts, channel=channel)
            self.text[channel] += texts
            self.cursors.append(self.rig.hub.log.head)

    @rule(channel=st.sampled_from("ab"), reason=st.sampled_from(["done", "failed", "cancelled"]))
    def end(self, channel: str, reason: str) -> None:
        if channel in self.ends:
            with pytest.raises(Ended):
                end(self.rig, channel, reason)
        else:
            id = end(self.rig, channel, reason)
            self.ends[channel] = reason, id, self.rig.now_ms
            self.cursors.append(id)
            self.finished_text[channel, self.life[channel]] = self.text[channel]

    @rule(channel=st.sampled_from("ab"))
    def delete(self, channel: str) -> None:
        done(self.rig.hub.store.forget(channel))
        if self.text[channel] or channel in self.ends:
            self.begin_anew(channel)

    @rule(later_ms=st.sampled_from([0, 400, 1100]))
    def expire(self, later_ms: int) -> None:
        self.rig.now_ms += later_ms
        while self.rig.hub.expire(self.rig.now_ms):
            pass
        if "b" in self.ends and self.ends["b"][2] + 1000 <= self.rig.now_ms:
            self.begin_anew("b")

    @rule()
    def turn(self) -> None:
        self.rig.turn()

    @rule(channel=st.sampled_from("ab"), live=st.booleans())
    def read(self, channel: str, live: bool) -> None:
        connection, subscriber = self.rig.subscribe(channel, from_start=True, live=live)
        assert not subscriber.lost  # nothing of a life is ever dropped but all of it
        self.readers.append((channel, self.life[channel], connection, subscriber))

    @rule(which=st.integers(0, 99), can_take=st.booleans())
    def advance(self, which: int, can_take: bool) -> None:
        if self.readers:
            _, _, connection, subscriber = self.readers[which % len(self.readers)]
            connection.can_take = can_take
            self.rig.hub.advance(subscriber)  # type: ignore[arg-type]

    @rule(channel=st.sampled_from("ab"), which=st.integers(0, 99))
    def come_back(self, channel: str, which: int) -> None:
        if not self.cursors:
            return
        cursor = self.cursors[which % len(self.cursors)]
        start = Start(True, cursor)
        position = done(start.locate(self.rig.hub, Subscription(frozenset({channel})), no_pause))
        assert (position.end is None) == (channel not in self.ends)
        if position.end is not None and not position.lost:
            assert (position.cursor >= position.end.id) == (cursor >= self.ends[channel][1])

    @invariant()
    def nothing_follows_an_end(self) -> None:
        for channel, life, connection, _ in self.readers:
            received = [event for event in connection.received if event.type != "live"]
            kinds = [event.type for event in received]
            assert "end" not in kinds[:-1]
            assert (connection.finished is True) == ("end" in kinds)
            if connection.finished and "lost" not in kinds and (channel, life) in self.finished_text:
                assert connection.data == self.finished_text[channel, life]

    def teardown(self) -> None:
        for _, _, connection, subscriber in self.readers:
            connection.can_take = True
            while self.rig.hub.advance(subscriber):  # type: ignore[arg-type]
                pass
        self.rig.turn()
        self.nothing_follows_an_end()
        for channel, life, connection, _ in self.readers:
            kinds = [event.type for event in connection.received]
            if life == self.life[channel] and "lost" not in kinds:
                assert connection.data == self.text[channel]


EveryRun.TestCase.settings = settings(max_examples=100, stateful_step_count=30, deadline=None)


TestEveryRun = EveryRun.TestCase
