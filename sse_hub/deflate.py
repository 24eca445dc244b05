"""Compressing once for everybody: a deflate stream (RFC 1951) that many read from different beginnings.

A compressor looks back for what it has seen before, so its output can only be read by who has read all of it. Two
things make it shareable. Each flush ends at a byte (a *sync flush*), so that whatever has arrived can be read at once;
and a compressor that has begun anew, a *key frame*, refers to nothing before it. Deflate lets blocks of different
compressors follow each other, so a subscriber may be given, one after the other:

    the gzip header (RFC 1952) · its own catch-up, pages deflated apart · the shared stream, from a key frame on

A key frame costs what the compressor has learnt, so those who come in a storm do not make one each: they are first
given every flush deflated anew (`Subscription.apart`), and join, all of them together, when `Hub.share` is called next.
Nothing may be written to one of those who share and not to the others: the distances in what follows would be wrong.
Whoever falls behind is given pages deflated apart, and joins again at a key frame.

A gzip member ends with a checksum of all its text, which nobody has here: streams end without one, as a connection that
breaks does. Decoders have given everything by then.
"""

from __future__ import annotations

import zlib
from collections import OrderedDict
from collections.abc import Sequence
from typing import TYPE_CHECKING

from .events import Event, Subscription

if TYPE_CHECKING:
    from .subscriber import Group

__all__ = ["Compressors", "Shared", "deflated", "opened", "wrapped"]

_GZIP_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
"""RFC 1952, section 2.3: deflate, no name, no time, of no known system."""
_LEVEL = 6
_RAW = -15  # a window of 32 kB, and neither header nor checksum
_COMPRESSORS = 256
"""Kept at once, at 256 kB each. To let one go is only a key frame more."""


def deflated(data: bytes) -> bytes:
    """The data as blocks that can stand anywhere in a deflate stream, and be read at once."""
    compressor = zlib.compressobj(_LEVEL, zlib.DEFLATED, _RAW)
    return compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH)


def wrapped(subscription: Subscription, frames: Sequence[bytes]) -> bytes:
    """Frames for one subscriber, or for all who stand at one place, as the bytes that go to the transport."""
    data = b"".join(frames)
    return subscription.enclose(deflated(data) if subscription.gzip and data else data)


def opened(subscription: Subscription, frame: bytes) -> bytes:
    """The first frame of a stream, as the bytes that go to the transport."""
    return subscription.enclose(_GZIP_HEADER + deflated(frame) if subscription.gzip else frame)


class Compressors:
    """The compressors in use, of which those used last are kept."""

    def __init__(self, most: int = _COMPRESSORS) -> None:
        self._most = most
        self._kept: OrderedDict[Shared, zlib._Compress] = OrderedDict()

    def of(self, shared: Shared) -> zlib._Compress:
        """The compressor of a stream, a new one if it has none."""
        compressor = self._kept.get(shared)
        if compressor is None:
            compressor = self._kept[shared] = zlib.compressobj(_LEVEL, zlib.DEFLATED, _RAW)
            if len(self._kept) > self._most:
                self._kept.popitem(last=False)
        else:
            self._kept.move_to_end(shared)
        return compressor

    def shared(self, subscription: Subscription, groups: list[Group]) -> Shared | None:
        """The stream that the subscription's groups have in common; None if it is not compressed."""
        if not subscription.gzip or subscription.apart:
            return None
        return groups[0].shared if groups else Shared(self, groups)

    def drop(self, shared: Shared) -> None:
        """Let it go: what the stream compresses next is a key frame."""
        self._kept.pop(shared, None)


class Shared:
    """The deflate stream of one subscription.

    :param compressors: where its compressor is kept.
    :param groups: the subscription's groups, those that come later included; all get the same bytes.
    """

    def __init__(self, compressors: Compressors, groups: list[Group]) -> None:
        self._groups = groups
        self._compressors = compressors
        self._frames: list[bytes] = []
        self._last: Event | bytes | None = None

    def add(self, what: Event | bytes, frame: bytes) -> None:
        """Add a frame, once however many groups ask for it."""
        if self._last != what:
            self._last = what
            self._frames.append(frame)

    def cut(self) -> None:
        """Compress what has been added, and give it to every group that has somebody live."""
        if not self._frames:
            return
        compressor = self._compressors.of(self)
        segment = compressor.compress(b"".join(self._frames)) + compressor.flush(zlib.Z_SYNC_FLUSH)
        self._frames = []
        self._last = None
        for group in self._groups:
            if group.live:
                group.pending.append(segment)

    def begin_anew(self) -> None:
        """Make a key frame of what is compressed next."""
        self._compressors.drop(self)
