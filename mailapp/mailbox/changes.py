"""What can be done with messages, a piece of them at a time: moved, marked, given a star, deleted.

Each statement leaves alone what was changed after `until`, and what is so already: doing the same
twice, or going on where something broke off, changes nothing more.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import bindparam, case, delete, false, insert, select, true, update

from mailapp.database import now
from mailapp.mailbox.filing import INBOX
from mailapp.mailbox.models import Entry, Mailbox
from mailapp.mailbox.services import TRASH
from mailapp.queries import Query, Transaction, among, given

MOVE, RESTORE, DESTROY, DISSOLVE = "move", "restore", "destroy", "dissolve"
READ, UNREAD, STAR, UNSTAR = "read", "unread", "star", "unstar"

# What undoes what. What is destroyed is gone; a folder that is dissolved stays so.
INVERSE = {
    MOVE: RESTORE,
    RESTORE: RESTORE,
    READ: UNREAD,
    UNREAD: READ,
    STAR: UNSTAR,
    UNSTAR: STAR,
}

_MOVES = {MOVE, RESTORE, DISSOLVE}

# Where mail can be moved to by hand, beside one's own folders.
TARGETS = (INBOX, "archive", "spam", TRASH)


class FolderGone(LookupError):
    """The folder that mail was to be moved to is not there any more."""


_chosen = (
    among(Entry.id, "ids"),
    Entry.account_id == bindparam("account"),
    Entry.modseq < bindparam("until"),
)
_change = update(Entry).where(*_chosen).values(modseq=bindparam("counter"))
_MARKS = {
    READ: Query(_change.where(Entry.seen.is_(False)).values(seen=true())),
    UNREAD: Query(_change.where(Entry.seen.is_(True)).values(seen=false())),
    STAR: Query(_change.where(Entry.starred.is_(False)).values(starred=true())),
    UNSTAR: Query(_change.where(Entry.starred.is_(True)).values(starred=false())),
}
_move = _change.values(was_in=Entry.mailbox_id, moved_at=bindparam("moment"))
_MOVE = Query(
    _move.where(Entry.mailbox_id != bindparam("target")).values(mailbox_id=bindparam("target"))
)
_folders = select(Mailbox.id).where(
    Mailbox.account_id == bindparam("account"), Mailbox.deleted_at.is_(None)
)
_where_it_was = case((Entry.was_in.in_(_folders), Entry.was_in), else_=bindparam("target"))
_RESTORE = Query(_move.where(Entry.mailbox_id != _where_it_was).values(mailbox_id=_where_it_was))
_DESTROY = Query(delete(Entry).where(*_chosen))

_FOLDER = Query(_folders.where(Mailbox.id == bindparam("mailbox_id")))
_FOLDER_OF_ROLE = Query(_folders.where(Mailbox.role == bindparam("role")))
_MAKE = Query(insert(Mailbox).values(given("account_id", "role")).returning(Mailbox.id))


def apply(
    inside: Transaction,
    account_id: int,
    action: str,
    ids: Sequence[int],
    target: int | None,
    *,
    counter: int,
    until: int,
) -> int:
    """Do `action` with these entries, as far as they are the account's: how many it changed.

    After `filing.change`, which gave `counter`. `target` is where to move to, as `folder_of` gives
    it; a restored message goes there if the folder it was in is gone.
    """
    if not ids:
        return 0
    common = {"ids": list(ids), "account": account_id, "until": until}
    if action in _MARKS:
        return _MARKS[action].run(inside, counter=counter, **common)
    if action == DESTROY:
        return _DESTROY.run(inside, **common)
    move = _RESTORE if action == RESTORE else _MOVE
    return move.run(inside, counter=counter, moment=now(), target=target, **common)


def folder_of(
    inside: Transaction, account_id: int, action: str, target: int | str | None
) -> int | None:
    """The account's folder that `action` moves to, None where it moves nothing.

    `target` is its id or its role, of which it is made now if there is none yet. FolderGone if the
    one of that id is not there any more. After `filing.change`.
    """
    if action not in _MOVES:
        return None
    if isinstance(target, str):
        found = _FOLDER_OF_ROLE.rows(inside, account=account_id, role=target)
        found = found or _MAKE.rows(inside, account_id=account_id, role=target)
    else:
        found = _FOLDER.rows(inside, account=account_id, mailbox_id=target)
    if not found:
        raise FolderGone
    folder: int = found[0].id
    return folder
