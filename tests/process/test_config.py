"""The file of settings and rules, and how it is checked."""

from __future__ import annotations

import asyncio
import cProfile
import os
import pstats
import signal
import subprocess
import sys
from pathlib import Path

import aiohttp
import pytest
from eventually import eventually
from hubs import NDJSON, Remote
from programs import ROOT, Start

from sse_hub.core.rules import Rule
from sse_hub.program.config import load, read_file
from sse_hub.settings import SettingError, Settings

GOOD = """
history = 500
cors_origin = ["https://a.example", "https://b.example"]
no_demo = true
ping = 5
store = "memory"

[[channel]]
match = "chat.*"
history = 50000
history_age = 60
history_bytes = 4194304
end_age = 600
idle_end = 0.5

[[channel]]
match = "sensors.*"
history = 1
keep_last = true
"""


@pytest.fixture
def file(tmp_path: Path) -> Path:
    return tmp_path / "hub.toml"


def read(file: Path, text: str) -> Settings:
    file.write_text(text)
    return read_file(str(file), {}, {})


def test_settings_and_rules_are_read_and_a_rule_says_nothing_more_than_it_says(file: Path) -> None:
    settings = read(file, GOOD)
    assert (settings.history, settings.no_demo, settings.ping, settings.port) == (500, True, 5.0, 8000)
    assert settings.cors_origin == ("https://a.example", "https://b.example")
    chat, sensors = settings.rules
    assert chat == Rule(
        match="chat.*", history=50_000, history_age=60.0, history_bytes=4 << 20, end_age=600.0, idle_end=0.5
    )
    assert sensors == Rule(match="sensors.*", history=1, keep_last=True)


def test_a_flag_wins_over_a_variable_and_a_variable_over_the_file(file: Path) -> None:
    file.write_text("history = 1\ncache = 1\nretry = 1\n")
    settings = load({"config": str(file), "history": "3"}, {"SSE_HISTORY": "2", "SSE_CACHE": "2"})
    assert (settings.history, settings.cache, settings.retry) == (3, 2, 1)
    assert load({}, {"SSE_CONFIG": str(file)}).history == 1


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("hystory = 1", "unknown key 'hystory'; did you mean history?"),
        ("history-age = 1", "unknown key 'history-age'; did you mean history_age?"),
        ('config = "other.toml"', "unknown key 'config'"),
        ("history = -1", "key history, is '-1', but it takes a whole number of at least 0"),
        ("history = 1.5", "key history, is '1.5'"),
        ("history = true", "key history, takes no true or false"),
        ("no_demo = 1", "key no_demo, takes true or false"),
        ("history = [1]", "key history, takes a text or a number"),
        ("cors_origin = [1]", "key cors_origin, takes a text or a list of texts"),
        ('jwt_key = "short"', "key jwt_key, takes"),
        ("[channel]\nmatch = 'a'", "takes tables: each begins with [[channel]]"),
        ("[[channels]]", "unknown key 'channels'; did you mean channel?"),
        ("[[channel]]\nhistory = 1", "[[channel]] 1 has no key match"),
        ("[[channel]]\nmatch = 'a'\nkeep = true", "[[channel]] 1 has an unknown key 'keep'"),
        ("[[channel]]\nmatch = 'a'\n[[channel]]\nmatch = 'a b'", "[[channel]] 2, key match, is 'a b'"),
        ("[[channel]]\nmatch = 7", "[[channel]] 1, key match, is 7"),
        ("[[channel]]\nmatch = 'a'\nhistory = '5'", "key history, is '5', but it takes a whole number"),
        ("[[channel]]\nmatch = 'a'\nidle_end = 0", "key idle_end, is 0, but it takes seconds greater than 0"),
        ("[[channel]]\nmatch = 'a'\nend_age = nan", "key end_age, is nan, but it takes seconds"),
        ("[[channel]]\nmatch = 'a'\nkeep_last = 1", "key keep_last, is 1, but it takes true or false"),
        ("[[channel]]\nmatch = 'a.*'\n[[channel]]\nmatch = 'a.b'", "[[channel]] 1 has 'a.*', which matches all"),
        ("history = x", "is not TOML: Invalid value (at line 1"),
    ],
)
def test_what_is_wrong_is_an_error_that_names_file_table_and_key(file: Path, text: str, said: str) -> None:
    with pytest.raises(SettingError) as error:
        read(file, text)
    assert str(error.value).startswith(str(file))
    assert said in str(error.value)
    assert "short" not in str(error.value)


def test_a_file_that_cannot_be_read_is_one_line(file: Path) -> None:
    with pytest.raises(SettingError, match="cannot be read: No such file"):
        read_file(str(file), {}, {})
    file.write_bytes(b"\xff")
    with pytest.raises(SettingError, match="is not UTF-8 text: byte 0"):
        read_file(str(file), {}, {})


def check(*arguments: str) -> tuple[int, str, str]:
    command = [sys.executable, str(ROOT / "sse_server.py"), "config", "check", *arguments]
    run = subprocess.run(command, capture_output=True, text=True, check=False, timeout=150)
    return run.returncode, run.stdout, run.stderr


def test_config_check_prints_the_rule_of_each_channel(file: Path) -> None:
    file.write_text(GOOD)
    status, out, err = check(str(file), "chat.42", "other")
    assert (status, err) == (0, "")
    assert out.splitlines()[:4] == [
        f"{file} is right: 2 rules",
        'chat.42: [[channel]] 1, match = "chat.*"',
        "  history = 50000 events",
        "  history_age = 60 s",
    ]
    assert "other: no rule matches\n  history = 500 events\n" in out


def test_config_check_says_what_is_wrong_in_one_line(file: Path) -> None:
    file.write_text("[[channel]]\nmatch = 'a'\nhistory = -1\n")
    status, out, err = check(str(file))
    assert (status, out) == (2, "")
    assert err == (
        f"sse-server: {file}, [[channel]] 1, key history, is -1, but it takes a whole number of at least 0\n"
    )
    assert check(str(file.parent / "none.toml"))[0] == 2


def test_a_bad_file_ends_the_server_with_one_line_and_status_2(file: Path) -> None:
    file.write_text("hystory = 1")
    run = subprocess.run(
        [sys.executable, str(ROOT / "sse_server.py"), "--config", str(file)],
        capture_output=True,
        text=True,
        check=False,
        timeout=150,
    )
    assert run.returncode == 2
    assert len(run.stderr.splitlines()) == 1


async def test_sighup_reads_the_rules_again_and_keeps_the_old_ones_if_they_are_bad(file: Path, program: Start) -> None:
    file.write_text("no_demo = true\n[[channel]]\nmatch = 'a'\nhistory = 5\n")
    running = program("--config", str(file))
    async with aiohttp.ClientSession() as client:
        server = Remote(running.url, client)
        await server.post("/realtime/a", data="\n".join("123456789"), headers=NDJSON)
        assert await server.retained("a") == list("56789")
        file.write_text("[[channel]]\nmatch = 'a'\nhistory = -5\n")
        running.process.send_signal(signal.SIGHUP)
        await asyncio.to_thread(running.until, "the old one stays")
        file.write_text("[[channel]]\nmatch = 'a'\nhistory = 2\n")
        running.process.send_signal(signal.SIGHUP)

        async def trimmed() -> bool:
            return await server.retained("a") == ["8", "9"]

        await eventually(trimmed)
    assert running.end()[0] == 0


def test_many_rules_are_not_all_compared_with_each_other(file: Path) -> None:
    file.write_text("".join(f"[[channel]]\nmatch='{form}'\n" for n in range(500) for form in (f"a{n}.*", f"*.b{n}")))
    profile = cProfile.Profile()
    settings = profile.runcall(read_file, str(file), {}, {})
    calls = {name: row[0] for (_, _, name), row in pstats.Stats(profile).stats.items()}  # type: ignore[attr-defined]
    assert len(settings.rules) == 1000
    assert calls.get("matches", 0) < 2000


async def test_events_flow_while_the_rules_are_read_again(file: Path, program: Start) -> None:
    file.write_text("no_demo = true\n")
    running = program("--config", str(file))
    file.unlink()
    os.mkfifo(file)
    running.process.send_signal(signal.SIGHUP)
    async with aiohttp.ClientSession() as client:
        server = Remote(running.url, client)
        with await asyncio.to_thread(open, file, "w") as pipe:  # waits until the server reads
            assert await server.status("/realtime/a", "POST", data=b"x") == 200
            pipe.write("[[channel]]\nmatch = 'a'\n")
        await asyncio.to_thread(running.until, "read again: file of rules")


def test_the_example_of_the_reference_is_right(file: Path) -> None:
    text = (ROOT / "docs" / "reference" / "rules.md").read_text()
    example = text.partition("```toml\n")[2].partition("```")[0]
    assert [rule.match for rule in read(file, example).rules] == ["chat.*", "jobs.*", "sensors.*", "alerts"]
