"""The outbox: drafts that are held until a moment, and the sending of those whose moment has come.

Every instance's companion looks once a second. Which of them sends a draft is settled by a claim:
it is put off by CLAIM, so that nobody else looks at it meanwhile, and another instance takes it up
if this one dies on the way. If both send it, that makes no difference: a send is once (sending.py).
"""

from __future__ import annotations

import logging
import uuid
from collections.abc import Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from typing import TYPE_CHECKING, Any, NamedTuple

from sqlalchemy import bindparam, select, update
from sqlalchemy.exc import SQLAlchemyError

from mailapp.accounts.models import Account
from mailapp.compose.letter import Unsendable
from mailapp.compose.models import Draft
from mailapp.compose.sending import release, send
from mailapp.compose.state import AlreadySent, NotYours
from mailapp.database import now
from mailapp.errors import is_database_away
from mailapp.i18n import gettext as _
from mailapp.i18n import in_language
from mailapp.queries import Query, transaction

if TYPE_CHECKING:
    from mailapp.companion import Companion

logger = logging.getLogger(__name__)

# Seconds between two looks.
EVERY = 1.0
CLAIM = timedelta(seconds=20)
# Drafts that are claimed at once.
_BATCH = 10

# How many drafts on their way a page lists.
LISTED = 200

_due = (
    select(Draft.id)
    .where(Draft.send_at <= bindparam("moment"))
    .order_by(Draft.send_at)
    .limit(_BATCH)
    .with_for_update(skip_locked=True)
)
_CLAIM = Query(
    update(Draft)
    .where(Draft.id.in_(_due))
    .values(send_at=bindparam("later"))
    .returning(Draft.id, Draft.account_id)
)
_HELD = Query(
    select(Draft.id, Draft.to, Draft.cc, Draft.bcc, Draft.subject, Draft.send_at)
    .where(Draft.account_id == bindparam("account_id"), Draft.send_at.is_not(None))
    .order_by(Draft.send_at)
    .limit(LISTED)
)
_OWNER = Query(
    select(Account.language, Account.disabled_at).where(Account.id == bindparam("account_id"))
)


class Held(NamedTuple):
    """A draft on its way, as a list shows it."""

    id: uuid.UUID
    people: str
    subject: str
    send_at: datetime


def begin(companion: Companion) -> None:
    """The duty of the companion to send what is due."""
    app = companion.app

    def look() -> None:
        with app.app_context():
            try:
                while send_due():
                    pass
            except SQLAlchemyError as error:
                if not is_database_away(error):
                    raise
                # Which part is away is said by /healthz and the log; the next look tries again.
                logger.debug("what is due could not be sent", exc_info=True)

    companion.every(EVERY, look)


def send_due() -> int:
    """Send what is due, as far as nobody else is at it: how many drafts were claimed."""
    claimed = claim()
    for draft in claimed:
        try:
            _send(draft)
        except Exception as error:
            if isinstance(error, SQLAlchemyError) and is_database_away(error):
                raise
            # One that can't be sent, for whatever reason, must not keep back the others.
            logger.exception("draft %s could not be sent; it is tried again", draft.id)
    return len(claimed)


def claim() -> Sequence[Any]:
    """Take some of what is due to oneself for as long as CLAIM: rows of id and account_id."""
    moment = now()
    with transaction() as inside:
        return _CLAIM.rows(inside, moment=moment, later=moment + CLAIM)


def held(account_id: int) -> list[Held]:
    """The drafts of a person that are on their way, the next first; at most LISTED."""
    return [
        Held(row.id, (row.to or row.cc or row.bcc).rstrip(", "), row.subject, row.send_at)
        for row in _HELD.read(account_id=account_id)
    ]


def _send(draft: Any) -> None:
    owner = _OWNER.read(account_id=draft.account_id)[0]
    with in_language(owner.language), suppress(AlreadySent, NotYours):
        if owner.disabled_at is not None:
            logger.info("draft %s is not sent: its owner's account is disabled", draft.id)
            release(draft.account_id, draft.id, _("This account is disabled."))
            return
        try:
            send(draft.account_id, draft.id, only_held=True)
        except Unsendable as error:
            # It could be sent as Send was pressed: something has happened since.
            logger.info("draft %s can't be sent any more", draft.id)
            release(draft.account_id, draft.id, " ".join(one.message for one in error.mistakes))
