"""A message's HTML as it is shown: made harmless whenever somebody looks, never taken as such.

What was made is remembered in the process for a while under the HTML itself; no account and no
state is in it.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Sequence
from functools import lru_cache
from typing import Any, NamedTuple

from sqlalchemy import Text, bindparam, cast, delete, select

from mailapp.database import insert_or_update, write
from mailapp.html.sanitiser import Shown, TooHeavy, for_showing
from mailapp.mail import addresses
from mailapp.mail.addresses import AddressError
from mailapp.mail.models import Message
from mailapp.mailbox.filing import change
from mailapp.mailbox.models import Entry, TrustedSender
from mailapp.queries import Query, among

logger = logging.getLogger(__name__)

# Remembered are those that are no larger, in characters.
_SMALL = 200_000

_LETTERS = Query(
    select(
        Entry.id.label("entry"),
        Message.subject,
        Message.from_address,
        Message.text_body,
        Message.html_body,
        cast(Message.attachments, Text).label("attachments"),
    )
    .join(Entry, Entry.message_id == Message.id)
    .where(
        among(Entry.id, "entry_ids"),
        Entry.account_id == bindparam("account_id"),
        Message.html_body.is_not(None),
    )
)
_TRUSTED = Query(
    select(TrustedSender.address).where(
        TrustedSender.account_id == bindparam("account_id"),
        among(TrustedSender.address, "senders"),
    )
)


class Letter(NamedTuple):
    """What of a message is shown as HTML; `images` is ((Content-ID, which file, from 1), …)."""

    entry: int
    subject: str
    sender: str
    text: str
    html: str
    images: tuple[tuple[str, int], ...]

    def shown(self, *, remote: bool) -> Shown | None:
        """It, made harmless; None where it can't be: then it is shown as text."""
        made = _shown if len(self.html) > _SMALL else _remembered
        return made(self.html, self.images, self.entry, remote)


class Seen(NamedTuple):
    """What the page around a formatted message says of it.

    `blocked` counts the images on other hosts, which are loaded at once if the sender `is_trusted`.
    """

    is_shown: bool
    blocked: int
    is_trusted: bool


def find(account_id: int, entry_id: int) -> Letter | None:
    """The message of this account's copy; None where there is none such, or it has no HTML."""
    return next(iter(_read(account_id, [entry_id])), None)


def all_seen(account_id: int, entry_ids: Sequence[int]) -> dict[int, Seen]:
    """What the page around these messages says of each, in two statements for all of them."""
    found = [(letter, letter.shown(remote=False)) for letter in _read(account_id, entry_ids)]
    trusted = _trusted(
        account_id, {letter.sender for letter, shown in found if shown and shown.blocked}
    )
    return dict.fromkeys(entry_ids, Seen(False, 0, False)) | {
        letter.entry: Seen(True, shown.blocked, bool(shown.blocked) and letter.sender in trusted)
        for letter, shown in found
        if shown
    }


def is_trusted(account_id: int, sender: str) -> bool:
    """Whether images in mail from this address are to be loaded at once."""
    return bool(_trusted(account_id, {sender}))


def trust(account_id: int, sender: str, *, trusted: bool) -> None:
    """Say whether images in mail from this address are to be loaded at once.

    An address can be forged: who is trusted lends that to whoever writes in their name. It lets
    them know that a mail was opened, and nothing else.
    """
    with write() as connection:
        change(connection, [account_id])  # the account's pages show it
        if trusted:
            added = insert_or_update(connection, TrustedSender)
            connection.execute(
                added.values(account_id=account_id, address=sender).on_conflict_do_nothing()
            )
        else:
            connection.execute(
                delete(TrustedSender).where(
                    TrustedSender.account_id == account_id, TrustedSender.address == sender
                )
            )


def _read(account_id: int, entry_ids: Sequence[int]) -> list[Letter]:
    if not entry_ids:
        return []
    found = []
    for row in _LETTERS.read(entry_ids=entry_ids, account_id=account_id):
        images = tuple(
            (item["content_id"].strip("<>"), number)
            for number, item in enumerate(json.loads(row.attachments), 1)
            if item["content_id"]
        )
        sender = _canonical(row.from_address)
        found.append(Letter(row.entry, row.subject, sender, row.text_body, row.html_body, images))
    return found


def _trusted(account_id: int, senders: set[str]) -> set[str]:
    """Those of the senders whose images are to be loaded; one without an address is none."""
    known = sorted(senders - {""})
    if not known:
        return set()
    return {row.address for row in _TRUSTED.read(account_id=account_id, senders=known)}


def _shown(
    html: str, images: tuple[tuple[str, int], ...], entry_id: int, remote: bool
) -> Shown | None:
    # Where it is found out by its content that it is an image (see attachments/views.py).
    paths = {content_id: f"/mail/{entry_id}/shown/{number}" for content_id, number in images}
    try:
        return for_showing(html, paths.get, remote=remote)
    except TooHeavy:
        return None
    except Exception:
        # Whatever it was, the text can be read, and the conversation around it.
        logger.exception("the HTML of entry %s could not be made harmless", entry_id)
        return None


_remembered: Any = lru_cache(maxsize=64)(_shown)


def _canonical(address: str) -> str:
    try:
        return addresses.parse(address).canonical[:320]
    except AddressError:
        return ""
