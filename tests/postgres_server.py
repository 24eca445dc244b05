"""A real Postgres for the tests, at a port of its own."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import tempfile
from pathlib import Path

from programs import free_port, skip

__all__ = ["PostgresServer"]


def _programs() -> Path:
    """The folder of the server's programs: Debian does not put it into the path."""
    found = shutil.which("postgres")
    folders = [Path(found).parent] if found else sorted(Path("/usr/lib/postgresql").glob("*/bin"))
    if not folders:
        skip("postgres is missing: apt-get install postgresql")
    return folders[-1]


class PostgresServer:
    """A server with an empty database; it refuses to run as root, so root starts it as `postgres`."""

    def __init__(self) -> None:
        programs = _programs()
        self._folder = tempfile.mkdtemp(prefix="postgres")
        user = None
        if os.geteuid() == 0:
            user = "postgres"
            shutil.chown(self._folder, user)
        data = f"{self._folder}/data"
        command = [str(programs / "initdb"), "--auth=trust", "--username=test", "--no-sync", data]
        subprocess.run(command, user=user, cwd=self._folder, check=True, stdout=subprocess.DEVNULL)
        port = free_port()
        self.url = f"postgresql://test@127.0.0.1:{port}/postgres"
        options = ["-D", data, "-p", str(port), "-h", "127.0.0.1", "-k", self._folder, "-F"]
        self._process = subprocess.Popen(
            [str(programs / "postgres"), *options],
            user=user,
            cwd=self._folder,
            stderr=subprocess.PIPE,
            text=True,
        )
        assert self._process.stderr is not None
        for line in self._process.stderr:
            if "ready to accept connections" in line:
                return
        raise AssertionError("Postgres did not start")

    def stop(self) -> None:
        """End it at once and remove its files."""
        self._process.send_signal(signal.SIGQUIT)
        self._process.communicate(timeout=10)
        shutil.rmtree(self._folder)
