"""Two demo people and a mailbox that looks like one, made by the services that real people use."""

from __future__ import annotations

import io
import secrets
import uuid
from datetime import datetime

from sqlalchemy import func, select, update

from mailapp.accounts import services as accounts
from mailapp.accounts.models import Account
from mailapp.attachments.store import store
from mailapp.compose import drafts, sending
from mailapp.compose.files import attach
from mailapp.compose.keys import DraftKey, Mode
from mailapp.compose.typed import Typed
from mailapp.database import now, read, write
from mailapp.delivery.services import deliver_to
from mailapp.mail.models import Message
from mailapp.mailbox import changes, folders
from mailapp.mailbox.filing import change
from mailapp.mailbox.models import Conversation, Entry
from mailapp.queries import transaction
from mailapp.search.models import SearchEntry
from mailapp.seeding import letters
from mailapp.settings import current_settings


def seed(*, admin: bool = False) -> list[tuple[str, str]]:
    """Make alice and bob and their mail: [(address, password)], empty when they are there already.

    The passwords are random, made here and kept nowhere. With `admin` alice is an operator.
    """
    domain = current_settings().mail_domain
    alice, bob = f"alice@{domain}", f"bob@{domain}"
    with read() as connection:
        known = select(Account.id).where(Account.address.in_((alice, bob)))
        if connection.execute(known).first() is not None:
            return []
    # Their passwords are told at the end: not to fail half-way for want of a store.
    store().check()
    logins = [(alice, secrets.token_urlsafe(12)), (bob, secrets.token_urlsafe(12))]
    try:
        ids = {alice: accounts.create(alice, "Alice Kim", logins[0][1])}
    except accounts.Refused:
        return []  # another seed, started at the same moment, was quicker
    if admin:
        accounts.set_admin(alice, is_admin=True)
    ids[bob] = accounts.create(bob, "Bob Lee", logins[1][1])
    for letter in letters.received():
        deliver_to(alice, io.BytesIO(letter.text(alice)))
        _file(ids[alice], letter)
    answered: dict[str, int] = {}
    for written in letters.written():
        sender, reader = (alice, bob) if written.by_alice else (bob, alice)
        answers = answered.get(written.subject)
        answered[written.subject] = _send(ids[sender], reader, written, answers)
        entry_id = _newest(ids[reader])
        _date(entry_id, now() - written.ago)
        if written.is_read:
            _mark(ids[reader], entry_id, changes.READ)
    _write(ids[alice], uuid.uuid4(), bob, letters.DRAFT)
    return logins


def _send(account_id: int, to: str, written: letters.Written, answers: int | None) -> int:
    """Write and send a message as its author would; the message's id."""
    draft_id = uuid.uuid4()
    _write(account_id, draft_id, to, written, answers)
    for filename, content_type, content in written.files:
        stored = store().put(io.BytesIO(content), len(content))
        attach(account_id, draft_id, uuid.uuid4(), stored, filename, content_type)
    entry_id = sending.send(account_id, draft_id)
    with read() as connection:
        return connection.execute(select(Entry.message_id).where(Entry.id == entry_id)).scalar_one()


def _write(
    account_id: int,
    draft_id: uuid.UUID,
    to: str,
    written: letters.Written,
    answers: int | None = None,
) -> None:
    mode: Mode = "reply" if answers else ""
    subject = f"Re: {written.subject}" if answers else written.subject
    drafts.save(
        account_id,
        draft_id,
        Typed(to=to, subject=subject, body=written.body, html=written.html),
        DraftKey(account_id, 0, draft_id, mode, answers),
    )


def _file(account_id: int, letter: letters.Received) -> None:
    """Do with a message what its reader did with it."""
    entry_id = _newest(account_id)
    _date(entry_id, now() - letter.ago)
    if letter.is_read:
        _mark(account_id, entry_id, changes.READ)
    if letter.is_starred:
        _mark(account_id, entry_id, changes.STAR)
    if letter.folder:
        target = folders.create(account_id, letter.folder)
        _mark(account_id, entry_id, changes.MOVE, target)


def _newest(account_id: int) -> int:
    with read() as connection:
        return connection.execute(
            select(func.max(Entry.id)).where(Entry.account_id == account_id)
        ).scalar_one()


def _mark(account_id: int, entry_id: int, action: str, target: int | None = None) -> None:
    with transaction() as inside:
        modseq = change(inside, [account_id])[account_id]
        changes.apply(inside, account_id, action, [entry_id], target, counter=modseq, until=modseq)


def _date(entry_id: int, moment: datetime) -> None:
    """Have a message come at another time: nobody's mailbox was filled within a second."""
    with write() as connection:
        message_id = select(Entry.message_id).where(Entry.id == entry_id).scalar_subquery()
        copies = select(Entry.id, Entry.thread_id).where(Entry.message_id == message_id)
        for entry, thread_id in connection.execute(copies).all():
            connection.execute(update(Entry).where(Entry.id == entry).values(sort_at=moment))
            connection.execute(
                update(SearchEntry).where(SearchEntry.entry_id == entry).values(sort_at=moment)
            )
            connection.execute(
                update(Conversation)
                .where(Conversation.thread_id == thread_id, Conversation.newest_id == entry)
                .values(newest_at=moment)
            )
        connection.execute(
            update(Message).where(Message.id == message_id).values(created_at=moment)
        )
