"""How object storage is spoken to: the SDK's client, its connections, the buffers of an upload."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from mmap import MAP_ANONYMOUS, MAP_PRIVATE, mmap
from socket import socket
from types import TracebackType
from typing import Any, Self

import urllib3
from minio import Minio
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import ProtocolError
from urllib3.exceptions import TimeoutError as HTTPTimeoutError
from urllib3.response import BaseHTTPResponse
from urllib3.util import Retry

from mailapp.attachments.store import CHUNK, PIECE
from mailapp.turnstile import Hangs, Turnstile

# How many buffers a process keeps between uploads; one that small files used has little in it.
BUFFERS_KEPT = 2

CONNECT_SECONDS = 1.0

# In a request's headers: the SHA-256 of its content, for `Client`, which would compute it.
KNOWN_SHA256 = "x-amz-content-sha256"


class Memory:
    """Buffers of a part's size, some of which are kept from one upload for the next.

    Fresh memory is dear: to hand it out page by page takes the system longer than all that is done
    here with the bytes.
    """

    def __init__(self) -> None:
        self._kept: list[memoryview] = []

    @contextmanager
    def lent(self) -> Iterator[memoryview]:
        """A buffer for as long as the block lasts; the one used last is still near."""
        try:
            buffer = self._kept.pop()
        except IndexError:
            buffer = new_buffer()
        try:
            yield buffer
        finally:
            if len(self._kept) < BUFFERS_KEPT:
                self._kept.append(buffer)


class Client(Minio):
    """The SDK's client, which takes our word for a content's hash where we have it already.

    Otherwise it computes one for each request's signature: by http the SHA-256 a second time, by
    https the MD5, which takes longer still.
    """

    def _build_headers(
        self, host: str, headers: Any = None, body: Any = None, creds: Any = None
    ) -> Any:
        known = headers.pop(KNOWN_SHA256, None) if headers else None
        if known is None:
            return super()._build_headers(host, headers, body, creds)
        headers, date = super()._build_headers(host, headers, None, creds)
        return headers | {"Content-Length": str(len(body)), KNOWN_SHA256: known}, date


class Pools(urllib3.PoolManager):
    """Requests whose threads don't all wait for a store that hangs."""

    def __init__(self, **options: Any) -> None:
        super().__init__(**options)
        self._turnstile = Turnstile("store", _timed_out, lambda method, *_: method)

    @property
    def hangs(self) -> bool:
        return self._turnstile.hangs

    def urlopen(self, *args: Any, **options: Any) -> Any:
        try:
            return self._turnstile.ask(super().urlopen, *args, **options)
        except Hangs:
            raise HTTPTimeoutError("it does not answer") from None


class OnceMore(Retry):
    """One more try where a kept connection turned out to be closed, and none after a wait.

    What waited for its time once would wait for it twice, and the visitor with it.
    """

    def increment(
        self,
        method: str | None = None,
        url: str | None = None,
        response: BaseHTTPResponse | None = None,
        error: Exception | None = None,
        _pool: Any = None,
        _stacktrace: TracebackType | None = None,
    ) -> Self:
        if error and _timed_out(error):
            raise error
        return super().increment(method, url, response, error, _pool, _stacktrace)


class _Patience:
    """What a connection adds: little patience until it is made, and the same for each piece sent.

    A socket's timeout bounds the whole of one sendall(), and urllib3 sends a first request under
    the timeout for connecting: a part that takes longer than that to send would fail on a store
    that is merely slow.
    """

    timeout: float | None

    def _new_conn(self) -> socket:
        patience, self.timeout = self.timeout, CONNECT_SECONDS
        try:
            made: socket = super()._new_conn()  # type: ignore[misc]
        finally:
            self.timeout = patience
        made.settimeout(patience)
        return made

    def send(self, data: Any) -> None:
        if not isinstance(data, bytes | memoryview):
            super().send(data)  # type: ignore[misc]
            return
        with memoryview(data) as view:
            for start in range(0, len(view), CHUNK):
                super().send(view[start : start + CHUNK])  # type: ignore[misc]


class _HTTP(_Patience, HTTPConnection):
    pass


class _HTTPS(_Patience, HTTPSConnection):
    pass


class HTTPPool(HTTPConnectionPool):
    ConnectionCls = _HTTP


class HTTPSPool(HTTPSConnectionPool):
    ConnectionCls = _HTTPS


def _timed_out(error: BaseException) -> bool:
    broken_by = error.args if isinstance(error, ProtocolError) else (error,)
    return any(isinstance(e, TimeoutError | HTTPTimeoutError) for e in broken_by)


def new_buffer() -> memoryview:
    # Not a bytearray, which fills itself with zeros: of this, only what is used takes memory.
    return memoryview(mmap(-1, PIECE, MAP_PRIVATE | MAP_ANONYMOUS))
