"""Lists of conversations: a folder's, and what is starred in any of them; a page at a time.

No statement here reads more than a page of rows, and of each conversation its last few messages,
however many there are in the folder, the account or the thread.
"""

from __future__ import annotations

from typing import Any

from sqlalchemy import (
    ColumnElement,
    ScalarSelect,
    and_,
    bindparam,
    or_,
    select,
)
from sqlalchemy.orm import aliased

from mailapp.mail.models import Message
from mailapp.mailbox.models import Conversation, Entry
from mailapp.mailbox.paging import Listing, Page
from mailapp.mailbox.services import SPAM, TRASH, Frame, MailboxView
from mailapp.queries import rows_as_json

# Of a longer conversation a row names the people of its last messages.
LAST = 12


_other = aliased(Entry)
_said = aliased(Message)


def last_messages(thread: Any, mailbox: Any) -> ScalarSelect[str]:
    """The last messages of a row's conversation, newest first, for `rows.conversation`.

    Those in Trash and Spam belong to it only in the lists of these folders, and there none else.
    `thread` and `mailbox` are the row's columns; `trash_id` and `spam_id` are parameters.
    """
    last = (
        select(
            _said.id,
            _said.from_name,
            _said.from_address,
            _other.seen,
            _said.attachment_count,
        )
        .join_from(_other, _said, _said.id == _other.message_id)
        .where(
            _other.thread_id == thread,
            or_(
                _other.mailbox_id == mailbox,
                and_(outside(mailbox), outside(_other.mailbox_id)),
            ),
        )
        .order_by(_other.sort_at.desc(), _other.id.desc())
        .limit(LAST)
        .correlate(thread.parent, mailbox.parent)
        .subquery()
    )
    return select(rows_as_json(last)).scalar_subquery()


def outside(mailbox: Any) -> ColumnElement[bool]:
    """Whether it is neither Trash nor Spam, with the values of `outside_of`."""
    return and_(mailbox != bindparam("trash_id"), mailbox != bindparam("spam_id"))


_SHOWN = (
    Message.subject,
    Message.from_name,
    Message.from_address,
    Message.to_preview,
    Message.preview,
    Message.attachment_count,
)

_CONVERSATIONS = Listing(
    select(
        Conversation.newest_at,
        Conversation.newest_id,
        Conversation.thread_id,
        Conversation.total,
        Conversation.unread,
        Conversation.starred,
        *_SHOWN,
        last_messages(Conversation.thread_id, Conversation.mailbox_id).label("last"),
    )
    .join(Entry, Entry.id == Conversation.newest_id)
    .join(Message, Message.id == Entry.message_id)
    .where(Conversation.mailbox_id == bindparam("mailbox_id")),
    Conversation.newest_at,
    Conversation.newest_id,
)

_STARRED = Listing(
    select(
        Entry.id,
        Entry.sort_at,
        Entry.thread_id,
        Entry.seen,
        Entry.starred,
        *_SHOWN,
    )
    .join(Message, Message.id == Entry.message_id)
    .where(
        Entry.account_id == bindparam("account_id"),
        Entry.starred,
        outside(Entry.mailbox_id),
    ),
    Entry.sort_at,
    Entry.id,
)


def folder(frame: Frame, mailbox: MailboxView, before: str | None) -> Page:
    """Conversations of a folder from `before` (a `next_key`) on, newest first.

    ValueError where that is no key.
    """
    return _CONVERSATIONS.page(before, mailbox_id=mailbox.id, **outside_of(frame))


def starred(frame: Frame, before: str | None) -> Page:
    """The messages with a star in any folder but Trash and Spam, likewise."""
    return _STARRED.page(before, account_id=frame.account.id, **outside_of(frame))


def outside_of(frame: Frame) -> dict[str, int]:
    """Which folders of an account are its Trash and Spam."""
    return {"trash_id": frame.mailbox(TRASH).id, "spam_id": frame.mailbox(SPAM).id}
