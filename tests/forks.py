"""Processes that are forked."""

from __future__ import annotations

import contextlib
import os
import signal
from collections.abc import Callable

from eventually import PATIENCE

__all__ = ["in_a_child"]


def in_a_child(act: Callable[[], object]) -> int:
    """Run it in a forked process; its exit status, or the signal that ended it as a negative number."""
    pid = os.fork()
    if not pid:
        status = 1
        signal.alarm(int(PATIENCE))
        with contextlib.suppress(BaseException):
            act()
            status = 0
        os._exit(status)
    return os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])
