"""The page of a search: what was found, or what could not be read of the question."""

from __future__ import annotations

from datetime import date
from typing import Any

from flask import Blueprint, render_template, request

from mailapp.accounts import auth
from mailapp.errors import Problem
from mailapp.i18n import dates
from mailapp.i18n import gettext as _
from mailapp.i18n.choice import current_zone
from mailapp.mailbox import acting, kept, rows, selections
from mailapp.mailbox.filing import SENT
from mailapp.mailbox.paging import PAGE
from mailapp.mailbox.rows import Line, Person
from mailapp.mailbox.selections import PIECE, Piece, Selection
from mailapp.mailbox.services import DRAFTS, SPAM, TRASH, Frame, MailboxView
from mailapp.mailbox.views import targets
from mailapp.queries import Transaction
from mailapp.search import marks
from mailapp.search.finding import find
from mailapp.search.language import Reader, Unreadable, Wanted
from mailapp.search.marks import Marker
from mailapp.search.words import fold
from mailapp.templating import escaped

bp = Blueprint("search", __name__)

PLACE = "search"


@bp.get("/search")
def search() -> str | bytes | tuple[str, int]:
    """A page of what matches `q`, newest first; with nothing to look for, how to ask."""
    frame = auth.signed_in()
    query, before = request.args.get("q", "").strip(), request.args.get("before")
    if not query:
        return _page(frame, query)
    try:
        today = dates.today()
        key = (PLACE, query, before, today)
        return kept.page(frame, key, lambda: _results(frame, query, before, today))
    except Unreadable as error:
        return _page(frame, query, problems=error.problems), 400
    except ValueError:
        raise Problem(
            400, _("There is no such page"), _("The address is wrong. Begin at the newest.")
        ) from None


def wanted(frame: Frame, query: str) -> Wanted:
    """What a person asks for; raises Unreadable. Spam and Trash only where they are asked for."""
    unsearched = frozenset(_names(frame.mailbox(DRAFTS)))
    reader = Reader(_folders(frame), current_zone(), unsearched=unsearched)
    read = reader.read(query)
    if not read.lies_in and not read.anywhere:
        read.lies_not_in |= {frame.mailbox(role).id for role in (SPAM, TRASH)}
    return read


def _results(frame: Frame, query: str, before: str | None, today: date) -> str:
    asked = wanted(frame, query)
    found = find(frame.account.id, asked, before, PAGE)
    lines = _lines(frame, asked, found.rows, today)
    return _page(
        frame,
        query,
        rows=lines,
        shown=",".join(str(line.entry) for line in lines),
        before=before,
        next_key=found.next_key,
        looked_back_to=found.looked_back_to and dates.full(found.looked_back_to),
        left_out=not asked.lies_in and not asked.anywhere,
        targets=targets(frame, None),
        whole=_("All that match, also on other pages") if found.next_key or before else None,
    )


def _page(frame: Frame, query: str, **shown: Any) -> str:
    return render_template(
        "search/search.html", frame=frame, active=PLACE, query=query, role=PLACE, **shown
    )


def _folders(frame: Frame) -> dict[str, int]:
    """What each folder that is searched may be called; of two of one name the one all have."""
    return {
        name: box.id
        for box in reversed(frame.mailboxes)
        if box.role != DRAFTS
        for name in _names(box)
    }


def _names(box: MailboxView) -> set[str]:
    return {fold(name) for name in (box.role, box.label) if name}


def _lines(frame: Frame, asked: Wanted, found: Any, today: date) -> list[Line]:
    """The rows with their hits marked, each with the folder it lies in."""
    marker = Marker(asked)
    boxes = {box.id: box for box in frame.mailboxes}
    lines = []
    for row in found:
        line = rows.message(row, frame.account.address, today)
        box = boxes.get(row.mailbox_id)
        if box is not None and box.role == SENT:
            who = marker.mark(rows.to(row.to_preview), "to")
        else:
            who = _from(marker, line.who[0].name, row.from_address)
        files = [
            marker.mark(file["filename"], "filename")
            for file in row.attachments
            if marker.has_hit(file["filename"], "filename")
        ]
        lines.append(
            line._replace(
                who=[Person(who)],
                subject=marker.mark(line.subject, "subject"),
                preview=" · ".join([*files, marker.excerpt(row.text, row.preview)]),
                url=f"{line.url}#m{row.id}",
            )
        )
    names = escaped(
        [boxes[row.mailbox_id].label if row.mailbox_id in boxes else "" for row in found]
    )
    return [
        line._replace(
            who=marks.as_html(line.who),
            subject=marks.as_html(line.subject),
            preview=f'<span class="folder">{name}</span> {marks.as_html(line.preview)}',
        )
        for line, name in zip(rows.as_html(lines), names, strict=True)
    ]


def _from(marker: Marker, called: str, address: str) -> str:
    """Who wrote: also their address, where only that is what was looked for."""
    if called != address and not marker.has_hit(called, "from") and marker.has_hit(address, "from"):
        return f"{marker.mark(called, 'from')} <{marker.mark(address, 'from')}>"
    return marker.mark(called, "from")


# All that match, for what is done with a selection ------------------------------------------------


def _select(frame: Frame) -> Selection:
    """All that the question on the form asks for, kept as the ids of its folders are now."""
    query = request.form.get("query", "")
    try:
        return {"kind": PLACE, "wanted": wanted(frame, query).as_json()}
    except Unreadable as error:
        raise Problem(400, _("This can't be done"), " ".join(error.problems)) from None


def _read(_inside: Transaction, account_id: int, selection: Selection, after: str) -> Piece:
    found = find(
        account_id, Wanted.from_json(selection["wanted"]), after or None, PIECE, whole=False
    )
    return Piece([row.id for row in found.rows], found.next_key)


selections.READERS[PLACE] = _read
acting.PLACES[PLACE] = _select
