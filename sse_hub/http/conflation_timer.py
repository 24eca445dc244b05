"""The one timer of conflation: it calls `Delivery.release` when the next interval of an audience is over."""

from __future__ import annotations

import asyncio

from ..core.hub import Hub

__all__ = ["Releases"]


class Releases:
    """Releases the gathered events of the conflating audiences of one hub."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._soon: asyncio.Handle | None = None
        self._later: asyncio.TimerHandle | None = None
        hub.delivery.wake = self._wake

    def close(self) -> None:
        """Stop the timer."""
        for handle in (self._soon, self._later):
            if handle is not None:
                handle.cancel()

    def _wake(self) -> None:
        if self._soon is None:
            self._soon = asyncio.get_running_loop().call_soon(self._release)

    def _release(self) -> None:
        self.close()
        self._soon = self._later = None
        loop = asyncio.get_running_loop()
        now = loop.time()
        next_ms = self._hub.delivery.release(now * 1000)
        if next_ms is not None:
            self._later = loop.call_at(max(next_ms / 1000, now + 0.001), self._release)
