"""A browser that tests share, because to start one takes more than most tests do.

It runs in a process of its own, since each test has another event loop. `python chromium.py PATH PORT ARGUMENT...`
prints a line when the browser answers, and ends it when the input ends.
"""

from __future__ import annotations

import contextlib
import subprocess
import sys
from collections.abc import Iterator, Sequence

from playwright.sync_api import sync_playwright
from programs import free_port

__all__ = ["shared_chromium"]


@contextlib.contextmanager
def shared_chromium(path: str, arguments: Sequence[str]) -> Iterator[str]:
    """Run it; the address at which Playwright connects to it."""
    port = free_port()
    command = [sys.executable, __file__, path, str(port), *arguments]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdin is not None
        assert process.stdout is not None
        assert process.stdout.readline() == "started\n", "the browser did not start; see above"
        yield f"http://127.0.0.1:{port}"
        process.stdin.close()


def main(path: str, port: str, *arguments: str) -> None:
    with sync_playwright() as playwright:
        browser = playwright.chromium.launch(
            executable_path=path, args=[*arguments, f"--remote-debugging-port={port}"], handle_sigint=False
        )
        print("started", flush=True)
        sys.stdin.read()
        browser.close()


if __name__ == "__main__":
    main(*sys.argv[1:])
