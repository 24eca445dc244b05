"""Updates of the Mercure protocol: a thousand subscribers that get each one, and ten thousand of which one gets it.

`python -m bench mercure` measures the CPU time of the server for each update, so that a load in Python and a machine
that others use, too, do not blur it.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from urllib.parse import urlencode

import jwt
from servers import MANY, hub, pin_load
from users import Publisher, Subscriber, connect, cost

__all__ = ["main"]

_PATH = "/.well-known/mercure"
_KEY = "the secret of a measurement, which is public"
_GREETING = b"retry: "
_MARK = b"|xxx"
_FORM = "application/x-www-form-urlencoded"
_SETTLE = 0.5


@dataclass(frozen=True, slots=True)
class Case:
    """Subscribers, and the updates for them. `NUMBER` stands for the number of a subscriber.

    :param selector: what a subscriber follows.
    :param topic: the topic of the updates.
    :param granted: the selector of the private updates that a subscriber may read. None: it sends no token, and the
        updates are public.
    """

    name: str
    selector: str
    topic: str
    granted: str | None = None

    def path(self, number: int) -> str:
        """The request of a subscriber."""
        query = {"topic": self.selector.replace("NUMBER", str(number))}
        if self.granted is not None:
            query["authorization"] = _token(subscribe=[self.granted.replace("NUMBER", str(number))])
        return f"{_PATH}?{urlencode(query)}"

    def body(self) -> bytes:
        """The form of an update."""
        private = {} if self.granted is None else {"private": "on"}
        return urlencode({"topic": self.topic, "data": "|" + "x" * 99, **private}).encode()


_ALL = (
    Case("an exact topic", "https://e.com/books/1", "https://e.com/books/1"),
    Case("a URI Template", "https://e.com/books/{id}", "https://e.com/books/1"),
    Case(
        "a template, private updates, one grant",
        "https://e.com/books/{id}",
        "https://e.com/books/1",
        "https://e.com/{+x}",
    ),
)
_ONE = Case(
    "a topic and a grant of its own, private",
    "https://e.com/users/NUMBER",
    "https://e.com/users/0",
    "https://e.com/users/NUMBER",
)
_TEMPLATE = Case(
    "one template, a grant of its own, private",
    "https://e.com/users/{id}",
    "https://e.com/users/0",
    "https://e.com/users/NUMBER",
)


def _token(**claim: Sequence[str]) -> str:
    return jwt.encode({"mercure": claim}, _KEY)


def _measure(case: Case, count: int, updates: int, reach: int) -> str:
    """Connect, publish, and make a row of the table.

    :param reach: subscribers that get each update.
    """
    with hub(*MANY, "--jwt-key", _KEY, "--anonymous", "subscribe") as server:
        streams: list[Subscriber] = []
        paths = [case.path(number) for number in range(count)]
        connecting = cost(server, lambda: streams.extend(connect(server, paths, _GREETING)), count)
        publisher = Publisher(server)
        _publish(publisher, case, 50)
        time.sleep(_SETTLE)
        each = cost(server, lambda: _publish(publisher, case, updates), updates)
        for stream in streams[:reach]:
            stream.until(_MARK, 50 + updates)
        for stream in streams:
            stream.close()
    shown = f"{connecting:.0f}" if count > 1 else ""  # the system counts CPU time in steps of 10 ms
    return f"| {count:,}: {case.name} | {reach:,} | {shown} | {each:.0f} |"


def _publish(publisher: Publisher, case: Case, updates: int) -> None:
    path = f"{_PATH}?{urlencode({'authorization': _token(publish=['*'])})}"
    body = case.body()
    for _ in range(updates):
        if publisher.publish(path, body, _FORM) != 200:
            raise RuntimeError("an update was refused")


def _rows(count: int, many: int, updates: int) -> Iterator[str]:
    for case in _ALL:
        yield _measure(case, count, updates // 5, count)
    for case in (_ONE, _TEMPLATE):
        for subscribers in (1, many):
            yield _measure(case, subscribers, updates, 1)


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure; return the exit status."""
    parser = argparse.ArgumentParser(prog="python -m bench mercure", description=(__doc__ or "").partition("\n")[0])
    parser.add_argument("--count", type=int, default=1000, help="subscribers that get each update (1000)")
    parser.add_argument("--many", type=int, default=10_000, help="subscribers of which one gets each update (10000)")
    parser.add_argument("--updates", type=int, default=1000, help="updates for one of many; a fifth for all (1000)")
    given = parser.parse_args(arguments)
    pin_load()
    print("| µs of the server's CPU | reached by an update | connecting | an update |\n| --- | --: | --: | --: |")
    for row in _rows(given.count, given.many, given.updates):
        print(row, flush=True)
    return 0
