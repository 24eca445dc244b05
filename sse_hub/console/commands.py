"""The commands and their flags."""

from __future__ import annotations

import asyncio
import os
import sys
import time
from collections.abc import AsyncIterator, Callable, Coroutine
from contextlib import suppress
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeVar

import click

from sse_client import DEFAULT_URL, Event, Published, SSEClient, Stream
from sse_hub import __version__

from . import check as checking
from . import menu
from .access import Access, origin_of, tls
from .cursor import CursorFile
from .display import as_json, channel_table, console, event_line, harmless, stderr
from .figures import follow_figures
from .job import run_job
from .running import run_command
from .source import lines

__all__ = ["cli"]

T = TypeVar("T")
F = TypeVar("F", bound=Callable[..., object])
TIMEOUT = 124
BROKEN_PIPE = 141


def _run(coroutine: Coroutine[Any, Any, T]) -> T:
    try:
        return asyncio.run(coroutine)
    except BrokenPipeError:
        # The rest of the buffer cannot be written. Without this, Python would report that at its end.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        raise click.exceptions.Exit(BROKEN_PIPE) from None


@click.group(
    invoke_without_command=True, context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100}
)
@click.version_option(__version__, prog_name="sse-client", message="%(prog)s %(version)s")
@click.option("--url", envvar="SSE_URL", default=DEFAULT_URL, show_default=True, help="URL of the hub (SSE_URL).")
@click.option("--token", envvar="SSE_TOKEN", help="Bearer token. Prefer the variable SSE_TOKEN.")
@click.option("--proxy", metavar="URL", help="An HTTP proxy; by default, that of HTTP_PROXY, HTTPS_PROXY and NO_PROXY.")
@click.option(
    "--cacert",
    type=click.Path(exists=True, dir_okay=False, path_type=Path),
    metavar="FILE",
    help="Certificates (PEM) of trusted authorities; by default, those of SSL_CERT_FILE or of the system.",
)
@click.option("--insecure", is_flag=True, help="Accept any certificate.")
@click.option("--auto", is_flag=True, help="Check the hub, as the command check does.")
@click.pass_context
def cli(
    context: click.Context,
    url: str,
    token: str | None,
    proxy: str | None,
    cacert: Path | None,
    insecure: bool,
    auto: bool,
) -> int:
    """Follow and publish events of an SSE hub. Without a command, a terminal gets a menu."""
    access = context.obj = Access(url, token, tls(cacert, insecure) | ({"proxy": proxy} if proxy else {}))
    if auto:
        return _run(checking.check(access))
    if context.invoked_subcommand is None:
        if all(each is not None and each.isatty() for each in (sys.stdin, sys.stdout)):  # None: it is closed
            menu.run(access)
        else:
            click.echo(context.get_help())
    return 0


def _client(context: click.Context) -> SSEClient:
    access: Access = context.obj
    return access.client()


def _deadline(seconds: float) -> Callable[[F], F]:
    """The option `--deadline`.

    :param seconds: the default.
    """
    return click.option(
        "--deadline",
        type=click.FloatRange(0, min_open=True),
        default=seconds,
        show_default=True,
        metavar="SECONDS",
        help="Time for each request to be acknowledged, retries included.",
    )


@cli.command()
@click.argument("channels", nargs=-1, metavar="[CHANNEL]...")
@click.option("--json", "form", flag_value="json", help="Each event as a line of JSON.")
@click.option("--data", "form", flag_value="data", help="Only the data of each event.")
@click.option("--filter", "types", multiple=True, metavar="TYPE", help="Only events of this type; repeatable.")
@click.option("--replay", type=click.IntRange(0), metavar="N", help="Begin N events back.")
@click.option("--from-start", is_flag=True, help="Begin with the first event.")
@click.option("--latest", is_flag=True, help="Begin with the newest event of each channel.")
@click.option("--count", type=click.IntRange(1), metavar="N", help="End after N events.")
@click.option("--timeout", type=click.FloatRange(0, min_open=True), metavar="SECONDS", help="End after this time.")
@click.option(
    "--cursor-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Keep the id of the last event in this file, and continue after it.",
)
@click.pass_context
def listen(
    context: click.Context,
    channels: tuple[str, ...],
    form: str | None,
    types: tuple[str, ...],
    replay: int | None,
    from_start: bool,
    latest: bool,
    count: int | None,
    timeout: float | None,
    cursor_file: Path | None,
) -> int:
    """Show the events of channels and patterns as they come; by default, of main. One channel ends the command when it
    ends."""
    if sum((replay is not None, from_start, latest)) > 1:
        raise click.UsageError("--replay, --from-start and --latest exclude each other; give one of them")
    begin: dict[str, Any] = {"replay": "latest" if latest else replay, "from_start": from_start}
    cursor = CursorFile(cursor_file)

    async def follow() -> None:
        async with _client(context) as client:
            events = client.stream(*channels, events=types, last_event_id=cursor.read(), **begin)
            async for event in _first(events, count):
                _show(event, form)
                cursor.write(events.last_event_id)

    try:
        _run(_within(timeout, follow()))
    except TimeoutError:
        return TIMEOUT if count else 0
    return 0


async def _within(seconds: float | None, coroutine: Coroutine[Any, Any, None]) -> None:
    async with asyncio.timeout(seconds):
        await coroutine


async def _first(events: Stream, count: int | None) -> AsyncIterator[Event]:
    """The first `count` events, or all."""
    left = count
    async for event in events:
        yield event
        if left is not None:
            left -= 1
            if not left:
                return


def _show(event: Event, form: str | None) -> None:
    if form == "json":
        print(as_json(event))
    elif form == "data":
        print(event.data)
    else:
        console.print(event_line(event))


@cli.command()
@click.pass_context
def metrics(context: click.Context) -> None:
    """Show the figures of the hub and its host as they change."""

    async def follow() -> None:
        async with _client(context) as client:
            await follow_figures(client)

    _run(follow())


@cli.command()
@click.argument("channel")
@click.argument("data", nargs=-1, metavar="DATA...|-")
@click.option("--event", default="message", show_default=True, metavar="TYPE", help="Type of the events.")
@click.option("--ephemeral", is_flag=True, help="Only for subscribers that are connected now; not retained.")
@_deadline(10.0)
@click.pass_context
def publish(
    context: click.Context, channel: str, data: tuple[str, ...], event: str, ephemeral: bool, deadline: float
) -> None:
    """Publish each DATA as an event; with -, each line of standard input as it comes:

    tail -f app.log | sse-client publish logs -
    """
    if not data:
        raise click.UsageError("there is nothing to publish; give DATA, or - for the lines of standard input")
    options: dict[str, Any] = {"channel": channel, "event": event, "ephemeral": ephemeral, "deadline": deadline}

    async def act() -> None:
        async with _client(context) as client:
            if data == ("-",):
                await _publish_lines(client, options)
                return
            for each in data:
                published = await client.publish(each, **options)
                print(f"{published.id or 'ephemeral'} to {published.subscribers} subscribers")

    _run(act())


async def _publish_lines(client: SSEClient, options: dict[str, Any]) -> None:
    began = time.monotonic()
    count = 0

    def count_batch(published: Published) -> None:
        nonlocal count
        count += published.count
        if stderr.is_terminal:
            rate = count / max(time.monotonic() - began, 1e-3)
            stderr.print(f"{count} published, {rate:.0f}/s", end="\r")

    try:
        await client.publish_many(lines(), **options, on_batch=count_batch)
    finally:
        seconds = time.monotonic() - began
        stderr.print(f"{count} published in {seconds:.1f} s, {count / max(seconds, 1e-3):.0f}/s")


@cli.command()
@click.pass_context
def channels(context: click.Context) -> None:
    """List the channels."""

    async def act() -> None:
        async with _client(context) as client:
            console.print(channel_table(await client.channels()))

    _run(act())


@cli.command()
@click.argument("channel", default="main")
@click.option("--after", default="", metavar="ID", help="Only events after this one.")
@click.option(
    "--limit",
    type=click.IntRange(1, 1000),
    default=100,
    show_default=True,
    metavar="N",
    help="At most N events.",
)
@click.option("--json", "form", flag_value="json", help="Each event as a line of JSON.")
@click.option("--data", "form", flag_value="data", help="Only the data of each event.")
@click.pass_context
def history(context: click.Context, channel: str, after: str, limit: int, form: str | None) -> None:
    """Show the retained events of a channel, by default main, oldest first."""

    async def act() -> None:
        async with _client(context) as client:
            retained = await client.history(channel, after=after, limit=limit)
        if retained.lost:
            stderr.print(f"sse-client: events after {harmless(after)} are gone; these are the oldest that are left")
        for event in retained.events:
            _show(event, form)

    _run(act())


@cli.command()
@click.option("--filter", "types", multiple=True, metavar="TYPE", help="Only events of this type; repeatable.")
@click.option("--replay", type=click.IntRange(0), metavar="N", help="Begin N events back.")
@click.option("--count", type=click.IntRange(1), metavar="N", help="End after N events.")
@click.option("--keep-going", is_flag=True, help="Continue if the command fails.")
@click.option(
    "--cursor-file",
    type=click.Path(dir_okay=False, path_type=Path),
    help="Keep the id of the last handled event in this file, and continue after it.",
)
@click.argument("channel")
@click.argument("command", nargs=-1, required=True)
@click.pass_context
def run(
    context: click.Context,
    types: tuple[str, ...],
    replay: int | None,
    count: int | None,
    keep_going: bool,
    cursor_file: Path | None,
    channel: str,
    command: tuple[str, ...],
) -> int:
    """Run COMMAND for each event of a channel or pattern, one after the other: sse-client run orders -- ./handle.sh

    The data is its standard input; SSE_CHANNEL, SSE_EVENT and SSE_ID are in its environment.
    """
    cursor = CursorFile(cursor_file)

    async def follow() -> int:
        async with _client(context) as client:
            events = client.stream(channel, events=types, replay=replay, last_event_id=cursor.read())
            async for event in _first(events, count):
                status = await run_command(command, event)
                if status:
                    stderr.print(f"sse-client: {harmless(command[0])} ended with {status} for {event.last_event_id}")
                    if not keep_going:
                        return 1
                cursor.write(events.last_event_id)
        return 0

    return _run(follow())


@cli.command("run-job")
@click.option("--fresh", is_flag=True, help="First forget the retained events of the channel and its end.")
@_deadline(60.0)
@click.argument("channel")
@click.argument("command", nargs=-1, required=True)
@click.pass_context
def run_job_(context: click.Context, fresh: bool, deadline: float, channel: str, command: tuple[str, ...]) -> int:
    """Run COMMAND and publish its output, line by line: sse-client run-job jobs.7 -- make all

    The channel ends as done or failed, by the exit status of the command. sse-client has the same exit status. Lines of
    standard error have the type stderr. If another client ends the channel as cancelled, the command is stopped.
    """

    async def act() -> int:
        async with _client(context) as client:
            if fresh:
                await client.forget(channel, deadline=deadline)
            return await run_job(client, channel, command, deadline)

    return _run(act())


@cli.command()
@click.argument("channel")
@click.argument("reason", type=click.Choice(["done", "failed", "cancelled"]), default="done")
@_deadline(10.0)
@click.pass_context
def end(context: click.Context, channel: str, reason: str, deadline: float) -> None:
    """End a channel: as done, failed or cancelled. It takes no more events until it is forgotten."""

    async def act() -> None:
        async with _client(context) as client:
            print((await client.end(channel, reason, deadline=deadline)).id)

    _run(act())


@cli.command()
@click.argument("channel")
@_deadline(10.0)
@click.pass_context
def forget(context: click.Context, channel: str, deadline: float) -> None:
    """Forget the retained events of a channel and its end."""

    async def act() -> None:
        async with _client(context) as client:
            await client.forget(channel, deadline=deadline)

    _run(act())


@cli.command()
@click.argument("url", required=False)
@click.option(
    "--idle",
    type=click.FloatRange(0, min_open=True),
    default=20.0,
    show_default=True,
    metavar="SECONDS",
    help="Time for which to watch a quiet stream.",
)
@click.option("--origin", callback=origin_of, metavar="URL", help="Origin of your page, if it is not the hub's.")
@click.pass_context
def check(context: click.Context, url: str | None, idle: float, origin: str | None) -> int:
    """Check a hub and the proxies before it: buffering, compression, timeouts, CORS, cookies, resuming."""
    access: Access = replace(context.obj, url=url or context.obj.url)
    with suppress(asyncio.CancelledError):
        return _run(checking.check(access, idle, origin))
    return 130
