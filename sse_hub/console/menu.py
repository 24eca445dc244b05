"""The menu that a terminal gets without a command. Ctrl-C ends the running command and returns to the menu."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from rich.panel import Panel
from rich.prompt import Prompt
from rich.table import Table
from rich.text import Text

from sse_client import SSEClient, SSEError

from . import check
from .access import Access
from .display import address, console, event_line, harmless
from .figures import follow_figures

__all__ = ["run"]


class _Choice(Prompt):
    illegal_choice_message = "Please select one of the available options"  # rich's own has markup


Action = Callable[[SSEClient], Awaitable[None]]


async def _main_stream(client: SSEClient) -> None:
    await _follow(client, "main")


async def _figures(client: SSEClient) -> None:
    await follow_figures(client)


async def _custom(client: SSEClient) -> None:
    channels = Prompt.ask("Channels and patterns, separated by spaces", console=console, default="*").split()
    await _follow(client, *channels)


async def _follow(client: SSEClient, *channels: str) -> None:
    console.print(f"Following {', '.join(map(harmless, channels))} - Ctrl-C returns to the menu", style="dim")
    async for event in client.stream(*channels, replay=5):
        console.print(event_line(event))


async def _broadcast(client: SSEClient) -> None:
    message = Prompt.ask("Message", console=console, default="Hello from the menu")
    channel = Prompt.ask("Channel", console=console, default="main")
    (published,) = await client.broadcast(message, channel=channel, deadline=10)
    console.print(f"{published.id} went to {published.subscribers} subscribers", style="green")


_ACTIONS: dict[str, tuple[str, Action | None]] = {
    "1": ("Main stream", _main_stream),
    "2": ("Metrics", _figures),
    "3": ("Custom channel", _custom),
    "4": ("Broadcast test", _broadcast),
    "5": ("Check the hub", None),
    "q": ("Quit", None),
}


def run(access: Access) -> None:
    """Show the menu until it is left: by q, Ctrl-C or the end of input."""
    while True:
        console.print(_menu(access.url))
        try:
            choice = _Choice.ask("Your choice", console=console, choices=list(_ACTIONS), show_choices=False)
        except (KeyboardInterrupt, EOFError):
            console.print()
            return
        if choice == "q":
            return
        try:
            asyncio.run(_act(choice, access))
        except (KeyboardInterrupt, EOFError):
            console.print()
        except (SSEError, OSError) as error:
            console.print(harmless(str(error)), style="red")


def _menu(url: str) -> Panel:
    table = Table.grid(padding=(0, 2))
    for key, (name, _) in _ACTIONS.items():
        table.add_row(Text(key, "bold cyan"), name)
    return Panel(
        table,
        title=Text(f"sse-hub at {address(url)}"),
        title_align="left",
        border_style="cyan",
        expand=False,
        padding=(1, 3),
    )


async def _act(choice: str, access: Access) -> None:
    act = _ACTIONS[choice][1]
    if act is None:
        await check.check(access)
        return
    async with access.client() as client:
        await act(client)
