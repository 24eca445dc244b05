"""Events as bytes: framing, chunks, and compressing once for everybody.

Framing follows WHATWG HTML, sections 9.2.5 and 9.2.6: whatever data is published, a conforming parser reads it back,
with every line break (CR, LF or CRLF) as LF. An event is encoded once, when its bytes are first needed, and everyone it
goes to gets the same bytes.

A shared stream is a deflate stream (RFC 1951) that many read from different beginnings. A compressor looks back for
what it has seen before, so its output can only be read by a reader of all of it. Two things make it shareable. Each
flush ends at a byte (a *sync flush*), so that everything that has arrived can be read at once; and a compressor that
has begun anew, a *key frame*, refers to nothing before it. Deflate lets blocks of different compressors follow each
other, so a subscriber may be given, one after the other:

    the gzip header (RFC 1952) · its own catch-up, pages deflated apart · the shared stream, from a key frame on

A key frame costs what the compressor has learnt, so subscribers that come in a storm do not make one each: they are
first given every flush deflated anew (`Subscription.unshared`), and join, all of them together, when
`Hub.join_shared` is called next. Nothing may be written to one of the readers and not to the others: the distances in
what follows would be wrong. A subscriber that falls behind is given pages deflated apart, and joins again at a key
frame.

A gzip member ends with a checksum of all its text, which nobody has here: streams end without one, as a connection that
breaks does. Decoders have given everything by then.
"""

from __future__ import annotations

import re
import zlib
from collections import OrderedDict
from collections.abc import Sequence

from .events import Event, EventId, compact_json
from .subscription import Subscription

__all__ = ["Compressors", "SharedStream", "encode", "first", "frame", "wrap"]

_LINE_BREAK = re.compile(r"\r\n|\r|\n")  # not str.splitlines(), which breaks at eight more characters (9.2.5)
_GZIP_HEADER = b"\x1f\x8b\x08\x00\x00\x00\x00\x00\x00\xff"
"""RFC 1952, section 2.3: deflate, no name, no time, of no known system."""
_LEVEL = 6
_RAW = -15  # a window of 32 kB, and neither header nor checksum
_COMPRESSORS = 256
"""Kept at once, at 256 kB each. To let one go is only a key frame more."""


def frame(data: str, *, id: EventId | None = None, type: str | None = None, retry_ms: int | None = None) -> bytes:
    """Encode one event for the wire (WHATWG HTML 9.2.5).

    `type` must hold no line break; everything that is published has passed `check_type`.
    """
    lines = [] if retry_ms is None else [f"retry: {retry_ms}"]
    if id is not None:
        lines.append(f"id: {id.ms}-{id.sequence}")
    if type is not None:
        lines.append(f"event: {type}")
    if "\n" in data or "\r" in data:
        lines.extend(f"data: {line}" for line in _LINE_BREAK.split(data))
    else:
        lines.append(f"data: {data}")
    # A lone surrogate can come in by JSON ("\\ud800") and has no UTF-8: it goes out as a question mark.
    return ("\n".join(lines) + "\n\n").encode("utf-8", "replace")


def encode(subscription: Subscription, event: Event) -> bytes:
    """An event's frame in the form that the subscription wants, made once for all."""
    if subscription.envelope:
        if event.envelope is None:
            event.envelope = frame(compact_json(event.as_json()), id=event.id)
        return event.envelope
    if event.frame is None:
        event.frame = frame(event.data, id=event.id, type=None if event.type == "message" else event.type)
    return event.frame


def wrap(subscription: Subscription, frames: Sequence[bytes]) -> bytes:
    """Frames for one subscriber, or for all that stand at one place, as the bytes that go to the transport."""
    data = b"".join(frames)
    return _chunk(subscription, _deflate(data) if subscription.gzip and data else data)


def first(subscription: Subscription, frame: bytes) -> bytes:
    """The first frame of a stream, as the bytes that go to the transport."""
    return _chunk(subscription, _GZIP_HEADER + _deflate(frame) if subscription.gzip else frame)


def _chunk(subscription: Subscription, data: bytes) -> bytes:
    """Coded bytes in a chunk of HTTP/1.1's chunked transfer coding (RFC 9112, section 7.1), if the subscription is in
    chunks."""
    return b"%x\r\n%b\r\n" % (len(data), data) if subscription.chunked and data else data


def _deflate(data: bytes) -> bytes:
    """The data as blocks that can stand anywhere in a deflate stream, and be read at once."""
    compressor = zlib.compressobj(_LEVEL, zlib.DEFLATED, _RAW)
    return compressor.compress(data) + compressor.flush(zlib.Z_SYNC_FLUSH)


class Compressors:
    """The compressors of shared streams, of which those used last are kept."""

    def __init__(self, most: int = _COMPRESSORS) -> None:
        self._most = most
        self._kept: OrderedDict[SharedStream, zlib._Compress] = OrderedDict()

    def of(self, stream: SharedStream) -> zlib._Compress:
        """The compressor of a stream, a new one if it has none."""
        compressor = self._kept.get(stream)
        if compressor is None:
            compressor = self._kept[stream] = zlib.compressobj(_LEVEL, zlib.DEFLATED, _RAW)
            if len(self._kept) > self._most:
                self._kept.popitem(last=False)
        else:
            self._kept.move_to_end(stream)
        return compressor

    def drop(self, stream: SharedStream) -> None:
        """Let it go: what the stream compresses next is a key frame."""
        self._kept.pop(stream, None)


class SharedStream:
    """The deflate stream of one subscription.

    :param compressors: where its compressor is kept.
    """

    def __init__(self, compressors: Compressors, subscription: Subscription) -> None:
        self._compressors = compressors
        self._subscription = subscription
        self._frames: list[bytes] = []

    def add(self, frame: bytes) -> None:
        """Add a frame for everybody who reads the stream."""
        self._frames.append(frame)

    def flush(self) -> bytes:
        """Compress what has been added; the bytes go to the transport of every reader."""
        if not self._frames:
            return b""
        compressor = self._compressors.of(self)
        segment = compressor.compress(b"".join(self._frames)) + compressor.flush(zlib.Z_SYNC_FLUSH)
        self._frames = []
        return _chunk(self._subscription, segment)

    def reset(self) -> None:
        """Make a key frame of what is compressed next."""
        self._compressors.drop(self)
