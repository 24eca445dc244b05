"""Workers of gunicorn: their exit status, and the refusal of several that do not share a store.

With gunicorn's `--workers 4`, a publish reaches one process, but three quarters of the subscribers are connected to the
others. A shared store makes one hub of all processes. With a store for each process, most subscribers would get nothing
without any error, so the program refuses to start.
"""

from __future__ import annotations

import inspect
from types import FrameType

from ..settings import Settings
from ..stdio import print_error, program_name

__all__ = ["boot_status", "is_worker", "refuse_several"]

_APP_LOAD_ERROR = 4
"""gunicorn's exit status for an application that cannot be loaded. After any other status, it starts the worker again
for ever."""


def refuse_several(settings: Settings) -> None:
    """End the process if it is one of several workers and the store cannot be shared.

    :raises SystemExit: with one line on stderr.
    """
    count = _workers(inspect.currentframe()) or 1
    if count > 1 and settings.address.kind != "redis":
        print_error(
            f"{program_name()}: {count} workers cannot share the store {settings.address.kind}: an event would reach "
            "the subscribers of one worker only; use --workers 1, or SSE_STORE=redis://…"
        )
        raise SystemExit(_APP_LOAD_ERROR)


def is_worker() -> bool:
    """Whether this process is a worker of gunicorn."""
    return _workers(inspect.currentframe()) is not None


def boot_status(status: int) -> int:
    """The exit status of a process that cannot begin.

    :param status: the one without gunicorn.
    """
    return _APP_LOAD_ERROR if is_worker() else status


def _workers(frame: FrameType | None) -> int | None:
    """The number of gunicorn's workers. None without gunicorn.

    gunicorn gives an application no information about itself. But one of gunicorn's objects is among our callers, and
    it has the settings from the command line, the environment or a file.
    """
    while frame is not None:
        if frame.f_globals.get("__name__", "").startswith("gunicorn."):
            workers = getattr(getattr(frame.f_locals.get("self"), "cfg", None), "workers", None)
            if isinstance(workers, int):
                return workers
        frame = frame.f_back
    return None
