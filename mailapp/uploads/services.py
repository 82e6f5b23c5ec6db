"""The rules of uploads: until it is attached, a file is a row and an object that was begun.

A piece counts once it is in the store and the row says so. Only the row knows: of two instances
with the same piece one moves it on, and of two that finish one attaches the file.
"""

from __future__ import annotations

import logging
import uuid
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from typing import Any

from sqlalchemy import bindparam, delete, insert, select, update

from mailapp import quota
from mailapp.attachments.models import Upload
from mailapp.attachments.serving import clean_filename, safe_type
from mailapp.attachments.store import PIECE, Begun, ByteReader, Gone, StoreUnavailable, store
from mailapp.compose import files
from mailapp.compose.files import UploadEnded
from mailapp.compose.models import Draft, DraftAttachment
from mailapp.compose.state import NotYours, must_be_open, take
from mailapp.database import now
from mailapp.queries import Query, given, transaction
from mailapp.telemetry.metrics import metrics

logger = logging.getLogger(__name__)

# How long it may take an instance, after the last but one piece, to make the object and say so.
_FINISHING = timedelta(minutes=1)

_FIND = Query(
    select(
        Upload.id,
        Upload.filename,
        Upload.content_type,
        Upload.size,
        Upload.received,
        Upload.key,
        Upload.state,
        Upload.updated_at,
        DraftAttachment.id.label("attached_id"),
        DraftAttachment.size.label("attached_size"),
        DraftAttachment.removed_at,
    )
    .select_from(Draft)
    .outerjoin(Upload, (Upload.id == bindparam("upload_id")) & (Upload.draft_id == Draft.id))
    .outerjoin(
        DraftAttachment,
        (DraftAttachment.id == bindparam("upload_id", type_=DraftAttachment.id.type))
        & (DraftAttachment.draft_id == Draft.id),
    )
    .where(Draft.id == bindparam("draft_id"), Draft.account_id == bindparam("account_id"))
)
_ANY = Query(select(Upload.id).where(Upload.id == bindparam("upload_id")))
_BEGIN = Query(
    insert(Upload).values(
        given("id", "draft_id", "filename", "content_type", "size", "key", "state")
        | {"received": 0, "created_at": bindparam("moment"), "updated_at": bindparam("moment")}
    )
)
_MOVE_ON = Query(
    update(Upload)
    .where(Upload.id == bindparam("upload_id"), Upload.received == bindparam("offset"))
    .values(
        received=bindparam("now_received"),
        state=bindparam("now_state"),
        updated_at=bindparam("moment"),
    )
)
_END = Query(
    delete(Upload)
    .where(Upload.id == bindparam("upload_id"), Upload.draft_id == bindparam("draft_id"))
    .returning(Upload.key, Upload.state)
)


class NotThere(LookupError):
    """There is no such upload: it was never begun, or left alone for too long. Begin anew."""


class Removed(LookupError):
    """The file was taken away from its draft while it came."""


class WrongOffset(Exception):
    """The piece does not begin where the last one ended, which is at `received`."""

    def __init__(self, received: int) -> None:
        super().__init__(f"{received} bytes are here")
        self.received = received


@dataclass(frozen=True)
class Progress:
    """How much of a file is here, in bytes; all of it, once it is attached."""

    size: int
    received: int


@dataclass(frozen=True)
class Place:
    """Which file of whose draft."""

    account_id: int
    draft_id: uuid.UUID
    upload_id: uuid.UUID


def progress(place: Place) -> Progress:
    """How far it has come. Raises NotYours, NotThere or Removed."""
    found = _find(place)
    return Progress(found.size, found.received)


def begin(place: Place, filename: str, content_type: str, size: int) -> Progress:
    """Begin a file of `size` bytes in a draft that exists; begun before, it goes on as it is.

    Raises NotYours, AlreadySent, OnItsWay, Removed, and QuotaReached where there is no room for it.
    """
    with suppress(NotThere):
        return progress(place)
    begun = store().begin()
    with transaction() as inside:
        must_be_open(take(inside, place.account_id, place.draft_id))
        # Whoever else began it, with the same answer lost perhaps, held the account's row too.
        if not (is_there := bool(_ANY.rows(inside, upload_id=place.upload_id))):
            quota.must_have_room(inside, place.account_id, size)
            _BEGIN.run(
                inside,
                id=place.upload_id,
                draft_id=place.draft_id,
                filename=clean_filename(filename),
                content_type=safe_type(content_type),
                size=size,
                key=begun.key,
                state=_state(begun),
                moment=now(),
            )
    if is_there:
        _abandon(begun)
        return progress(place)
    return Progress(size, 0)


def receive(place: Place, offset: int, stream: ByteReader, length: int) -> Progress:
    """Take what `stream` has, `length` bytes of the file from `offset` on, as far as it will do.

    Only whole pieces do (PIECE bytes, or the rest of the file): of a stream that breaks off, those
    that came stay. With the last one the file is the draft's. The same bytes again are taken for a
    request whose answer was lost. Raises what `stream` raises, NotYours, AlreadySent, NotThere,
    Removed and WrongOffset.
    """
    found = _find(place)
    if length and offset + length == found.received:
        return Progress(found.size, found.received)
    if offset != found.received or found.id is None:
        raise WrongOffset(found.received)
    try:
        return _receive(place, found, stream, length)
    except Gone:
        # To this instance what another one is just finishing looks the same.
        if now() - found.updated_at < _FINISHING:
            raise WrongOffset(found.received) from None
        _end(place)
        raise NotThere from None


def remove(place: Place) -> None:
    """Take the file away from the draft, with what has come of it.

    Raises NotYours, AlreadySent or OnItsWay.
    """
    files.remove(place.account_id, place.draft_id, place.upload_id)
    _end(place)


def _receive(place: Place, found: Any, stream: ByteReader, length: int) -> Progress:
    begun, received = _begun(found), found.received
    while (piece := min(PIECE, found.size - received)) <= length:
        is_last = received + piece == found.size
        try:
            begun = store().add(begun, stream, piece)
        except Gone:
            if not is_last:
                raise
            # Finished before, perhaps, by an instance that died then: the object is there.
        metrics().bytes_up.inc(piece)
        if is_last:
            return _finish(place, found, begun)
        _move_on(place, begun, received, received + piece)
        received, length = received + piece, length - piece
    return Progress(found.size, received)


def _finish(place: Place, found: Any, begun: Begun) -> Progress:
    stored = store().finish(begun)
    if stored.size != found.size:
        raise Gone
    try:
        file = files.attach(
            place.account_id,
            place.draft_id,
            place.upload_id,
            stored,
            found.filename,
            found.content_type,
            from_pieces=True,
        )
    except UploadEnded:
        # By another instance that had the same piece: it attached the file, or it was removed.
        return progress(place)
    _abandon(begun)
    if file is None:
        raise Removed
    return Progress(found.size, found.size)


def _find(place: Place) -> Any:
    rows = _FIND.read(
        account_id=place.account_id, draft_id=place.draft_id, upload_id=place.upload_id
    )
    if not rows:
        raise NotYours
    found = rows[0]
    if found.removed_at is not None:
        raise Removed
    if found.attached_id is not None:
        return found._replace(id=None, size=found.attached_size, received=found.attached_size)
    if found.id is None:
        raise NotThere
    return found


def _move_on(place: Place, begun: Begun, offset: int, received: int) -> None:
    with transaction() as inside:
        moved = _MOVE_ON.run(
            inside,
            upload_id=place.upload_id,
            offset=offset,
            now_received=received,
            now_state=_state(begun),
            moment=now(),
        )
    if not moved:
        raise WrongOffset(progress(place).received)


def _end(place: Place) -> None:
    with transaction() as inside:
        ended = _END.rows(inside, upload_id=place.upload_id, draft_id=place.draft_id)
    for row in ended:
        _abandon(_begun(row))


def _abandon(begun: Begun) -> None:
    """What can't be removed now, the collector will."""
    try:
        store().abandon(begun)
    except StoreUnavailable:
        logger.warning("uploads: the pieces of %s are left to the collector", begun.key)


def _begun(row: Any) -> Begun:
    return Begun(row.key, row.state["upload"], tuple(row.state["pieces"]))


def _state(begun: Begun) -> dict[str, Any]:
    return {"upload": begun.upload, "pieces": list(begun.pieces)}
