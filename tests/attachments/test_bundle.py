"""All files of a message as one zip, that any system can unpack."""

import io
import os
import zipfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from mailapp.attachments.bundle import Member, names, zipped
from mailapp.attachments.directory import DirectoryStore
from mailapp.attachments.store import ObjectStream, Store


def member(store: Store, filename: str, content: bytes) -> Member:
    """A stored file, to be put into a zip."""
    stored = store.put(io.BytesIO(content), limit=len(content))
    return Member(filename, stored.size, lambda: store.open(stored.key))


def test_a_zip_has_the_files_under_their_names(store: Store) -> None:
    files = {"보고서 최종.pdf": os.urandom(300_000), "empty.txt": b"", "a b.txt": b"text"}

    size, parts = zipped([member(store, name, content) for name, content in files.items()])
    made = b"".join(parts)

    assert len(made) == size
    with zipfile.ZipFile(io.BytesIO(made)) as bundle:
        assert bundle.testzip() is None
        assert {name: bundle.read(name) for name in bundle.namelist()} == files
        assert all(item.compress_type == zipfile.ZIP_STORED for item in bundle.infolist())


def test_a_file_is_opened_when_its_turn_comes_and_closed_after_it(tmp_path: Path) -> None:
    store = DirectoryStore(tmp_path)
    store.prepare()
    opened: list[str] = []
    members = [member(store, name, name.encode() * 10) for name in ("first", "second")]

    def noted(one: Member) -> Member:
        def open_it() -> ObjectStream:
            opened.append(one.filename)
            return one.open()

        return Member(one.filename, one.size, open_it)

    _, parts = zipped([noted(one) for one in members])
    seen = b""
    for part in parts:
        seen += part
        if b"first" * 10 in seen and opened == ["first"]:
            break
    rest = b"".join(parts)

    assert opened == ["first", "second"]
    assert b"second" * 10 in rest


@pytest.mark.parametrize(
    ("filenames", "expected"),
    [
        (["a.txt", "a.txt", "A.TXT", "a.txt"], ["a.txt", "a (2).txt", "A (3).TXT", "a (4).txt"]),
        (["a (2).txt", "a.txt", "a.txt"], ["a (2).txt", "a.txt", "a (3).txt"]),
        (
            ["../../etc/passwd", "C:\\Windows\\x.dll", "/", ".."],
            ["passwd", "x.dll", "attachment", "attachment (2)"],
        ),
        (['what? "this": <that>|*.txt'], ["what_ _this__ _that___.txt"]),
        (
            ["con", "NUL.txt", "lpt1.tar.gz", "console.txt"],
            ["_con", "_NUL.txt", "_lpt1.tar.gz", "console.txt"],
        ),
        (["ends with dots...  "], ["ends with dots"]),
        (["사진.jpg", "사진.jpg"], ["사진.jpg", "사진 (2).jpg"]),
        (["Makefile", "Makefile"], ["Makefile", "Makefile (2)"]),
    ],
)
def test_names_are_safe_and_apart(filenames: list[str], expected: list[str]) -> None:
    assert names(filenames) == expected


def test_a_name_fits_into_every_file_system() -> None:
    found = names(["가" * 500 + ".pdf", "가" * 500 + ".pdf"])

    assert [len(name.encode()) <= 255 for name in found] == [True, True]
    assert found[0].endswith(".pdf")
    assert found[1].endswith(" (2).pdf")


def test_memory_does_not_grow_with_the_files() -> None:
    class Endless:
        """A gigabyte that is nowhere."""

        def __iter__(self) -> Iterator[bytes]:
            for _ in range(1024):
                yield bytes(1024 * 1024)

        def __enter__(self) -> "Endless":
            return self

        def __exit__(self, *error: object) -> None:
            pass

        def close(self) -> None:
            pass

    size, parts = zipped([Member("large.bin", 1024**3, Endless)])

    largest = sent = 0
    for part in parts:
        sent += len(part)
        largest = max(largest, len(part))
    assert sent == size > 1024**3
    assert largest <= 1024 * 1024
