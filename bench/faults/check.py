"""The checks after a run: they compare the memories of publishers and followers."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field

__all__ = ["Connected", "Got", "Id", "Lost", "Published", "Story", "check"]

Id = tuple[int, int]
_SLACK_MS = 20_000
"""Largest time between the sending and the publishing of an event that was not acknowledged."""


@dataclass
class Published:
    """Something that a publisher has sent."""

    data: str
    channel: str
    ids: tuple[Id, Id] | None = None
    """The first and the last acknowledged id; None if it is unknown whether it was published."""
    count: int = 1
    sent_ms: int = 0
    """Unix time at which it was sent first."""

    @property
    def parts(self) -> list[str]:
        """The data of its events."""
        return [self.data] if self.count == 1 else [f"{self.data}/{number}" for number in range(self.count)]

    @property
    def shown(self) -> str:
        return f"{self.data[:12]} in {self.channel} as {self.ids}"


@dataclass
class Got:
    """An event that a follower got."""

    id: Id
    data: str


@dataclass
class Lost:
    """A loss that was reported to a follower: events between these ids are gone."""

    after: Id
    next: Id
    excused: bool = False
    """Whether the hub could not know whether events were lost."""


@dataclass
class Connected:
    """A connection that a follower made."""

    cursor: Id | None
    """Its subscription."""
    id: Id
    lost: bool
    excused: bool = False
    at_ms: int = 0
    """Unix time at which it was made."""


@dataclass
class Story:
    """The memory of a follower, in order."""

    name: str
    names: Sequence[str]
    entries: list[Got | Lost | Connected] = field(default_factory=list)

    def covers(self, channel: str) -> bool:
        return any(name == channel or (name.endswith("*") and channel.startswith(name[:-1])) for name in self.names)


def check(published: Sequence[Published], stories: Sequence[Story]) -> list[str]:
    """A sentence for each check that failed."""
    return [wrong for story in stories for wrong in _check(published, story)]


def _check(published: Sequence[Published], story: Story) -> Iterator[str]:
    known = {each.data: each for each in published}
    yield from _check_order(known, story)
    first = next((entry for entry in story.entries if isinstance(entry, Connected)), None)
    if first is None:
        yield f"{story.name} never connected"
        return
    got = {entry.data for entry in story.entries if isinstance(entry, Got)}
    mine = [each for each in published if story.covers(each.channel)]
    missing = [each for each in mine if each.ids and each.ids[0] > first.id and not got.issuperset(each.parts)]
    unknown = [each for each in mine if not each.ids and not got.issuperset(each.parts)]
    ranges = list(_ranges(known, story))
    for each in missing:
        if not any(gone.holds(each) for gone in ranges):
            yield f"{story.name} lacks {each.shown}, which was acknowledged, and got no report of a loss there"
    for gone in ranges:
        if gone.at_ms and any(gone.took_before(each) for each in missing):
            continue
        perhaps = (gone.after[0] - _SLACK_MS < each.sent_ms < gone.latest[0] + _SLACK_MS for each in unknown)
        if not gone.excused and not any(gone.holds(each) for each in missing) and not any(perhaps):
            yield f"{story.name} got a report of a loss from {gone.after} to {gone.latest}, and lacks nothing there"


def _check_order(known: dict[str, Published], story: Story) -> Iterator[str]:
    """Each event once, in the order of ids, as it was published."""
    last: Id = (0, 0)
    seen: set[str] = set()
    for entry in story.entries:
        if isinstance(entry, Connected):
            if entry.lost and entry.id < last:
                last = entry.id  # another stream of ids has begun
        elif isinstance(entry, Got):
            origin = known.get(entry.data.partition("/")[0])
            if origin is None or not story.covers(origin.channel):
                yield f"{story.name} got {entry.data!r}, which was not published in its channels"
            elif origin.ids is not None and not origin.ids[0] <= entry.id <= origin.ids[1]:
                yield f"{story.name} got {entry.data} as {entry.id}; it was acknowledged as {origin.ids}"
            if entry.data in seen:
                yield f"{story.name} got {entry.data} twice"
            if entry.id <= last:
                yield f"{story.name} got {entry.id} after {last}"
            seen.add(entry.data)
            last = entry.id


@dataclass
class _Range:
    """A range of ids in which a loss was reported to a follower."""

    after: Id
    before: dict[str, Id]
    """By channel, the id from which nothing is lost any more."""
    latest: Id
    excused: bool
    at_ms: int = 0
    newer: Id | None = None
    """The range covers only events that were sent after that time."""
    since_ms: int = 1 << 62
    """The time at which the follower's last event of then was sent."""
    anew: bool = False
    """Whether the ids began anew below the cursor: the clock of an earlier hub was ahead."""

    def took_before(self, each: Published) -> bool:
        """Whether an event after the cursor was there to be lost when the connection was made.

        `lost` at a connection says that something after the cursor is gone (docs/protocol.md, "Subscribing"). A node
        may still have the first of these events in pages that it has read. It reports the loss of the others when the
        follower gets there.
        """
        assert each.ids is not None
        return self.after < each.ids[1] and each.sent_ms < self.at_ms

    def holds(self, each: Published) -> bool:
        assert each.ids is not None
        # A hub that begins anew with a clock that is behind has ids below the cursor.
        between = self.since_ms <= each.sent_ms < self.at_ms
        if each.ids[1] <= self.after:
            return between and each.ids[0] < self.before.get(each.channel, self.latest)
        if between and self.anew:
            return True
        # A hub with a clock that was ahead has ended, and its events with it: newer events have lower ids.
        gone = self.newer is not None and each.sent_ms < self.at_ms and self.newer < each.ids[0]
        return gone or each.ids[0] < self.before.get(each.channel, self.latest)


def _ranges(known: dict[str, Published], story: Story) -> Iterator[_Range]:
    """The losses that were reported to the follower.

    If a stream begins with `lost`, events after the cursor are gone, the oldest ones of each channel. After them, a
    channel has no gap.
    """
    for index, entry in enumerate(story.entries):
        if isinstance(entry, Lost):
            yield _Range(entry.after, {}, entry.next, entry.excused)
        elif isinstance(entry, Connected) and entry.lost:
            before: dict[str, Id] = {}
            newer: Id | None = None
            for later in story.entries[index + 1 :]:
                if isinstance(later, Got) and (origin := known.get(later.data.partition("/")[0])) is not None:
                    before.setdefault(origin.channel, later.id)
                    if newer is None and origin.sent_ms > entry.at_ms:
                        newer = later.id
            excused = entry.excused or entry.cursor is None
            latest = max(before.values(), default=(1 << 62, 0))
            cursor = entry.cursor or (0, 0)
            since = _last_sent(known, story.entries[:index])
            yield _Range(cursor, before, latest, excused, entry.at_ms, newer, since, anew=entry.id < cursor)


def _last_sent(known: dict[str, Published], entries: Sequence[Got | Lost | Connected]) -> int:
    """The time at which the last event among these entries was sent."""
    names = (entry.data.partition("/")[0] for entry in reversed(entries) if isinstance(entry, Got))
    return next((known[name].sent_ms for name in names if name in known), 0)
