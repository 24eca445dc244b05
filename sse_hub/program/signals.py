"""The signals of the server: SIGTERM and SIGINT end it, SIGHUP lets it read its files again.

serving.py has what happens then. The event loop of Windows does not support signals; there, `on` uses `signal.signal`.

Without a handler, a signal ends the process. So it can be held back until there is one, and after the loop has closed.
"""

from __future__ import annotations

import asyncio
import contextlib
import signal
from collections.abc import Callable, Collection

__all__ = ["handle", "hold_back", "let_through", "on", "restore"]

_ENDING = ("SIGTERM", "SIGINT")


def handle(end: Callable[[], None], read_again: Callable[[], None], *, second_ends: bool = True) -> None:
    """Handle the signals of a server in the running loop.

    :param end: called at SIGTERM or SIGINT.
    :param read_again: called at SIGHUP.
    :param second_ends: whether a second SIGTERM or SIGINT ends the process at once. Otherwise it calls `end` again.
    """

    def act() -> None:
        if second_ends:
            for name in _ENDING:
                restore(name)
        end()

    for name in _ENDING:
        on(name, act)
    on("SIGHUP", read_again)


def hold_back(*names: str) -> None:
    """Let these signals wait until `on` or `let_through`. Threads that are started meanwhile never get them.

    Do nothing if the system cannot do that.
    """
    _mask("SIG_BLOCK", names)


def let_through(*names: str) -> None:
    """End the effect of `hold_back`."""
    _mask("SIG_UNBLOCK", names)


def _mask(how: str, names: Collection[str]) -> None:
    if hasattr(signal, "pthread_sigmask"):
        signal.pthread_sigmask(getattr(signal, how), {getattr(signal, name) for name in names})


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
    let_through(name)


def restore(name: str) -> None:
    """Let the signal have its default effect again."""
    number = getattr(signal, name, None)
    if number is None:
        return
    with contextlib.suppress(NotImplementedError, AttributeError):
        asyncio.get_running_loop().remove_signal_handler(number)
    signal.signal(number, signal.SIG_DFL)
