"""What a program gets that only wants the client."""

from __future__ import annotations

import json
import subprocess
import sys

from programs import ROOT

LOADED = """
import json, sys
import sse_client
print(json.dumps(sorted({name.partition(".")[0] for name in sys.modules} - sys.stdlib_module_names)))
"""
ALLOWED = {
    *("aiohappyeyeballs", "aiohttp", "aiohttp_sse_client", "aiosignal", "attr", "attrs", "frozenlist", "idna"),
    *("multidict", "propcache", "sse_client", "typing_extensions", "yarl"),
}
"""aiohttp and what it needs, the interface that `EventSource` has, and the client."""
OPTIONAL = {"aiodns", "brotli", "brotlicffi", "cares", "google", "pycares", "zstandard"}
"""What aiohttp loads where it is installed."""


def test_the_client_loads_aiohttp_and_nothing_of_the_server() -> None:
    run = subprocess.run([sys.executable, "-I", "-c", LOADED], capture_output=True, text=True, check=True)
    loaded = {name for name in json.loads(run.stdout) if not name.startswith(("_", "cython_runtime"))}
    assert {"aiohttp", "sse_client"} <= loaded
    assert loaded - OPTIONAL <= ALLOWED


def test_the_guide_installs_for_the_client_what_it_loads() -> None:
    guide = (ROOT / "docs" / "how-to" / "install.md").read_text()
    assert "pip install aiohttp aiohttp-sse-client\npip install --no-deps sse-hub\n" in guide
    # `.ci/package` runs these two lines in an empty environment, and publishes.
    assert "install -q aiohttp aiohttp-sse-client" in (ROOT / ".ci" / "package").read_text()
