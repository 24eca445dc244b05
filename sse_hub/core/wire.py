"""Events as bytes: framing, chunks, and compression that is shared by all subscribers.

Framing follows WHATWG HTML, sections 9.2.5 and 9.2.6. A conforming parser reads all data back as they were published,
but with every line break (CR, LF or CRLF) as LF. An event is encoded once, when its bytes are first needed, and all
subscribers get the same bytes.

A shared stream is a deflate stream (RFC 1951) with many readers that begin at different times. A compressor refers back
to earlier text, so a reader needs all of its output. Two things make the stream shareable. Each flush ends at a byte (a
*sync flush*), so that a reader can decode everything that has arrived. And the first output of a new compressor, a *key
frame*, refers to nothing before it. In a deflate stream, blocks of different compressors may follow each other. So a
subscriber gets, in this order:

    the gzip header (RFC 1952) · its own catch-up, pages deflated apart · the shared stream, from a key frame on

A key frame costs the compressor its memory of earlier text. So new subscribers do not cause one each. At first, each
flush is deflated separately for them (`Subscription.unshared`). With the next `Hub.join_shared`, all of them join the
shared stream together. All readers of a shared stream must get the same bytes, or the distances in later blocks would
be wrong. A subscriber that falls behind gets pages that are deflated separately, and joins again at a key frame.

A gzip member should end with a checksum of all its text. No part of the hub knows all of it, so streams end without a
checksum, like a connection that breaks. Decoders have returned all data by then.
"""

from __future__ import annotations

import functools
import zlib
from collections.abc import Callable, Sequence
from threading import Lock
from typing import TypeVar

from cachetools import LRUCache

from .events import Event, EventId, compact_json
from .subscription import Subscription

__all__ = ["Compressors", "SharedStream", "encode", "first", "frame", "lost_notice", "wrap"]

Source = TypeVar("Source")

_GZIP_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
"""RFC 1952, section 2.3: deflate, without name and time, unknown system."""
_NEXT = b"\ndata: "
"""A line break in data."""
_CRS, _LFS, _NEXTS = b"\r" * 16, b"\n" * 16, _NEXT * 16
_LEVEL = 6
_RAW = -15  # a window of 32 kB, and neither header nor checksum
_LARGE = 64 << 10
"""Characters of data above which the frame of an event is kept only for a while."""
_LARGE_CHUNK = 256 << 10
"""Size above which a chunk is shared by all audiences that get the same frame. It is more than a page."""
_KEPT_BYTES = 32 << 20
"""Size of the large frames and chunks that are kept."""
_COMPRESSORS = 256
"""Compressors kept at once, at 256 kB each. Dropping one costs only a key frame."""


def frame(data: str, *, id: EventId | str | None = None, type: str | None = None, retry_ms: int | None = None) -> bytes:
    """Encode one event for the wire (WHATWG HTML 9.2.5).

    `id` and `type` must have no line break; `check_type` has checked every published type.
    """
    head = "" if retry_ms is None else f"retry: {retry_ms}\n"
    if id is not None:
        head += f"id: {id.ms}-{id.sequence}\n" if isinstance(id, EventId) else f"id: {id}\n"
    if type is not None:
        head += f"event: {type}\n"
    # JSON can bring a lone surrogate ("\\ud800"), which has no UTF-8. It is sent as a question mark.
    if "\n" not in data and "\r" not in data:
        return f"{head}data: {data}\n\n".encode("utf-8", "replace")
    # Not str.splitlines(), which breaks at eight more characters (9.2.5). A string for each line would hold the event
    # loop for 170 ms if a body of 1 MiB has nothing but line breaks. These are bytes, because a text of 7 MiB takes
    # 28 MiB if it has one emoji.
    body = data.encode("utf-8", "replace").replace(b"\r\n", b"\n").replace(_CRS, _LFS).replace(b"\r", b"\n")
    # Runs of line breaks first, by a byte that UTF-8 does not have. One by one, a million of them take 6 ms more.
    body = body.replace(_LFS, b"\xff").replace(b"\n", _NEXT).replace(b"\xff", _NEXTS)
    return b"".join((head.encode("utf-8", "replace"), b"data: ", body, b"\n\n"))


def encode(subscription: Subscription, event: Event) -> bytes:
    """An event's frame in the form of the subscription. It is made once and kept, if it is small."""
    if subscription.envelope:
        if event.envelope is None:
            if len(event.data) > _LARGE:
                return _kept.get(event, _enveloped)
            event.envelope = _enveloped(event)
        return event.envelope
    if event.frame is None:
        if len(event.data) > _LARGE:
            return _kept.get(event, _framed)
        event.frame = _framed(event)
    return event.frame


def _enveloped(event: Event) -> bytes:
    return frame(compact_json(event.as_json()), id=event.id)


def _framed(event: Event) -> bytes:
    return frame(event.data, id=event.id, type=None if event.type == "message" else event.type)


class _Kept:
    """Large bytes that were used last, with what they were made from. If the frames of large events stayed with them, a
    log of 1 GiB of line breaks would take 8 GiB."""

    def __init__(self) -> None:
        self._made: LRUCache[object, tuple[object, bytes]] = LRUCache(_KEPT_BYTES, _size)
        self._lock = Lock()  # a process may have several hubs, each in a thread: see testing.py

    def get(self, source: Source, make: Callable[[Source], bytes]) -> bytes:
        """What `make` makes from the source."""
        key = id(source), make  # it is that of this source, because the source is kept, too
        with self._lock:
            kept = self._made.get(key)
        if kept is None:
            kept = source, make(source)
            if _size(kept) <= _KEPT_BYTES:
                with self._lock:
                    self._made[key] = kept
        return kept[1]


def _size(kept: tuple[object, bytes]) -> int:
    source, made = kept
    return len(made) + (len(source) if isinstance(source, bytes) else 0)


_kept = _Kept()


@functools.lru_cache(16)  # ten thousand audiences can lose the same events
def lost_notice(after: EventId, following: EventId) -> bytes:
    """The event `lost`: between these two ids, events are gone. It has no id, so a client whose connection breaks here
    still has its old cursor and is informed again."""
    return frame(compact_json({"after": str(after), "next": str(following)}), type="lost")


def wrap(subscription: Subscription, frames: Sequence[bytes]) -> bytes:
    """Frames as bytes for the transport."""
    data = b"".join(frames)
    if len(frames) == 1 and len(data) > _LARGE_CHUNK and subscription.chunked and not subscription.gzip:
        return _kept.get(data, _chunked)
    return _chunk(subscription, _deflate(data) if subscription.gzip and data else data)


def first(subscription: Subscription, frame: bytes) -> bytes:
    """The first frame of a stream as bytes for the transport."""
    return _chunk(subscription, _GZIP_HEADER + _deflate(frame) if subscription.gzip else frame)


def _chunk(subscription: Subscription, data: bytes) -> bytes:
    """The data as a chunk of HTTP/1.1's chunked transfer coding (RFC 9112, section 7.1), if the subscription needs
    chunks."""
    return _chunked(data) if subscription.chunked and data else data


def _chunked(data: bytes) -> bytes:
    return b"".join((b"%x\r\n" % len(data), data, b"\r\n"))


def _deflate(data: bytes) -> bytes:
    """The data as blocks that may stand anywhere in a deflate stream and can be decoded at once."""
    compressor = zlib.compressobj(_LEVEL, zlib.DEFLATED, _RAW)
    return compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH)


class Compressors:
    """The compressors of shared streams. The ones that were used last are kept."""

    def __init__(self, most: int = _COMPRESSORS) -> None:
        self._kept: LRUCache[SharedStream, zlib._Compress] = LRUCache(most)

    def of(self, stream: SharedStream) -> zlib._Compress:
        """The compressor of a stream, a new one if it has none."""
        compressor = self._kept.get(stream)
        if compressor is None:
            compressor = self._kept[stream] = zlib.compressobj(_LEVEL, zlib.DEFLATED, _RAW)
        return compressor

    def drop(self, stream: SharedStream) -> None:
        """Drop a stream's compressor. Its next flush is a key frame."""
        self._kept.pop(stream, None)


class SharedStream:
    """The deflate stream of one subscription.

    :param compressors: keeps its compressor.
    """

    def __init__(self, compressors: Compressors, subscription: Subscription) -> None:
        self._compressors = compressors
        self._subscription = subscription
        self._frames: list[bytes] = []

    def add(self, frame: bytes) -> None:
        """Add a frame for all readers of the stream."""
        self._frames.append(frame)

    def flush(self) -> bytes:
        """Compress the added frames; return the bytes for the transport of every reader."""
        if not self._frames:
            return b""
        compressor = self._compressors.of(self)
        segment = compressor.compress(b"".join(self._frames)) + compressor.flush(zlib.Z_SYNC_FLUSH)
        self._frames = []
        return _chunk(self._subscription, segment)

    def reset(self) -> None:
        """Make the next flush a key frame."""
        self._compressors.drop(self)
