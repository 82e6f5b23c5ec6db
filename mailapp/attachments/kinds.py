"""What a file is, by its content alone: what its sender says of it may be a trap.

Only what a browser can show without running anything of it has a kind. HTML and SVG are text like
any other source: they are never shown as what they say.
"""

from __future__ import annotations

import codecs
import unicodedata
from contextlib import suppress
from dataclasses import dataclass
from typing import Literal

from charset_normalizer import from_bytes

Kind = Literal["image", "pdf", "text"]

# How much of a file tells its kind, and how much of a text is shown, in bytes.
HEAD = 4 * 1024
SHOWN = 256 * 1024

# charset-normalizer tries each encoding there is: on a little, which tells it as much.
_SAMPLE = 16 * 1024

# In what people's files are written where it is not UTF-8, of two that fit alike the first. Of all
# encodings there are, an obscure one would now and then seem likelier.
_ENCODINGS = (
    *("cp949", "cp932", "euc_jp", "gb18030", "big5"),
    *("cp1252", "cp1250", "cp1251", "cp1253", "cp1254", "cp1255", "cp1256", "koi8_r"),
)

_MAGIC: tuple[tuple[bytes, Kind, str], ...] = (
    (b"\x89PNG\r\n\x1a\n", "image", "image/png"),
    (b"\xff\xd8\xff", "image", "image/jpeg"),
    (b"GIF87a", "image", "image/gif"),
    (b"GIF89a", "image", "image/gif"),
    (b"%PDF-", "pdf", "application/pdf"),
)

_BYTE_ORDER = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    # Before UTF-16's, with which the first of them begins.
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)

# What stands in texts beside what can be seen: tab, line breaks, form feed, escape (of terminals).
_CONTROLS_OF_TEXT = frozenset("\t\n\r\f\x1b")


@dataclass(frozen=True)
class Found:
    """A kind and, for an image, the media type it may be sent with."""

    kind: Kind
    media_type: str


@dataclass(frozen=True)
class Text:
    """The beginning of a text file, and the name of the encoding it was read in."""

    text: str
    encoding: str


def find(head: bytes) -> Found | None:
    """What begins with `head`, its first HEAD bytes or all of it; None for what has no preview."""
    for magic, kind, media_type in _MAGIC:
        if head.startswith(magic):
            return Found(kind, media_type)
    if head[:4] == b"RIFF" and head[8:12] == b"WEBP":
        return Found("image", "image/webp")
    # ISO 14496-12: the size of a box, "ftyp", and the brand of what follows.
    if head[4:8] == b"ftyp" and head[8:12] in {b"avif", b"avis"}:
        return Found("image", "image/avif")
    return Found("text", "text/plain") if read_text(head) else None


def read_text(data: bytes) -> Text | None:
    """The beginning of a file as text, in the encoding it seems to have; None if it is no text.

    A character that was cut off at the end is left out.
    """
    if not data:
        return None
    encoding = encoding_of(data)
    if encoding is None:
        return None
    text = codecs.getincrementaldecoder(encoding)("replace").decode(data)
    controls = sum(
        unicodedata.category(character) == "Cc" and character not in _CONTROLS_OF_TEXT
        for character in text[:HEAD]
    )
    # A few are in old logs; a tenth is a file of something else that happens to decode.
    if controls * 10 > len(text[:HEAD]):
        return None
    return Text(text.replace("\r\n", "\n").replace("\r", "\n"), encoding)


def encoding_of(data: bytes) -> str | None:
    """The encoding that the beginning of a text seems to have, as Python calls it."""
    for mark, encoding in _BYTE_ORDER:
        if data.startswith(mark):
            return encoding
    if b"\0" in data:
        return None
    with suppress(UnicodeDecodeError):
        codecs.getincrementaldecoder("utf-8")().decode(data)
        return "utf-8"
    sample = data[:_SAMPLE]
    # Of a letter of two bytes that was cut, the first makes it none of any encoding.
    for whole in filter(None, (sample, sample[:-1])):
        found = from_bytes(whole, cp_isolation=list(_ENCODINGS))
        # What it takes for nothing, or for ASCII, it says to be what it was not asked for.
        known = (m for m in found if m.encoding in _ENCODINGS)
        ranked = [(m.chaos, -m.coherence, _ENCODINGS.index(m.encoding)) for m in known]
        if ranked:
            return _ENCODINGS[min(ranked)[-1]]
    return None
