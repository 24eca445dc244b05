"""A hook of MkDocs: files of the repository that the documents link to are part of the site, too.

The documents stand in docs/ and link to examples, configurations and code beside it, as a reader of the repository
needs it. The sources of the site are a copy of docs/ in which each of these files stands below `repository/`, and in
which the links lead there. A Markdown file becomes a page, whose links are treated in the same way. So
`mkdocs build --strict` finds every dead link.
"""

from __future__ import annotations

import os
import posixpath
import re
import shutil
import tempfile
from pathlib import Path

from mkdocs.config.defaults import MkDocsConfig

ROOT = Path(__file__).parent.parent
DOCS = ROOT / "docs"
LINK = re.compile(r"(\]\()([^)\s:#]+)((?:#[^)\s]*)?\))")
"""The target of a link to a file, and its anchor."""

_sources = tempfile.TemporaryDirectory()  # removed when MkDocs ends


def on_config(config: MkDocsConfig) -> MkDocsConfig:
    """Make the sources of the site, and have them used."""
    copy = Path(_sources.name)
    shutil.copytree(DOCS, copy, dirs_exist_ok=True)
    waiting = sorted(DOCS.rglob("*.md"))
    seen = set(waiting)
    while waiting:
        source = waiting.pop()
        text = source.read_text()
        for target in {_target(source, path) for _, path, _ in LINK.findall(text)}:
            if target not in seen and target.is_file() and not target.is_relative_to(DOCS):
                seen.add(target)
                (copy / _address(target)).parent.mkdir(parents=True, exist_ok=True)
                shutil.copy(target, copy / _address(target))
                if target.suffix == ".md":
                    waiting.append(target)
        (copy / _address(source)).write_text(_rewritten(source, text))
    config.docs_dir = str(copy)
    return config


def _rewritten(source: Path, text: str) -> str:
    """The text of a document with links to the addresses of the site."""
    here = posixpath.dirname(_address(source))

    def link(found: re.Match[str]) -> str:
        return found[1] + posixpath.relpath(_address(_target(source, found[2])), here) + found[3]

    return LINK.sub(link, text)


def _target(source: Path, path: str) -> Path:
    return Path(os.path.normpath(source.parent / path))


def _address(target: Path) -> str:
    """Its place among the sources of the site."""
    if target.is_relative_to(DOCS):
        return target.relative_to(DOCS).as_posix()
    return "repository/" + target.relative_to(ROOT).as_posix()
