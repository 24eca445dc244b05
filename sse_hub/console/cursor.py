"""The file with the cursor of a listener."""

from __future__ import annotations

import os
from pathlib import Path

import click

__all__ = ["CursorFile"]


class CursorFile:
    """The id of the last event that was handled.

    :param path: the file, which does not have to exist yet; None for no file.
    """

    def __init__(self, path: Path | None) -> None:
        self._path = path

    def read(self) -> str:
        """The id; empty if there is none yet.

        :raises click.ClickException: if the file holds something else.
        """
        if self._path is None or not self._path.exists():
            return ""
        text = self._path.read_text(encoding="utf-8", errors="surrogateescape").strip()  # surrogates are not printable
        if len(text) > 128 or not text.isprintable():
            raise click.ClickException(f"{self._path} does not hold the id of an event; remove it to begin anew")
        return text

    def write(self, id: str) -> None:
        """Keep this id. After a crash, the file has the old id or the new one, never a part."""
        if self._path is None or not id:
            return
        fresh = self._path.with_name(self._path.name + ".new")
        fresh.write_text(id + "\n", encoding="utf-8")
        os.replace(fresh, self._path)
