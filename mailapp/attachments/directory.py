"""The store in a directory: a local folder, or a network file system that all instances mount.

An object is written to a temporary file, made durable, and renamed to its key. A rename within one
file system is atomic on NFS too, so no locks are needed and nobody ever sees half an object.
"""

from __future__ import annotations

import errno
import logging
import os
import sys
from collections.abc import Collection, Iterator
from contextlib import closing, contextmanager, suppress
from datetime import UTC, datetime
from io import FileIO
from pathlib import Path
from typing import BinaryIO, Self

from mailapp.attachments.store import (
    CHUNK,
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

logger = logging.getLogger(__name__)

# Unfinished files live beside the objects, because a rename can't leave its file system.
_UNFINISHED = ".tmp"


class DirectoryStore:
    """Objects as files below `root`, in 256 folders by the first two characters of their keys."""

    def __init__(self, root: Path) -> None:
        self._root = root

    def put(self, stream: ByteReader, limit: int) -> Stored:
        key = new_key()
        meter = Meter(stream, limit)
        unfinished = self._write(key, meter)
        try:
            with self._reported("write"):
                self._publish(unfinished, key)
        except BaseException:
            with suppress(OSError):
                unfinished.unlink()
            raise
        return meter.stored(key)

    def begin(self) -> Begun:
        return Begun(new_key(), "")

    def add(self, begun: Begun, stream: ByteReader, size: int) -> Begun:
        # A file of its own, that is never written again: who comes late with the same piece, after
        # a try elsewhere went well, can't change what has been finished.
        tag = new_key()
        self._write(f"{begun.key}.{tag}", Meter(_Beginning(stream, size), size))
        with self._reported("write"):
            _sync_directory(self._root / _UNFINISHED)
        return begun.with_piece(tag)

    def finish(self, begun: Begun) -> Stored:
        with closing(_Joined(self._read_piece(path) for path in self._pieces(begun))) as joined:
            return self.put(joined, sys.maxsize)

    def abandon(self, begun: Begun) -> None:
        with self._reported("clean up"):
            for path in self._pieces(begun):
                path.unlink(missing_ok=True)

    def open(self, key: str, start: int = 0, length: int | None = None) -> FileStream:
        with self._reported("read"):
            file = self._path(key).open("rb", buffering=0)
            file.seek(start)
        return FileStream(file, length)

    def address(self, key: str) -> Address | None:
        return Address(str(self._path(key).relative_to(self._root)))

    def delete(self, key: str) -> None:
        with self._reported("delete"), suppress(FileNotFoundError):
            self._path(key).unlink()

    def list(self) -> Iterator[tuple[str, datetime]]:
        with self._reported("list"):
            folders = sorted(entry.path for entry in os.scandir(self._root) if _is_fan(entry))
        for folder in folders:
            with self._reported("list"):
                found = _files(folder)
            yield from ((name, modified) for name, modified in found if is_key(name))

    def sweep(self, before: datetime, keeping: Collection[str] = ()) -> int:
        swept = 0
        with self._reported("list"):
            for name, modified in _files(self._root / _UNFINISHED):
                key = name.partition(".")[0]
                # A write that goes on keeps its file's time fresh.
                if is_key(key) and key not in keeping and modified < before:
                    (self._root / _UNFINISHED / name).unlink(missing_ok=True)
                    swept += 1
        return swept

    def prepare(self) -> None:
        with self._reported("make"):
            (self._root / _UNFINISHED).mkdir(parents=True, exist_ok=True)

    def check(self) -> None:
        with self._reported("check"):
            if not self._root.is_dir():
                raise FileNotFoundError(errno.ENOENT, "the folder does not exist", str(self._root))
            probe = self._root / f".check-{new_key()}"
            probe.touch(exist_ok=False)
            probe.unlink()

    def _path(self, key: str) -> Path:
        if not is_key(key):
            # Keys come from our own table; anything else could name a file outside of the folder.
            raise ValueError(f"{key!r} is not a key")
        return self._root / key[:2] / key

    def _pieces(self, begun: Begun) -> Iterator[Path]:
        for tag in begun.pieces:
            yield self._root / _UNFINISHED / f"{begun.key}.{tag}"

    def _read_piece(self, path: Path) -> FileIO:
        with self._reported("read"):
            try:
                return path.open("rb", buffering=0)
            except FileNotFoundError:
                raise Gone from None

    def _write(self, name: str, meter: Meter) -> Path:
        """A new file of all that the meter gives, durable, beside the objects; none if it fails."""
        unfinished = self._root / _UNFINISHED / name
        with self._reported("write"):
            unfinished.parent.mkdir(parents=True, exist_ok=True)
            # Unbuffered: the pieces are large, and a copy into a buffer gains nothing.
            file = unfinished.open("xb", buffering=0)
        try:
            with file:
                buffer = memoryview(bytearray(CHUNK))
                while data := meter.fill(buffer):
                    with self._reported("write"):
                        _write_all(file, data)
                with self._reported("write"):
                    os.fsync(file.fileno())
        except BaseException:
            with suppress(OSError):
                unfinished.unlink()
            raise
        return unfinished

    def _publish(self, unfinished: Path, key: str) -> None:
        path = self._path(key)
        try:
            path.parent.mkdir()
        except FileExistsError:
            pass
        else:
            _sync_directory(self._root)
        unfinished.rename(path)
        # Without this a power cut could forget the name of a file whose content is on the disk.
        _sync_directory(path.parent)

    @contextmanager
    def _reported(self, doing: str) -> Iterator[None]:
        """Turn what the file system refuses into StoreUnavailable, with the cause in the log."""
        try:
            yield
        except FileNotFoundError:
            if doing == "read" and self._root.is_dir():
                raise
            raise self._unavailable(doing, f"the folder {self._root} does not exist") from None
        except OSError as error:
            cause = f"{errno.errorcode.get(error.errno or 0, 'error')}: {error.strerror or error}"
            raise self._unavailable(doing, f"the folder {self._root} fails ({cause})") from error

    def _unavailable(self, doing: str, reason: str) -> StoreUnavailable:
        logger.warning("attachments: can't %s: %s", doing, reason)
        return StoreUnavailable(reason)


class FileStream:
    """A file's bytes from where it stands, `length` of them or to its end."""

    def __init__(self, file: BinaryIO, length: int | None) -> None:
        self._file = file
        self._left = length

    def __iter__(self) -> Iterator[bytes]:
        with self._file:
            while self._left is None or self._left > 0:
                data = self._file.read(CHUNK if self._left is None else min(CHUNK, self._left))
                if not data:
                    return
                if self._left is not None:
                    self._left -= len(data)
                yield data

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *error: object) -> None:
        self.close()

    def close(self) -> None:
        self._file.close()


class _Beginning:
    """The first `size` bytes of a stream."""

    def __init__(self, stream: ByteReader, size: int) -> None:
        self._stream = stream
        self._left = size

    def readinto(self, buffer: memoryview, /) -> int:
        size = self._stream.readinto(buffer[: self._left]) if self._left else 0
        self._left -= size
        return size


class _Joined:
    """Files read one after the other, as one; each is opened when it comes."""

    def __init__(self, files: Iterator[FileIO]) -> None:
        self._files = files
        self._file = next(files, None)

    def readinto(self, buffer: memoryview, /) -> int:
        while self._file is not None:
            if size := self._file.readinto(buffer):
                return size
            self._file.close()
            self._file = next(self._files, None)
        return 0

    def close(self) -> None:
        if self._file is not None:
            self._file.close()


def _write_all(file: BinaryIO, data: memoryview) -> None:
    # A raw file may take less than it is given (a full disk, a signal).
    while data:
        data = data[file.write(data) :]


def _sync_directory(path: Path) -> None:
    descriptor = os.open(path, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)


def _is_fan(entry: os.DirEntry[str]) -> bool:
    return len(entry.name) == 2 and entry.is_dir(follow_symlinks=False)


def _files(folder: str | Path) -> list[tuple[str, datetime]]:
    """The names and times of a folder's files; those deleted meanwhile are left out."""
    found = []
    with suppress(FileNotFoundError), os.scandir(folder) as entries:
        for entry in entries:
            with suppress(FileNotFoundError):
                modified = entry.stat(follow_symlinks=False).st_mtime
                found.append((entry.name, datetime.fromtimestamp(modified, UTC)))
    return found
