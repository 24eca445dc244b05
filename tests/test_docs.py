"""The documents, compared with the code."""

from __future__ import annotations

import ast
import importlib
import inspect
import re
import subprocess
import sys
from pathlib import Path

import pytest

import sse_client
import sse_hub
from sse_hub.http.app_keys import HUB, METRICS
from sse_hub.http.openapi import document
from sse_hub.metrics import LIMITS
from sse_hub.settings import Row, Settings, table
from sse_server import create_app

ROOT = Path(__file__).parent.parent
README = (ROOT / "README.md").read_text()


@pytest.mark.parametrize("row", table(), ids=lambda row: row.name)
def test_the_readme_lists_every_flag_with_its_variable_default_and_help(row: Row) -> None:
    listed = re.findall(r"^\| `(--[a-z-]+)` \| `(SSE_[A-Z_]+)` \| (.*?) ?\| (.*) \|$", README, re.MULTILINE)
    mine = [each for each in listed if each[0] == row.flag]
    assert len(mine) == 1
    assert mine[0][1] == row.variable
    assert mine[0][2].startswith(row.shown_default)
    assert mine[0][3] == row.help


def test_the_readme_lists_no_flag_that_is_not_there() -> None:
    flags = {row.flag for row in table()}
    assert set(re.findall(r"^\| `(--[a-z-]+)`", README, re.MULTILINE)) == flags


def test_the_readme_lists_every_route() -> None:
    routes = {
        f"{route.method} {route.resource.canonical}"
        for route in create_app(Settings(no_demo=True)).router.routes()
        if route.method != "HEAD" and route.resource is not None
    }
    for route in routes:
        assert f"`{route}`" in README


OPERATING = (ROOT / "docs" / "operating.md").read_text()


def figures() -> dict[str, tuple[str, str]]:
    """Type and description of every metric of ours, by its name in the exposition."""
    found = {}
    for metric in create_app(Settings(no_demo=True))[METRICS].registry.collect():
        if metric.name.startswith("sse_"):
            name = f"{metric.name}_total" if metric.type == "counter" else metric.name
            found[name] = (metric.type, metric.documentation)
    return found


def test_every_metric_is_documented_as_it_describes_itself_and_no_other() -> None:
    rows = re.findall(r"^\| `(sse_\w+)`(?: \S+)? \| (\w+) \| (.*) \|$", OPERATING, re.MULTILINE)
    assert {name: (type, about) for name, type, about in rows} == figures()


def test_every_limit_is_documented_with_its_label() -> None:
    labels = set(re.findall(r"\| `(\w+)`(?: for bodies)? \|$", OPERATING, re.MULTILINE))
    assert labels == {*LIMITS, *create_app(Settings(no_demo=True))[HUB].statistics().evicted}
    flags = set(re.findall(r"^\| `(--[a-z-]+)`", OPERATING, re.MULTILINE))
    assert flags <= {row.flag for row in table()}


def test_help_names_every_flag_with_its_default() -> None:
    run = subprocess.run(
        [sys.executable, "sse_server.py", "--help"], cwd=ROOT, capture_output=True, text=True, check=True
    )
    text = " ".join(run.stdout.split())
    for row in table():
        assert row.flag in text
        assert row.shown_default in text or row.shown_default == "off"


ARCHITECTURE = (ROOT / "docs" / "architecture.md").read_text()
PROTOCOL = (ROOT / "docs" / "protocol.md").read_text()


def test_the_architecture_names_every_module_in_the_row_of_its_folder() -> None:
    rows = dict(re.findall(r"^\| `(sse_hub/\w*/?)` \| (.*) \|$", ARCHITECTURE, re.MULTILINE))
    for path in (ROOT / "sse_hub").rglob("*.py"):
        folder = f"{path.parent.relative_to(ROOT)}/"
        if path.name != "__init__.py" and path.parent.name != "console":
            assert f"`{path.name}`" in rows[folder], folder
    named = set(re.findall(r"`(\w+\.py)`", " ".join(rows.values())))
    assert named <= {path.name for path in (ROOT / "sse_hub").rglob("*.py")}


def test_every_section_of_the_protocol_that_the_code_cites_is_there() -> None:
    headings = set(re.findall(r"^##+ (?:\d+\. )?(.*)$", PROTOCOL, re.MULTILINE))
    text = " ".join(" ".join(path.read_text().split()) for path in (ROOT / "sse_hub").rglob("*.py"))
    cited = set(re.findall(r'docs/protocol\.md, "([^"]+)"', text))
    assert {"Words", "Tokens"} <= cited <= headings
    assert text.count("docs/protocol.md") == len(re.findall(r'docs/protocol\.md, "', text))


def test_the_protocol_names_every_route_parameter_and_status() -> None:
    described = document(Settings())
    routes = {f"{method.upper()} {path}" for path, item in described["paths"].items() for method in item}
    assert set(re.findall(r"^\| `([A-Z]+ /\S*)` \|", PROTOCOL, re.MULTILINE)) == routes
    queries = {each["name"] for each in described["components"]["parameters"].values() if each["in"] == "query"}
    assert all(f"`{name}=" in PROTOCOL or f"`?{name}=" in PROTOCOL for name in queries)
    statuses = {
        status for item in described["paths"].values() for each in item.values() for status in each["responses"]
    }
    listed = set(re.findall(r"^\| (\d{3}) \|", PROTOCOL, re.MULTILINE))
    assert {status for status in statuses if status >= "400"} | {"405"} == listed


def test_the_newest_release_in_the_changelog_is_the_version_of_the_package() -> None:
    changelog = (ROOT / "CHANGELOG.md").read_text()
    first, *releases = re.findall(r"^## (.*)$", changelog, re.MULTILINE)
    assert first == "[Unreleased]"
    assert all(re.fullmatch(r"\[\d+\.\d+\.\d+\] - \d{4}-\d{2}-\d{2}", heading) for heading in releases)
    assert releases[0].startswith(f"[{sse_hub.__version__}] ")
    kinds = {"Added", "Changed", "Deprecated", "Removed", "Fixed", "Security"}
    assert set(re.findall(r"^### (.*)$", changelog, re.MULTILINE)) <= kinds


@pytest.mark.parametrize("file", [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))], ids=lambda p: p.name)
def test_python_in_a_document_compiles_and_imports_existing_names(file: Path) -> None:
    for block in re.findall(r"```python\n(.*?)```", file.read_text(), re.DOTALL):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and node.module in {"sse_client", "sse_server", "sse_hub"}:
                module = importlib.import_module(node.module)
                assert all(hasattr(module, alias.name) for alias in node.names)


DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md")), *sorted((ROOT / "bench").rglob("*.py"))]


@pytest.mark.parametrize("file", DOCUMENTS, ids=lambda path: path.name)
def test_every_benchmark_that_a_document_names_is_there(file: Path) -> None:
    found = re.search(r"^WHAT = ({.*?})", (ROOT / "bench" / "__main__.py").read_text(), re.MULTILINE | re.DOTALL)
    assert found is not None
    known = ast.literal_eval(found[1])
    named = re.findall(r"python -m bench ([a-z]+)", file.read_text())
    assert set(named) <= set(known)


def test_the_clients_document_names_every_error_and_option() -> None:
    text = (ROOT / "docs" / "client.md").read_text()
    errors = {name for name in sse_client.__all__ if issubclass_of_error(getattr(sse_client, name))}
    options = set(inspect.signature(sse_client.EventSource).parameters) - {"url", "kwargs"}
    for name in errors | options:
        assert f"`{name}`" in text


def issubclass_of_error(value: object) -> bool:
    return isinstance(value, type) and issubclass(value, sse_client.SSEError)


def test_the_clients_public_names_are_sorted_and_there() -> None:
    assert sorted(sse_client.__all__) == sorted(set(sse_client.__all__))
    assert all(hasattr(sse_client, name) for name in sse_client.__all__)


def test_the_client_imports_nothing_of_ours_but_the_command_line() -> None:
    imported = {
        node.module
        for node in ast.walk(ast.parse((ROOT / "sse_client.py").read_text()))
        if isinstance(node, ast.ImportFrom) and node.module and node.module.startswith("sse_")
    }
    assert imported == {"sse_hub.console"}


def test_the_public_names_are_these() -> None:
    assert sse_hub.__all__ == ["Draft", "Ended", "Event", "EventId", "Hub", "Statistics", "Subscription", "__version__"]
