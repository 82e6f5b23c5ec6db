"""All files of a message as one zip, made while it is sent: it is nowhere whole.

The files are stored, not compressed: most are compressed already, and so the length is known before
the first byte, and a download that breaks off is seen to have.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass

from zipstream import ZIP_STORED, ZipStream

from mailapp.attachments.serving import clean_filename
from mailapp.attachments.store import ObjectStream

# What Windows can't have in a name; RFC 8493 would call the rest portable.
_UNPORTABLE = re.compile(r'[<>:"|?*]')
_DEVICES = re.compile(r"(con|prn|aux|nul|com\d|lpt\d)(\.|$)", re.IGNORECASE)

# What file systems take, in bytes; the rest is for " (2)".
_MAX_BYTES = 240

Opener = Callable[[], ObjectStream]


@dataclass(frozen=True)
class Member:
    """A file to be put in: its name as it was sent, its size in bytes, how to open it."""

    filename: str
    size: int
    open: Opener


def zipped(members: Sequence[Member]) -> tuple[int, Iterator[bytes]]:
    """How many bytes the zip will have, and its bytes; each file is opened when it comes."""
    bundle = ZipStream(compress_type=ZIP_STORED, sized=True)
    for name, member in zip(names([m.filename for m in members]), members, strict=True):
        bundle.add(_content(member), name, size=member.size)
    return len(bundle), iter(bundle)


def names(filenames: Sequence[str]) -> list[str]:
    """Names under which files lie side by side on any system, however they were called.

    Two that differ in upper and lower case alone are the same to some: the second gets a number.
    """
    taken: set[str] = set()
    found = []
    for filename in filenames:
        stem, ending = _parts(_portable(filename))
        name, number = stem + ending, 1
        while name.casefold() in taken:
            number += 1
            name = f"{stem} ({number}){ending}"
        taken.add(name.casefold())
        found.append(name)
    return found


def _content(member: Member) -> Iterator[bytes]:
    with member.open() as stream:
        yield from stream


def _portable(filename: str) -> str:
    name = _UNPORTABLE.sub("_", clean_filename(filename)).rstrip(". ") or "attachment"
    return f"_{name}" if _DEVICES.match(name) else name


def _parts(name: str) -> tuple[str, str]:
    """A name's stem, cut so that all of it has room, and its ending."""
    stem, dot, ending = name.rpartition(".")
    if not stem or len(ending.encode()) > 20:
        stem, ending = name, ""
    room = _MAX_BYTES - len((dot + ending).encode())
    return stem.encode()[:room].decode(errors="ignore"), dot + ending if ending else ""
