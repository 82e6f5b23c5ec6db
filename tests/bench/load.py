"""A client that is lighter than what it measures: raw sockets, kept alive, in one thread."""

from __future__ import annotations

import os
import selectors
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

CHUNK = 1024 * 1024


@dataclass(frozen=True)
class Answer:
    """An answer: its status, its head as sent, its body (not kept by `exchange` on demand)."""

    status: int
    head: bytes
    body: bytes


def get(path: str, cookie: str = "") -> bytes:
    """A GET as bytes; `cookie` is the Cookie header's value."""
    line = f"Cookie: {cookie}\r\n" if cookie else ""
    return f"GET {path} HTTP/1.1\r\nHost: bench\r\n{line}\r\n".encode()


def post_head(path: str, cookie: str, content_type: str, length: int, **headers: str) -> bytes:
    """The head of a POST whose body of `length` bytes follows."""
    more = "".join(f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items())
    return (
        f"POST {path} HTTP/1.1\r\nHost: bench\r\nCookie: {cookie}\r\nAccept: application/json\r\n"
        f"Content-Type: {content_type}\r\nContent-Length: {length}\r\n{more}\r\n"
    ).encode()


def drive(
    port: int, requests: Iterator[bytes], *, connections: int, seconds: float
) -> tuple[list[float], float]:
    """Send one request after the other on each connection: (seconds of each answer, and of all).

    RuntimeError for an answer that is not 200.
    """
    selector = selectors.DefaultSelector()
    asked_at: dict[socket.socket, float] = {}
    for _ in range(connections):
        opened = socket.create_connection(("127.0.0.1", port))
        opened.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        selector.register(opened, selectors.EVENT_READ, bytearray())
        opened.sendall(next(requests))
        asked_at[opened] = time.perf_counter()
    answers: list[float] = []
    started = time.perf_counter()
    deadline, open_connections = started + seconds, connections
    while open_connections:
        for key, _ in selector.select():
            client, received = key.fileobj, key.data
            assert isinstance(client, socket.socket)
            received += client.recv(CHUNK)
            if not _is_whole(received):
                continue
            answered_at = time.perf_counter()
            answers.append(answered_at - asked_at[client])
            received.clear()
            if answered_at < deadline:
                client.sendall(next(requests))
                asked_at[client] = time.perf_counter()
            else:
                selector.unregister(client)
                client.close()
                open_connections -= 1
    return answers, time.perf_counter() - started


class Connection:
    """One kept-alive connection, for one request after the other."""

    def __init__(self, port: int) -> None:
        self._socket = socket.create_connection(("127.0.0.1", port), timeout=300)
        self._socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def ask(self, request: bytes) -> Answer:
        """Send a request and read the whole answer."""
        self._socket.sendall(request)
        head, body, length = self._head()
        while len(body) < length:
            body += self._some()
        return Answer(int(head[9:12]), head, bytes(body))

    def upload(self, head: bytes, file: Path) -> Answer:
        """Send a body that is a file, by the kernel alone."""
        self._socket.sendall(head)
        with file.open("rb") as content:
            self._socket.sendfile(content)
        return self.ask(b"")

    def download(self, request: bytes) -> tuple[int, int]:
        """(status, bytes of the body), the body thrown away as it comes."""
        self._socket.sendall(request)
        head, body, length = self._head()
        read, buffer = len(body), bytearray(CHUNK)
        while read < length:
            received = self._socket.recv_into(buffer)
            if not received:
                raise RuntimeError(f"the answer broke off after {read} of {length} bytes")
            read += received
        return int(head[9:12]), read

    def close(self) -> None:
        """Close it."""
        self._socket.close()

    def _head(self) -> tuple[bytes, bytearray, int]:
        received = bytearray()
        while (end := received.find(b"\r\n\r\n")) < 0:
            received += self._some()
        return bytes(received[:end]), received[end + 4 :], _length(received, end)

    def _some(self) -> bytes:
        received = self._socket.recv(CHUNK)
        if not received:
            raise RuntimeError("the server closed the connection before it had answered")
        return received


def random_file(path: Path, size: int) -> Path:
    """A file of `size` bytes that no store can compress."""
    with path.open("wb") as file:
        for start in range(0, size, CHUNK):
            file.write(os.urandom(min(CHUNK, size - start)))
    return path


def _is_whole(received: bytearray) -> bool:
    end = received.find(b"\r\n\r\n")
    if end < 0 or len(received) < end + 4 + _length(received, end):
        return False
    if not received.startswith(b"HTTP/1.1 200 "):
        raise RuntimeError(received[:end].decode("latin-1"))
    return True


def _length(received: bytearray, end: int) -> int:
    start = received.find(b"\r\nContent-Length: ", 0, end)
    if start < 0:
        raise RuntimeError(f"an answer of unknown length: {received[:end]!r}")
    return int(received[start + 18 : received.index(b"\r\n", start + 18)])
