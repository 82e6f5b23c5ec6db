"""The list of a message's files, as templates/attachments/list.html shows it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from flask import url_for

from mailapp.templating import filesize

# A small picture of an image is the image itself: of one that is larger than this, an icon.
_THUMBNAIL = 512 * 1024
_PICTURES = frozenset({"image/png", "image/jpeg", "image/gif", "image/webp", "image/avif"})


class Line(NamedTuple):
    """A file of the list; `thumbnail` is the address of a picture to try, empty for none."""

    filename: str
    content_type: str
    size_text: str
    url: str
    preview: str
    thumbnail: str


def lines(entry_id: int, attachments: Sequence[Mapping[str, Any]]) -> list[Line]:
    """The files of a message (see mail.models.Message), for who holds this copy of it."""
    return [_line(entry_id, n, item) for n, item in enumerate(attachments, 1)]


def _line(entry_id: int, n: int, item: Mapping[str, Any]) -> Line:
    # What its sender calls an image is tried as one; what it is, its content will say.
    tried = item["content_type"] in _PICTURES and 0 < item["size"] <= _THUMBNAIL
    # Paths written out: url_for costs more than all the rest of a list.
    return Line(
        item["filename"],
        item["content_type"],
        filesize(item["size"]),
        # The name is only for people to see: the header has it. In Hangul each letter takes nine
        # characters, and gunicorn reads no line of more than 4094.
        url_for("attachments.whole", entry_id=entry_id, n=n, filename=item["filename"][-100:]),
        f"/mail/{entry_id}/preview/{n}",
        f"/mail/{entry_id}/shown/{n}" if tried else "",
    )
