"""The streams of each session: those that a browser has opened, or is opening, with the cookie of a token."""

from __future__ import annotations

__all__ = ["Sessions"]


class Sessions:
    """The numbers of the streams of all sessions that have not ended; see `access.session_of`.

    A stream counts from the moment at which its request is accepted. Between that and its beginning, its session can
    end: it then has the stream no more.
    """

    def __init__(self) -> None:
        self._streams: dict[bytes, set[int]] = {}

    def add(self, session: bytes | None, stream: int) -> None:
        """Note that a stream is being opened.

        :param session: None for a stream without a session; it is not noted.
        """
        if session is not None:
            self._streams.setdefault(session, set()).add(stream)

    def has(self, session: bytes | None, stream: int) -> bool:
        """Whether the session of a stream has not ended. A stream without a session may go on, too."""
        return session is None or stream in self._streams.get(session, ())

    def discard(self, session: bytes | None, stream: int) -> None:
        """Note that a stream has ended or was not opened."""
        if session is not None and self.has(session, stream):
            self._streams[session].discard(stream)
            if not self._streams[session]:
                del self._streams[session]

    def end(self, session: bytes) -> set[int]:
        """End a session; return its streams."""
        return self._streams.pop(session, set())
