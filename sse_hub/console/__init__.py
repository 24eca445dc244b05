"""The command line of the client: `sse-client` or `python sse_client.py`. It uses the public interface of `sse_client`.

main.py      from the command line to an exit status; errors are one line
commands.py  the commands and their flags
menu.py      the menu of a terminal, without a command
display.py   how events and tables look
figures.py   the live table of the metrics
source.py    standard input, line by line, without blocking the event loop
cursor.py    the file with the cursor of a listener
running.py   a command for each event
job.py       a command whose output is published
access.py    address, token, proxy and certificates
check.py     the command `check`
probes.py    the single checks, with advice
"""

from .main import main

__all__ = ["main"]
