from __future__ import annotations

import gzip
import io
import zlib

from sse_hub.deflate import Compressors, Shared, deflated, opened, wrapped
from sse_hub.events import Subscription


def test_deflated_pieces_can_follow_each_other_and_be_read_at_once() -> None:
    reader = zlib.decompressobj(-15)
    for text in (b"one", b"two", b"one two"):
        assert reader.decompress(deflated(text)) == text


def test_a_stream_begins_with_a_header_that_gzip_reads() -> None:
    member = opened(Subscription(frozenset({"c"}), chunked=False, gzip=True), b"hello")
    assert gzip.GzipFile(fileobj=io.BytesIO(member)).read(5) == b"hello"


def test_what_is_wrapped_for_one_is_deflated_apart() -> None:
    subscription = Subscription(frozenset({"c"}), chunked=False, gzip=True)
    assert zlib.decompressobj(-15).decompress(wrapped(subscription, [b"a", b"b"])) == b"ab"
    assert wrapped(subscription, []) == b""


def test_a_compressor_is_kept_while_it_is_among_those_used_last() -> None:
    compressors = Compressors(2)
    one, two, three = (Shared(compressors, []) for _ in range(3))
    kept = compressors.of(one)
    compressors.of(two)
    assert compressors.of(one) is kept
    compressors.of(three)
    assert compressors.of(one) is kept
    compressors.drop(one)
    assert compressors.of(one) is not kept
