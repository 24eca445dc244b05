from __future__ import annotations

import gzip
import io
import zlib

from sse_hub.core.subscription import Subscription
from sse_hub.core.wire import Compressors, SharedStream, first, wrap

GZIP = Subscription(frozenset({"c"}), chunked=False, gzip=True)


def test_a_chunk_is_its_length_in_hexadecimal_and_its_bytes() -> None:
    assert wrap(Subscription(frozenset({"c"})), [b"x" * 20, b"x" * 6]) == b"1a\r\n" + b"x" * 26 + b"\r\n"


def test_no_empty_chunk_is_written_because_it_would_end_the_body() -> None:
    assert wrap(Subscription(frozenset({"c"})), []) == b""


def test_an_http_1_0_subscriber_gets_bytes_without_chunks() -> None:
    assert wrap(Subscription(frozenset({"c"}), chunked=False), [b"a", b"b"]) == b"ab"


def test_deflated_pieces_can_follow_each_other_and_be_read_at_once() -> None:
    reader = zlib.decompressobj(-15)
    for text in (b"one", b"two", b"one two"):
        assert reader.decompress(wrap(GZIP, [text])) == text


def test_what_a_shared_stream_flushes_can_be_read_from_a_reset_on() -> None:
    stream = SharedStream(Compressors(), GZIP)
    early, late = zlib.decompressobj(-15), zlib.decompressobj(-15)
    for text in (b"one", b"two"):
        stream.add(text)
    assert early.decompress(stream.flush()) == b"onetwo"
    assert stream.flush() == b""
    stream.reset()
    stream.add(b"three")
    segment = stream.flush()
    assert early.decompress(segment) == late.decompress(segment) == b"three"


def test_a_stream_begins_with_a_header_that_gzip_reads() -> None:
    member = first(Subscription(frozenset({"c"}), chunked=False, gzip=True), b"hello")
    assert gzip.GzipFile(fileobj=io.BytesIO(member)).read(5) == b"hello"


def test_what_is_wrapped_for_one_is_deflated_apart() -> None:
    subscription = Subscription(frozenset({"c"}), chunked=False, gzip=True)
    assert zlib.decompressobj(-15).decompress(wrap(subscription, [b"a", b"b"])) == b"ab"
    assert wrap(subscription, []) == b""


def test_a_compressor_is_kept_while_it_is_among_those_used_last() -> None:
    compressors = Compressors(2)
    one, two, three = (SharedStream(compressors, GZIP) for _ in range(3))
    kept = compressors.of(one)
    compressors.of(two)
    assert compressors.of(one) is kept
    compressors.of(three)
    assert compressors.of(one) is kept
    compressors.drop(one)
    assert compressors.of(one) is not kept
