"""The publishing half of the load: keep-alive connections in a process of their own, so that whoever reads deliveries
never delays a publish.

What is published carries the moment of its publishing, on the clock that all processes of a host share: `|`, 20 digits
of nanoseconds, and padding. The mark stands nowhere else in a stream, and as it is one byte, no boundary of a read can
fall into it: counting marks counts events exactly.
"""

from __future__ import annotations

import multiprocessing
import re
import selectors
import socket
import time
from collections.abc import Callable
from dataclasses import dataclass
from multiprocessing.connection import Connection

__all__ = ["MARK", "STAMP_BYTES", "PublisherProcess", "Report", "at_rate", "back_to_back"]

MARK = b"|"
STAMP_BYTES = 20
LEAST_BYTES = len(MARK) + STAMP_BYTES
_LENGTH = re.compile(rb"content-length: *([0-9]+)", re.IGNORECASE)
_OPEN_LOOP_CONNECTIONS = 16


@dataclass(frozen=True, slots=True)
class Report:
    """What the publishers did."""

    published: int
    cpu: float
    """Seconds of CPU that it took."""


class PublisherProcess:
    """The process, which publishes as soon as it is made and ends by itself.

    :param publish: `back_to_back` or `at_rate`.
    """

    def __init__(self, publish: Callable[..., Report], *arguments: object) -> None:
        spawn = multiprocessing.get_context("spawn")  # a fork would inherit a thousand sockets
        self._report, theirs = spawn.Pipe(duplex=False)
        self._process = spawn.Process(target=_run, args=(theirs, publish, arguments), daemon=True)
        self._process.start()
        theirs.close()
        self._report.recv()  # it has connected, and begins

    def ended(self) -> bool:
        """Whether there is a report."""
        return self._report.poll()

    def report(self) -> Report:
        """Wait for its end.

        :raises EOFError: if it failed.
        """
        report: Report = self._report.recv()
        self._process.join()
        return report


def _run(report: Connection, publish: Callable[..., Report], arguments: tuple[object, ...]) -> None:
    report.send(publish(lambda: report.send(None), *arguments))


class _Publisher:
    """One keep-alive connection."""

    def __init__(self, address: tuple[str, int], path: str, data_bytes: int) -> None:
        self.socket = socket.create_connection(address)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        host = f"{address[0]}:{address[1]}"
        self._head = f"POST {path} HTTP/1.1\r\nHost: {host}\r\nContent-Length: {data_bytes}\r\n\r\n".encode() + MARK
        self._padding = b"x" * (data_bytes - LEAST_BYTES)
        self._answer = b""

    def post(self) -> None:
        """Publish, without waiting for the answer."""
        self.socket.sendall(b"%b%020d%b" % (self._head, time.monotonic_ns(), self._padding))

    def answered(self) -> bool:
        """Read what is there; say whether the answer is complete.

        :raises RuntimeError: if it is any but 200.
        """
        data = self.socket.recv(65536)
        self._answer += data
        head, end, body = self._answer.partition(b"\r\n\r\n")
        length = _LENGTH.search(head)
        if not data or (end and (not head.startswith(b"HTTP/1.1 200") or length is None)):
            raise RuntimeError(f"a publish was answered {self._answer[:500]!r}")
        if not end or length is None or len(body) < int(length[1]):
            return False
        self._answer = b""
        return True


def back_to_back(
    ready: Callable[[], None],
    address: tuple[str, int],
    path: str,
    data_bytes: int,
    publishers: int,
    seconds: float,
) -> Report:
    """Closed loop: each publisher posts again as soon as it is answered."""
    published = 0
    began_cpu = time.process_time()
    with selectors.DefaultSelector() as selector:
        for _ in range(publishers):
            publisher = _Publisher(address, path, data_bytes)
            selector.register(publisher.socket, selectors.EVENT_READ, publisher)
        ready()
        for key in selector.get_map().values():
            key.data.post()
        until = time.monotonic() + seconds
        waiting = publishers
        while waiting:
            for key, _ in selector.select():
                if not key.data.answered():
                    continue
                published += 1
                if time.monotonic() < until:
                    key.data.post()
                else:
                    waiting -= 1
    return Report(published, time.process_time() - began_cpu)


def at_rate(
    ready: Callable[[], None],
    address: tuple[str, int],
    path: str,
    data_bytes: int,
    rate: float,
    seconds: float,
) -> Report:
    """Open loop: post at this rate whether or not the server answers, so that a server that falls behind cannot slow
    down what it is measured by. A connection that takes nothing more is left out."""
    publishers = [_Publisher(address, path, data_bytes) for _ in range(_OPEN_LOOP_CONNECTIONS)]
    for publisher in publishers:
        publisher.socket.setblocking(False)
    published = 0
    began_cpu = time.process_time()
    ready()
    began = time.monotonic()
    for number in range(round(rate * seconds)):
        time.sleep(max(0.0, began + number / rate - time.monotonic()))
        publisher = publishers[number % len(publishers)]
        try:
            publisher.post()
            published += 1
            publisher.socket.recv(65536)  # an answer may be there; a refusal shows as deliveries that are missing
        except BlockingIOError:
            continue
    cpu = time.process_time() - began_cpu
    time.sleep(0.2)  # a server that reads a request only to find its client gone may not publish it
    return Report(published, cpu)
