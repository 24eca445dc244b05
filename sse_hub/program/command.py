"""The command line of the server: its flags, made from the table of settings, and its commands.

An error is one line on stderr; the status is 2 for a wrong use, 1 for a failure at run time.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Mapping, Sequence

import click

from .. import __version__
from ..settings import SettingError, Settings, table
from ..stdio import print_error, program_name
from . import config, config_check, health, mercure_variables, signals, token

__all__ = ["run"]

_ABOUT = """The Server-Sent Events hub.

Open the printed address in a browser, or read it with: curl -N http://127.0.0.1:8000/stream

Each flag has a variable, SSE_ and its name, and a key in the file of --config: --history-age is SSE_HISTORY_AGE and
history_age. A flag wins over a variable, a variable over the file."""


def run(arguments: Sequence[str] | None, serve: Callable[[Settings], int]) -> int:
    """Run the command line; return the exit status.

    :param arguments: without the program's name; by default those of this process.
    :param serve: runs the server until a signal ends it, and returns the exit status.
    """
    arguments = list(sys.argv[1:] if arguments is None else arguments)
    if mercure_variables.is_caddy(arguments):
        print_error(f"{program_name()}: {' '.join(arguments)[:80]!r} is the command of another image; it is ignored")
        arguments = []
    try:
        status = _group(serve).main(arguments, prog_name=program_name(), standalone_mode=False)
    except click.exceptions.Exit as exit:
        return exit.exit_code
    except click.Abort:  # Ctrl-C, before the server handles it
        return 130
    except click.ClickException as error:
        name = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else program_name()
        print_error(f"{name}: {error.format_message()}; --help shows how")
        return 2
    except SettingError as error:
        print_error(f"{program_name()}: {error}")
        return 2
    except OSError as error:
        print_error(f"{program_name()}: {error.strerror or error}")
        return 1
    return int(status or 0)


def _group(serve: Callable[[Settings], int]) -> click.Group:
    def begin(context: click.Context, /, **given: str | None) -> int | None:
        if context.invoked_subcommand is not None:
            return None
        signals.hold_back("SIGHUP")
        return serve(config.load(_present(given), os.environ))

    def ask(**given: str | None) -> int:
        return health.ask(config.place(_present(given), os.environ))

    group = click.Group(
        program_name(),
        params=[*_options(), _version()],
        callback=click.pass_context(begin),
        invoke_without_command=True,
        help=_ABOUT,
        context_settings={"max_content_width": 120},
    )
    group.add_command(
        click.Command(
            "health", params=_options(), callback=ask, help="Ask a server with the same settings for its health."
        )
    )
    group.add_command(token.command)
    group.add_command(config_check.command)
    return group


def _version() -> click.Option:
    def show(context: click.Context, parameter: click.Parameter, given: bool) -> None:
        if given:
            click.echo(f"sse-hub {__version__}")
            context.exit()

    return click.Option(["--version"], is_flag=True, is_eager=True, expose_value=False, callback=show, help="Show it.")


def _present(given: Mapping[str, str | None]) -> dict[str, str]:
    """The flags that are on the command line."""
    return {name: value for name, value in given.items() if value is not None}


def _options() -> list[click.Parameter]:
    options: list[click.Parameter] = []
    for row in table():
        unit = f" {row.unit}" if row.unit not in ("", "address", "port") else ""
        if isinstance(row.default, bool):
            options.append(
                click.Option([row.flag, row.name], is_flag=True, flag_value="1", default=None, help=row.help)
            )
            continue
        default = f" ({row.shown_default}{unit})" if row.default not in ("", ()) else ""
        metavar = row.unit.upper() or "VALUE"
        options.append(click.Option([row.flag, row.name], metavar=metavar, help=row.help + default))
    return options
