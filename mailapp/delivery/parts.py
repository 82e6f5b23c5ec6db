"""The parts of a message (MIME, RFC 2045 and 2046), found where they lie: nothing is copied.

What is cut off, has no end or no boundary is read as far as it goes.
"""

from __future__ import annotations

import io
import re
import string
from binascii import a2b_base64, a2b_qp
from collections.abc import Iterator
from dataclasses import dataclass
from mmap import mmap

from mailapp.delivery.fields import Valued, read_fields, valued

# Beyond these a part is a file like any other.
MAX_DEPTH, MAX_PARTS = 20, 500

# Bytes of multiparts that are encoded themselves: each is a copy, and there may be one in another.
_MAX_ENCODED = 5_000_000

_MAX_HEAD = 1_000_000
_CHUNK = 256 * 1024

_HEAD_END = re.compile(rb"\r?\n\r?\n")
_EMPTY_LINE = re.compile(rb"\r?\n")
_FIRST_BOUNDARY = re.compile(rb"\s*--([!-~ ]{1,200}?)[ \t]*\r?\n")
_BASE64 = string.ascii_letters + string.digits + "+/="
_NO_BASE64 = bytes(set(range(256)) - set(_BASE64.encode()))

# A message, in memory or in a file: what both can do alike is slicing, and being searched.
Data = bytes | mmap


class Part:
    """A part of a message: its header, and where its content begins and ends in `data`."""

    def __init__(self, data: Data, start: int, end: int, *, default: str = "text/plain") -> None:
        self._data = data
        head_end, self.start = _split(data, start, end)
        self.end = max(end, self.start)
        self.fields = read_fields(bytes(data[start:head_end]))
        kind = self._valued("Content-Type")
        # Without a type, or with one that is none: what is written is text.
        self.type = kind.value if re.fullmatch(r"[^\s/;]+/[^\s/;]+", kind.value) else default
        self.parameters = kind.parameters
        disposition = self._valued("Content-Disposition")
        self.disposition = disposition.value
        self.name = disposition.parameters.get("filename") or self.parameters.get("name", "")
        self.encoding = self.field("Content-Transfer-Encoding").partition(";")[0].strip().lower()
        self.content_id = self.field("Content-ID").strip("<> ")
        self.children: list[Part] = []

    def field(self, name: str) -> str:
        """The first field of that name, as it is written; empty if there is none."""
        found = next((one for one in self.fields if one.name.lower() == name.lower()), None)
        return found.text() if found else ""

    @property
    def charset(self) -> str:
        """What its text is said to be in."""
        return self.parameters.get("charset", "")

    @property
    def size(self) -> int:
        """Bytes of the content, as it is encoded."""
        return self.end - self.start

    def decoded(self) -> Iterator[bytes]:
        """The content, its transfer encoding undone, in pieces."""
        match self.encoding:
            case "base64":
                return self._base64()
            case "quoted-printable":
                return iter([a2b_qp(bytes(self._data[self.start : self.end]))])
            case _:
                return self._pieces()

    def content(self) -> bytes:
        """All of it at once: for what is known to be small."""
        return b"".join(self.decoded())

    def reader(self) -> Reader:
        """The same for who wants to fill a buffer."""
        return Reader(self.decoded())

    def _valued(self, name: str) -> Valued:
        return valued(self.field(name))

    def _pieces(self) -> Iterator[bytes]:
        for start in range(self.start, self.end, _CHUNK):
            yield bytes(self._data[start : min(start + _CHUNK, self.end)])

    def _base64(self) -> Iterator[bytes]:
        """Base64, with anything between, cut off anywhere, or padded in the middle."""
        rest = b""
        for piece in self._pieces():
            *ended, last = (rest + piece.translate(None, _NO_BASE64)).split(b"=")
            whole = len(last) - len(last) % 4
            # One for each piece: where all is padding there would be as many as there are bytes.
            yield b"".join([*map(_unpadded, filter(None, ended)), a2b_base64(last[:whole])])
            rest = last[whole:]
        yield _unpadded(rest)


class Reader(io.RawIOBase):
    """Pieces of bytes as a stream."""

    def __init__(self, pieces: Iterator[bytes]) -> None:
        super().__init__()
        self._pieces = pieces
        self._piece = memoryview(b"")

    def readinto(self, buffer: memoryview, /) -> int:  # type: ignore[override]
        while not self._piece:
            piece = next(self._pieces, None)
            if piece is None:
                return 0
            self._piece = memoryview(piece)
        size = min(len(buffer), len(self._piece))
        buffer[:size] = self._piece[:size]
        self._piece = self._piece[size:]
        return size


def read(data: Data, start: int = 0) -> Part:
    """The message that begins at `start`, with all its parts."""
    return _read(Part(data, start, len(data)), data, 0, _Left())


@dataclass
class _Left:
    """How much of one message may still be read as parts."""

    parts: int = MAX_PARTS
    encoded: int = _MAX_ENCODED


def _read(part: Part, data: Data, depth: int, left: _Left) -> Part:
    if not part.type.startswith("multipart/"):
        return part
    is_encoded = part.encoding in {"base64", "quoted-printable"}
    if depth >= MAX_DEPTH or left.parts <= 0 or (is_encoded and part.size > left.encoded):
        part.type = "application/octet-stream"
        return part
    start, end = part.start, part.end
    if is_encoded:
        left.encoded -= part.size
        # Forbidden (RFC 2045, section 6.4), and done: the parts are in what it encodes.
        data = part.content()
        start, end = 0, len(data)
    spans = _spans(data, start, end, part.parameters.get("boundary", "").encode())
    if not spans:
        part.type = "text/plain"
        return part
    default = "message/rfc822" if part.type == "multipart/digest" else "text/plain"
    for begins, ends in spans[: left.parts]:
        left.parts -= 1
        child = Part(data, begins, ends, default=default)
        part.children.append(_read(child, data, depth + 1, left))
    return part


def _spans(data: Data, start: int, end: int, boundary: bytes) -> list[tuple[int, int]]:
    """Where the parts between boundaries begin and end (RFC 2046, section 5.1.1)."""
    if not boundary or data.find(b"--" + boundary, start, end) < 0:
        found = _FIRST_BOUNDARY.match(data, start, min(end, start + 1_000))
        if found is None:
            return []
        boundary = found.group(1)
    line = re.compile(rb"^--" + re.escape(boundary) + rb"(--)?[ \t]*\r?$", re.MULTILINE)
    spans: list[tuple[int, int]] = []
    begins: int | None = None
    for found in line.finditer(data, start, end):
        if begins is not None:
            spans.append((begins, max(begins, _before_line_end(data, found.start()))))
        begins = min(found.end() + 1, end)
        if found.group(1) or len(spans) >= MAX_PARTS:
            return spans
    if begins is not None and begins < end:
        spans.append((begins, end))  # the end was cut off
    return spans


def _before_line_end(data: Data, place: int) -> int:
    """The line's end before a boundary belongs to the boundary."""
    if data[place - 1 : place] == b"\n":
        place -= 1
    if data[place - 1 : place] == b"\r":
        place -= 1
    return place


def _split(data: Data, start: int, end: int) -> tuple[int, int]:
    """Where a header ends, and where the content after it begins."""
    empty = _EMPTY_LINE.match(data, start, end)
    if empty:
        return start, empty.end()
    found = _HEAD_END.search(data, start, min(end, start + _MAX_HEAD))
    if found is None:
        return (min(end, start + _MAX_HEAD),) * 2
    return found.start() + 1, found.end()


def _unpadded(letters: bytes) -> bytes:
    if len(letters) % 4 == 1:
        letters = letters[:-1]
    return a2b_base64(letters + b"=" * (-len(letters) % 4))
