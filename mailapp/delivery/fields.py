"""The header of a message: its fields in order, as text; what encoded words and parameters say.

RFC 5322 (section 2.2), 2047, 2231 and 6532, and what is sent in their place.
"""

from __future__ import annotations

import base64
import re
from binascii import a2b_qp
from email.utils import getaddresses
from typing import NamedTuple
from urllib.parse import unquote_to_bytes

from mailapp.delivery.charsets import decoded
from mailapp.mail import addresses
from mailapp.mail.addresses import Address, AddressError

# What can be read of a header, however long somebody made it.
MAX_FIELDS, MAX_VALUE = 1_000, 200_000

_NAME = re.compile(rb"([!-9;-~]{1,200})[ \t]*:")
_LINE = re.compile(rb"[^\n]*\n?")
_WORD = re.compile(r"=\?([^?\s]{1,100})\?([bq])\?([^?]*)\?=", re.IGNORECASE)
_CONTROLS = re.compile(r"[\x00-\x1f\x7f]")
_NOT_BASE64 = re.compile(r"[^A-Za-z0-9+/]")

_PARAMETER = re.compile(
    r";\s*([^\s=;*\"]{1,100}(?:\*[0-9]{1,3})?\*?)\s*=\s*(?:\"((?:\\.|[^\"\\])*)(?:\"|$)|([^;]*))",
    re.DOTALL,
)
_SECTION = re.compile(r"([^*]+)(?:\*(\d+))?(\*)?")


class Field(NamedTuple):
    """A header field as it came, its lines joined; `raw` without the line's end."""

    name: str
    raw: bytes

    def text(self, hint: str = "") -> str:
        """Its value as it is written; bytes that are not ASCII in UTF-8, or in `hint`."""
        value = self.raw if len(self.raw) <= MAX_VALUE else self.raw[:MAX_VALUE]
        return " ".join(decoded(value, hint=hint).split())


class Valued(NamedTuple):
    """A value with parameters, as Content-Type has them: both names in lower case."""

    value: str
    parameters: dict[str, str]


def read_fields(head: bytes) -> list[Field]:
    """The fields of a header, in order; lines that are none are left out."""
    fields: list[tuple[str, list[bytes]]] = []
    for line in _LINE.findall(head):
        line = line.rstrip(b"\r\n")
        found = _NAME.match(line)
        if line[:1] in {b" ", b"\t"} and fields:
            fields[-1][1].append(line)
        elif found and len(fields) < MAX_FIELDS:
            fields.append((found.group(1).decode("ascii"), [line[found.end() :]]))
    return [Field(name, b"".join(lines).strip()) for name, lines in fields]


def plain(text: str) -> str:
    """Text with its encoded words (RFC 2047) decoded, on one line, without what can't be shown.

    Words of one charset that follow each other are read as one: programs cut characters in two.
    """
    parts: list[str] = []
    charset, pending, end = "", b"", 0
    for found in _WORD.finditer(text):
        between = text[end : found.start()]
        name = found.group(1).partition("*")[0].lower()
        if between.strip() or not pending or name != charset:
            parts.append(decoded(pending, charset))
            # The space between two encoded words only separates them (RFC 2047, section 6.2).
            parts.append("" if pending and not between.strip() else between)
            charset, pending = name, b""
        pending += _word_bytes(found.group(2), found.group(3))
        end = found.end()
    whole = "".join([*parts, decoded(pending, charset), text[end:]])
    return one_line(whole)


def one_line(text: str) -> str:
    """Text that stands on one line: no controls in it, and one space for any white space."""
    kept = _CONTROLS.sub(" ", text)
    return " ".join(kept.encode("utf-8", "replace").decode().split())


def _word_bytes(encoding: str, text: str) -> bytes:
    if encoding in "qQ":
        return a2b_qp(text.replace("_", " ").encode("utf-8", "replace"), header=False)
    letters = _NOT_BASE64.sub("", text)
    if len(letters) % 4 == 1:
        letters = letters[:-1]
    return base64.b64decode(letters + "=" * (-len(letters) % 4))


def people(text: str) -> list[Address]:
    """The addresses in a field such as To, as far as they can be read; names decoded."""
    text = one_line(text)
    try:
        found = addresses.parse_list(text)
    except AddressError:
        found = _read_one_by_one(text[:20_000])
    return [Address(_name(one.name), one.local, one.domain) for one in found]


def _name(name: str) -> str:
    """A display name; encoded words stand in quotes too, where they should not."""
    decoded_name = plain(name)
    # Some programs put quotes inside of what they encode.
    if len(decoded_name) > 1 and decoded_name[0] == decoded_name[-1] and decoded_name[0] in "\"'":
        decoded_name = decoded_name[1:-1].strip()
    return decoded_name if addresses.is_one_line(decoded_name) else ""


def _read_one_by_one(text: str) -> list[Address]:
    found: list[Address] = []
    try:
        pairs = getaddresses([text])
    except RecursionError:  # of a comment in a comment, a thousand times
        return found
    for name, spec in pairs:
        try:
            one = addresses.parse(spec)
        except AddressError:
            continue
        found.append(Address(" ".join(name.split()), one.local, one.domain))
    return found


def valued(text: str) -> Valued:
    """A value and its parameters (RFC 2045, 2231); of one that is there twice, the first."""
    value = text.partition(";")[0].strip().lower()
    simple: dict[str, str] = {}
    sections: dict[str, dict[int, tuple[bool, str]]] = {}
    for found in _PARAMETER.finditer(text[:20_000]):
        quoted, bare = found.group(2), found.group(3)
        written = bare.strip() if quoted is None else _unescaped(quoted)
        section = _SECTION.fullmatch(found.group(1).lower())
        if section is None:
            continue
        name, number, is_encoded = section.groups()
        if number is None and not is_encoded:
            simple.setdefault(name, written)
        else:
            piece = (bool(is_encoded), written)
            sections.setdefault(name, {}).setdefault(int(number or 0), piece)
    for name, pieces in sections.items():
        simple[name] = _joined([pieces[number] for number in sorted(pieces)])
    return Valued(value, {name: plain(text) for name, text in simple.items()})


def _joined(pieces: list[tuple[bool, str]]) -> str:
    """The sections of a parameter (RFC 2231, sections 3 and 4) as text."""
    charset = ""
    first_is_encoded, first = pieces[0]
    if first_is_encoded and first.count("'") >= 2:
        charset, _language, first = first.split("'", 2)
        pieces = [(True, first), *pieces[1:]]
    data = b"".join(
        unquote_to_bytes(text) if is_encoded else text.encode("utf-8", "replace")
        for is_encoded, text in pieces
    )
    return decoded(data, charset)


def _unescaped(text: str) -> str:
    # A path of Windows has single back slashes before letters, which escape nothing there.
    return re.sub(r"\\([\"\\])", r"\1", text)
