"""Trash and Spam emptied by age: what has lain there for TRASH_DAYS is deleted for good."""

from __future__ import annotations

from datetime import datetime, timedelta

from sqlalchemy import delete, exists, or_, select, update

from mailapp.database import read, write
from mailapp.mailbox.filing import change
from mailapp.mailbox.models import BulkJob, Entry, Mailbox
from mailapp.mailbox.services import SPAM, TRASH

# Short transactions: whose mail it is waits for no more than this many.
BATCH = 500

# Moved by one that did not note when, such as the version before: the days are counted from now on.
_unknown = Entry.moved_at.is_(None)

# How long it is remembered what was done in pieces, so that it can be undone.
_REMEMBERED = timedelta(days=30)


def empty(now: datetime, days: int) -> int:
    """Delete for good what was moved to Trash or Spam so many days before `now`: how many messages.

    0 days are never. Safe at any time on any instance, beside people and another that empties.
    """
    with write() as connection:
        old = BulkJob.created_at < now - _REMEMBERED
        connection.execute(delete(BulkJob).where(old, BulkJob.finished_at.is_not(None)))
    if not days:
        return 0
    before = now - timedelta(days=days)
    due = or_(Entry.moved_at < before, _unknown)
    with read() as connection:
        found = connection.execute(
            select(Mailbox.id, Mailbox.account_id).where(
                Mailbox.role.in_((TRASH, SPAM)),
                Mailbox.total > 0,
                exists().where(Entry.mailbox_id == Mailbox.id, due),
            )
        ).all()
    deleted = 0
    for mailbox_id, account_id in found:
        some = BATCH
        while some == BATCH:
            some = _empty_some(mailbox_id, account_id, before, now)
            deleted += some
    return deleted


def _empty_some(mailbox_id: int, account_id: int, before: datetime, now: datetime) -> int:
    with write() as connection:
        # Held by their account, nobody takes them out meanwhile.
        change(connection, [account_id])
        connection.execute(
            update(Entry).where(Entry.mailbox_id == mailbox_id, _unknown).values(moved_at=now)
        )
        old = (
            select(Entry.id)
            .where(Entry.mailbox_id == mailbox_id, Entry.moved_at < before)
            .order_by(Entry.moved_at)
            .limit(BATCH)
        )
        return connection.execute(delete(Entry).where(Entry.id.in_(old))).rowcount
