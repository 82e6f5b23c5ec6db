"""The rules of a mailbox: what lies where, moving, deleting, reading, a page at a time.

Whoever changes an account's mail first calls `change`, which locks the account's row: changes to
one account come one after the other, deadlocks can't arise, and the change counter grows with them.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import (
    ColumnElement,
    Connection,
    Row,
    Select,
    Text,
    and_,
    bindparam,
    cast,
    delete,
    false,
    func,
    insert,
    null,
    select,
    true,
    update,
)

from mailapp.accounts.models import Account
from mailapp.compose.models import Draft
from mailapp.mail.models import Message
from mailapp.mailbox.models import Entry, Mailbox
from mailapp.mailbox.paging import Listing, Page
from mailapp.queries import Query, Transaction, among

INBOX, SENT, DRAFTS, TRASH = "inbox", "sent", "drafts", "trash"
ROLES = (INBOX, SENT, DRAFTS, TRASH)
LABELS = {INBOX: "Inbox", SENT: "Sent", DRAFTS: "Drafts", TRASH: "Trash"}


class MailboxView(NamedTuple):
    """A folder as the page's frame shows it."""

    id: int
    role: str
    label: str
    total: int
    unread: int


class AccountView(NamedTuple):
    """Who is signed in."""

    id: int
    address: str
    name: str
    session_epoch: int
    modseq: int
    is_admin: bool


class Frame(NamedTuple):
    """What every page of a signed-in person shows, and the message it opens, if it opens one."""

    account: AccountView
    mailboxes: tuple[MailboxView, ...]
    opened: Any

    def mailbox(self, role: str) -> MailboxView:
        """The folder of that role."""
        return next(mailbox for mailbox in self.mailboxes if mailbox.role == role)

    def with_one_read(self, role: str) -> Frame:
        """The frame after one unread message of that folder was read."""
        return self._replace(
            mailboxes=tuple(
                mailbox._replace(unread=mailbox.unread - 1) if mailbox.role == role else mailbox
                for mailbox in self.mailboxes
            )
        )


# The statements of the pages that are opened most are made ready once; only their values change.

_select_frame = (
    select(
        Account.id,
        Account.address,
        Account.name,
        Account.session_epoch,
        Account.modseq,
        Account.is_admin,
        Mailbox.id.label("mailbox_id"),
        Mailbox.role,
        Mailbox.total,
        Mailbox.unread,
        select(func.count())
        .select_from(Draft)
        .where(Draft.account_id == bindparam("account_id"), Draft.discarded_at.is_(None))
        .scalar_subquery()
        .label("drafts"),
    )
    .join_from(Account, Mailbox, Mailbox.account_id == Account.id)
    .where(Account.id == bindparam("account_id"), Account.disabled_at.is_(None))
)

_FRAME = Query(_select_frame)
_FRAME_WITH_MESSAGE = Query(
    _select_frame.add_columns(
        Entry.id.label("entry_id"),
        Entry.seen,
        cast(Entry.bcc, Text).label("bcc"),  # as text: most pages are kept, so few need them read
        Message.id.label("message_id"),
        Message.created_at,
        cast(Message.headers, Text).label("headers"),
        Message.subject,
        Message.from_name,
        Message.from_address,
        Message.text_body,
        cast(Message.attachments, Text).label("attachments"),
    )
    .outerjoin(Entry, and_(Entry.id == bindparam("entry_id"), Entry.mailbox_id == Mailbox.id))
    .outerjoin(Message, Message.id == Entry.message_id)
)

_ENTRIES = Listing(
    select(
        Entry.id,
        Entry.seen,
        Entry.sort_at,
        Message.subject,
        Message.from_name,
        Message.from_address,
        Message.to_preview,
        Message.preview,
        Message.attachment_count,
    )
    .join(Message, Message.id == Entry.message_id)
    .where(Entry.mailbox_id == bindparam("mailbox_id")),
    Entry.sort_at,
    Entry.id,
)

_change_accounts = (
    update(Account).values(modseq=Account.modseq + 1).returning(Account.id, Account.modseq)
)
_CHANGE_ONE = Query(_change_accounts.where(Account.id == bindparam("account_id")))
_CHANGE_MANY = Query(_change_accounts.where(among(Account.id, "account_ids")))
_LOCK_MANY = Query(
    select(Account.id)
    .where(among(Account.id, "account_ids"))
    .order_by(Account.id)
    .with_for_update(key_share=True)  # as strong as the UPDATE's own lock, no stronger
)

# Filing takes each account's counter as `change` has just left it.
_FILED = (
    Entry.account_id,
    Entry.mailbox_id,
    Entry.message_id,
    Entry.seen,
    Entry.bcc,
    Entry.sort_at,
    Entry.modseq,
)


def _filed(role: str, seen: ColumnElement[bool], bcc: ColumnElement[Any]) -> Select[Any]:
    return (
        select(
            Account.id,
            Mailbox.id,
            bindparam("message_id", type_=Entry.message_id.type),
            seen,
            bcc,
            bindparam("sort_at", type_=Entry.sort_at.type),
            Account.modseq,
        )
        .join_from(Account, Mailbox, Mailbox.account_id == Account.id)
        .where(Mailbox.role == role)
    )


_FILE_IN_SENT = Query(
    insert(Entry)
    .from_select(
        _FILED,
        _filed(SENT, true(), bindparam("bcc", type_=Entry.bcc.type)).where(
            Account.id == bindparam("account_id")
        ),
    )
    .returning(Entry.id)
)
_FILE_IN_INBOXES = Query(
    insert(Entry).from_select(
        _FILED, _filed(INBOX, false(), null()).where(among(Account.id, "account_ids"))
    )
)

_SENT_ENTRY = Query(
    select(func.min(Entry.id).label("id")).where(
        Entry.message_id == bindparam("message_id"), Entry.account_id == bindparam("account_id")
    )
)
_MARK = Query(
    update(Entry)
    .where(Entry.id == bindparam("entry_id"), Entry.account_id == bindparam("account"))
    .values(seen=bindparam("is_seen"), modseq=bindparam("counter"))
)


def create_mailboxes(connection: Connection, account_id: int) -> None:
    """Give a new account its folders."""
    connection.execute(
        insert(Mailbox), [{"account_id": account_id, "role": role} for role in ROLES]
    )


def load_frame(account_id: int, entry_id: int | None = None) -> Frame | None:
    """The frame of an account's pages, in one statement; None when it is gone or disabled.

    With `entry_id` also that message, for `read_whole`; `opened` is None where the account has none
    such.
    """
    if entry_id is None:
        rows = _FRAME.read(account_id=account_id)
    else:
        rows = _FRAME_WITH_MESSAGE.read(account_id=account_id, entry_id=entry_id)
    if not rows:
        return None
    account = rows[0]
    boxes = {
        row.role: MailboxView(row.mailbox_id, row.role, LABELS[row.role], row.total, row.unread)
        for row in rows
    }
    boxes[DRAFTS] = boxes[DRAFTS]._replace(total=account.drafts)
    opened = None
    if entry_id is not None:
        opened = next((row for row in rows if row.entry_id is not None), None)
    return Frame(
        AccountView(
            account.id,
            account.address,
            account.name,
            account.session_epoch,
            account.modseq,
            account.is_admin,
        ),
        tuple([boxes[role] for role in ROLES]),
        opened,
    )


def read_whole(opened: Any) -> Any:
    """The message of a frame, with its headers, attachments and Bcc as lists (see Message)."""
    return opened._replace(
        headers=json.loads(opened.headers),
        attachments=json.loads(opened.attachments),
        bcc=json.loads(opened.bcc or "[]"),
    )


def page(mailbox_id: int, before: str | None) -> Page:
    """A page of a folder, newest first, from `before` (a `next_key`) on; ValueError for no key."""
    return _ENTRIES.page(before, mailbox_id=mailbox_id)


def change(inside: Transaction, account_ids: Iterable[int]) -> dict[int, int]:
    """Raise the accounts' change counters, and hold their rows: {account: new modseq}.

    Locked in the order of their ids, so that two sends to overlapping people can't deadlock.
    """
    ids = sorted(set(account_ids))
    if len(ids) == 1:
        rows = _CHANGE_ONE.rows(inside, account_id=ids[0])
    else:
        _LOCK_MANY.rows(inside, account_ids=ids)
        rows = _CHANGE_MANY.rows(inside, account_ids=ids)
    return {row.id: row.modseq for row in rows}


def deliver(
    inside: Transaction,
    message_id: int,
    sort_at: datetime,
    *,
    sender_id: int,
    bcc: Sequence[str],
    recipient_ids: Sequence[int],
) -> int:
    """File a message: into its sender's Sent, with Bcc, and every recipient's Inbox, without.

    After `change` of all of them. Returns the id of the sender's entry.
    """
    filed = {"message_id": message_id, "sort_at": sort_at}
    sent = _FILE_IN_SENT.rows(inside, account_id=sender_id, bcc=list(bcc) or None, **filed)
    if recipient_ids:
        _FILE_IN_INBOXES.run(inside, account_ids=list(recipient_ids), **filed)
    entry_id: int = sent[0].id
    return entry_id


def mark(inside: Transaction, account_id: int, entry_id: int, *, seen: bool) -> bool:
    """Mark a message read or unread; False when the account has none such."""
    modseq = change(inside, [account_id])[account_id]
    changed = _MARK.run(inside, account=account_id, entry_id=entry_id, is_seen=seen, counter=modseq)
    return changed == 1


def remove(connection: Connection, account_id: int, entry_id: int) -> str | None:
    """Move a message to Trash, or out of it for good: the role it was in; None for none such."""
    modseq = change(connection, [account_id])[account_id]
    found = _find(connection, account_id, entry_id)
    if found is None:
        return None
    if found.role == TRASH:
        connection.execute(delete(Entry).where(Entry.id == entry_id))
    else:
        trash = _mailbox_id(connection, account_id, TRASH)
        connection.execute(
            update(Entry)
            .where(Entry.id == entry_id)
            .values(mailbox_id=trash, was_in=found.mailbox_id, modseq=modseq)
        )
    role: str = found.role
    return role


def restore(connection: Connection, account_id: int, entry_id: int) -> str | None:
    """Move a message from Trash back to where it was: that role; None when it is not in Trash."""
    modseq = change(connection, [account_id])[account_id]
    found = _find(connection, account_id, entry_id)
    if found is None or found.role != TRASH:
        return None
    target = found.was_in or _mailbox_id(connection, account_id, INBOX)
    connection.execute(
        update(Entry)
        .where(Entry.id == entry_id)
        .values(mailbox_id=target, was_in=None, modseq=modseq)
    )
    return connection.execute(select(Mailbox.role).where(Mailbox.id == target)).scalar_one()


def sent_entry(inside: Transaction, account_id: int, message_id: int) -> int | None:
    """The sender's own copy of a message, the first filed; None when they have deleted it."""
    found = _SENT_ENTRY.rows(inside, account_id=account_id, message_id=message_id)
    entry_id: int | None = found[0].id
    return entry_id


def _find(
    connection: Connection, account_id: int, entry_id: int
) -> Row[int, int | None, str] | None:
    return connection.execute(
        select(Entry.mailbox_id, Entry.was_in, Mailbox.role)
        .join(Mailbox, Mailbox.id == Entry.mailbox_id)
        .where(Entry.id == entry_id, Entry.account_id == account_id)
    ).one_or_none()


def _mailbox_id(connection: Connection, account_id: int, role: str) -> int:
    return connection.execute(
        select(Mailbox.id).where(Mailbox.account_id == account_id, Mailbox.role == role)
    ).scalar_one()
