"""How fast the client's parser reads a stream, and how near that is to merely splitting it into lines.

Run it as `python -m bench parse`; it takes some ten seconds.
"""

from __future__ import annotations

import codecs
import sys
import time
from collections.abc import Callable
from pathlib import Path

sys.path.insert(0, str(Path(__file__).resolve().parent.parent))

from sse_client import EventParser

_STREAM_BYTES = 32 << 20
_CHUNK_BYTES = 64 << 10  # most that aiohttp hands over at once
_ROUNDS = 3


def stream_of(data_bytes: int) -> bytes:
    """Events with an id and data of this size, as a hub sends them."""
    event = b"id: 1763949600123-0\ndata: " + b"x" * data_bytes + b"\n\n"
    return event * (_STREAM_BYTES // len(event))


def parse(chunks: list[bytes]) -> int:
    parser = EventParser()
    return sum(len(parser.feed(chunk)) for chunk in chunks)


def split(chunks: list[bytes]) -> int:
    """The least work of any reader: decode, and find line breaks."""
    decoder = codecs.getincrementaldecoder("utf-8")("replace")
    return sum(len(decoder.decode(chunk).split("\n")) for chunk in chunks)


def seconds(read: Callable[[list[bytes]], int], chunks: list[bytes]) -> float:
    """The best of some rounds, because disturbances only make a measurement longer."""
    times = []
    for _ in range(_ROUNDS):
        began = time.perf_counter()
        read(chunks)
        times.append(time.perf_counter() - began)
    return min(times)


def main() -> int:
    print(f"{'data of an event':>16}  {'MB/s':>6}  {'events/s':>9}  share of splitting alone")
    for data_bytes in (20, 100, 1000, 16_000):
        stream = stream_of(data_bytes)
        chunks = [stream[at : at + _CHUNK_BYTES] for at in range(0, len(stream), _CHUNK_BYTES)]
        took = seconds(parse, chunks)
        events = parse(chunks)
        share = seconds(split, chunks) / took
        print(f"{data_bytes:>10,} bytes  {len(stream) / took / 1e6:>6,.0f}  {events / took:>9,.0f}  {share:.0%}")
    return 0
