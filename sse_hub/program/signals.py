"""Signals in the event loop, also on Windows, where the loop does not support them."""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable

__all__ = ["on", "restore"]


def on(name: str, act: Callable[[], None]) -> None:
    """Call a function in the running loop whenever the signal comes. Do nothing if the system lacks the signal."""
    number = getattr(signal, name, None)
    if number is None:
        return
    loop = asyncio.get_running_loop()
    try:
        loop.add_signal_handler(number, act)
    except (NotImplementedError, AttributeError):
        # Python calls this between two instructions of the main thread; the loop has to be woken for it.
        signal.signal(number, lambda *_: loop.call_soon_threadsafe(act))


def restore(name: str) -> None:
    """Let the signal have its default effect again."""
    number = getattr(signal, name, None)
    if number is None:
        return
    with contextlib.suppress(NotImplementedError, AttributeError):
        asyncio.get_running_loop().remove_signal_handler(number)
    signal.signal(number, signal.SIG_DFL)
