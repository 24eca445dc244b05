"""Style and types, so that one command checks everything."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Sequence
from pathlib import Path

import pytest
from programs import npm_package, tool

ROOT = Path(__file__).parent.parent
SCRIPTS = sorted(
    str(path.relative_to(ROOT))
    for path in (ROOT / "web").rglob("*.js")
    if path.name != "react.js"  # its types need those of React, which tests/js has
)
PROGRAMS = sorted({path.parent for name in ("docs", "examples") for path in (ROOT / name).rglob("*.py")})
"""The folders of documents and examples that have programs."""
GITHUB = ROOT / ".github"
WORKFLOWS = sorted((GITHUB / "workflows").glob("*.yml"))
FORMS = sorted(path for path in (GITHUB / "ISSUE_TEMPLATE").glob("*.yml") if path.name != "config.yml")


def findings(*command: str | Path) -> str:
    """The output of a checker that finds something; otherwise an empty text."""
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    return (run.stdout + run.stderr) if run.returncode else ""


@pytest.fixture(scope="module")
def node() -> str:
    """Path of Node.js. The checkers that package.json names are installed."""
    path = tool("node", "nodejs npm")
    npm_package("typescript")
    return path


@pytest.fixture(scope="module")
def type_errors(node: str) -> list[str]:
    """The findings of TypeScript in web/: each line begins with the file and a bracket."""
    return findings(node, "node_modules/typescript/bin/tsc", "--pretty", "false").splitlines()


@pytest.mark.timeout(240)
@pytest.mark.parametrize("command", ["ruff check .", "ruff format --check .", "mypy"])
def test_a_checker_finds_nothing(command: str) -> None:
    assert findings(sys.executable, "-m", *command.split()) == ""


@pytest.mark.timeout(240)
@pytest.mark.parametrize("folder", PROGRAMS, ids=lambda folder: str(folder.relative_to(ROOT)))
def test_the_types_of_the_programs_of_documents_and_examples_are_sound(folder: Path) -> None:
    """Each folder is checked by itself, as its reader has it: several have a module `app`."""
    checker = [sys.executable, "-m", "mypy", "--config-file", "setup.cfg", "--explicit-package-bases"]
    environment = {**os.environ, "MYPYPATH": f"{folder}:{ROOT}"}
    run = subprocess.run(
        [*checker, *sorted(folder.glob("*.py"))], cwd=ROOT, capture_output=True, text=True, check=False, env=environment
    )
    assert run.returncode == 0, run.stdout


@pytest.mark.parametrize("path", SCRIPTS)
def test_the_types_of_a_script_of_the_page_are_sound(type_errors: list[str], path: str) -> None:
    assert [line for line in type_errors if line.startswith(f"{path}(")] == []


@pytest.mark.parametrize(
    ("schema", "files"),
    [
        ("github-workflows", WORKFLOWS),
        ("github-issue-forms", FORMS),
        ("github-issue-config", [GITHUB / "ISSUE_TEMPLATE" / "config.yml"]),
        ("dependabot", [GITHUB / "dependabot.yml"]),
        ("compose-spec", [ROOT / "deploy" / "compose.yaml"]),
    ],
)
def test_a_file_for_others_has_the_form_that_they_read(schema: str, files: Sequence[Path]) -> None:
    assert files
    checker = [sys.executable, "-m", "check_jsonschema", "--builtin-schema", f"vendor.{schema}"]
    assert findings(*checker, *files) == ""


def test_the_workflows_use_only_contexts_and_inputs_that_there_are(node: str) -> None:
    assert findings(node, "tests/workflows.mjs", *WORKFLOWS) == ""


def test_the_hooks_before_a_commit_are_read_by_pre_commit() -> None:
    assert findings(sys.executable, "-m", "pre_commit", "validate-config") == ""
