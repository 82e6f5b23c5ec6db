"""Drafts, which lose nothing that has been typed."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any, NamedTuple

from sqlalchemy import Connection, bindparam, func, insert, select, update

from mailapp.attachments.models import Upload
from mailapp.compose.files import SOURCE, File, insert_file, of_draft
from mailapp.compose.keys import DraftKey
from mailapp.compose.models import Draft, DraftAttachment
from mailapp.compose.replies import source_files, source_of
from mailapp.compose.signature import signed
from mailapp.compose.state import Changed, Discarded, NotYours, OnItsWay, take
from mailapp.compose.typed import FIELDS, Typed, typed_of
from mailapp.database import now, write
from mailapp.mailbox.paging import Listing, Page
from mailapp.queries import Query, Transaction, given, transaction
from mailapp.quota import must_have_room

# How many characters of each of a draft's fields a folder may show.
_SHOWN = 400

DRAFT = Query(
    select(Draft).where(
        Draft.id == bindparam("draft_id"), Draft.account_id == bindparam("account_id")
    )
)
_INSERT = Query(
    insert(Draft).values(
        given("id", "account_id", *FIELDS, "in_reply_to", "references", "version", "window")
        | {"created_at": bindparam("moment"), "updated_at": bindparam("moment")}
    )
)
_of_draft = Draft.id == bindparam("draft_id")
_revive = update(Draft).where(_of_draft).values(updated_at=bindparam("moment"), discarded_at=None)
_REVIVE = Query(_revive)
WRITE = Query(
    _revive.values(
        {name: bindparam(f"typed_{name}") for name in FIELDS}
        | {"version": Draft.version + 1, "window": bindparam("by"), "send_error": None}
    )
)

# What of a draft takes room, if anything does: a text comes back also where there is none left.
_WEIGHT = (
    select(DraftAttachment.id)
    .where(DraftAttachment.draft_id == bindparam("draft_id"), DraftAttachment.removed_at.is_(None))
    .union_all(select(Upload.id).where(Upload.draft_id == bindparam("draft_id")))
    .limit(1)
)

_DRAFTS = Listing(
    select(
        Draft.id,
        # The beginning is what a row has room for; the whole may be a megabyte.
        *(
            func.substr(column, 1, _SHOWN).label(column.key)
            for column in (Draft.to, Draft.subject, Draft.body)
        ),
        Draft.updated_at,
        Draft.send_error,
        select(DraftAttachment.id)
        .where(DraftAttachment.draft_id == Draft.id, DraftAttachment.removed_at.is_(None))
        .exists()
        .label("has_files"),
    ).where(
        Draft.account_id == bindparam("account_id"),
        Draft.discarded_at.is_(None),
        Draft.send_at.is_(None),
    ),
    Draft.updated_at,
    Draft.id,
)


@dataclass(frozen=True)
class Written:
    """A draft and its files; `updated_at` is None before its first save."""

    typed: Typed
    files: Sequence[File]
    updated_at: datetime | None = None
    version: int = 0
    send_at: datetime | None = None
    send_error: str | None = None


@dataclass(frozen=True)
class Seen:
    """Which version of a draft a page has seen, and which page it is."""

    version: int
    window: uuid.UUID


class Saved(NamedTuple):
    """When a draft was saved, and its version since."""

    at: datetime
    version: int


def load(account_id: int, draft_id: uuid.UUID) -> Written | None:
    """The draft with its files, or None where this person has none such."""
    drafts = DRAFT.read(account_id=account_id, draft_id=draft_id)
    if not drafts:
        return None
    draft = drafts[0]
    files = of_draft(draft_id)
    return Written(
        typed_of(draft), files, draft.updated_at, draft.version, draft.send_at, draft.send_error
    )


def prepare(key: DraftKey, me: str, signature: str) -> Written:
    """What a new draft's page begins with: what its source gives, and a signature."""
    messages = SOURCE.read(message_id=key.source_id) if key.mode else []
    source = source_of(messages[0] if messages else None, key, me)
    return Written(signed(source.typed, signature), source_files(source, key.draft_id))


def save(
    account_id: int,
    draft_id: uuid.UUID,
    typed: Typed | None,
    key: DraftKey | None,
    *,
    seen: Seen | None = None,
    by_itself: bool = False,
) -> Saved:
    """Store the draft's text, making the draft at its first save.

    Without `typed` only makes sure that the draft exists. A draft is made only under an id that
    `key` proves was given to this person. Raises AlreadySent, OnItsWay, NotYours, Changed where
    another page than the one that saves has written since that has `seen` it, and Discarded where a
    page saves `by_itself` what was discarded; when the person saves, it is a draft again.
    """
    with transaction() as inside:
        state = take(inside, account_id, draft_id)
        moment = now()
        window = None if seen is None else seen.window
        if state.owner_id is None:
            version = _create(inside, account_id, draft_id, typed, key, moment, state, window)
            return Saved(moment, version)
        if state.send_at is not None:
            raise OnItsWay(state.send_at)
        if state.discarded_at is not None and by_itself:
            raise Discarded
        if typed is None:
            _REVIVE.run(inside, draft_id=draft_id, moment=moment)
            return Saved(moment, state.version)
        if (
            seen is not None
            and state.version != seen.version
            # Its own save, whose answer did not arrive, is no other's.
            and state.window != seen.window
            and typed_of(DRAFT.rows(inside, account_id=account_id, draft_id=draft_id)[0]) != typed
        ):
            raise Changed
        WRITE.run(inside, draft_id=draft_id, moment=moment, by=window, **as_typed(typed))
        return Saved(moment, state.version + 1)


def save_apart(account_id: int, draft_id: uuid.UUID, typed: Typed) -> uuid.UUID:
    """Store a text as a draft of its own, beside one that another window has changed: its id."""
    apart = uuid.uuid5(draft_id, repr(typed))
    save(account_id, apart, typed, DraftKey(account_id, 0, apart))
    return apart


def as_typed(typed: Typed) -> dict[str, Any]:
    """The values of WRITE."""
    return {f"typed_{name}": value for name, value in typed.values().items()}


def discard(account_id: int, draft_id: uuid.UUID) -> bool:
    """Discard the draft, for now so that it can be undone; False when there was none."""
    with write() as connection:
        take(connection, account_id, draft_id)
        return _set_discarded(connection, account_id, draft_id, now())


def undo_discard(account_id: int, draft_id: uuid.UUID) -> bool:
    """Bring a discarded draft back; False when it is gone for good.

    QuotaReached where there is no room for its files any more.
    """
    with write() as connection:
        take(connection, account_id, draft_id)
        is_back = _set_discarded(connection, account_id, draft_id, None)
        if is_back and connection.execute(_WEIGHT, {"draft_id": draft_id}).first() is not None:
            must_have_room(connection, account_id, 0)
        return is_back


def page(account_id: int, before: str | None) -> Page:
    """A page of a person's drafts, the last written first; ValueError for no key."""
    return _DRAFTS.page(before, account_id=account_id)


def _create(
    inside: Transaction,
    account_id: int,
    draft_id: uuid.UUID,
    typed: Typed | None,
    key: DraftKey | None,
    moment: datetime,
    state: Any,
    window: uuid.UUID | None,
) -> int:
    """Make the draft: its version, 0 where nobody has written in it but a file is attached."""
    if key is None or key.account_id != account_id or key.draft_id != draft_id:
        raise NotYours
    message = None
    if key.mode:
        found = SOURCE.rows(inside, message_id=key.source_id)
        message = found[0] if found else None
    source = source_of(message, key, state.address)
    version = 1
    if typed is None:
        # What its page shows, which somebody may open again before they type.
        typed, version = signed(source.typed, state.signature), 0
    _INSERT.run(
        inside,
        id=draft_id,
        account_id=account_id,
        **typed.values(),
        in_reply_to=source.in_reply_to,
        references=source.references,
        version=version,
        window=window,
        moment=moment,
    )
    for file, attachment in zip(source_files(source, draft_id), source.attachments, strict=True):
        insert_file(inside, draft_id, file, attachment["blob"], moment)
        # Apart, because files are listed in the order in which they were attached.
        moment += timedelta(microseconds=1)
    return version


def _set_discarded(
    connection: Connection, account_id: int, draft_id: uuid.UUID, moment: datetime | None
) -> bool:
    return (
        connection.execute(
            update(Draft)
            .where(Draft.id == draft_id, Draft.account_id == account_id)
            .values(discarded_at=moment, send_at=None)
        ).rowcount
        == 1
    )
