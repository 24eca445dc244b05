"""Short runs of `python -m bench faults`: what the field does to nodes, stores and networks, from seeds."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import pytest
from programs import ROOT, tool
from redis_server import binary


@pytest.fixture(scope="module")
def faketime() -> None:
    """The library that moves the clock of a process."""
    tool("faketime", "faketime")


@pytest.mark.timeout(300)
@pytest.mark.parametrize(
    ("store", "loop", "seed"), [("memory", "asyncio", 1), ("sqlite", "uvloop", 2), ("redis", "asyncio", 3)]
)
def test_each_follower_has_every_acknowledged_event_once_or_knows_of_its_loss(
    faketime: None, store: str, seed: int, loop: str
) -> None:
    if store == "redis":
        binary()
    command = [sys.executable, "-m", "bench", "faults", "--seconds", "8"]
    run = subprocess.run(
        [*command, "--seed", str(seed), "--store", store, "--loop", loop],
        cwd=Path(ROOT),
        capture_output=True,
        text=True,
        check=False,
    )
    assert run.returncode == 0, run.stdout + run.stderr
    assert "all checks are good" in run.stdout
