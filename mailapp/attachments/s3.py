"""The store in object storage: MinIO or any S3, through the `minio` SDK."""

from __future__ import annotations

import logging
import os
from collections import deque
from collections.abc import Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from contextvars import copy_context
from datetime import datetime, timedelta
from mmap import MAP_ANONYMOUS, MAP_PRIVATE, mmap
from socket import socket
from types import TracebackType
from typing import Any, Self
from urllib.parse import urlsplit

import certifi
import urllib3
from minio import Minio
from minio.datatypes import Part
from minio.error import MinioException, S3Error
from urllib3.connection import HTTPConnection, HTTPSConnection
from urllib3.connectionpool import HTTPConnectionPool, HTTPSConnectionPool
from urllib3.exceptions import HTTPError, ProtocolError
from urllib3.exceptions import TimeoutError as HTTPTimeoutError
from urllib3.response import BaseHTTPResponse
from urllib3.util import Retry, Timeout

from mailapp.attachments.store import (
    CHUNK,
    Address,
    ByteReader,
    Meter,
    Stored,
    StoreUnavailable,
    is_key,
    new_key,
)
from mailapp.settings import Settings
from mailapp.turnstile import Hangs, Turnstile

logger = logging.getLogger(__name__)

# The smallest part that S3 takes (but for the last one); an upload holds PARTS_UNDER_WAY of them,
# one of which it fills while the others are sent.
PART_SIZE = 5 * 1024 * 1024
PARTS_UNDER_WAY = 3
# How many buffers a process keeps between uploads; one that small files used has little in it.
BUFFERS_KEPT = 2

CONNECT_SECONDS = 1.0
CHECK_SECONDS = 1.0

# How long a signed address is good for: the balancer begins at once, and may take a second try.
SIGNED_FOR = timedelta(minutes=1)

_SHA256 = "x-amz-content-sha256"

_Parts = list[Part]


class S3Store:
    """Objects in one bucket, each under its key.

    `timeout` is the longest silence of the store, in seconds; `connections` is how many requests
    of one process may be under way and keep their connection.
    """

    def __init__(
        self,
        endpoint: str,
        *,
        access_key: str,
        secret_key: str,
        bucket: str,
        region: str,
        timeout: float,
        connections: int,
    ) -> None:
        """`endpoint` is a URL, http:// or https://."""
        self._endpoint = endpoint
        self._access_key = access_key
        self._secret_key = secret_key
        self._bucket = bucket
        self._region = region
        self._timeout = timeout
        self._connections = connections
        self._made: tuple[int, Minio, Minio, _Pools] | None = None
        self._memory = _Memory()

    @classmethod
    def from_settings(cls, settings: Settings) -> Self:
        endpoint = settings.minio_endpoint or ""
        if "://" not in endpoint:
            endpoint = f"{'https' if settings.minio_secure else 'http'}://{endpoint}"
        return cls(
            endpoint,
            access_key=settings.minio_access_key or "",
            secret_key=settings.minio_secret_key or "",
            bucket=settings.minio_bucket,
            region=settings.minio_region,
            timeout=settings.minio_timeout,
            connections=settings.web_threads * (1 + PARTS_UNDER_WAY),
        )

    def put(self, stream: ByteReader, limit: int) -> Stored:
        key = new_key()
        meter = Meter(stream, limit)
        with self._memory.lent() as buffer:
            first = meter.fill(buffer)
            if len(first) < PART_SIZE:
                self._put_whole(key, first, meter.sha256)
            else:
                self._put_parts(key, first, meter)
        return meter.stored(key)

    def open(self, key: str, start: int = 0, length: int | None = None) -> ResponseStream:
        with self._reported("read", key):
            response = self._client.get_object(self._bucket, key, start, length or 0)
        return ResponseStream(self, response)

    def address(self, key: str) -> Address | None:
        if self._pools.hangs:
            return None  # asked by ourselves, one at a time, it is noticed when it is back
        url = urlsplit(self._client.presigned_get_object(self._bucket, key, expires=SIGNED_FOR))
        return Address(f"{url.path.removeprefix('/')}?{url.query}", url.netloc)

    def delete(self, key: str) -> None:
        with self._reported("delete"):
            self._client.remove_object(self._bucket, key)

    def list(self) -> Iterator[tuple[str, datetime]]:
        with self._reported("list"):
            for found in self._client.list_objects(self._bucket, recursive=True):
                name, modified = found.object_name, found.last_modified
                if name and modified and is_key(name):
                    yield name, modified

    def sweep(self, before: datetime) -> int:
        with self._reported("list"):
            left = [
                (upload.object_name, upload.upload_id)
                for upload in self._unfinished()
                if upload.initiated_time and upload.initiated_time < before
            ]
            for key, upload_id in left:
                with _suppressed("NoSuchUpload"):
                    self._client._abort_multipart_upload(self._bucket, key, upload_id)
        return len(left)

    def prepare(self) -> None:
        with self._reported("make"):
            if not self._client.bucket_exists(self._bucket):
                # Another job may be making it at this moment.
                with _suppressed("BucketAlreadyOwnedByYou", "BucketAlreadyExists"):
                    self._client.make_bucket(self._bucket, self._region)

    def check(self) -> None:
        with self._reported("check"):
            exists = self._clients()[1].bucket_exists(self._bucket)
        if not exists:
            raise self._unavailable("check", self._no_bucket())

    def _put_whole(self, key: str, content: memoryview, sha256: str) -> None:
        # The SDK's put_object would copy the content, and hash it once more.
        headers: Any = {"Content-Type": "application/octet-stream", _SHA256: sha256}
        body: Any = content  # the SDK says bytes, and does with it what any buffer allows
        with self._reported("write"):
            self._client._put_object(self._bucket, key, body, headers)

    def _put_parts(self, key: str, first: memoryview, meter: Meter) -> None:
        """Write an object of more than one part: the next are read while some are under way.

        The SDK's put_object would do for a source that is at hand. Fed by a visitor's upload, it
        leaks its threads when that ends early, goes on reading it to the end when the store has
        failed, and copies each part twice. Hence its calls for the steps.
        """
        with self._reported("write"):
            upload = self._client._create_multipart_upload(self._bucket, key, {})
        try:
            with ThreadPoolExecutor(PARTS_UNDER_WAY, "upload") as pool:
                parts = self._send_parts(pool, key, upload, first, meter)
            with self._reported("write"):
                self._client._complete_multipart_upload(self._bucket, key, upload, parts)
        except StoreUnavailable:
            # It would not answer now either. What it holds of this upload goes in a sweep.
            raise
        except BaseException:
            with suppress(StoreUnavailable), self._reported("clean up"):
                self._client._abort_multipart_upload(self._bucket, key, upload)
            raise

    def _send_parts(
        self, pool: ThreadPoolExecutor, key: str, upload: str, first: memoryview, meter: Meter
    ) -> _Parts:
        parts: _Parts = []
        under_way: deque[tuple[Future[Part], memoryview]] = deque()
        buffer = part = first
        number = 1
        while part:
            # With what is known of the request: its id for the log, its span for a trace.
            sending = pool.submit(copy_context().run, self._send_part, key, upload, number, part)
            under_way.append((sending, buffer))
            # A buffer is used again when its part has arrived.
            if len(under_way) == PARTS_UNDER_WAY:
                arrived, buffer = under_way.popleft()
                parts.append(arrived.result())
            else:
                buffer = _new_buffer()
            part, number = meter.fill(buffer), number + 1
        return parts + [sending.result() for sending, _ in under_way]

    def _send_part(self, key: str, upload: str, number: int, part: memoryview) -> Part:
        with self._reported("write"):
            body: Any = part  # the SDK says bytes, and does with it what any buffer allows
            tag = self._client._upload_part(self._bucket, key, body, None, upload, number)
        return Part(number, tag)

    def _unfinished(self) -> Iterator[Any]:
        key_marker = upload_marker = None
        while True:
            page = self._client._list_multipart_uploads(
                self._bucket, key_marker=key_marker, upload_id_marker=upload_marker
            )
            yield from (upload for upload in page.uploads if is_key(upload.object_name or ""))
            if not page.is_truncated:
                return
            key_marker, upload_marker = page.next_key_marker, page.next_upload_id_marker

    @property
    def _client(self) -> Minio:
        return self._clients()[0]

    @property
    def _pools(self) -> _Pools:
        return self._clients()[2]

    def _clients(self) -> tuple[Minio, Minio, _Pools]:
        """This process's own clients: one for the work, one that waits less, for checks; and the
        connections of the first.

        A connection that two processes share after a fork mixes up their answers, so a child makes
        its own. Two threads that come here first together make one too many, which does no harm.
        """
        made = self._made
        if made is None or made[0] != os.getpid():
            pools = self._new_pools(self._timeout, self._connections)
            checks = self._new_pools(min(self._timeout, CHECK_SECONDS), 1)
            made = self._made = (
                os.getpid(),
                self._new_client(pools),
                self._new_client(checks),
                pools,
            )
        return made[1:]

    def _new_pools(self, timeout: float, connections: int) -> _Pools:
        pools = _Pools(
            timeout=Timeout(connect=timeout, read=timeout),
            retries=_OnceMore(total=1, status=0, redirect=0, other=0, allowed_methods=None),
            maxsize=connections,
            cert_reqs="CERT_REQUIRED",
            ca_certs=os.environ.get("SSL_CERT_FILE") or certifi.where(),
        )
        pools.pool_classes_by_scheme = {"http": _HTTPPool, "https": _HTTPSPool}
        return pools

    def _new_client(self, pools: _Pools) -> Minio:
        where = urlsplit(self._endpoint)
        return _Client(
            where.netloc,
            access_key=self._access_key,
            secret_key=self._secret_key,
            secure=where.scheme == "https",
            region=self._region,  # given, it is not asked for before every first request
            http_client=pools,
        )

    @contextmanager
    def _reported(self, doing: str, key: str | None = None) -> Iterator[None]:
        """Turn what the SDK raises into StoreUnavailable, or FileNotFoundError for `key`."""
        try:
            yield
        except S3Error as error:
            if error.code == "NoSuchKey" and key is not None:
                raise FileNotFoundError(key) from None
            if error.code == "NoSuchBucket":
                raise self._unavailable(doing, self._no_bucket()) from error
            reason = f"the store at {self._endpoint} refuses ({error.code}: {error.message})"
            raise self._unavailable(doing, reason) from error
        except (MinioException, HTTPError, OSError) as error:
            reason = f"the store at {self._endpoint} fails ({type(error).__name__}: {error})"
            raise self._unavailable(doing, reason) from error

    def _no_bucket(self) -> str:
        return (
            f"the store at {self._endpoint} has no bucket {self._bucket!r}; "
            "`mailapp migrate` makes it"
        )

    def _unavailable(self, doing: str, reason: str) -> StoreUnavailable:
        logger.warning("attachments: can't %s: %s", doing, reason)
        return StoreUnavailable(reason)


class ResponseStream:
    """The body of a store's answer; a connection that was read to the end goes back to the pool."""

    def __init__(self, owner: S3Store, response: BaseHTTPResponse) -> None:
        self._owner = owner
        self._response = response

    def __iter__(self) -> Iterator[bytes]:
        with self._owner._reported("read"):
            while data := self._response.read(CHUNK):
                yield data

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        self._response.close()
        self._response.release_conn()


class _Memory:
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
            buffer = _new_buffer()
        try:
            yield buffer
        finally:
            if len(self._kept) < BUFFERS_KEPT:
                self._kept.append(buffer)


class _Client(Minio):
    """The SDK's client, which takes our word for a content's hash where we have it already.

    Otherwise it computes one for each request's signature: by http the SHA-256 a second time, by
    https the MD5, which takes longer still.
    """

    def _build_headers(
        self, host: str, headers: Any = None, body: Any = None, creds: Any = None
    ) -> Any:
        known = headers.pop(_SHA256, None) if headers else None
        if known is None:
            return super()._build_headers(host, headers, body, creds)
        headers, date = super()._build_headers(host, headers, None, creds)
        return headers | {"Content-Length": str(len(body)), _SHA256: known}, date


class _Pools(urllib3.PoolManager):
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


class _OnceMore(Retry):
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


class _HTTPPool(HTTPConnectionPool):
    ConnectionCls = _HTTP


class _HTTPSPool(HTTPSConnectionPool):
    ConnectionCls = _HTTPS


def _timed_out(error: BaseException) -> bool:
    broken_by = error.args if isinstance(error, ProtocolError) else (error,)
    return any(isinstance(e, TimeoutError | HTTPTimeoutError) for e in broken_by)


def _new_buffer() -> memoryview:
    # Not a bytearray, which fills itself with zeros: of this, only what is used takes memory.
    return memoryview(mmap(-1, PART_SIZE, MAP_PRIVATE | MAP_ANONYMOUS))


@contextmanager
def _suppressed(*codes: str) -> Iterator[None]:
    try:
        yield
    except S3Error as error:
        if error.code not in codes:
            raise
