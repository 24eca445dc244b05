"""`sse-hub config check FILE [CHANNEL …]` shows what is wrong with a file of settings and rules, or which rule each
channel gets."""

from __future__ import annotations

import os
from collections.abc import Sequence

import click

from ..core.events import check_channel, matches
from ..core.rules import Rule
from ..settings import SettingError, Settings
from .config import read_file

__all__ = ["command"]


def _check(path: str, channels: Sequence[str]) -> int:
    """:raises SettingError: if something in the file cannot be used."""
    settings = read_file(path, {}, os.environ)
    click.echo(f"{path} is right: {_count(len(settings.rules), 'rule')}")
    for channel in channels:
        try:
            check_channel(channel)
        except ValueError as error:
            raise SettingError(str(error)) from None
        click.echo(_described(channel, settings))
    return 0


def _count(number: int, what: str) -> str:
    return f"{number} {what}" if number == 1 else f"{number} {what}s"


def _described(channel: str, settings: Settings) -> str:
    """The rule that a channel gets, with its bounds."""
    for number, rule in enumerate(settings.rules, 1):
        if matches(rule.match, channel):
            return "\n".join([f'{channel}: [[channel]] {number}, match = "{rule.match}"', *_lines(rule)])
    return "\n".join([f"{channel}: no rule matches", *_lines(settings.rule)])


def _lines(rule: Rule) -> list[str]:
    values = {
        "history": f"{rule.history} events",
        "history_age": f"{rule.history_age:g} s",
        "history_bytes": f"{rule.history_bytes} bytes",
        "end_age": f"{rule.end_age_ms / 1000:g} s",
        "idle_end": "never" if rule.idle_end is None else f"{rule.idle_end:g} s",
        "keep_last": "true" if rule.keep_last else "false",
    }
    return [f"  {key} = {value}" for key, value in values.items()]


command = click.Group(
    "config",
    commands=[
        click.Command(
            "check",
            params=[
                click.Argument(["path"], metavar="FILE"),
                click.Argument(["channels"], nargs=-1, metavar="[CHANNEL …]"),
            ],
            callback=_check,
            help="Check a file for --config, and show the rule that each CHANNEL gets.",
        )
    ],
    help="The file of settings and rules.",
)
