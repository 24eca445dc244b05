"""Everything at once, for a while: `python -m bench soak`, shortened."""

from __future__ import annotations

import subprocess
import sys

from conftest import ROOT


def test_nothing_leaks_and_nothing_is_lost_while_clients_come_go_and_freeze() -> None:
    command = [sys.executable, "-m", "bench", "soak", "--seconds", "15"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=55)
    assert run.returncode == 0, run.stdout + run.stderr
    assert " 0 lost or doubled" in run.stdout
