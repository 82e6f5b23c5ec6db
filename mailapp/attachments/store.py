"""The store of attachments' bytes: what every adapter can do, and which one this application uses.

An object is written once under a key of its own and never changed. Keys are never reused, so what
was found to be rubbish a moment ago can be deleted without asking again.
"""

from __future__ import annotations

import hashlib
import re
import uuid
from collections.abc import Collection, Iterator
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Protocol, Self

from flask import Flask, current_app

from mailapp.errors import Unavailable
from mailapp.settings import Settings

# One size for every copy between two streams: larger gains nothing, smaller costs more calls.
CHUNK = 256 * 1024

# The pieces of a file that comes in several have this size, but for the last: S3 takes no smaller.
PIECE = 5 * 1024 * 1024

_KEY = re.compile(r"[0-9a-f]{32}")


class ByteReader(Protocol):
    """Anything to read bytes from: fills the beginning of `buffer`, says how much; 0 at the end."""

    def readinto(self, buffer: memoryview, /) -> int: ...


class ObjectStream(Protocol):
    """The bytes of an object, piece by piece; `close` gives back the file or the connection."""

    def __iter__(self) -> Iterator[bytes]: ...

    def __enter__(self) -> Self: ...

    def __exit__(self, *error: object) -> None: ...

    def close(self) -> None: ...


@dataclass(frozen=True)
class Stored:
    """An object that was written: its key, the SHA-256 of its content in hex, its size in bytes."""

    key: str
    sha256: str
    size: int


@dataclass(frozen=True)
class Begun:
    """An object that comes in pieces: its key, how the store calls the upload, its pieces' tags."""

    key: str
    upload: str
    pieces: tuple[str, ...] = ()

    def with_piece(self, tag: str) -> Begun:
        """The same with one piece more."""
        return replace(self, pieces=(*self.pieces, tag))


@dataclass(frozen=True)
class Address:
    """Where a balancer fetches an object by itself.

    `path` is relative to the balancer's own place for the store, with its query; `host` is whom to
    ask for it by HTTP, empty where it is a file.
    """

    path: str
    host: str = ""


class TooLarge(Exception):
    """The stream holds more than `limit` bytes; nothing of it was kept."""

    def __init__(self, limit: int) -> None:
        super().__init__(f"more than {limit} bytes")
        self.limit = limit


class Gone(LookupError):
    """What was begun is not there any more: it was left alone for too long, and swept."""


class StoreUnavailable(Unavailable):
    """The store can't be reached or can't do what it is asked; `str()` is the reason."""

    def __init__(self, reason: str) -> None:
        super().__init__("attachments")
        self.reason = reason

    def __str__(self) -> str:
        return self.reason


class Store(Protocol):
    """Where attachments are kept. Every method raises StoreUnavailable when it can't be reached."""

    def put(self, stream: ByteReader, limit: int) -> Stored:
        """Write what `stream` yields under a fresh key.

        Memory does not grow with the content. TooLarge as soon as `limit` bytes are passed; then,
        and when `stream` raises, nothing stays behind.
        """
        ...

    def begin(self) -> Begun:
        """Begin an object that comes in pieces, to any instance; it is there once it is finished.

        What a `Begun` says is all there is to know, and is for the caller to keep.
        """
        ...

    def add(self, begun: Begun, stream: ByteReader, size: int) -> Begun:
        """Write the next piece, of `size` bytes: PIECE, or fewer for the last one.

        The same piece may be written again: what counts is what the `Begun` that is finished names.
        When `stream` raises, that passes through, and no piece was added. Raises Gone.
        """
        ...

    def finish(self, begun: Begun) -> Stored:
        """Make the object of its pieces. May be repeated, until `abandon`. Raises Gone."""
        ...

    def abandon(self, begun: Begun) -> None:
        """Remove what there is beside an object that was finished, or of one that won't be."""
        ...

    def open(self, key: str, start: int = 0, length: int | None = None) -> ObjectStream:
        """The object's bytes from `start`, `length` of them or all; FileNotFoundError if missing.

        It is open when this returns: what fails later is only the transfer.
        """
        ...

    def address(self, key: str) -> Address | None:
        """Where a balancer can fetch the object within a minute; None if it had better not try.

        Asks nobody: the object may be missing, and the store away.
        """
        ...

    def delete(self, key: str) -> None:
        """Remove the object; one that is missing already is fine."""
        ...

    def list(self) -> Iterator[tuple[str, datetime]]:
        """Every object's key and when it was written, in UTC, by the store's own clock."""
        ...

    def sweep(self, before: datetime, keeping: Collection[str] = ()) -> int:
        """Remove what unfinished writes begun before then left; returns how many.

        Not of the keys `keeping`, whose pieces are still coming.
        """
        ...

    def prepare(self) -> None:
        """Make the bucket or folder. May be repeated, and run by two at once."""
        ...

    def check(self) -> None:
        """Return within about a second if the store can take and give objects, else raise."""
        ...


class Meter:
    """A stream that is hashed and measured as it is read; TooLarge when it passes a limit."""

    def __init__(self, stream: ByteReader, limit: int) -> None:
        self._stream = stream
        self._limit = limit
        self._hash = hashlib.sha256()
        self.size = 0

    def fill(self, buffer: memoryview) -> memoryview:
        """The next bytes, in `buffer`: as many as it holds, fewer only at the end."""
        filled = 0
        while filled < len(buffer):
            # Not all at once: what has just been copied is hashed while the processor has it near.
            size = self._stream.readinto(buffer[filled : filled + CHUNK])
            if not size:
                break
            self.size += size
            if self.size > self._limit:
                raise TooLarge(self._limit)
            self._hash.update(buffer[filled : filled + size])
            filled += size
        return buffer[:filled]

    @property
    def sha256(self) -> str:
        """Of what was read up to now, in hex."""
        return self._hash.hexdigest()

    def stored(self, key: str) -> Stored:
        """What was read up to now, as the object `key`."""
        return Stored(key, self.sha256, self.size)


def new_key() -> str:
    """A key that no object has or had."""
    return uuid.uuid4().hex


def is_key(name: str) -> bool:
    """Whether `name` can be one of our keys, rather than something else in the bucket or folder."""
    return _KEY.fullmatch(name) is not None


def init_app(app: Flask) -> None:
    """Give the application the store its settings name; nothing is opened before first use."""
    app.extensions["attachments"] = from_settings(app.extensions["settings"])


def from_settings(settings: Settings) -> Store:
    """The store that the settings name: S3 where there is an endpoint, else the folder."""
    # Only the adapter in use is imported: the SDK alone costs a worker some megabytes.
    if settings.minio_endpoint:
        from mailapp.attachments.s3 import S3Store

        return S3Store.from_settings(settings)
    from mailapp.attachments.directory import DirectoryStore

    return DirectoryStore(settings.attachment_dir)


def store() -> Store:
    """The store of the application that handles this request or command."""
    kept: Store = current_app.extensions["attachments"]
    return kept
