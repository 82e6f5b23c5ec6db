"""A send that is once: one transaction, one message, however often it is pressed or repeated.

It is done at once, or the draft is held until a moment: for the seconds in which it can be undone,
or until the time that was chosen. Then any instance sends it (see outbox.py).
"""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, delete, func, select, update

from mailapp.compose import markup
from mailapp.compose.drafts import DRAFT, WRITE, as_typed
from mailapp.compose.files import FILES
from mailapp.compose.letter import Letter, Unsendable, addressed, subject_of
from mailapp.compose.models import Draft
from mailapp.compose.room import without_room
from mailapp.compose.state import AlreadySent, NotYours, look, must_exist, take
from mailapp.compose.typed import Typed, typed_of
from mailapp.contacts import services as contacts
from mailapp.database import now, read
from mailapp.mail import addresses
from mailapp.mail import services as mail
from mailapp.mail.models import Message
from mailapp.mail.services import Attached, Outgoing
from mailapp.mailbox.filing import change, deliver
from mailapp.mailbox.models import Entry
from mailapp.mailbox.services import sent_entry
from mailapp.queries import Query, Transaction, transaction
from mailapp.telemetry.metrics import metrics

_of_draft = Draft.id == bindparam("draft_id")
_DELETE = Query(delete(Draft).where(_of_draft))
_HOLD = Query(update(Draft).where(_of_draft).values(send_at=bindparam("until")))
_RELEASE = Query(
    update(Draft)
    .where(_of_draft)
    .values(
        send_at=None,
        send_error=bindparam("error"),
        updated_at=bindparam("moment"),
        # Nobody's page: a saving that was under way as Send was pressed is of an older version.
        version=Draft.version + 1,
        window=None,
    )
)


def send(
    account_id: int, draft_id: uuid.UUID, typed: Typed | None = None, *, only_held: bool = False
) -> int | None:
    """Send the draft: one transaction, one message; the id of the sender's own copy.

    With `typed`, the text the person saw as they pressed Send: a saving by itself that was still on
    its way may have put an older one into the draft. The files are always the draft's.

    A draft that has been sent already is the same send: the same id again, None where the sender
    has deleted that copy since, or where `only_held` one may be sent and it is not. Raises
    Unsendable, with the draft left as it was, or NotYours.
    """
    while True:
        with transaction() as inside:
            try:
                text = typed or _typed_before(inside, account_id, draft_id)
                # Before any account is locked, because it says which: all at once, in order.
                letter, recipients, mistakes = addressed(inside, text)
                if mistakes:
                    look(inside, account_id, draft_id)
                    raise Unsendable(mistakes)
                modseqs = change(inside, [account_id, *recipients])
                state = look(inside, account_id, draft_id)
            except AlreadySent as sent:
                # Also by the same press made twice, while this waited for its people.
                return sent_entry(inside, account_id, sent.message_id)
            must_exist(state)
            if only_held and state.send_at is None:
                return None
            if typed or _typed_before(inside, account_id, draft_id) == text:
                entry_id = _send(inside, account_id, draft_id, letter, recipients, modseqs, state)
                break
        # It was saved from another window while this waited; look at what it says now.
    metrics().messages_sent.inc()
    return entry_id


def hold(account_id: int, draft_id: uuid.UUID, typed: Typed, until: datetime) -> datetime:
    """Have the draft sent at `until`, as it is now; the moment at which it will be.

    One that is held already stays so. Raises Unsendable, with the draft left as it was, for what
    could not be sent now either, AlreadySent or NotYours.
    """
    with transaction() as inside:
        letter, recipients, mistakes = addressed(inside, typed)
        state = take(inside, account_id, draft_id)
        must_exist(state)
        if state.send_at is not None:
            held: datetime = state.send_at
            return held
        if not mistakes:
            outgoing = _outgoing(inside, account_id, draft_id, letter, state, until)
            mistakes = without_room(inside, account_id, recipients, outgoing)
        if mistakes:
            raise Unsendable(mistakes)
        moment = now()
        WRITE.run(inside, draft_id=draft_id, moment=moment, by=None, **as_typed(typed))
        _HOLD.run(inside, draft_id=draft_id, until=until)
        return until


def release(account_id: int, draft_id: uuid.UUID, error: str | None = None) -> None:
    """Hold the draft no longer: it is written on; `error` says why, where it was not undone.

    Raises AlreadySent or NotYours.
    """
    with transaction() as inside:
        state = take(inside, account_id, draft_id)
        must_exist(state)
        if state.send_at is not None:
            _RELEASE.run(inside, draft_id=draft_id, moment=now(), error=error)


def sent_copy(account_id: int, draft_id: uuid.UUID) -> int | None:
    """The sender's copy of the message this draft became; None where it became none, or is gone."""
    with read() as connection:
        return connection.execute(
            select(func.min(Entry.id))
            .join(Message, Message.id == Entry.message_id)
            .where(
                Message.send_id == draft_id,
                Message.sender_id == account_id,
                Entry.account_id == account_id,
            )
        ).scalar()


def is_text_of(message_id: int, typed: Typed) -> bool:
    """Whether the message says what was typed."""
    with read() as connection:
        sent = connection.execute(
            select(Message.subject, Message.text_body).where(Message.id == message_id)
        ).one()
    return (sent.subject, sent.text_body) == (subject_of(typed), typed.body)


def _typed_before(inside: Transaction, account_id: int, draft_id: uuid.UUID) -> Typed:
    """What the draft says now. Raises AlreadySent or NotYours."""
    drafts = DRAFT.rows(inside, account_id=account_id, draft_id=draft_id)
    if not drafts:
        look(inside, account_id, draft_id)
        raise NotYours
    return typed_of(drafts[0])


def _send(
    inside: Transaction,
    account_id: int,
    draft_id: uuid.UUID,
    letter: Letter,
    recipients: Sequence[int],
    modseqs: Mapping[int, int],
    state: Any,
) -> int | None:
    """Make the message of a draft that is held and in order, and file it. Raises Unsendable."""
    moment = now()
    outgoing = _outgoing(inside, account_id, draft_id, letter, state, moment)
    if mistakes := without_room(inside, account_id, recipients, outgoing):
        raise Unsendable(mistakes)
    message = mail.create(inside, outgoing)
    entry_id = deliver(
        inside,
        message,
        moment,
        modseqs,
        sender_id=account_id,
        bcc=[str(address) for address in letter.bcc],
        recipient_ids=recipients,
    )
    contacts.note(inside, account_id, [*letter.to, *letter.cc, *letter.bcc], moment)
    _DELETE.run(inside, draft_id=draft_id)
    return entry_id


def _outgoing(
    inside: Transaction,
    account_id: int,
    draft_id: uuid.UUID,
    letter: Letter,
    state: Any,
    moment: datetime,
) -> Outgoing:
    """The message that a draft becomes."""
    return Outgoing(
        send_id=draft_id,
        sender_id=account_id,
        sender=replace(addresses.parse(state.address), name=state.name),
        to=letter.to,
        cc=letter.cc,
        subject=letter.subject,
        body=letter.body,
        html=letter.html,
        in_reply_to=state.in_reply_to,
        references=state.references,
        attachments=_attached(inside, draft_id, letter.html),
        date=moment,
    )


def _attached(inside: Transaction, draft_id: uuid.UUID, html: str | None) -> list[Attached]:
    """The draft's files, without the images that are no longer in its text."""
    shown = markup.images(html) if html else set()
    return [
        Attached(
            file.blob_id,
            file.sha256,
            file.filename,
            file.content_type,
            file.size,
            file.disposition,
            file.content_id,
        )
        for file in FILES.rows(inside, draft_id=draft_id)
        if file.disposition != "inline" or file.content_id in shown
    ]
