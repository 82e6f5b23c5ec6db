"""How it stands with a draft: whose it is, whether it has been sent, is to be, or was discarded.

Everything that writes a draft first takes its owner's row (`mailbox.filing.change`), so saving,
attaching and sending one person's drafts come one after the other, on whichever instance.
"""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import bindparam, select

from mailapp.accounts.models import Account
from mailapp.compose.models import Draft, DraftAttachment
from mailapp.mail.models import Message
from mailapp.mailbox.filing import change
from mailapp.queries import Query, Transaction

_select_state = (
    select(
        Account.address,
        Account.name,
        Account.signature,
        Draft.account_id.label("owner_id"),
        Draft.discarded_at,
        Draft.in_reply_to,
        Draft.references,
        Draft.version,
        Draft.window,
        Draft.send_at,
        Message.id.label("sent_id"),
        Message.sender_id,
    )
    .select_from(Account)
    .outerjoin(Draft, Draft.id == bindparam("draft_id"))
    .outerjoin(Message, Message.send_id == bindparam("draft_id", type_=Draft.id.type))
    .where(Account.id == bindparam("account_id"))
)
_STATE = Query(_select_state)
_STATE_WITH_FILE = Query(
    _select_state.add_columns(
        DraftAttachment.id,
        DraftAttachment.draft_id,
        DraftAttachment.filename,
        DraftAttachment.content_type,
        DraftAttachment.size,
        DraftAttachment.disposition,
        DraftAttachment.content_id,
        DraftAttachment.removed_at,
    ).outerjoin(DraftAttachment, DraftAttachment.id == bindparam("attachment_id"))
)


class NotYours(LookupError):
    """There is no such draft for this person: it is another's, or never was."""


class AlreadySent(Exception):
    """The draft has become the message `message_id`; there is nothing more to save into."""

    def __init__(self, message_id: int) -> None:
        super().__init__(f"it is message {message_id}")
        self.message_id = message_id


class OnItsWay(Exception):
    """The draft waits to be sent at `send_at`, and is not written in until that is undone."""

    def __init__(self, send_at: datetime) -> None:
        super().__init__(f"it is to be sent at {send_at.isoformat()}")
        self.send_at = send_at


class Changed(Exception):
    """Another window has written into the draft since this one last saw it."""


class Discarded(Exception):
    """The draft was discarded, in another window perhaps; only a person's saving revives it."""


def take(
    inside: Transaction,
    account_id: int,
    draft_id: uuid.UUID,
    attachment_id: uuid.UUID | None = None,
) -> Any:
    """Hold the owner's row, then see how it stands with the draft, as `look` does."""
    change(inside, [account_id])
    return look(inside, account_id, draft_id, attachment_id)


def look(
    inside: Transaction,
    account_id: int,
    draft_id: uuid.UUID,
    attachment_id: uuid.UUID | None = None,
) -> Any:
    """The account and its draft (`owner_id` is None where there is none), in one statement.

    With `attachment_id` also that file: its `id` is None where there is none. Raises AlreadySent,
    and NotYours where the draft is another's.
    """
    if attachment_id is None:
        rows = _STATE.rows(inside, account_id=account_id, draft_id=draft_id)
    else:
        rows = _STATE_WITH_FILE.rows(
            inside, account_id=account_id, draft_id=draft_id, attachment_id=attachment_id
        )
    state = rows[0]
    if state.sent_id is not None and state.sender_id == account_id:
        raise AlreadySent(state.sent_id)
    if state.sent_id is not None or state.owner_id not in {None, account_id}:
        raise NotYours
    return state


def must_exist(state: Any) -> None:
    """Raise NotYours where there is no such draft."""
    if state.owner_id is None:
        raise NotYours


def must_be_open(state: Any) -> None:
    """Raise NotYours or OnItsWay where there is no draft to write in."""
    must_exist(state)
    if state.send_at is not None:
        raise OnItsWay(state.send_at)
