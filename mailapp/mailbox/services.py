"""The frame of every page of a signed-in person: who they are, and their folders, with counts."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import Connection, Text, and_, bindparam, cast, func, insert, select

from mailapp.accounts.models import Account
from mailapp.compose.models import Draft
from mailapp.i18n import lazy_gettext
from mailapp.mail.models import Message
from mailapp.mailbox.filing import INBOX, SENT
from mailapp.mailbox.models import Entry, Mailbox
from mailapp.queries import Query, Transaction, rows_as_json

DRAFTS, ARCHIVE, SPAM, TRASH = "drafts", "archive", "spam", "trash"
LABELS = {
    INBOX: lazy_gettext("Inbox"),
    SENT: lazy_gettext("Sent"),
    DRAFTS: lazy_gettext("Drafts"),
    ARCHIVE: lazy_gettext("Archive"),
    SPAM: lazy_gettext("Spam"),
    TRASH: lazy_gettext("Trash"),
}
ROLES = tuple(LABELS)

# The place of the list of what has a star: no folder, but shown among them.
STARRED = "starred"


class MailboxView(NamedTuple):
    """A folder as the page's frame shows it.

    `role` is None for one's own. `id` is 0 for Archive or Spam before anything was put there: they
    are made then, for people who were here before these folders were.
    """

    id: int
    role: str | None
    name: str | None
    total: int
    unread: int

    @property
    def label(self) -> str:
        """What people call it: the name of one's own, or that of the role in their language."""
        return self.name if self.role is None else str(LABELS[self.role])  # type: ignore[return-value]

    @property
    def place(self) -> str:
        """What tells it from the account's others: its role, or its number."""
        return self.role or f"folder/{self.id}"

    @property
    def path(self) -> str:
        """Where its page is."""
        return f"/mail/{self.place}"


class AccountView(NamedTuple):
    """Who is signed in, with the columns of `accounts` of these names."""

    id: int
    address: str
    name: str
    session_epoch: int
    modseq: int
    is_admin: bool
    language: str | None
    time_zone: str | None
    theme: str
    undo_seconds: int | None
    signature: str
    used_bytes: int
    quota_bytes: int | None


class Frame(NamedTuple):
    """What every page of a signed-in person shows, and the message it opens, if it opens one."""

    account: AccountView
    mailboxes: tuple[MailboxView, ...]
    opened: Any
    scheduled: int = 0

    def mailbox(self, role: str) -> MailboxView:
        """The folder of that role."""
        return next(mailbox for mailbox in self.mailboxes if mailbox.role == role)

    def folder(self, mailbox_id: int) -> MailboxView | None:
        """The folder of that number, None where the account has none such."""
        return next((box for box in self.mailboxes if box.id == mailbox_id), None)

    def with_read(self, modseq: int, mailbox_ids: Sequence[int]) -> Frame:
        """The frame after the change `modseq`, by which an unread message was read in each of these
        mailboxes.

        Where something else has changed in between, it is as old as before: it doesn't show that.
        """
        read = Counter(mailbox_ids)
        account = self.account
        if modseq == account.modseq + 1:
            account = account._replace(modseq=modseq)
        return self._replace(
            account=account,
            mailboxes=tuple(
                [box._replace(unread=box.unread - read[box.id]) for box in self.mailboxes]
            ),
        )


# The statements of the pages that are opened most are made ready once; only their values change.

_mailboxes = (
    select(Mailbox.id, Mailbox.role, Mailbox.name, Mailbox.total, Mailbox.unread)
    .where(Mailbox.account_id == bindparam("account_id"), Mailbox.deleted_at.is_(None))
    .subquery()
)
_select_frame = (
    select(
        *(getattr(Account, name) for name in AccountView._fields),
        # As one text, which is seldom another than last time: rows would each repeat the account.
        select(rows_as_json(_mailboxes)).scalar_subquery().label("mailboxes"),
        select(func.count())
        .select_from(Draft)
        .where(
            Draft.account_id == bindparam("account_id"),
            Draft.discarded_at.is_(None),
            Draft.send_at.is_(None),
        )
        .scalar_subquery()
        .label("drafts"),
        select(func.count())
        .select_from(Draft)
        .where(Draft.account_id == bindparam("account_id"), Draft.send_at.is_not(None))
        .scalar_subquery()
        .label("scheduled"),
    )
    .select_from(Account)
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
        Message.html_body,
        cast(Message.attachments, Text).label("attachments"),
    )
    .outerjoin(
        Entry, and_(Entry.id == bindparam("entry_id"), Entry.account_id == bindparam("account_id"))
    )
    .outerjoin(Message, Message.id == Entry.message_id)
)

_SENT_ENTRY = Query(
    select(func.min(Entry.id).label("id")).where(
        Entry.message_id == bindparam("message_id"), Entry.account_id == bindparam("account_id")
    )
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
    return Frame(
        AccountView._make(account[: len(AccountView._fields)]),  # which come first in the row
        _boxes(account.mailboxes, account.drafts),
        account if entry_id is not None and account.entry_id is not None else None,
        account.scheduled,
    )


@lru_cache(maxsize=1024)
def _boxes(rows: str, drafts: int) -> tuple[MailboxView, ...]:
    """The folders as they are listed: those with a role, then one's own by name."""
    boxes = {role: MailboxView(0, role, None, 0, 0) for role in ROLES}
    own = []
    for box in map(MailboxView._make, json.loads(rows)):
        if box.role is None:
            own.append(box)
        else:
            boxes[box.role] = box
    boxes[DRAFTS] = boxes[DRAFTS]._replace(total=drafts)
    return (*boxes.values(), *sorted(own, key=lambda box: (box.name or "").casefold()))


def read_whole(opened: Any) -> Any:
    """The message of a frame, with its headers, attachments and Bcc as lists (see Message)."""
    return opened._replace(
        headers=json.loads(opened.headers),
        attachments=json.loads(opened.attachments),
        bcc=json.loads(opened.bcc or "[]"),
    )


def sent_entry(inside: Transaction, account_id: int, message_id: int) -> int | None:
    """The sender's own copy of a message, the first filed; None when they have deleted it."""
    found = _SENT_ENTRY.rows(inside, account_id=account_id, message_id=message_id)
    entry_id: int | None = found[0].id
    return entry_id
