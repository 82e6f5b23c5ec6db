"""Stores a content and names it, as attaching a file does."""

from __future__ import annotations

from dataclasses import dataclass

from mailapp.attachments.services import discard, register
from mailapp.attachments.store import ByteReader, store
from mailapp.database import write


@dataclass(frozen=True)
class SavedBlob:
    """A content that is stored and has its row."""

    blob_id: int
    sha256: str
    size: int


def save(stream: ByteReader, limit: int) -> SavedBlob:
    """The object first, then the row; the object away again where the content was there."""
    stored = store().put(stream, limit)
    with write() as connection:
        registered = register(connection, stored)
    if registered.surplus:
        discard(stored)
    return SavedBlob(registered.blob_id, stored.sha256, stored.size)
