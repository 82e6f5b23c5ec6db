"""Reading: the messages of a conversation, a window of them at a time, and of each what is shown.

One statement reads it all. Whatever the length of the thread it gives at most WINDOW messages, and
the whole text only of those that are to be read: the one that was opened, the last one, and the
first of those that are unread.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any, NamedTuple

from sqlalchemy import Text, and_, bindparam, case, cast, func, or_, select, true, tuple_, update
from sqlalchemy.orm import aliased

from mailapp.mail.models import Message
from mailapp.mailbox.filing import change
from mailapp.mailbox.listing import outside, outside_of
from mailapp.mailbox.models import Entry
from mailapp.mailbox.paging import make_key, read_key
from mailapp.mailbox.services import Frame
from mailapp.queries import Query, among, transaction

# Lines of one page of a conversation, and how many of the unread messages it opens.
WINDOW = 100
OPENED = 20

# In place of a key: the window with the newest message, whichever was opened.
NEWEST = "newest"


class Letter(NamedTuple):
    """One message of a conversation. What is not `is_open` has a preview in place of its content.

    `copies` are all the entries of this message in view; what was sent to oneself has two.
    """

    entry: int
    message: int
    mailbox: int
    seen: bool
    starred: bool
    when: datetime
    from_name: str
    from_address: str
    subject: str
    preview: str
    attachment_count: int
    is_open: bool
    copies: tuple[int, ...]
    headers: Sequence[Sequence[str]] = ()
    text: str = ""
    has_html: bool = False
    attachments: Sequence[dict[str, Any]] = ()
    bcc: Sequence[str] = ()


class Read(NamedTuple):
    """A window of a conversation, oldest first, which was opened at an entry in a mailbox.

    `opened` is that message, or the last one where the window is another. `earlier` is the key for
    what comes before it, None where nothing does; `is_newest` is whether nothing comes after it.
    """

    entry: int
    mailbox: int
    opened: Letter
    letters: list[Letter]
    earlier: str | None
    is_newest: bool

    @property
    def unread(self) -> list[int]:
        """The entries that are unread until the page with their messages is shown."""
        return [
            entry
            for letter in self.letters
            if letter.is_open and not letter.seen
            for entry in letter.copies
        ]


_entry = aliased(Entry)


def of_opened(column: Any) -> Any:
    """What the account's entry `entry_id` says, with the values of these names.

    Not a join: then nothing could be read in the index's order.
    """
    opened = aliased(Entry)
    return (
        select(getattr(opened, column.key))
        .where(opened.id == bindparam("entry_id"), opened.account_id == bindparam("account_id"))
        .scalar_subquery()
    )


_thread, _opened_in = of_opened(Entry.thread_id), of_opened(Entry.mailbox_id)


_in_view = (
    select(
        _entry.id,
        _entry.mailbox_id,
        _entry.message_id,
        _entry.seen,
        _entry.starred,
        _entry.sort_at,
        cast(_entry.bcc, Text).label("bcc"),
        _opened_in.label("opened_in"),
    )
    .where(
        _entry.thread_id == _thread,
        or_(
            _entry.mailbox_id == _opened_in,
            and_(outside(_opened_in), outside(_entry.mailbox_id)),
        ),
    )
    .order_by(_entry.sort_at.desc(), _entry.id.desc())
    .limit(WINDOW + 1)
)
_until = tuple_(_entry.sort_at, _entry.id) <= tuple_(
    bindparam("until_moment", type_=Entry.sort_at.type), bindparam("until_id", type_=Entry.id.type)
)


def _with_content(in_view: Any) -> Query:
    view = in_view.subquery()
    # Said of the window only, so the database counts a hundred rows at most.
    ranked = select(
        view,
        func.row_number().over(order_by=(view.c.sort_at.desc(), view.c.id.desc())).label("last"),
        func.sum(case((view.c.seen, 0), else_=1))
        .over(order_by=(view.c.sort_at, view.c.id))
        .label("unread_until"),
    ).subquery()
    is_open = or_(
        ranked.c.id == bindparam("entry_id"),
        ranked.c.last == 1,
        and_(ranked.c.seen.is_(False), ranked.c.unread_until <= OPENED),
    )

    def if_open(column: Any, label: str) -> Any:
        return case((is_open, column)).label(label)

    return Query(
        select(
            ranked.c.id,
            ranked.c.mailbox_id,
            ranked.c.message_id,
            ranked.c.seen,
            ranked.c.starred,
            ranked.c.sort_at,
            ranked.c.bcc,
            ranked.c.opened_in,
            is_open.label("is_open"),
            Message.subject,
            Message.from_name,
            Message.from_address,
            Message.preview,
            Message.attachment_count,
            Message.html_body.is_not(None).label("has_html"),
            if_open(cast(Message.headers, Text), "headers"),
            if_open(Message.text_body, "text_body"),
            if_open(cast(Message.attachments, Text), "attachments"),
        )
        .join(Message, Message.id == ranked.c.message_id)
        .order_by(ranked.c.sort_at, ranked.c.id)
    )


_NEWEST = _with_content(_in_view)
_UNTIL = _with_content(_in_view.where(_until))

_PLACE = Query(
    select(Entry.sort_at, Entry.id).where(
        Entry.id == bindparam("entry_id"), Entry.account_id == bindparam("account_id")
    )
)
_MARK = Query(
    update(Entry)
    .where(among(Entry.id, "ids"), Entry.account_id == bindparam("account"), Entry.seen.is_(False))
    .values(seen=true(), modseq=bindparam("counter"))
    .returning(Entry.mailbox_id)
)


def read(frame: Frame, entry_id: int, until: str | None = None) -> Read | None:
    """The conversation of an entry, or None where the account has none such.

    The window is the one that ends with the entry where the newest one is without it; with `until`,
    the newest (NEWEST) or the one that ends at that key; ValueError if it is none.
    What lies in Trash or Spam belongs to it only when it is opened from there, and then alone.
    """
    values = {"entry_id": entry_id, "account_id": frame.account.id, **outside_of(frame)}
    key = None if until == NEWEST else until
    rows = _window(key, values)
    if rows and until is None and not any(row.id == entry_id for row in rows):
        place = _PLACE.read(entry_id=entry_id, account_id=frame.account.id)[0]
        key = make_key(place.sort_at, place.id)
        rows = _window(key, values)
    if not rows:
        return None
    earlier = None
    if len(rows) > WINDOW:
        earlier, rows = make_key(rows[0].sort_at, rows[0].id), rows[1:]
    letters = _letters(rows, entry_id)
    opened = next((letter for letter in letters if letter.entry == entry_id), letters[-1])
    return Read(entry_id, rows[0].opened_in, opened, letters, earlier, key is None)


def mark_read(account_id: int, entry_ids: Sequence[int]) -> tuple[int, list[int]]:
    """Mark entries read: the account's counter since, and the mailbox of each that was not."""
    with transaction() as inside:
        modseq = change(inside, [account_id])[account_id]
        rows = _MARK.rows(inside, ids=list(entry_ids), account=account_id, counter=modseq)
    return modseq, [row.mailbox_id for row in rows]


def _window(key: str | None, values: dict[str, Any]) -> list[Any]:
    if key is None:
        return _NEWEST.read(**values)
    moment, identity = read_key(key)
    return _UNTIL.read(until_moment=moment, until_id=identity, **values)


def _letters(rows: Sequence[Any], entry_id: int) -> list[Letter]:
    copies: dict[int, list[Any]] = {}
    for row in rows:
        copies.setdefault(row.message_id, []).append(row)
    return [_letter(same, entry_id) for same in copies.values()]


def _letter(copies: Sequence[Any], entry_id: int) -> Letter:
    """The message of several entries, as the one that was opened, or lies in the same folder."""
    row = max(
        copies,
        key=lambda copy: (copy.id == entry_id, copy.mailbox_id == copy.opened_in, copy.id),
    )
    open_copy = next((copy for copy in copies if copy.is_open), None)
    content: dict[str, Any] = {}
    if open_copy is not None:
        content = {
            "headers": json.loads(open_copy.headers),
            "text": open_copy.text_body,
            "attachments": json.loads(open_copy.attachments),
            "bcc": next((json.loads(copy.bcc) for copy in copies if copy.bcc), []),
        }
    return Letter(
        entry=row.id,
        message=row.message_id,
        mailbox=row.mailbox_id,
        seen=all(copy.seen for copy in copies),
        starred=any(copy.starred for copy in copies),
        when=row.sort_at,
        from_name=row.from_name,
        from_address=row.from_address,
        subject=row.subject,
        preview=row.preview,
        attachment_count=row.attachment_count,
        is_open=open_copy is not None,
        copies=tuple(copy.id for copy in copies),
        has_html=row.has_html,
        **content,
    )
