"""Removes what nothing refers to any more: rows first, then the objects they named.

Safe at any time on any instance, beside uploads, sends and another collector: a row goes only while
it is locked and unreferred to, and an object only when no row names it, which is final, because
keys are never used again.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from datetime import datetime, timedelta
from itertools import islice
from typing import Any

from sqlalchemy import ColumnElement, delete, exists, select
from sqlalchemy.orm import InstrumentedAttribute

from mailapp import limits, sessions
from mailapp.attachments.models import Blob, Upload
from mailapp.attachments.store import store
from mailapp.compose.models import Draft, DraftAttachment
from mailapp.database import read, write
from mailapp.mail.models import Message, MessageBlob
from mailapp.mailbox.models import Entry

# Short transactions: nobody who sends or uploads waits long for a row that is looked at here.
BATCH = 500

# How long a discarded draft can be brought back.
DISCARDED = timedelta(days=30)

# An object is written before its row. However short the grace, an upload under way is never taken
# for rubbish, nor by a store whose clock goes a little wrong.
UNNAMED = timedelta(hours=1)

_UNREFERRED = ~(
    exists().where(DraftAttachment.blob_id == Blob.id)
    | exists().where(MessageBlob.blob_id == Blob.id)
    | exists().where(Message.raw_blob_id == Blob.id)
)
_UNHELD = ~exists().where(Entry.message_id == Message.id)


@dataclass(frozen=True)
class Report:
    """How much was removed of each kind; `size` is the bytes of the blobs.

    `uploads` nobody went on with; `unfinished` is what was left in the store, theirs and others'.
    """

    sessions: int
    limits: int
    drafts: int
    messages: int
    blobs: int
    size: int
    objects: int
    uploads: int
    unfinished: int


def collect(now: datetime, grace: timedelta) -> Report:
    """Remove what was rubbish already `grace` before `now` (in UTC).

    Raises Unavailable where the database or the store does not answer; what was done until then
    stays done, and the next run goes on.
    """
    with write() as connection:
        ended = sessions.delete_expired(connection, now)
        counters = limits.delete_expired(connection, now)
    drafts = _discarded_drafts(now - DISCARDED)
    messages = _unheld_messages(now - grace)
    # Not to delete rows whose objects would then have to be searched for.
    store().check()
    blobs, size = _unreferred_blobs(now - grace)
    old = now - max(grace, UNNAMED)
    uploads = _left_uploads(old)
    objects = _unnamed_objects(old)
    unfinished = store().sweep(old, _coming())
    return Report(ended, counters, drafts, messages, blobs, size, objects, uploads, unfinished)


def _discarded_drafts(before: datetime) -> int:
    deleted = 0
    while True:
        batch = select(Draft.id).where(Draft.discarded_at < before).limit(BATCH)
        with write() as connection:
            # Said twice: a draft that is being brought back is looked at again, once it is.
            found = connection.execute(
                delete(Draft).where(Draft.id.in_(batch), Draft.discarded_at < before)
            ).rowcount
        deleted += found
        if found == 0:
            return deleted


def _unheld_messages(before: datetime) -> int:
    deleted = 0
    for ids in _candidates(Message.id, Message.created_at < before, _UNHELD):
        with write() as connection:
            ours = select(Message.id).where(Message.id.in_(ids)).with_for_update(skip_locked=True)
            locked = connection.scalars(ours).all()
            deleted += connection.execute(
                delete(Message).where(Message.id.in_(locked), _UNHELD)
            ).rowcount
    return deleted


def _unreferred_blobs(before: datetime) -> tuple[int, int]:
    """How many were deleted, and how many bytes they were."""
    count = size = 0
    old = Blob.last_used_at < before
    for ids in _candidates(Blob.id, old, _UNREFERRED):
        with write() as connection:
            # A reference takes a share of this lock, so after it none comes, and the next
            # statement sees all that came before. Skipping what others hold, we wait for nobody
            # while we hold locks ourselves: no deadlock with a send that refers to several blobs.
            ours = select(Blob.id).where(Blob.id.in_(ids), old).with_for_update(skip_locked=True)
            locked = connection.scalars(ours).all()
            gone = connection.execute(
                delete(Blob).where(Blob.id.in_(locked), _UNREFERRED).returning(Blob.key, Blob.size)
            ).all()
        for key, _ in gone:
            store().delete(key)
        count += len(gone)
        size += sum(row.size for row in gone)
    return count, size


def _candidates(
    identity: InstrumentedAttribute[int], old: ColumnElement[bool], unneeded: ColumnElement[bool]
) -> Iterator[list[int]]:
    """Ids of old rows that nothing seems to need, page by page through the whole table.

    Each statement looks at one page, however long the table and however few are found.
    """
    last = 0
    while True:
        page = select(identity, unneeded.label("unneeded")).where(identity > last, old)
        with read() as connection:
            rows = connection.execute(page.order_by(identity).limit(BATCH)).all()
        if not rows:
            return
        last = rows[-1][0]
        if ids := [row[0] for row in rows if row.unneeded]:
            yield ids


def _left_uploads(before: datetime) -> int:
    with write() as connection:
        return connection.execute(delete(Upload).where(Upload.updated_at < before)).rowcount


def _coming() -> set[str]:
    """The objects that pieces are still coming for, some of them begun long ago."""
    with read() as connection:
        return set(connection.scalars(select(Upload.key)))


def _unnamed_objects(before: datetime) -> int:
    deleted = 0
    old = (key for key, modified in store().list() if modified < before)
    for keys in _batches(old):
        with read() as connection:
            # Of both at one moment: an upload's row goes as its blob's comes.
            of_blobs = select(Blob.key).where(Blob.key.in_(keys))
            named = set(
                connection.scalars(of_blobs.union(select(Upload.key).where(Upload.key.in_(keys))))
            )
        for key in keys:
            if key not in named:
                store().delete(key)
                deleted += 1
    return deleted


def _batches(items: Iterable[Any]) -> Iterator[list[Any]]:
    iterator = iter(items)
    while batch := list(islice(iterator, BATCH)):
        yield batch
