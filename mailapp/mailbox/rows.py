"""Rows of a list as the template writes them down: who, what and when, every text ready.

Fifty of them make a page, so the template only puts them together, and what people wrote is
escaped all at once.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from datetime import date
from typing import Any, NamedTuple

from mailapp.i18n import dates
from mailapp.i18n import gettext as _
from mailapp.templating import escaped

# How many people a row names; of more, the first and the last ones.
_NAMED = 3


class Person(NamedTuple):
    """Somebody who wrote in a conversation, and whether something of theirs is unread."""

    name: str
    unread: bool = False


class Line(NamedTuple):
    """A row. `entry` is None where nothing can be done with it in the list, as with a draft.

    `who`, `subject` and `preview` are HTML once they went through `as_html`.
    """

    who: Any
    subject: str
    preview: str
    url: str
    when_iso: str
    when_text: str
    unread: bool
    attachments: int
    entry: int | None = None
    thread: int | None = None
    starred: bool = False
    messages: int = 1


def conversation(row: Any, me: str, today: date) -> Line:
    """A row of `listing.folder`; `me` is the address whose owner is called so."""
    people, count, attachments = _last(row.last, me)
    return _conversation(row, people, max(count, row.total), attachments, today)


def sent(row: Any, me: str, today: date) -> Line:
    """A row of Sent, which names whom it went to."""
    _people, count, attachments = _last(row.last, me)
    return _conversation(
        row, [Person(to(row.to_preview))], max(count, row.total), attachments, today
    )


def message(row: Any, me: str, today: date) -> Line:
    """A row of `listing.starred`, or of anything else that lists messages each by itself."""
    return Line(
        [Person(_called(row.from_name, row.from_address, me))],
        row.subject or _("(no subject)"),
        row.preview,
        f"/mail/{row.id}",
        row.sort_at.isoformat(),
        dates.short(row.sort_at, today),
        not row.seen,
        row.attachment_count,
        row.id,
        row.thread_id,
        row.starred,
    )


def draft(row: Any, today: date) -> Line:
    """A row of `compose.services.page`."""
    return Line(
        [Person(to(row.to.strip()) if row.to.strip() else _("(nobody yet)"))],
        row.subject.strip() or _("(no subject)"),
        " ".join(row.body.split())[:140],
        f"/drafts/{row.id}",
        row.updated_at.isoformat(),
        dates.short(row.updated_at, today),
        False,
        int(row.has_files),
    )


def as_html(lines: Sequence[Line]) -> list[Line]:
    """The lines with what people wrote escaped; the rest of a line is made here."""
    plain = [text for line in lines for text in _texts(line)]
    texts = iter(escaped(plain))
    return [
        line._replace(
            # Those of `texts` that belong to this line, because it is asked for one a person.
            who=_named([person._replace(name=next(texts)) for person in line.who]),
            subject=next(texts),
            preview=next(texts),
        )
        for line in lines
    ]


def to(people: str) -> str:
    """Whom something went to."""
    return _("To: %(people)s", people=people) if people else _("To: (Bcc only)")


def _texts(line: Line) -> Iterable[str]:
    yield from (person.name for person in line.who)
    yield line.subject
    yield line.preview


def _named(people: Sequence[Person]) -> str:
    """People as HTML, those with something unread in bold; of many the first and the last."""
    named = [
        f"<strong>{person.name}</strong>" if person.unread else person.name for person in people
    ]
    if len(named) > _NAMED:
        return f"{named[0]} … {', '.join(named[1 - _NAMED :])}"
    return ", ".join(named)


def _conversation(
    row: Any, people: Sequence[Person], count: int, attachments: int, today: date
) -> Line:
    url = f"/mail/{row.newest_id}"  # not url_for: nothing is opened more often than a folder
    return Line(
        people,
        row.subject or _("(no subject)"),
        row.preview,
        # A browser then begins where somebody left off, with no script to take it there.
        f"{url}#unread" if row.unread and count > 1 else url,
        row.newest_at.isoformat(),
        dates.short(row.newest_at, today),
        row.unread > 0,
        attachments,
        row.newest_id,
        row.thread_id,
        row.starred > 0,
        count,
    )


def _last(last: str | None, me: str) -> tuple[list[Person], int, int]:
    """(who wrote, how many messages, how many files) of `listing.last_messages`."""
    unread: dict[str, bool] = {}
    names: dict[str, str] = {}
    files: dict[int, int] = {}
    for message, name, address, seen, attached in reversed(json.loads(last or "[]")):
        # One's own may be there twice: as sent, and as received.
        files[message] = attached
        names[address] = _called(name, address, me)
        unread[address] = unread.get(address, False) or not seen
    if len(names) > 1:
        names = {address: _briefly(name, address) for address, name in names.items()}
    people = [Person(name, unread[address]) for address, name in names.items()]
    return people, len(files), sum(files.values())


def _called(name: str, address: str, me: str) -> str:
    return _("me") if address == me else name or address


def _briefly(name: str, address: str) -> str:
    """How somebody is called among others: by the first of their names."""
    return name.partition("@" if name == address else " ")[0] or name
