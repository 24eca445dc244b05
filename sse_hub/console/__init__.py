"""The command line of the client: `sse-client`, `python sse_client.py`. It uses `sse_client` like anybody else.

main.py      from the command line to an exit status; errors are one line
commands.py  the commands and their flags
menu.py      what a terminal gets without a command
display.py   how events and tables look
figures.py   the live table of the metrics
source.py    standard input, line by line, without holding up the event loop
cursor.py    the file that remembers where a listener was
running.py   a command for each event
job.py       a command whose output is published
access.py    how the commands reach the hub
check.py     what stands between a client and a hub
probes.py    the single checks, and what mends what they find
"""

from .main import main

__all__ = ["main"]
