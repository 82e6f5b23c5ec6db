"""Filing: how a message comes to lie in somebody's mailbox, in its thread; and what every change to
an account's mail begins with.

Whoever changes an account's mail first calls `change`, which locks the account's row: changes to
one account come one after the other, deadlocks can't arise, and the change counter grows with them.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from datetime import datetime
from typing import Any

from sqlalchemy import (
    ColumnElement,
    Select,
    and_,
    bindparam,
    false,
    insert,
    null,
    select,
    true,
    update,
)

from mailapp.accounts.models import Account
from mailapp.database import after_commit
from mailapp.live.news import tell
from mailapp.mail.services import Created
from mailapp.mailbox import threads
from mailapp.mailbox.models import Entry, Mailbox, ThreadRef
from mailapp.queries import Query, Transaction, among
from mailapp.search.index import index

INBOX, SENT = "inbox", "sent"

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

# Filing takes each account's counter as `change` has just left it, and the thread that
# `threads.join` has just found or begun.
_FILED = (
    Entry.account_id,
    Entry.mailbox_id,
    Entry.message_id,
    Entry.thread_id,
    Entry.seen,
    Entry.bcc,
    Entry.sort_at,
    Entry.size,
    Entry.modseq,
)


def _filed(role: str, seen: ColumnElement[bool], bcc: ColumnElement[Any]) -> Select[Any]:
    return (
        select(
            Account.id,
            Mailbox.id,
            bindparam("message_id", type_=Entry.message_id.type),
            ThreadRef.thread_id,
            seen,
            bcc,
            bindparam("sort_at", type_=Entry.sort_at.type),
            bindparam("size", type_=Entry.size.type),
            Account.modseq,
        )
        .join_from(Account, Mailbox, Mailbox.account_id == Account.id)
        .join(
            ThreadRef, and_(ThreadRef.account_id == Account.id, ThreadRef.ref == bindparam("ref"))
        )
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
    insert(Entry)
    .from_select(_FILED, _filed(INBOX, false(), null()).where(among(Account.id, "account_ids")))
    .returning(Entry.id)
)


def change(inside: Transaction, account_ids: Iterable[int]) -> dict[int, int]:
    """Raise the accounts' change counters, and hold their rows: {account: new modseq}.

    Open pages are told of it once the transaction is committed.

    Locked in the order of their ids, so that two sends to overlapping people can't deadlock.
    """
    ids = sorted(set(account_ids))
    if len(ids) == 1:
        rows = _CHANGE_ONE.rows(inside, account_id=ids[0])
    else:
        _LOCK_MANY.rows(inside, account_ids=ids)
        rows = _CHANGE_MANY.rows(inside, account_ids=ids)
    changed = {row.id: row.modseq for row in rows}
    after_commit(lambda: tell(changed))
    return changed


def deliver(
    inside: Transaction,
    message: Created,
    sort_at: datetime,
    modseqs: Mapping[int, int],
    *,
    sender_id: int | None = None,
    bcc: Sequence[str] = (),
    recipient_ids: Sequence[int],
) -> int | None:
    """File a message: into its sender's Sent, with Bcc, and every recipient's Inbox, without.

    `modseqs` is what `change` gave for all of them. Returns the id of the sender's entry, None for
    a message that nobody here has sent.
    """
    refs = threads.refs_of(message.message_id, message.headers)
    threads.join(inside, modseqs, refs)
    filed = {"message_id": message.id, "ref": refs[0], "sort_at": sort_at, "size": message.size}
    entry_id: int | None = None
    if sender_id is not None:
        sent = _FILE_IN_SENT.rows(inside, account_id=sender_id, bcc=list(bcc) or None, **filed)
        entry_id = sent[0].id
    if recipient_ids:
        _FILE_IN_INBOXES.rows(inside, account_ids=list(recipient_ids), **filed)
    index(inside, [message.id])
    return entry_id
