"""Habits of the code that no other checker looks at."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
CLIENT = ROOT / "sse_client.py"
"""One module, because people copy it."""
CODE = [ROOT / "sse_server.py", CLIENT]
CODE += sorted(path for folder in ("sse_hub", "bench", "tests") for path in (ROOT / folder).rglob("*.py"))
TESTS = [path for path in CODE if path.is_relative_to(ROOT / "tests")]
LONGEST_FUNCTION = 60
LONGEST_MODULE = 400
OURS = ("sse_hub", "sse_client", "sse_server")


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def functions(tree: ast.AST) -> Iterator[ast.FunctionDef | ast.AsyncFunctionDef]:
    for node in ast.walk(tree):
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield node


def private_names(tree: ast.AST) -> Iterator[str]:
    """Names with an underscore that a module takes from others of ours, each with its line."""
    for node in ast.walk(tree):
        if isinstance(node, ast.ImportFrom) and (node.module or "").startswith(OURS):
            names = [*(node.module or "").split("."), *(alias.name for alias in node.names)]
            yield from (f"{node.lineno}: {name}" for name in names if is_private(name))
        elif isinstance(node, ast.Attribute) and is_private(node.attr) and not is_own(node.value):
            yield f"{node.lineno}: {node.attr}"
        else:
            match node:
                case ast.Subscript(slice=ast.Constant(str(key))) if is_private(key):
                    yield f"{node.lineno}: {key}"


def is_private(name: str) -> bool:
    return name.startswith("_") and not name.endswith("__") and name not in {"_exit", "_"}


def is_own(value: ast.expr) -> bool:
    """Whether it is the object itself, also as its parent class."""
    if isinstance(value, ast.Call):
        value = value.func
    return isinstance(value, ast.Name) and value.id in {"self", "cls", "super"}


def test_there_are_files_to_look_at() -> None:
    assert len(CODE) > 200


@pytest.mark.parametrize("path", CODE, ids=name_of)
def test_no_function_is_longer_than_60_lines(path: Path) -> None:
    lengths = {each.name: (each.end_lineno or 0) - each.lineno + 1 for each in functions(ast.parse(path.read_text()))}
    assert {name: lines for name, lines in lengths.items() if lines > LONGEST_FUNCTION} == {}


@pytest.mark.parametrize("path", [path for path in CODE if path not in {*TESTS, CLIENT}], ids=name_of)
def test_no_module_is_longer_than_400_lines(path: Path) -> None:
    assert len(path.read_text().splitlines()) <= LONGEST_MODULE


@pytest.mark.parametrize("path", TESTS, ids=name_of)
def test_tests_use_no_private_names_of_the_code(path: Path) -> None:
    assert list(private_names(ast.parse(path.read_text()))) == []
