"""Which messages something is to be done with: some conversations, a whole folder, what a search
finds. However many they are, they are read in pieces, each in a transaction of its own.

A selection is a dictionary that can be kept as JSON, with its "kind" and what that needs. Another
room that lists messages adds its kind to READERS.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from typing import Any, NamedTuple

from sqlalchemy import bindparam, select, tuple_

from mailapp.mailbox.conversations import of_opened
from mailapp.mailbox.models import Entry, Mailbox
from mailapp.mailbox.paging import make_key, read_key
from mailapp.mailbox.services import SPAM, TRASH
from mailapp.queries import Query, Transaction, among

# So few that nobody waits long for the account that they belong to, and so many that ten thousand
# are done while somebody looks on.
PIECE = 2000

Selection = dict[str, Any]


class Piece(NamedTuple):
    """Some of the selected entries' ids, and from where to read on: None after the last."""

    ids: list[int]
    after: str | None


# Gives a piece of an account's selection: from the beginning at "", else from the `after` of the
# piece before. What was done with that piece may have taken it out of the selection.
Reader = Callable[[Transaction, int, Selection, str], Piece]

_CONVERSATIONS_OF = Query(
    select(Entry.mailbox_id, Entry.thread_id)
    .where(among(Entry.id, "ids"), Entry.account_id == bindparam("account_id"))
    .distinct()
    .order_by(Entry.mailbox_id, Entry.thread_id)
)
_OF_CONVERSATIONS = Query(
    select(Entry.id)
    .where(
        Entry.mailbox_id == bindparam("mailbox_id"),
        among(Entry.thread_id, "threads"),
        Entry.id > bindparam("after"),
    )
    .order_by(Entry.id)
    .limit(PIECE)
)

_of_folder = (
    select(Entry.id, Entry.sort_at)
    .where(Entry.mailbox_id == bindparam("mailbox_id"))
    .order_by(Entry.sort_at.desc(), Entry.id.desc())
    .limit(PIECE)
)
_starred = (
    select(Entry.id, Entry.sort_at)
    .join(Mailbox, Mailbox.id == Entry.mailbox_id)
    .where(
        Entry.account_id == bindparam("account_id"),
        Entry.starred,
        Mailbox.role.is_(None) | Mailbox.role.not_in((TRASH, SPAM)),
    )
    .order_by(Entry.sort_at.desc(), Entry.id.desc())
    .limit(PIECE)
)
_before = tuple_(Entry.sort_at, Entry.id) < tuple_(
    bindparam("before_moment", type_=Entry.sort_at.type),
    bindparam("before_id", type_=Entry.id.type),
)
_OF_FOLDER, _OF_FOLDER_NEXT = Query(_of_folder), Query(_of_folder.where(_before))
_STARRED, _STARRED_NEXT = Query(_starred), Query(_starred.where(_before))

_CHANGED = Query(
    select(Entry.id)
    .where(
        Entry.account_id == bindparam("account_id"),
        Entry.modseq == bindparam("modseq"),
        Entry.id > bindparam("after"),
    )
    .order_by(Entry.id)
    .limit(PIECE)
)

_FROM_HERE = Query(
    select(Entry.id)
    .where(
        Entry.thread_id == of_opened(Entry.thread_id),
        Entry.mailbox_id == of_opened(Entry.mailbox_id),
        tuple_(Entry.sort_at, Entry.id) >= tuple_(of_opened(Entry.sort_at), of_opened(Entry.id)),
    )
    .order_by(Entry.sort_at.desc(), Entry.id.desc())
    .limit(PIECE)
)


def messages(ids: Iterable[int]) -> Selection:
    """These entries, each by itself."""
    return {"kind": "messages", "ids": sorted(set(ids))}


def conversations(account_id: int, ids: Sequence[int]) -> Selection:
    """All of the conversations that these entries are in, as far as they lie in the same folder."""
    folders: dict[int, list[int]] = {}
    for row in _CONVERSATIONS_OF.read(ids=list(ids), account_id=account_id):
        folders.setdefault(row.mailbox_id, []).append(row.thread_id)
    return {"kind": "conversations", "folders": [list(item) for item in folders.items()]}


def from_here(account_id: int, entry_id: int) -> Selection:
    """An entry and those after it of its conversation in its folder."""
    rows = _FROM_HERE.read(entry_id=entry_id, account_id=account_id)
    return messages(row.id for row in rows)


def folder(mailbox_id: int) -> Selection:
    """All that lies in a folder."""
    return {"kind": "folder", "mailbox": mailbox_id}


def starred() -> Selection:
    """All that has a star, but for what lies in Trash and Spam."""
    return {"kind": "starred"}


def changed(modseqs: Sequence[int]) -> Selection:
    """What these changes changed, unless something has changed it since."""
    return {"kind": "changed", "modseqs": list(modseqs)}


def read(inside: Transaction, account_id: int, selection: Selection, after: str) -> Piece:
    """The piece of an account's selection that comes after the one that ended at `after`."""
    return READERS[selection["kind"]](inside, account_id, selection, after)


def by_time(
    first: Query, following: Query, inside: Transaction, after: str, **values: Any
) -> Piece:
    """A piece of what a statement gives newest first, with `sort_at`, and of the one after it.

    `following` takes `before_moment` and `before_id` too.
    """
    if after:
        moment, identity = read_key(after)
        rows = following.rows(inside, before_moment=moment, before_id=identity, **values)
    else:
        rows = first.rows(inside, **values)
    more = len(rows) == PIECE
    return Piece(
        [row.id for row in rows], make_key(rows[-1].sort_at, rows[-1].id) if more else None
    )


def _in_turn(
    parts: Sequence[Any], after: str, rows_of: Callable[[Any, int], Sequence[Any]]
) -> Piece:
    """A piece of one part after the other; `rows_of` gives some of one, after an id."""
    number, last = map(int, (after or "0-0").split("-"))
    if not parts:
        return Piece([], None)
    ids = [row.id for row in rows_of(parts[number], last)]
    if len(ids) == PIECE:
        return Piece(ids, f"{number}-{ids[-1]}")
    following = number + 1
    return Piece(ids, f"{following}-0" if following < len(parts) else None)


def _messages(_inside: Transaction, _account_id: int, selection: Selection, after: str) -> Piece:
    begin = int(after or 0)
    end = begin + PIECE
    ids = selection["ids"]
    return Piece(ids[begin:end], str(end) if end < len(ids) else None)


def _conversations(
    inside: Transaction, _account_id: int, selection: Selection, after: str
) -> Piece:
    def rows_of(folder: Any, last: int) -> Sequence[Any]:
        mailbox_id, threads = folder
        return _OF_CONVERSATIONS.rows(inside, mailbox_id=mailbox_id, threads=threads, after=last)

    return _in_turn(selection["folders"], after, rows_of)


def _folder(inside: Transaction, _account_id: int, selection: Selection, after: str) -> Piece:
    return by_time(_OF_FOLDER, _OF_FOLDER_NEXT, inside, after, mailbox_id=selection["mailbox"])


def _all_starred(inside: Transaction, account_id: int, _selection: Selection, after: str) -> Piece:
    return by_time(_STARRED, _STARRED_NEXT, inside, after, account_id=account_id)


def _changed(inside: Transaction, account_id: int, selection: Selection, after: str) -> Piece:
    def rows_of(modseq: int, last: int) -> Sequence[Any]:
        return _CHANGED.rows(inside, account_id=account_id, modseq=modseq, after=last)

    return _in_turn(selection["modseqs"], after, rows_of)


READERS: dict[str, Reader] = {
    "messages": _messages,
    "conversations": _conversations,
    "folder": _folder,
    "starred": _all_starred,
    "changed": _changed,
}
