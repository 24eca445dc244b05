"""The streams of each session."""

from __future__ import annotations

from sse_hub.http.sessions import Sessions


def test_a_session_has_its_streams_until_it_ends() -> None:
    sessions = Sessions()
    for stream in (1, 2, 3):
        sessions.add(b"anna", stream)
    sessions.add(b"bob", 4)
    sessions.discard(b"anna", 2)
    assert sessions.end(b"anna") == {1, 3}
    assert not sessions.has(b"anna", 1)
    assert sessions.has(b"bob", 4)
    sessions.discard(b"anna", 1)
    assert sessions.end(b"anna") == set()


def test_a_stream_without_a_session_goes_on() -> None:
    sessions = Sessions()
    sessions.add(None, 1)
    sessions.discard(None, 1)
    assert sessions.has(None, 1)


def test_a_new_session_of_the_same_token_has_only_its_own_streams() -> None:
    sessions = Sessions()
    sessions.add(b"anna", 1)
    sessions.end(b"anna")
    sessions.add(b"anna", 2)
    assert not sessions.has(b"anna", 1)
    sessions.discard(b"anna", 1)
    assert sessions.has(b"anna", 2)


def test_sessions_without_streams_take_no_memory() -> None:
    sessions = Sessions()
    sessions.add(b"anna", 1)
    sessions.discard(b"anna", 1)
    assert vars(sessions) == vars(Sessions())
