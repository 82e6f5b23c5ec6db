"""One's own folders: their names, making, renaming and taking them away.

A folder that is taken away stays as a row that nobody sees: messages remember where they were.
"""

from __future__ import annotations

import unicodedata
from functools import cache

from sqlalchemy import bindparam, insert, select, update

from mailapp.database import now
from mailapp.i18n import LANGUAGES, gettext, in_language
from mailapp.mailbox.filing import change
from mailapp.mailbox.models import Mailbox
from mailapp.mailbox.services import LABELS
from mailapp.queries import Query, Transaction, given, transaction

MOST = 200
LONGEST = 100

_mine = (
    Mailbox.account_id == bindparam("account"),
    Mailbox.role.is_(None),
    Mailbox.deleted_at.is_(None),
)
_OWN = Query(select(Mailbox.id, Mailbox.name_key).where(*_mine))
_INSERT = Query(
    insert(Mailbox).values(given("account_id", "name", "name_key")).returning(Mailbox.id)
)
_RENAME = Query(
    update(Mailbox)
    .where(Mailbox.id == bindparam("mailbox_id"), *_mine)
    .values(name=bindparam("new_name"), name_key=bindparam("new_key"))
)
_HIDE = Query(
    update(Mailbox)
    .where(Mailbox.id == bindparam("mailbox_id"), Mailbox.total == 0, *_mine)
    .values(deleted_at=bindparam("moment"), name_key=None)
)


class Refused(ValueError):
    """A name that a folder can't have; says why, for people."""


def create(account_id: int, name: str) -> int:
    """Make a folder: its id. Raises Refused."""
    name = _readable(name)
    with transaction() as inside:
        change(inside, [account_id])
        _check(inside, account_id, name, None)
        made: int = _INSERT.rows(inside, account_id=account_id, name=name, name_key=_key(name))[
            0
        ].id
    return made


def rename(account_id: int, mailbox_id: int, name: str) -> bool:
    """Give a folder another name; False when the account has none such. Raises Refused."""
    name = _readable(name)
    with transaction() as inside:
        change(inside, [account_id])
        _check(inside, account_id, name, mailbox_id)
        renamed = _RENAME.run(
            inside, account=account_id, mailbox_id=mailbox_id, new_name=name, new_key=_key(name)
        )
    return renamed == 1


def hide(inside: Transaction, account_id: int, mailbox_id: int) -> None:
    """Take a folder away, if nothing is in it (any more); after `change`."""
    _HIDE.run(inside, account=account_id, mailbox_id=mailbox_id, moment=now())


def _readable(name: str) -> str:
    """The name as it is kept: composed, without spaces around it or several in a row."""
    name = " ".join(unicodedata.normalize("NFC", name).split())
    if not name:
        raise Refused(gettext("Give the folder a name."))
    if len(name) > LONGEST:
        raise Refused(gettext("The name is too long: at most %(most)s characters.", most=LONGEST))
    if any(unicodedata.category(character) in {"Cc", "Cs", "Co", "Cn"} for character in name):
        raise Refused(gettext("The name has a character in it that can't be shown."))
    return name


def _check(inside: Transaction, account_id: int, name: str, mailbox_id: int | None) -> None:
    others = {row.name_key: row.id for row in _OWN.rows(inside, account=account_id)}
    if others.get(_key(name), mailbox_id) != mailbox_id or _key(name) in _names_of_roles():
        raise Refused(gettext("There is a folder of that name already."))
    if mailbox_id is None and len(others) >= MOST:
        raise Refused(gettext("There can be at most %(most)s folders.", most=MOST))


def _key(name: str) -> str:
    """The name as names are compared: what looks alike is alike."""
    return unicodedata.normalize("NFKC", unicodedata.normalize("NFKC", name).casefold())


@cache
def _names_of_roles() -> frozenset[str]:
    """What the folders that everybody has are called, in any language."""
    names = set()
    for language in LANGUAGES:
        with in_language(language):
            names |= {_key(str(label)) for label in LABELS.values()} | {_key(gettext("Starred"))}
    return frozenset(names)
