"""The store in object storage: MinIO or any S3, through the `minio` SDK."""

from __future__ import annotations

import hashlib
import logging
import os
from collections import deque
from collections.abc import Collection, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager, suppress
from contextvars import copy_context
from datetime import datetime, timedelta
from typing import Any, Self
from urllib.parse import urlsplit

import certifi
from minio import Minio
from minio.datatypes import Part
from minio.error import MinioException, S3Error
from urllib3.exceptions import HTTPError
from urllib3.response import BaseHTTPResponse
from urllib3.util import Timeout

from mailapp.attachments.s3_client import (
    KNOWN_SHA256,
    Client,
    HTTPPool,
    HTTPSPool,
    Memory,
    OnceMore,
    Pools,
    new_buffer,
)
from mailapp.attachments.store import (
    CHUNK,
    PIECE,
    Address,
    Begun,
    ByteReader,
    Gone,
    Meter,
    Stored,
    StoreUnavailable,
    is_key,
    new_key,
)
from mailapp.settings import Settings

logger = logging.getLogger(__name__)

# An upload holds so many pieces, one of which it fills while the others are sent.
PARTS_UNDER_WAY = 3

CHECK_SECONDS = 1.0

# How long a signed address is good for: the balancer begins at once, and may take a second try.
SIGNED_FOR = timedelta(minutes=1)

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
        self._made: tuple[int, Minio, Minio, Pools] | None = None
        self._memory = Memory()

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
            if len(first) < PIECE:
                self._put_whole(key, first, meter.sha256)
            else:
                self._put_parts(key, first, meter)
        return meter.stored(key)

    def begin(self) -> Begun:
        key = new_key()
        with self._reported("write"):
            return Begun(key, self._client._create_multipart_upload(self._bucket, key, {}))

    def add(self, begun: Begun, stream: ByteReader, size: int) -> Begun:
        meter = Meter(stream, size)
        with self._memory.lent() as buffer:
            piece = meter.fill(buffer[:size])
            with self._while_begun():
                # Sent twice, the later one stays; only the one that is named in the end counts.
                part = self._send_part(begun.key, begun.upload, len(begun.pieces) + 1, piece)
        return begun.with_piece(part.etag or "")

    def finish(self, begun: Begun) -> Stored:
        parts = [Part(number, tag) for number, tag in enumerate(begun.pieces, 1)]
        # Not there any more, it was finished before, by a try whose answer was lost; or it is gone.
        with self._while_begun(), self._reported("write"), _suppressed("NoSuchUpload"):
            self._client._complete_multipart_upload(self._bucket, begun.key, begun.upload, parts)
        return self._measured(begun.key)

    def abandon(self, begun: Begun) -> None:
        with self._reported("clean up"), _suppressed("NoSuchUpload"):
            self._client._abort_multipart_upload(self._bucket, begun.key, begun.upload)

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

    def sweep(self, before: datetime, keeping: Collection[str] = ()) -> int:
        with self._reported("list"):
            left = [
                (upload.object_name, upload.upload_id)
                for upload in self._unfinished()
                if upload.initiated_time
                and upload.initiated_time < before
                and upload.object_name not in keeping
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
        headers: Any = {"Content-Type": "application/octet-stream", KNOWN_SHA256: sha256}
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
                buffer = new_buffer()
            part, number = meter.fill(buffer), number + 1
        return parts + [sending.result() for sending, _ in under_way]

    def _send_part(self, key: str, upload: str, number: int, part: memoryview) -> Part:
        with self._reported("write"):
            body: Any = part  # the SDK says bytes, and does with it what any buffer allows
            tag = self._client._upload_part(self._bucket, key, body, None, upload, number)
        return Part(number, tag)

    def _measured(self, key: str) -> Stored:
        """The object, read once for its hash: its pieces came to several instances, or to one."""
        digest, size = hashlib.sha256(), 0
        try:
            stream = self.open(key)
        except FileNotFoundError:
            raise Gone from None
        with stream:
            for data in stream:
                digest.update(data)
                size += len(data)
        return Stored(key, digest.hexdigest(), size)

    @contextmanager
    def _while_begun(self) -> Iterator[None]:
        """Tell from a store that fails an upload that was swept, or a piece that was replaced."""
        try:
            yield
        except StoreUnavailable as error:
            cause = error.__cause__
            if isinstance(cause, S3Error) and cause.code in {"NoSuchUpload", "InvalidPart"}:
                raise Gone from None
            raise

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
    def _pools(self) -> Pools:
        return self._clients()[2]

    def _clients(self) -> tuple[Minio, Minio, Pools]:
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

    def _new_pools(self, timeout: float, connections: int) -> Pools:
        pools = Pools(
            timeout=Timeout(connect=timeout, read=timeout),
            retries=OnceMore(total=1, status=0, redirect=0, other=0, allowed_methods=None),
            maxsize=connections,
            cert_reqs="CERT_REQUIRED",
            ca_certs=os.environ.get("SSL_CERT_FILE") or certifi.where(),
        )
        pools.pool_classes_by_scheme = {"http": HTTPPool, "https": HTTPSPool}
        return pools

    def _new_client(self, pools: Pools) -> Minio:
        where = urlsplit(self._endpoint)
        return Client(
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


@contextmanager
def _suppressed(*codes: str) -> Iterator[None]:
    try:
        yield
    except S3Error as error:
        if error.code not in codes:
            raise
