"""Imports point one way, and the parts without I/O stay so."""

from __future__ import annotations

import ast
from pathlib import Path

import pytest

PACKAGE = Path(__file__).parent.parent / "sse_hub"
CONSOLE = [
    f"console.{name}"
    for name in ("display", "source", "cursor", "running", "figures", "probes", "check", "menu", "commands", "main")
]
ORDER = [
    "events",
    "deflate",
    "floors",
    "log",
    "replay",
    "statistics",
    "ports",
    "subscriber",
    "hub",
    "locating",
    "locating",
    "tasks",
    "stores.address",
    "stores.batches",
    "stores.memory",
    "stores.entries",
    "stores.reading",
    "stores.database",
    "stores.sqlite",
    "stores.scripts",
    "stores.line",
    "stores.follower",
    "stores.redis",
    "history",
    "stdio",
    "auth",
    "settings",
    "stores.choice",
    "workers",
    "limits",
    "metrics",
    "state",
    "clients",
    "logs",
    "problems",
    "requests",
    "access",
    "session",
    "cors",
    "nodes",
    "response",
    "catchup",
    "stream",
    "visitors",
    "publish",
    "pages",
    "schemas",
    "openapi",
    "notify",
    "signals",
    "probe",
    "demo",
    "minting",
    *CONSOLE,
]


def imports(path: Path) -> tuple[set[str], set[str]]:
    """Modules of this package and of others that a file imports, but for those that only types need."""
    ours: set[str] = set()
    others: set[str] = set()
    tree = ast.parse(path.read_text())
    guarded = {
        inner
        for node in ast.walk(tree)
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING"
        for inner in ast.walk(node)
    }
    for node in ast.walk(tree):
        if node in guarded:
            continue
        if isinstance(node, ast.Import):
            others.update(alias.name.partition(".")[0] for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.level:
            folder = path.relative_to(PACKAGE).parts[:-1]
            package = folder[: len(folder) - node.level + 1]
            modules = [node.module] if node.module else [alias.name for alias in node.names]
            ours.update(".".join([*package, module]) for module in modules)
        elif isinstance(node, ast.ImportFrom):
            others.add((node.module or "").partition(".")[0])
    return ours - {"__version__"}, others


def path_of(module: str) -> Path:
    return PACKAGE / (module.replace(".", "/") + ".py")


def test_every_module_has_its_place_in_the_order() -> None:
    found = {str(path.relative_to(PACKAGE).with_suffix("")).replace("/", ".") for path in PACKAGE.rglob("*.py")}
    assert {name for name in found if not name.endswith("__init__")} == set(ORDER)


@pytest.mark.parametrize("module", ORDER)
def test_a_module_imports_only_what_stands_before_it(module: str) -> None:
    ours, _ = imports(path_of(module))
    assert ours <= set(ORDER[: ORDER.index(module)])


@pytest.mark.parametrize("module", ["events", "log", "replay", "statistics", "ports", "subscriber", "hub"])
def test_the_core_does_no_io(module: str) -> None:
    _, others = imports(path_of(module))
    assert not others & {"asyncio", "aiohttp", "aiohttp_sse", "logging", "time", "socket", "os"}


@pytest.mark.parametrize("module", ORDER)
def test_the_package_never_imports_the_program(module: str) -> None:
    assert "sse_server" not in imports(path_of(module))[1]


@pytest.mark.parametrize("module", ORDER)
def test_a_module_is_no_longer_than_400_lines(module: str) -> None:
    assert len(path_of(module).read_text().splitlines()) <= 400
