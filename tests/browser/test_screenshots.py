"""The pictures of the page."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest
from programs import ROOT

SIGNATURE = b"\x89PNG\r\n\x1a\n"
LARGEST_IN_ALL = 1_500_000


@pytest.mark.timeout(120)
def test_one_command_takes_pictures_in_each_theme_and_language(chromium: str, tmp_path: Path) -> None:
    chosen = ["--view", "events", "--width", "390", "--seconds", "1"]
    command = [sys.executable, "-m", "bench", "screenshots", str(tmp_path / "new"), *chosen]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False, timeout=110)
    assert run.returncode == 0, run.stdout + run.stderr
    names = {f"events-390-{theme}-{language}.png" for theme in ("light", "dark") for language in ("en", "pt-BR")}
    assert {path.name for path in (tmp_path / "new").iterdir()} == names
    pictures = [path.read_bytes() for path in (tmp_path / "new").iterdir()]
    assert all(picture.startswith(SIGNATURE) for picture in pictures)
    assert len(set(pictures)) == 4


def test_a_folder_has_to_be_named() -> None:
    command = [sys.executable, "-m", "bench", "screenshots"]
    run = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=False)
    assert run.returncode == 2
    assert "give a folder, or --documents" in run.stderr


def test_the_pictures_of_the_documents_are_small_and_each_is_shown() -> None:
    pictures = sorted((ROOT / "docs" / "images").glob("*.png"))
    assert pictures
    assert sum(path.stat().st_size for path in pictures) <= LARGEST_IN_ALL
    text = "\n".join(path.read_text() for path in [*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md")])
    assert {path.name for path in pictures} == set(re.findall(r"images/([\w-]+\.png)", text))
