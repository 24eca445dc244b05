"""The benchmarks run. No test depends on their results."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest
from programs import ROOT, tool


def bench(*arguments: str) -> str:
    """Its output."""
    command = [sys.executable, "-m", "bench", *arguments]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=150)
    assert run.returncode == 0, run.stdout + run.stderr
    return run.stdout


@pytest.fixture(autouse=True)
def compiler() -> str:
    return tool("cc", "build-essential")


def test_one_command_prints_the_table_and_keeps_it_as_json_and_as_a_chart(tmp_path: Path) -> None:
    found, chart = tmp_path / "found.json", tmp_path / "chart.svg"
    chosen = ["--only", "100 subscribers, 20 publishers, 100 B", "--only", "1,000 resuming", "--seconds", "0.2"]
    answer = bench(*chosen, "--servers", "C loop", "--json", str(found), "--chart", str(chart))
    assert "| 100 subscribers, 20 publishers, 100 B |" in answer
    rows = {row["name"]: row for row in json.loads(found.read_text())["rows"]}
    assert rows["100 subscribers, 20 publishers, 100 B"]["figures"].keys() == {"sse-hub", "C loop"}
    assert rows["1,000 resuming 900 events at once"]["figures"].keys() == {"sse-hub"}
    assert all(seen.get("missing", 0) == 0 for row in rows.values() for seen in row["seen"].values())
    assert ElementTree.parse(chart).getroot().tag.endswith("svg")

    again = bench(*chosen, "--servers", "C loop", "--compare", str(found))
    assert "times as good as the limit" in again


def test_answers_that_are_written_at_once_are_whole_for_early_and_late_readers() -> None:
    assert " 0 not whole" in bench("answers", "--answers", "20", "--tokens", "50", "--speed", "100")


def test_dashboards_show_the_last_values_of_all_channels() -> None:
    chosen = ["--channels", "50", "--dashboards", "5", "--seconds", "1"]
    assert "the last value of each channel was shown" in bench("values", *chosen)


def test_nothing_leaks_and_nothing_is_lost_while_clients_come_go_and_freeze() -> None:
    assert " 0 lost or doubled" in bench("soak", "--seconds", "15")
