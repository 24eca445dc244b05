"""The modules of the words, which the page names in its head: a browser need not find them one after the other.

They stand after the style sheets, which the first drawing needs. The modules of the rest of the page are not named:
they would take the network from both."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parent.parent
PAGE = ROOT / "web/app/index.html"
IMPORT = re.compile(r'^(?:import|export)\b[^;"]*"(\.{1,2}/[^"]+)";', re.MULTILINE)


def modules(entry: str) -> list[str]:
    """A module and all that it needs, in the order in which a browser finds them."""
    found = [(ROOT / entry).resolve()]
    for path in found:
        for name in IMPORT.findall(path.read_text()):
            needed = (path.parent / name).resolve()
            if needed not in found:
                found.append(needed)
    return [path.relative_to(ROOT).as_posix() for path in found]


def test_the_head_of_the_page_names_the_modules_of_the_words_after_its_style_sheets() -> None:
    first, *others = modules("web/app/dress.js")
    assert len(others) > 10
    expected = [
        *(f'<link rel="modulepreload" href="{name}">' for name in others),
        f'<script type="module" src="{first}"></script>',
    ]
    lines = [line.strip() for line in PAGE.read_text().splitlines()]
    assert [line for line in lines if 'rel="modulepreload"' in line or 'type="module"' in line] == expected
    assert lines.index(expected[0]) > max(at for at, line in enumerate(lines) if 'rel="stylesheet"' in line)
