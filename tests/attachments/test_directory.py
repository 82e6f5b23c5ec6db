"""The folder: half an object is never seen, and what the file system refuses is said and logged."""

from __future__ import annotations

import errno
import io
import os
from pathlib import Path
from typing import Any

import pytest

from mailapp.attachments.directory import DirectoryStore
from mailapp.attachments.store import CHUNK, StoreUnavailable, new_key


@pytest.fixture
def store(tmp_path: Path) -> DirectoryStore:
    made = DirectoryStore(tmp_path / "attachments")
    made.prepare()
    return made


def files(tmp_path: Path) -> list[Path]:
    return [path for path in tmp_path.rglob("*") if path.is_file()]


@pytest.mark.parametrize("cause", [errno.ENOSPC, errno.EIO, errno.ESTALE, errno.EDQUOT])
@pytest.mark.parametrize("call", ["fsync", "rename"])
def test_a_failing_file_system_is_named_in_the_log_and_leaves_nothing(
    store: DirectoryStore,
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    call: str,
    cause: int,
) -> None:
    def fail(*_: Any) -> None:
        raise OSError(cause, os.strerror(cause))

    monkeypatch.setattr(os, "fsync", fail) if call == "fsync" else monkeypatch.setattr(
        Path, "rename", fail
    )

    with pytest.raises(StoreUnavailable, match=errno.errorcode[cause]):
        store.put(io.BytesIO(b"x"), limit=1)

    assert os.strerror(cause) in caplog.text
    assert files(tmp_path) == []


def test_a_file_is_seen_only_when_it_is_whole(store: DirectoryStore) -> None:
    class Watching:
        seen: list[int] = []  # noqa: RUF012
        left = 3

        def readinto(self, buffer: memoryview, /) -> int:
            self.seen.append(len(list(store.list())))
            self.left -= 1
            return len(buffer) if self.left else 0

    store.put(Watching(), limit=2 * CHUNK)

    assert Watching.seen == [0, 0, 0]
    assert len(list(store.list())) == 1


def test_content_and_names_are_made_durable_before_the_answer(
    store: DirectoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    synced: list[str] = []

    def note(descriptor: int) -> None:
        synced.append(Path(f"/proc/self/fd/{descriptor}").readlink().name)

    monkeypatch.setattr(os, "fsync", note)

    key = store.put(io.BytesIO(b"x"), limit=1).key

    assert synced == [key, "attachments", key[:2]]


@pytest.mark.parametrize("key", ["", "..", "../x", "a" * 31, "A" * 32, "/" + "a" * 31, "a" * 33])
def test_what_is_no_key_never_becomes_a_path(store: DirectoryStore, key: str) -> None:
    for use in (store.open, store.delete):
        with pytest.raises(ValueError, match="is not a key"):
            use(key)


def test_a_folder_that_disappears_is_unavailable_not_empty(
    store: DirectoryStore, tmp_path: Path
) -> None:
    (tmp_path / "attachments" / ".tmp").rmdir()
    (tmp_path / "attachments").rmdir()

    for use in (store.check, lambda: store.open(new_key()), lambda: list(store.list())):
        with pytest.raises(StoreUnavailable):
            use()


def test_a_folder_without_its_temporary_one_takes_objects(
    store: DirectoryStore, tmp_path: Path
) -> None:
    (tmp_path / "attachments" / ".tmp").rmdir()

    assert store.put(io.BytesIO(b"x"), limit=1).size == 1


def test_a_full_or_read_only_folder_fails_its_check(
    store: DirectoryStore, monkeypatch: pytest.MonkeyPatch
) -> None:
    def refuse(*_: Any, **__: Any) -> None:
        raise OSError(errno.EROFS, "Read-only file system")

    monkeypatch.setattr(Path, "touch", refuse)

    with pytest.raises(StoreUnavailable, match="EROFS"):
        store.check()
