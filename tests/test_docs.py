"""The documents, compared with the code."""

from __future__ import annotations

import ast
import dataclasses
import importlib
import inspect
import json
import re
import subprocess
import sys
import textwrap
from html.parser import HTMLParser
from importlib.metadata import distribution
from pathlib import Path
from urllib.parse import unquote

import pytest

import sse_client
import sse_hub
from sse_hub.core.rules import Rule
from sse_hub.http.app_keys import HUB, METRICS
from sse_hub.http.openapi import document
from sse_hub.metrics import LIMITS
from sse_hub.settings import Row, Settings, table
from sse_server import create_app

ROOT = Path(__file__).parent.parent
SETTINGS = (ROOT / "docs" / "reference" / "settings.md").read_text()
MARKDOWN = sorted(
    path for name in ("*.md", "docs/**/*.md", "examples/**/*.md") for path in ROOT.glob(name) if path.is_file()
)
"""Every document that a reader is meant to read."""


def fenced(text: str, *languages: str) -> list[str]:
    """The code blocks in these languages, without the indentation of the list that they stand in."""
    found = re.findall(r"^( *)```(\w*)\n(.*?)^ *```$", text, re.MULTILINE | re.DOTALL)
    return [textwrap.dedent(block) for _, language, block in found if language in languages]


@pytest.mark.parametrize("row", table(), ids=lambda row: row.name)
def test_the_reference_lists_every_flag_with_its_variable_default_and_help(row: Row) -> None:
    listed = re.findall(r"^\| `(--[a-z-]+)` \| `(SSE_[A-Z_]+)` \| (.*?) ?\| (.*) \|$", SETTINGS, re.MULTILINE)
    mine = [each for each in listed if each[0] == row.flag]
    assert len(mine) == 1
    assert mine[0][1] == row.variable
    assert mine[0][2].startswith(row.shown_default)
    assert mine[0][3] == row.help


def test_the_reference_lists_no_flag_that_is_not_there() -> None:
    flags = {row.flag for row in table()}
    assert set(re.findall(r"^\| `(--[a-z-]+)`", SETTINGS, re.MULTILINE)) == flags


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
    text = (ROOT / "docs" / "reference" / "metrics.md").read_text()
    rows = re.findall(r"^\| `(sse_\w+)`(?: \S+)? \| (\w+) \| (.*) \|$", text, re.MULTILINE)
    assert {name: (type, about) for name, type, about in rows} == figures()


def test_every_limit_is_documented_with_its_label() -> None:
    labels = set(re.findall(r"\| `(\w+)`(?: for bodies)? \|$", OPERATING, re.MULTILINE))
    assert labels == {*LIMITS, *create_app(Settings(no_demo=True))[HUB].statistics().evicted}
    flags = set(re.findall(r"^\| `(--[a-z-]+)`", OPERATING, re.MULTILINE))
    assert flags <= {row.flag for row in table()}


def test_the_reference_of_rules_has_every_key_and_no_other() -> None:
    text = (ROOT / "docs" / "reference" / "rules.md").read_text()
    keys = {field.name for field in dataclasses.fields(Rule)}
    assert set(re.findall(r"^\| `(\w+)` \|", text, re.MULTILINE)) == keys


ERRORS = (ROOT / "docs" / "reference" / "errors.md").read_text()


def problems() -> set[tuple[str, str]]:
    """Status and beginning of each message of a problem, where the code makes it or in a table of messages."""
    found = set()
    for path in (ROOT / "sse_hub").rglob("*.py"):
        for node in ast.walk(ast.parse(path.read_text())):
            if isinstance(node, ast.Dict) and path.name == "problems.py":
                for key, value in zip(node.keys, node.values, strict=True):
                    match key, value:
                        case ast.Constant(int(code)), ast.Constant(str(message)):
                            found.add((str(code), message.partition("{")[0]))
            if not isinstance(node, ast.Call) or path.name.startswith("mercure"):
                continue
            function = node.func.id if isinstance(node.func, ast.Name) else getattr(node.func, "attr", "")
            arguments = [each.values[0] if isinstance(each, ast.JoinedStr) else each for each in node.args]
            values = [each.value for each in arguments if isinstance(each, ast.Constant)]
            implied = {"Problem": [], "unauthorized": [401], "unavailable": [503]}.get(function)
            match [*(implied or []), *values] if implied is not None else []:
                case [int(status), str(text), *_]:
                    found.add((str(status), text))
    return found


def test_the_reference_of_errors_explains_every_message_and_no_other() -> None:
    rows = re.findall(r"^\| (\d{3}) \| `(.*?)` \|", ERRORS, re.MULTILINE)
    given = problems()
    explained = {(status, text) for status, text in given if any(s == status and text.startswith(b) for s, b in rows)}
    assert {(status, text) for status, text in given - explained if len(text) > len("The ")} == set()
    assert [row for row in rows if not any(s == row[0] and text.startswith(row[1]) for s, text in given)] == []


def test_the_reference_of_errors_names_what_the_client_raises() -> None:
    raised = {name for name in sse_client.__all__ if issubclass_of_error(getattr(sse_client, name))}
    rows = set(re.findall(r"^\| `([A-Z]\w+)` \|", ERRORS, re.MULTILINE))
    assert rows == raised - {"SSEError"}


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


def name_of(path: Path) -> str:
    return str(path.relative_to(ROOT))


@pytest.mark.parametrize("file", MARKDOWN, ids=name_of)
def test_python_in_a_document_compiles_and_imports_existing_names(file: Path) -> None:
    for block in fenced(file.read_text(), "python"):
        for node in ast.walk(ast.parse(block)):
            if isinstance(node, ast.ImportFrom) and node.module in {"sse_client", "sse_server", "sse_hub"}:
                module = importlib.import_module(node.module)
                assert all(hasattr(module, alias.name) for alias in node.names)


@pytest.mark.parametrize("file", [*MARKDOWN, *sorted((ROOT / "bench").rglob("*.py"))], ids=name_of)
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


QUOTING = [
    path
    for path in MARKDOWN
    if name_of(path).startswith(
        ("README", "docs/tutorial/", "docs/how-to/", "docs/frameworks/", "docs/explanation/", "examples/")
    )
]
QUOTED = "\n".join(
    path.read_text()
    for folder in ("docs", "examples", "deploy", "tests/http")
    for path in sorted((ROOT / folder).rglob("*"))
    if path.suffix in {".py", ".html", ".js", ".jsx", ".php", ".conf", ".yaml", ".yml", ".sql"}
    or path.name == "Caddyfile"
)
"""Every file that tests run and that a document may quote."""


@pytest.mark.parametrize("file", QUOTING, ids=name_of)
def test_code_in_a_guide_is_a_quotation_of_a_file_that_tests_run(file: Path) -> None:
    for block in fenced(file.read_text(), "python", "html", "js", "jsx", "nginx", "php", "yaml", "sql", ""):
        lines = [line.strip() for line in block.strip().splitlines()]
        assert "\n".join(lines) in "\n".join(line.strip() for line in QUOTED.splitlines()), block


def translation(path: Path) -> Path:
    """The Portuguese document for an English one."""
    return path.with_suffix(".pt-BR.md")


ENGLISH = [path for path in MARKDOWN if not path.name.endswith(".pt-BR.md")]


@pytest.mark.parametrize("file", [path for path in ENGLISH if translation(path).exists()], ids=name_of)
def test_the_portuguese_document_has_the_same_code_in_the_same_order(file: Path) -> None:
    languages = ("sh", "python", "html", "js", "text", "json", "")
    assert fenced(translation(file).read_text(), *languages) == fenced(file.read_text(), *languages)


def anchors(path: Path) -> set[str]:
    """The anchors that a forge makes for the headings."""
    headings = re.findall(r"^#+ (.*)$", path.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("file", MARKDOWN, ids=name_of)
def test_a_link_to_a_file_leads_to_it_and_to_a_heading_that_is_there(file: Path) -> None:
    for target in re.findall(r"\]\(([^)\s]+)\)", re.sub(r"```.*?```", "", file.read_text(), flags=re.DOTALL)):
        path, _, anchor = target.partition("#")
        if "://" in target or target.startswith("mailto:"):
            continue
        aim = (file.parent / path).resolve() if path else file
        assert aim.exists(), target
        assert not anchor or anchor in anchors(aim), target


@pytest.mark.parametrize("file", [file for file in MARKDOWN if file.name != "CHANGELOG.md"], ids=name_of)
def test_every_file_that_a_document_names_is_there(file: Path) -> None:
    for name in re.findall(
        r"`([\w.-][\w./-]*/[\w.-]+\.(?:c|css|html|js|json|md|mjs|py|toml|ya?ml))`", file.read_text()
    ):
        assert any((folder / name).exists() for folder in (ROOT, ROOT / "sse_hub", file.parent)), name


@pytest.mark.parametrize("name", ["README.md", "README.pt-BR.md"])
def test_the_readme_is_short(name: str) -> None:
    assert len((ROOT / name).read_text().splitlines()) <= 150


def test_the_server_and_the_client_are_commands() -> None:
    commands = {each.name: each.value for each in distribution("sse-hub").entry_points}
    assert commands == {
        "sse-client": "sse_client:main",
        "sse-hub": "sse_server:main",
        "sse-server": "sse_server:main",
    }


class Links(HTMLParser):
    """The addresses that a page of the site leads to."""

    def __init__(self, page: Path) -> None:
        super().__init__()
        self.found: list[str] = []
        self.ids: set[str] = set()
        self.feed(page.read_text())

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        values = dict(attrs)
        self.ids.add(values.get("id") or "")
        self.found.extend(value for name in ("href", "src") if (value := values.get(name)))


@pytest.fixture(scope="module")
def site(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The site of the documents, built without a warning."""
    folder = tmp_path_factory.mktemp("site")
    command = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(folder)]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    assert "not included in the" not in run.stderr
    return folder


def test_the_site_has_every_page_in_both_languages_and_a_switch_between_them(site: Path) -> None:
    english = {path.relative_to(site) for path in site.rglob("index.html") if "pt-BR" not in path.parts}
    assert {path.relative_to(site / "pt-BR") for path in (site / "pt-BR").rglob("index.html")} == english
    chapter = Path("tutorial/1-by-hand/index.html")
    assert "A stream by hand" in (site / chapter).read_text()
    assert "Um stream feito à mão" in (site / "pt-BR" / chapter).read_text()
    assert "../../pt-BR/tutorial/1-by-hand/" in Links(site / chapter).found


def test_every_link_within_the_site_leads_to_a_page_and_to_a_place_in_it(site: Path) -> None:
    pages = {path: Links(path) for path in site.rglob("index.html")}  # others are files that documents quote
    dead = []
    for page, links in pages.items():
        for link in links.found:
            path, _, anchor = unquote(link).partition("#")
            path = path.partition("?")[0]
            if re.match(r"\w+:|//|node_modules/", link):  # a page of a front end is run where its packages are
                continue
            aim = (page.parent / path).resolve() if path else page
            aim = aim / "index.html" if aim.is_dir() else aim
            if not aim.is_file() or (anchor and aim in pages and anchor not in pages[aim].ids):
                dead.append((str(page.relative_to(site)), link))
    assert dead == []


def test_the_search_of_the_site_finds_pages_of_both_languages(site: Path) -> None:
    index = json.loads((site / "search" / "search_index.json").read_text())
    assert index["config"]["lang"] == ["en", "pt"]
    places = {entry["location"] for entry in index["docs"]}
    assert {"tutorial/1-by-hand/", "pt-BR/tutorial/1-by-hand/"} <= places
