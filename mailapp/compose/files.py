"""The files of a draft: each is in the store before its row, and is one file if it comes twice."""

from __future__ import annotations

import uuid
from dataclasses import asdict, dataclass, replace
from datetime import datetime
from typing import Any

from sqlalchemy import Connection, Row, bindparam, delete, insert, literal, select

from mailapp import quota
from mailapp.attachments.models import Blob, Upload
from mailapp.attachments.services import discard as discard_object
from mailapp.attachments.services import register
from mailapp.attachments.serving import clean_filename, safe_type
from mailapp.attachments.store import Stored
from mailapp.compose.keys import DraftKey
from mailapp.compose.models import Draft, DraftAttachment
from mailapp.compose.state import AlreadySent, NotYours, OnItsWay, must_be_open, take
from mailapp.database import insert_or_update, now, write
from mailapp.mail.models import Message
from mailapp.queries import Query, Transaction, given, transaction
from mailapp.quota import QuotaReached

FILES = Query(
    select(DraftAttachment, Blob.sha256)
    .join(Blob, Blob.id == DraftAttachment.blob_id)
    .where(DraftAttachment.draft_id == bindparam("draft_id"), DraftAttachment.removed_at.is_(None))
    .order_by(DraftAttachment.created_at, DraftAttachment.id)
)

_content = (Blob.sha256, Blob.size, Blob.key)
_IMAGE = Query(
    select(*_content, DraftAttachment.filename, DraftAttachment.content_type)
    .join(Draft, Draft.id == DraftAttachment.draft_id)
    .join(Blob, Blob.id == DraftAttachment.blob_id)
    .where(
        Draft.id == bindparam("draft_id"),
        Draft.account_id == bindparam("account_id"),
        DraftAttachment.content_id == bindparam("content_id"),
        DraftAttachment.removed_at.is_(None),
    )
    .limit(1)
)
_BLOB = Query(
    select(*_content, literal("").label("filename"), literal("").label("content_type")).where(
        Blob.id == bindparam("blob_id")
    )
)
SOURCE = Query(select(Message).where(Message.id == bindparam("message_id")))
_INSERT_FILE = Query(
    insert(DraftAttachment).values(
        given(
            "id",
            "draft_id",
            "blob_id",
            "filename",
            "content_type",
            "size",
            "disposition",
            "content_id",
            "created_at",
        )
    )
)


_END_UPLOAD = Query(delete(Upload).where(Upload.id == bindparam("id")))


class UploadEnded(Exception):
    """Another instance has finished the same upload, or it was given up."""


@dataclass(frozen=True)
class File:
    """An attachment of a draft, as its page shows it."""

    id: uuid.UUID
    filename: str
    content_type: str
    size: int
    disposition: str = "attachment"
    content_id: str | None = None


def attach(
    account_id: int,
    draft_id: uuid.UUID,
    attachment_id: uuid.UUID,
    stored: Stored,
    filename: str,
    content_type: str,
    *,
    content_id: str | None = None,
    from_pieces: bool = False,
) -> File | None:
    """Refer the draft to a file that is in the store; None when it was removed in the meantime.

    With `content_id` it is an image of the text, not an attachment. The same `attachment_id` again
    is the same file. Raises AlreadySent, OnItsWay or NotYours, QuotaReached where there is no room
    for it, and, for one that came `from_pieces`, UploadEnded.
    """
    file = File(attachment_id, clean_filename(filename), safe_type(content_type), stored.size)
    if content_id is not None:
        file = replace(file, disposition="inline", content_id=content_id)
    try:
        with transaction() as inside:
            known = take(inside, account_id, draft_id, attachment_id)
            must_be_open(known)
            if from_pieces:
                # Room was kept for it when it was begun.
                if not _END_UPLOAD.run(inside, id=attachment_id):
                    raise UploadEnded
            elif known.id is None:
                quota.must_have_room(inside, account_id, stored.size)
            if known.id is None:
                registered = register(inside, stored)
                insert_file(inside, draft_id, file, registered.blob_id, now())
                surplus = registered.surplus
            elif known.draft_id != draft_id:
                raise NotYours
            else:
                surplus = True
    except (AlreadySent, NotYours, OnItsWay, QuotaReached):
        # What came in pieces is one object to all instances that may be finishing it.
        if not from_pieces:
            discard_object(stored)
        raise
    # After any other failure the object stays: a commit whose answer was lost may have happened,
    # and a message that points at nothing is worse than an object for the collector.
    if surplus:
        discard_object(stored)
    if known.id is None:
        return file
    return None if known.removed_at else file_of(known)


def of_draft(draft_id: uuid.UUID) -> list[File]:
    """All of them, in the order in which they were attached."""
    return [file_of(row) for row in FILES.read(draft_id=draft_id)]


def image(
    account_id: int, draft_id: uuid.UUID, content_id: str, key: DraftKey | None
) -> Row[Any] | None:
    """An image of the text, as a row of sha256, size, key, filename, content_type; None for none.

    Before the draft is stored, one of the message that `key` says it is made from.
    """
    rows = _IMAGE.read(account_id=account_id, draft_id=draft_id, content_id=content_id)
    if rows or key is None or key.source_id is None:
        return rows[0] if rows else None
    for message in SOURCE.read(message_id=key.source_id):
        for item in message.attachments:
            if item["content_id"] and item["content_id"].strip("<>") == content_id:
                blobs = _BLOB.read(blob_id=item["blob"])
                named = {name: item[name] for name in ("filename", "content_type")}
                found: Row[Any] = blobs[0]._replace(**named)
                return found
    return None


def remove(account_id: int, draft_id: uuid.UUID, attachment_id: uuid.UUID) -> None:
    """Take a file away from the draft, also one whose upload has not ended yet.

    Raises AlreadySent, OnItsWay or NotYours.
    """
    with write() as connection:
        must_be_open(take(connection, account_id, draft_id))
        _remove(connection, draft_id, attachment_id)


def insert_file(
    inside: Transaction, draft_id: uuid.UUID, file: File, blob_id: int, moment: datetime
) -> None:
    _INSERT_FILE.run(inside, draft_id=draft_id, blob_id=blob_id, created_at=moment, **asdict(file))


def file_of(row: Row[Any]) -> File:
    return File(row.id, row.filename, row.content_type, row.size, row.disposition, row.content_id)


def _remove(connection: Connection, draft_id: uuid.UUID, attachment_id: uuid.UUID) -> None:
    moment = now()
    removed = {"blob_id": None, "removed_at": moment}
    connection.execute(
        insert_or_update(connection, DraftAttachment)
        .values(
            id=attachment_id,
            draft_id=draft_id,
            filename="",
            content_type="",
            size=0,
            created_at=moment,
            **removed,
        )
        .on_conflict_do_update(
            index_elements=[DraftAttachment.id],
            set_=removed,
            where=DraftAttachment.draft_id == draft_id,
        )
    )
