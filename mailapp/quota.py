"""How much room somebody's mail takes, and how much it may: asked before anything is kept for them.

What counts is the mail in all folders, Trash too, whoever else holds it; the files of drafts, but
for those that were discarded, which nobody sees any more; and what is being uploaded.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any

from flask import Flask, Response
from sqlalchemy import BigInteger, bindparam, cast, func, select
from sqlalchemy.orm import InstrumentedAttribute

from mailapp import errors
from mailapp.accounts.models import Account
from mailapp.attachments.models import Upload
from mailapp.compose.models import Draft, DraftAttachment
from mailapp.i18n import gettext as _
from mailapp.mailbox.services import AccountView
from mailapp.queries import Query, Transaction, among
from mailapp.settings import current_settings
from mailapp.templating import filesize

# From here on a person is told, in time to do something about it.
NEARLY = 0.8


def _in_drafts_of(column: InstrumentedAttribute[int], draft: InstrumentedAttribute[Any]) -> Any:
    total = cast(func.coalesce(func.sum(column), 0), BigInteger)
    return (
        select(total)
        .join(Draft, Draft.id == draft)
        .where(Draft.account_id == Account.id, Draft.discarded_at.is_(None))
    )


_in_drafts = (
    _in_drafts_of(DraftAttachment.size, DraftAttachment.draft_id)
    .where(DraftAttachment.removed_at.is_(None))
    .scalar_subquery()
    + _in_drafts_of(Upload.size, Upload.draft_id).scalar_subquery()
)
_limit = func.coalesce(
    Account.quota_bytes, bindparam("default_limit", type_=Account.quota_bytes.type)
)

_USAGE = Query(
    select(
        Account.used_bytes.label("mail"), _in_drafts.label("drafts"), _limit.label("limit")
    ).where(Account.id == bindparam("account_id"))
)
_FULL = Query(
    select(
        Account.id,
        Account.address,
        (Account.used_bytes + _in_drafts).label("used"),
        _limit.label("limit"),
    )
    .where(
        among(Account.id, "account_ids"),
        _limit > 0,
        Account.used_bytes + _in_drafts + bindparam("size", type_=Account.used_bytes.type) > _limit,
    )
    .order_by(Account.id)
)


@dataclass(frozen=True)
class Usage:
    """What an account uses, in bytes: of its mail, and of its drafts' files; `limit` 0 is none."""

    mail: int
    drafts: int
    limit: int

    @property
    def used(self) -> int:
        """All of it."""
        return self.mail + self.drafts

    @property
    def part(self) -> float:
        """How much of the limit is used; 0 where there is none."""
        return self.used / self.limit if self.limit else 0.0

    @property
    def is_nearly_reached(self) -> bool:
        """Whether it is time to tell."""
        return self.part >= NEARLY


@dataclass(frozen=True)
class Full:
    """An account that has no room for what is to come."""

    account_id: int
    address: str
    used: int
    limit: int


class QuotaReached(Exception):
    """There is no room; `str()` is a sentence for whose mailbox it is."""

    def __init__(self, full: Full) -> None:
        super().__init__(reached_text(full.used, full.limit))


def init_app(app: Flask) -> None:
    """Let templates ask `quota(account)`, of a frame, and `full_usage(account_id)`."""
    app.jinja_env.globals.update(quota=of_view, full_usage=usage)
    app.register_error_handler(QuotaReached, _told)


def of_view(account: AccountView) -> Usage:
    """What the frame knows without asking: an account's mail, not its drafts."""
    return Usage(account.used_bytes, 0, _limit_of(account.quota_bytes))


def usage(account_id: int) -> Usage:
    """All that an account uses."""
    row = _USAGE.read(account_id=account_id, default_limit=current_settings().quota_bytes)[0]
    return Usage(row.mail, row.drafts, row.limit)


def full(inside: Transaction, account_ids: Iterable[int], size: int) -> list[Full]:
    """Who of these has no room for `size` bytes more.

    Exact inside a transaction that holds their rows (`mailbox.filing.change`).
    """
    rows = _FULL.rows(
        inside,
        account_ids=sorted(set(account_ids)),
        size=size,
        default_limit=current_settings().quota_bytes,
    )
    return [Full(row.id, row.address, row.used, row.limit) for row in rows]


def must_have_room(inside: Transaction, account_id: int, size: int) -> None:
    """QuotaReached where this account has no room for `size` bytes more."""
    if found := full(inside, [account_id], size):
        raise QuotaReached(found[0])


def must_seem_to_have_room(account: AccountView, size: int) -> None:
    """QuotaReached where there is no room even beside the mail alone, told without asking.

    So that nobody uploads for long what will be refused.
    """
    usage = of_view(account)
    if usage.limit and usage.used + size > usage.limit:
        raise QuotaReached(Full(account.id, account.address, usage.used, usage.limit))


def reached_text(used: int, limit: int) -> str:
    """What a person is told whose mailbox is full, and what they can do."""
    return _(
        "Your mailbox is full: %(used)s of %(limit)s are used. Delete mail you don't need and "
        "empty Trash, or remove files from drafts; then try again.",
        used=filesize(used),
        limit=filesize(limit),
    )


def _told(error: QuotaReached) -> Response:
    return errors.page(413, _("Your mailbox is full"), str(error), typed=errors.typed())


def _limit_of(quota_bytes: int | None) -> int:
    return current_settings().quota_bytes if quota_bytes is None else quota_bytes
