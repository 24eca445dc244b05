"""The contents of a SQLite file by channel: how many events it retains, how channels have ended, and when events
expire.

It is kept in memory and always agrees with the file: the changes of a transaction are `Staged` until it is committed. A
channel is looked at only when something of it may expire. All of it belongs to the thread that writes.
"""

from __future__ import annotations

import sqlite3
from collections import Counter
from collections.abc import Sequence

from ..core.due import Due
from ..core.ends import End, Ended, Idle, read_reason
from ..core.events import END, Draft, Event, EventId
from ..core.ports import ChannelState
from ..core.rules import Rules
from ..core.times import Times
from .entries import has_valid_names

__all__ = ["STEP", "Expiry", "Retention", "Staged"]

STEP = 500
"""Largest number of rows deleted at once. It takes a few milliseconds, for which publishers wait."""


class Staged:
    """The changes of a transaction."""

    def __init__(self) -> None:
        self.added = Counter[str]()
        """Events, by channel."""
        self.ends: dict[str, End] = {}
        self.forgotten: list[str] = []
        self.published: dict[str, None] = {}
        """Channels that were published to."""


class Retention:
    """The retained events of a file, counted by channel.

    :param rules: the bounds of each channel.
    """

    def __init__(self, rules: Rules) -> None:
        self.times = Times()
        self.idle = Idle(rules)
        self._rules = rules
        self._version = rules.version
        self._counts = Counter[str]()
        self._ends: dict[str, End] = {}
        self._due = Due[str]()

    def load(self, connection: sqlite3.Connection) -> None:
        """Read the counts and the ends from the file."""
        self._counts = Counter(dict(connection.execute("SELECT channel, count(*) FROM events GROUP BY channel")))
        self._ends.clear()
        for channel, ms, seq, data in connection.execute(
            "SELECT channel, ms, seq, data FROM events WHERE type = 'end'"
        ):
            reason = read_reason(END, data) if isinstance(data, str) and has_valid_names(channel, END) else None
            if reason is not None:
                self._ends[channel] = End(EventId(ms, seq), reason)
        self._due.clear()
        self.idle.clear()
        for channel in self._counts:  # it is unknown when something of them expires: find out, a few at a time
            self._due.at(channel, 0)

    def end_of(self, channel: str) -> End | None:
        """How a channel has ended. Any thread may call this."""
        return self._ends.get(channel)

    def state(self, channel: str) -> ChannelState:
        """The state of a channel. Any thread may call this."""
        return ChannelState(channel in self._counts, self._ends.get(channel))

    def check(self, drafts: Sequence[Draft], staged: Staged) -> None:
        """:raises Ended: if a channel takes no more events."""
        for channel in {draft.channel for draft in drafts}:
            ended = staged.ends.get(channel) or (None if channel in staged.forgotten else self._ends.get(channel))
            if ended is not None:
                raise Ended(channel, ended.reason)

    def is_silent(self, channel: str, staged: Staged) -> bool:
        """Whether the channel was found idle and has had no publish since. A channel with ephemeral events only is
        known for as long as it would keep an event."""
        rule = self._rules.of(channel)
        is_known = channel in self._counts or (rule.idle_end or 0) * 1000 <= rule.history_age_ms
        has_changed = channel in staged.published or channel in staged.forgotten
        return is_known and not has_changed and self.idle.is_silent(channel)

    def stage(self, event: Event, staged: Staged) -> None:
        """Note an event that is about to be committed."""
        staged.published[event.channel] = None
        if event.id is None:
            return
        staged.added[event.channel] += 1
        if (reason := read_reason(event.type, event.data)) is not None:
            staged.ends[event.channel] = End(event.id, reason)

    def trim(self, connection: sqlite3.Connection, staged: Staged) -> None:
        """Delete events that are too many in the channels of this transaction, some at a time."""
        for channel in staged.added:
            rule = self._rules.of(channel)
            least = 1 if channel in staged.ends else rule.least
            count = self._counts[channel] + staged.added[channel]
            excess = min(count - max(rule.history, least), 2 * STEP)
            if excess > 0:
                (*last,) = connection.execute(
                    "SELECT ms, seq FROM events WHERE channel = ? ORDER BY ms, seq LIMIT 1 OFFSET ?",
                    (channel, excess - 1),
                ).fetchone()
                _delete(connection, channel, EventId(*last))
                staged.added[channel] -= excess

    def forget(self, connection: sqlite3.Connection, channel: str, floor: EventId, staged: Staged) -> None:
        """Delete all events of a channel, which begins anew above the floor."""
        connection.execute("DELETE FROM events WHERE channel = ?", (channel,))
        connection.execute("INSERT OR REPLACE INTO floors VALUES (?, ?, ?, 1)", (channel, *floor))
        staged.forgotten.append(channel)
        staged.ends.pop(channel, None)
        staged.published.pop(channel, None)
        staged.added[channel] = -self._counts[channel]

    def commit(self, staged: Staged, now_ms: int) -> None:
        """Apply the changes of a transaction that was committed."""
        self.times.latest_ms = max(self.times.latest_ms, now_ms)
        for channel in staged.forgotten:
            self._ends.pop(channel, None)
            self._due.discard(channel)
            self.idle.discard(channel)
        self._ends.update(staged.ends)
        self._add(staged.added)
        for channel in staged.published:
            if channel in staged.ends:
                self.idle.discard(channel)
            else:
                self.idle.note(channel, now_ms)
        for channel, added in staged.added.items():
            rule, count = self._rules.of(channel), self._counts.get(channel, 0)
            if channel in staged.ends:
                self._due.by(channel, now_ms + rule.end_age_ms)
            elif count > rule.least and channel not in self._due:
                is_new = count <= added  # otherwise it has an event that was kept as the last one, whatever its age
                self._due.at(channel, now_ms + (rule.history_age_ms if is_new else 0))

    def _add(self, counts: Counter[str]) -> None:
        for channel, count in counts.items():
            self._counts[channel] += count
            if self._counts[channel] <= 0:
                del self._counts[channel]

    def set_back(self, now_ms: int, head: EventId) -> bool:
        """Note the time of the clock; return whether the clock was set back. Then ids up to `head` were given while it
        was ahead."""
        back = self.times.note(now_ms, head)
        if back:
            self._due.bring_forward(now_ms)
        return back

    def anything_due(self, now_ms: int) -> bool:
        """Whether `expire` has anything to look at."""
        self._review()
        next_ms = self._due.next_ms
        return next_ms is not None and next_ms <= now_ms

    def expire(self, connection: sqlite3.Connection, now_ms: int, expiry: Expiry) -> None:
        """Delete some of the events that are too old or too many. `finish_expiry` is called after the transaction."""
        while expiry.rows < STEP and (channel := self._due.pop(now_ms)) is not None:
            expiry.looked_at[channel] = now_ms
            expiry.rows += 1
            self._expire(connection, channel, now_ms, expiry)

    def finish_expiry(self, expiry: Expiry, *, committed: bool) -> None:
        """Apply the expiry if it was committed; otherwise let its channels be due again."""
        if committed:
            for channel in expiry.forgotten:
                self._ends.pop(channel, None)
            self._add(expiry.gone)
        for channel, due_ms in expiry.looked_at.items():
            if not committed:
                self._due.by(channel, 0)
            elif due_ms is not None and channel in self._counts:
                self._due.by(channel, due_ms)

    def _expire(self, connection: sqlite3.Connection, channel: str, now_ms: int, expiry: Expiry) -> None:
        rule, end, count = self._rules.of(channel), self._ends.get(channel), self._counts[channel]
        if end is None:  # its rule may be new, and its publisher may be gone, too
            is_unknown = rule.idle_end is not None and channel not in self.idle
            self.idle.review(channel, _newest_ms(connection, channel) if is_unknown else 0, now_ms)
        age_ms, least = rule.history_age_ms, rule.least
        expires_ms: float | None = None  # the time of all events; None: each event has its own
        if end is not None:
            age_ms, least = rule.end_age_ms, 1
            row = connection.execute("SELECT ifnull(accepted, ms) FROM events WHERE (ms, seq) = (?, ?)", end.id)
            (accepted,) = row.fetchone() or (0,)
            expires_ms = self.times.accepted_ms(end.id, accepted) + age_ms
            least = 0 if expires_ms <= now_ms else least
        excess = count - max(rule.history, least)
        gone, last, next_ms = 0, None, expires_ms
        for ms, seq, accepted in connection.execute(
            "SELECT ms, seq, ifnull(accepted, ms) FROM events WHERE channel = ? ORDER BY ms, seq LIMIT ?",
            (channel, STEP + 1),
        ):
            id = EventId(ms, seq)
            due_ms = self.times.accepted_ms(id, accepted) + age_ms if expires_ms is None else expires_ms
            if gone >= count - least:
                break
            if gone == STEP or (gone >= excess and due_ms > now_ms):
                next_ms = 0 if gone == STEP else due_ms
                break
            gone, last = gone + 1, id
        if last is not None:
            whole = end is not None and last == end.id
            _delete(connection, channel, last, anew=whole)
            if whole:
                expiry.forgotten.append(channel)
        expiry.rows += gone
        expiry.gone[channel] -= gone
        expiry.looked_at[channel] = next_ms

    def _review(self) -> None:
        """After the rules were replaced, look at every channel, a few at a time."""
        if self._version != self._rules.version:
            self._version = self._rules.version
            for channel in self._counts:
                self._due.by(channel, 0)


class Expiry:
    """The changes of one step of expiring."""

    def __init__(self) -> None:
        self.rows = 0
        """The amount of work in this step."""
        self.gone = Counter[str]()
        """Numbers of deleted events by channel, as negative numbers."""
        self.forgotten: list[str] = []
        """Channels that had ended and now begin anew."""
        self.looked_at: dict[str, float | None] = {}
        """The time at which each channel is due again; None for never."""


def _newest_ms(connection: sqlite3.Connection, channel: str) -> int:
    """The time at which a channel's newest event was accepted."""
    row = connection.execute(
        "SELECT ifnull(accepted, ms) FROM events WHERE channel = ? ORDER BY ms DESC, seq DESC LIMIT 1", (channel,)
    ).fetchone()
    return row[0] if row else 0


def _delete(connection: sqlite3.Connection, channel: str, last: EventId, *, anew: bool = False) -> None:
    """Delete a channel's events up to this one."""
    connection.execute("DELETE FROM events WHERE channel = ? AND (ms, seq) <= (?, ?)", (channel, *last))
    connection.execute("INSERT OR REPLACE INTO floors VALUES (?, ?, ?, ?)", (channel, *last, int(anew)))
