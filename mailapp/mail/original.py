"""A message as RFC 5322 text with MIME parts, made while it is sent: no file is held in memory.

The headers are written here, not by the standard library, which reads each value as if it came off
the wire first: a subject that only looks encoded would be decoded, odd white space lost.
"""

from __future__ import annotations

import base64
import hashlib
import re
from collections.abc import Callable, Iterable, Iterator, Sequence
from email import quoprimime
from html import unescape
from typing import Any
from urllib.parse import quote

from mailapp.mail import addresses
from mailapp.mail.addresses import Address

# Bytes in a line of base64 text: 57 make 76 characters, the most a line may have (RFC 2045, 6.8).
_LINE = 57

# How long a header's line may be when an encoded word is in it (RFC 2047, section 2), and the text
# of such a word, so that one fits beside "Subject: ".
_WIDTH = 76
_WORD_BYTES = 39

# A name is one word, though that makes a long one longer than the RFC likes: Python up to 3.12 puts
# a space between two encoded words of a name, where there was none.
_NAME_BYTES = 600

# The text of a file name in one section of its parameter, percent-encoded (RFC 2231, section 3).
_SECTION = 54

# An image of a text, in HTML as compose/markup.py writes it.
_IMAGE = re.compile(r'"cid:([^"]*)"')

Chunks = Iterator[bytes]


def text(
    headers: Sequence[Sequence[str]],
    body: str,
    attachments: Sequence[dict[str, Any]],
    open_blob: Callable[[dict[str, Any]], Chunks],
    html: str | None = None,
) -> Chunks:
    """The message's text in chunks, lines ending in CRLF.

    `attachments` as a message keeps them; `open_blob` gives the bytes of one, and its errors pass
    through. A formatted text is beside its plain one (multipart/alternative, RFC 2046, 5.1.4), the
    images in it with it (multipart/related, RFC 2387). Python's `email` package reads the same
    headers, texts and files back.
    """
    images = [item for item in attachments if html is not None and item["disposition"] == "inline"]
    others = [item for item in attachments if item not in images]
    part = _text_part("plain", body)
    if html is not None:
        formatted = _text_part("html", _IMAGE.sub(_named_in_ascii, html))
        if images:
            formatted = _multipart("related", headers, [formatted, *_files(images, open_blob)])
        part = _multipart("alternative", headers, [part, formatted])
    if others:
        part = _multipart("mixed", headers, [part, *_files(others, open_blob)])
    yield b"".join(_header(name, _value(name, value)) for name, value in headers)
    yield _header("MIME-Version", ["1.0"])
    yield from part


def _files(
    items: Iterable[dict[str, Any]], open_blob: Callable[[dict[str, Any]], Chunks]
) -> list[Chunks]:
    return [_file(item, open_blob) for item in items]


def _file(item: dict[str, Any], open_blob: Callable[[dict[str, Any]], Chunks]) -> Chunks:
    yield _attachment_headers(item)
    yield from _base64(open_blob(item))


def _multipart(kind: str, headers: Sequence[Sequence[str]], parts: Iterable[Chunks]) -> Chunks:
    """A part that holds others, each of them its headers and its content."""
    boundary = _boundary(kind, headers)
    words = [f"multipart/{kind};", f' boundary="{boundary}"']
    if kind == "related":
        words.insert(1, ' type="text/html";')
    yield _header("Content-Type", words)
    for part in parts:
        yield f"\r\n--{boundary}\r\n".encode()
        yield from part
    yield f"\r\n--{boundary}--\r\n".encode()


def _header(name: str, words: Iterable[str]) -> bytes:
    """A header, folded between its words; each but the first begins with the space before it."""
    lines = [f"{name}: "]
    for number, word in enumerate(words):
        if number and len(lines[-1]) + len(word) > _WIDTH:
            lines.append("")
        lines[-1] += word
    return "\r\n".join(lines).encode("ascii") + b"\r\n"


def _value(name: str, value: str) -> list[str]:
    """A header's value as words for `_header`, encoded where that is needed."""
    if name not in {"From", "To", "Cc", "Bcc"}:
        return _encoded(value) if _needs_encoding(value) else _split(value)
    found = addresses.parse_list(value)
    if not found:
        return _split(value)  # a group of nobody
    words: list[str] = []
    for number, address in enumerate(found):
        ahead, *others = _mailbox(address)
        words += [f" {ahead}" if number else ahead, *others]
        if number < len(found) - 1:
            words[-1] += ","
    return words


def _mailbox(address: Address) -> list[str]:
    if not address.name:
        return [address.spec]
    # An endless name is encoded too, because an encoded one can be cut anywhere.
    if _needs_encoding(address.name) or len(address.name) > _NAME_BYTES:
        return [*_encoded(address.name, _NAME_BYTES), f" <{address.spec}>"]
    return [str(address).removesuffix(f" <{address.spec}>"), f" <{address.spec}>"]


def _split(value: str) -> list[str]:
    """The words of plain text, each with the white space before it."""
    return re.findall(r"^\S+|\s+\S+", value)


def _needs_encoding(value: str) -> bool:
    """Not only what is not ASCII, also what would be decoded though nobody has encoded it."""
    return not value.isascii() or "=?" in value


def _encoded(value: str, most: int = _WORD_BYTES) -> list[str]:
    """Text as encoded words (RFC 2047), no character cut in two; the spaces between vanish."""
    words = [
        f"=?utf-8?b?{base64.b64encode(piece.encode()).decode()}?="
        for piece in _in_pieces(value, lambda character: len(character.encode()), most)
    ]
    return [word if number == 0 else f" {word}" for number, word in enumerate(words)]


def _in_pieces(value: str, measure: Callable[[str], int], most: int) -> Iterator[str]:
    """`value` in pieces of whole characters that measure at most `most` together."""
    piece, size = "", 0
    for character in value:
        length = measure(character)
        if size + length > most:
            yield piece
            piece, size = "", 0
        piece, size = piece + character, size + length
    if piece:
        yield piece


def _text_part(kind: str, body: str) -> Chunks:
    # Never 8bit: the text may be mailed on through anything. Encoded here, not by set_content,
    # which adds a line break at the end: what is read back would not be what was written.
    text = quoprimime.body_encode(body.encode().decode("latin-1"), eol="\r\n")
    yield f'Content-Type: text/{kind}; charset="utf-8"\r\n'.encode()
    yield b"Content-Transfer-Encoding: quoted-printable\r\n\r\n" + text.encode("ascii")


def _attachment_headers(attachment: dict[str, Any]) -> bytes:
    lines = _header("Content-Type", _type(attachment["content_type"]))
    lines += _header("Content-Transfer-Encoding", ["base64"])
    name = _filename(attachment["filename"])
    lines += _header("Content-Disposition", [f"{attachment['disposition']};", *name])
    if attachment["content_id"]:
        lines += _header("Content-ID", [f"<{_ascii_id(attachment['content_id'].strip('<>'))}>"])
    return lines + b"\r\n"


def _named_in_ascii(image: re.Match[str]) -> str:
    content_id = unescape(image.group(1))
    return image.group() if content_id.isascii() else f'"cid:{_ascii_id(content_id)}"'


def _ascii_id(content_id: str) -> str:
    """A Content-ID as it may be written (RFC 5322, 3.6.4): one of mail that was forwarded may not.

    Not percent-encoded: who reads a `cid:` address decodes it, and would look for what it was.
    """
    if content_id.isascii():
        return content_id
    return hashlib.sha256(content_id.encode("utf-8", "replace")).hexdigest()[:40]


def _type(content_type: str) -> list[str]:
    kind = content_type.partition("/")[0]
    if kind in {"message", "multipart"}:
        # Such a part would be read as mail of its own, and may not be in base64 (RFC 2045, 6.4).
        return ["application/octet-stream"]
    if kind == "text":
        # Nobody said which. Without a word it would be ASCII (RFC 2046, 4.1.2), which is less
        # likely to be right.
        return [f"{content_type};", ' charset="utf-8"']
    return [content_type]


def _filename(name: str) -> list[str]:
    """The parameter with a file's name, in sections where it is long (RFC 2231)."""
    if re.fullmatch(r"[A-Za-z0-9 ._()-]{1,60}", name):
        return [f' filename="{name}"']
    sections = list(_in_pieces(name, lambda character: len(quote(character, safe="")), _SECTION))
    if len(sections) == 1:
        return [f" filename*=utf-8''{quote(name, safe='')}"]
    sections[0] = f"utf-8''{quote(sections[0], safe='')}"
    sections[1:] = [quote(section, safe="") for section in sections[1:]]
    last = len(sections) - 1
    return [
        f" filename*{number}*={section}{';' if number < last else ''}"
        for number, section in enumerate(sections)
    ]


def _base64(chunks: Chunks) -> Chunks:
    rest = b""
    for chunk in chunks:
        data = rest + chunk
        whole = len(data) - len(data) % _LINE
        rest = data[whole:]
        if whole:
            yield _lines(data[:whole])
    if rest:
        yield _lines(rest)


def _lines(data: bytes) -> bytes:
    return base64.encodebytes(data).replace(b"\n", b"\r\n")


def _boundary(kind: str, headers: Sequence[Sequence[str]]) -> str:
    """Always the same for a message, so that its text is; '=_' can't occur in either encoding."""
    digest = hashlib.sha256(f"{kind}{headers!r}".encode()).hexdigest()
    return f"=_{digest[:40]}"
