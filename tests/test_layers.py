"""The folders are the layers: imports point down, typing imports included, and the core does no I/O."""

from __future__ import annotations

import ast
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
PACKAGE = ROOT / "sse_hub"
LAYERS = [
    {"core"},
    {
        "tasks",
        "stdio",
        "address",
        "auth",
        "keys",
        "rights",
        "limits",
        "logs",
        "histogram",
        "metrics",
        "setting_values",
        "settings",
        "topic_grants",
        "worker",
    },
    {"stores"},
    {"http"},
    {"program"},
]
"""The lowest first. `console` and `testing` stand apart: they use the client library and the program like anybody
else, and nothing that is inside the hub."""
CORE_MAY_IMPORT = {
    *("__future__", "array", "bisect", "cachetools", "collections", "dataclasses", "datetime", "enum", "functools"),
    *("heapq", "itertools", "json", "math", "operator", "re", "sortedcontainers", "types", "typing", "zlib"),
    "threading",
}
CORE_MAY_NAME = {"Lock"}
"""All that the core may import from `threading`. A thread may call the core, and the core starts none."""
MODULES = sorted(path for path in PACKAGE.rglob("*.py") if path.name != "__init__.py")


def name_of(path: Path) -> str:
    return ".".join(path.relative_to(PACKAGE).with_suffix("").parts)


def imports(path: Path) -> tuple[set[str], set[str]]:
    """All imports of a file, also inside functions: modules of this package, and top-level names of others."""
    ours: set[str] = set()
    others: set[str] = set()
    for node in ast.walk(ast.parse(path.read_text())):
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


def names_from(module: str, path: Path) -> set[str]:
    """The names that a file imports from a module; the module itself, if it imports the whole."""
    nodes = list(ast.walk(ast.parse(path.read_text())))
    whole = {alias.name for node in nodes if isinstance(node, ast.Import) for alias in node.names}
    froms = [node for node in nodes if isinstance(node, ast.ImportFrom) and node.module == module]
    return (whole & {module}) | {alias.name for node in froms for alias in node.names}


def layer_of(module: str) -> int:
    top = module.partition(".")[0]
    return next(number for number, layer in enumerate(LAYERS) if top in layer)


HUB = [path for path in MODULES if not name_of(path).startswith("console.") and name_of(path) != "testing"]


def test_there_are_modules_to_look_at() -> None:
    assert len(HUB) > 40


@pytest.mark.parametrize("path", HUB, ids=name_of)
def test_a_module_imports_from_its_own_layer_and_those_below(path: Path) -> None:
    ours, others = imports(path)
    assert {module for module in ours if layer_of(module) > layer_of(name_of(path))} == set()
    assert not others & {"sse_server", "sse_client", "sse_hub"}


def test_no_modules_import_each_other_in_a_circle() -> None:
    graph = {name_of(path): imports(path)[0] for path in MODULES}
    done: set[str] = set()

    def visit(module: str, way: tuple[str, ...]) -> None:
        assert module not in way, " -> ".join([*way, module])
        if module not in done:
            for each in graph.get(module, ()):
                visit(each, (*way, module))
            done.add(module)

    for module in graph:
        visit(module, ())


@pytest.mark.parametrize("path", [path for path in HUB if name_of(path).startswith("core.")], ids=name_of)
def test_the_core_imports_nothing_that_could_do_io_or_tell_the_time(path: Path) -> None:
    ours, others = imports(path)
    assert others <= CORE_MAY_IMPORT
    assert all(module.startswith("core.") for module in ours)
    assert names_from("threading", path) <= CORE_MAY_NAME


@pytest.mark.parametrize("path", [path for path in MODULES if path not in HUB], ids=name_of)
def test_what_stands_apart_uses_nothing_inside_the_hub(path: Path) -> None:
    ours, _ = imports(path)
    assert all(module.startswith("console.") for module in ours)


def test_the_client_library_is_one_module_that_needs_nothing_of_ours() -> None:
    tree = ast.parse((ROOT / "sse_client.py").read_text())
    top = [node for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)]
    names = {alias.name for node in top if isinstance(node, ast.Import) for alias in node.names}
    names |= {node.module or "" for node in top if isinstance(node, ast.ImportFrom)}
    assert not any(name.startswith("sse_") for name in names)
    assert names - {"__future__"} - sys.stdlib_module_names
