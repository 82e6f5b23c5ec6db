"""The files of a message, for who holds a copy of it: what they are, and what is in them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from itertools import islice
from typing import NamedTuple

from sqlalchemy import Text, bindparam, cast, select

from mailapp.attachments import kinds
from mailapp.attachments.kinds import Found
from mailapp.attachments.models import Blob
from mailapp.attachments.store import ObjectStream, store
from mailapp.mail.models import Message
from mailapp.mailbox.models import Entry
from mailapp.queries import Query, among

_MESSAGE = Query(
    select(Message.subject, cast(Message.attachments, Text).label("attachments"))
    .join(Entry, Entry.message_id == Message.id)
    .where(Entry.id == bindparam("entry_id"), Entry.account_id == bindparam("account_id"))
)
_KEYS = Query(select(Blob.id, Blob.key).where(among(Blob.id, "ids")))


@dataclass(frozen=True)
class File:
    """The n-th file of a message, counted from 1; name and type are its sender's."""

    n: int
    filename: str
    content_type: str
    size: int
    sha256: str
    key: str

    def open(self, start: int = 0, length: int | None = None) -> ObjectStream:
        """Its bytes. Raises FileNotFoundError, and StoreUnavailable."""
        return store().open(self.key, start, length)

    def beginning(self, most: int) -> bytes:
        """Its first `most` bytes, or all of it. Raises FileNotFoundError, and StoreUnavailable."""
        if not self.size:
            return b""  # of nothing, S3 can't give a range
        with self.open(0, min(most, self.size)) as stream:
            return b"".join(stream)

    def kind(self) -> Found | None:
        """What can be shown of it. Raises FileNotFoundError, and StoreUnavailable."""
        return _kind_of(self)


class Held(NamedTuple):
    """A message's subject and files."""

    subject: str
    files: Sequence[File]

    def file(self, n: int) -> File | None:
        """The n-th file."""
        return next(islice(self.files, n - 1, None), None) if n > 0 else None


def held(account_id: int, entry_id: int) -> Held | None:
    """The message of this account's copy, with all its files; None where there is none such."""
    rows = _MESSAGE.read(account_id=account_id, entry_id=entry_id)
    if not rows:
        return None
    items = json.loads(rows[0].attachments)
    ids = [item["blob"] for item in items]
    keys = {row.id: row.key for row in _KEYS.read(ids=ids)} if ids else {}
    files = [
        File(
            n,
            item["filename"],
            item["content_type"],
            item["size"],
            item["sha256"],
            keys[item["blob"]],
        )
        for n, item in enumerate(items, 1)
    ]
    return Held(rows[0].subject, files)


# What is stored never changes: its kind is found once in each process.
@lru_cache(maxsize=4096)
def _kind_of(file: File) -> Found | None:
    return kinds.find(file.beginning(kinds.HEAD))
