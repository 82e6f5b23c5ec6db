"""An open page as the server sees it: a connection to /live, and the events that came on it."""

from __future__ import annotations

import socket
import time
from urllib.parse import urlsplit

from tests.people import Person


class Page:
    """One stream; `head` is the answer's head, `told` the change counters that came as events."""

    def __init__(self, url: str, cookie: str, known: int | str | None = None) -> None:
        where = urlsplit(url)
        assert where.hostname is not None
        self.connection = socket.create_connection((where.hostname, where.port), timeout=10)
        known = "" if known is None else f"Last-Event-ID: {known}\r\n"
        self.connection.sendall(
            f"GET /live HTTP/1.1\r\nHost: {where.netloc}\r\nAccept: text/event-stream\r\n"
            f"Cookie: {cookie}\r\n{known}\r\n".encode()
        )
        self.head = ""
        self.told: list[int] = []
        self.text = ""
        self.ended = False
        self._received = b""
        while b"\r\n\r\n" not in self._received:
            self._read(10)
            assert not self.ended, self._received
        head, _, self._received = self._received.partition(b"\r\n\r\n")
        self.head = head.decode()
        self._understand()

    @property
    def status(self) -> int:
        """The answer's status."""
        return int(self.head.split()[1])

    def is_told(self, modseq: int, within: float = 10) -> None:
        """Wait until an event has said this counter, or a later one; bounded."""
        deadline = time.monotonic() + within
        while max(self.told, default=0) < modseq:
            assert not self.ended, f"ended after {self.told}"
            assert time.monotonic() < deadline, f"told {self.told}, not {modseq}"
            self._read(deadline - time.monotonic())

    def ends(self, within: float = 20) -> None:
        """Wait until the server has closed it; bounded."""
        deadline = time.monotonic() + within
        while not self.ended:
            assert time.monotonic() < deadline, f"not ended after {self.text!r}"
            self._read(deadline - time.monotonic())

    def hears_nothing(self, seconds: float) -> None:
        """Wait for so long, in which no event may come."""
        before, deadline = list(self.told), time.monotonic() + seconds
        while (left := deadline - time.monotonic()) > 0:
            self._read(left)
            assert not self.ended
        assert self.told == before

    def close(self) -> None:
        """Close it, as somebody does who goes to another page."""
        self.connection.close()

    def _read(self, seconds: float) -> None:
        self.connection.settimeout(max(0.01, seconds))
        try:
            received = self.connection.recv(65536)
        except TimeoutError:
            return
        except ConnectionError:
            received = b""
        self.ended = not received
        self._received += received
        if self.head:
            self._understand()

    def _understand(self) -> None:
        self.text += self._received.decode()
        self._received = b""
        whole = self.text.rpartition("\n\n")[0]
        self.told = [
            int(line.removeprefix("data: "))
            for line in whole.splitlines()
            if line.startswith("data: ")
        ]


def cookie(person: Person) -> str:
    """What the person's browser sends."""
    return "; ".join(f"{name}={value}" for name, value in person.client.cookies.items())


def counter(person: Person) -> int:
    """How far the person's account has come."""
    answer = person.client.get("/live/state")
    answer.raise_for_status()
    modseq: int = answer.json()["modseq"]
    return modseq
