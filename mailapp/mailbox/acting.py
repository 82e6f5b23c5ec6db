"""What the buttons of a list and of a conversation do, without a script as with one: to what is
chosen, to all that is shown, or to all there is; and Undo."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from flask import Blueprint, flash, redirect, render_template, request
from werkzeug.wrappers import Response

from mailapp.accounts import auth
from mailapp.errors import Problem
from mailapp.i18n import gettext as _
from mailapp.i18n import ngettext
from mailapp.mailbox import bulk, selections
from mailapp.mailbox.bulk import Outcome
from mailapp.mailbox.changes import (
    DESTROY,
    MOVE,
    READ,
    RESTORE,
    STAR,
    TARGETS,
    UNREAD,
    UNSTAR,
    FolderGone,
)
from mailapp.mailbox.filing import INBOX
from mailapp.mailbox.selections import Selection
from mailapp.mailbox.services import ARCHIVE, SPAM, STARRED, TRASH, Frame

bp = Blueprint("acting", __name__)

# The buttons' values, with what each does: the action, and where to.
_DOES: dict[str, tuple[str, str | None]] = {
    "archive": (MOVE, ARCHIVE),
    "spam": (MOVE, SPAM),
    "not-spam": (MOVE, INBOX),
    "delete": (MOVE, TRASH),
    "restore": (RESTORE, INBOX),
    "destroy": (DESTROY, None),
    "read": (READ, None),
    "unread": (UNREAD, None),
    "star": (STAR, None),
    "unstar": (UNSTAR, None),
}
# What all of a list is that is no folder, by the place that its form names. Another room that has
# such a list adds it.
PLACES: dict[str, Callable[[Frame], Selection]] = {STARRED: lambda _frame: selections.starred()}
# What leaves messages where they are, and people on the page they were on.
_MARKS = {READ, UNREAD, STAR, UNSTAR}


@bp.post("/mail/act")
def act() -> Response:
    """Do what the pressed button says, and go back to the list with a notice that can undo it."""
    frame = auth.signed_in()
    form = request.form
    back = auth.safe_next(form.get("back", "")) or f"/mail/{INBOX}"
    action, target = _asked(frame)
    selection = _selected(frame, action)
    if selection is None:
        flash(_("Nothing was selected. Choose some messages first."), "error")
        return redirect(back, 303)
    try:
        outcome = bulk.perform(frame.account.id, action, selection, target)
    except FolderGone:
        raise Problem(
            409, _("This folder is not there any more"), _("Nothing was moved. Choose another.")
        ) from None
    if not (action in {STAR, UNSTAR} and outcome.done <= 1):
        _say(frame, action, target, outcome)
    return redirect(back, 303)


@bp.post("/mail/undo")
def undo() -> Response:
    """Undo what a notice was about, but for what was changed since."""
    frame = auth.signed_in()
    back = auth.safe_next(request.form.get("back", "")) or f"/mail/{INBOX}"
    undone = bulk.undo(frame.account.id, request.form.get("undo", ""))
    if undone is None:
        raise Problem(404, _("There is nothing to undo"), _("It may have been long ago."))
    left = undone.expected - undone.done if undone.finished else 0
    if not undone.done:
        flash(_("Nothing was undone: it has all been changed since."), "error")
    elif left > 0:
        flash(
            ngettext(
                "Undone, but for %(num)d message that has been changed since.",
                "Undone, but for %(num)d messages that have been changed since.",
                left,
            ),
            "success",
        )
    elif undone.finished:
        flash(_("Undone."), "success")
    else:
        flash(_("Being undone. This goes on by itself; you can close the page."), "success")
    return redirect(back, 303)


@bp.get("/mail/<any(trash, spam):role>/empty")
def confirm_emptying(role: str) -> str:
    """Ask before all of Trash or Spam is deleted for good."""
    frame = auth.signed_in()
    return render_template(
        "mailbox/empty.html", frame=frame, active=role, mailbox=frame.mailbox(role)
    )


@bp.post("/mail/<any(trash, spam):role>/empty")
def empty(role: str) -> Response:
    """Delete all of it for good."""
    frame = auth.signed_in()
    mailbox = frame.mailbox(role)
    outcome = bulk.perform(frame.account.id, DESTROY, selections.folder(mailbox.id))
    _say(frame, DESTROY, None, outcome)
    return redirect(mailbox.path, 303)


def _asked(frame: Frame) -> tuple[str, int | str | None]:
    """(the action, the folder to move to or its role)."""
    form = request.form
    for row_button in (STAR, UNSTAR):
        if row_button in form:
            return row_button, None
    does = form.get("do", "")
    if does == "move":
        target = form.get("to", "")
        chosen = next((box for box in frame.mailboxes if box.place == target), None)
        if chosen is not None and chosen.role is None:
            return MOVE, chosen.id
        if chosen is not None and chosen.role in TARGETS:
            return MOVE, chosen.role
        raise Problem(400, _("Choose a folder"), _("Nothing was moved: choose where to first."))
    if does not in _DOES:
        raise Problem(400, _("This can't be done"), _("The page you came from is out of date."))
    return _DOES[does]


def _selected(frame: Frame, action: str) -> Selection | None:
    """What the form selects; None where it is nothing."""
    form = request.form
    me = frame.account.id
    for row_button in (STAR, UNSTAR):
        if row_button in form:
            return _in_list([form[row_button]], me, action, by_message=row_button == STAR)
    if form.get("whole"):
        return _whole(frame, form.get("place", ""))
    chosen = form["shown"].split(",") if form.get("all") and form.get("shown") else []
    chosen += form.getlist("entry")
    if not chosen:
        return None
    if form.get("scope") == "from-here":
        return selections.from_here(me, _number(chosen[0]))
    by_message = form.get("scope") == "message" or action in {UNREAD, STAR}
    return _in_list(chosen, me, action, by_message=by_message)


def _in_list(chosen: list[str], me: int, action: str, *, by_message: bool) -> Selection:
    """The conversations of these entries; to mark one unread or star it is to mark its newest."""
    ids = [_number(entry) for entry in chosen]
    if by_message:
        return selections.messages(ids)
    return selections.conversations(me, ids)


def _whole(frame: Frame, place: str) -> Selection:
    if place in PLACES:
        return PLACES[place](frame)
    for box in frame.mailboxes:
        if box.place == place:
            return selections.folder(box.id)
    raise Problem(404, _("There is nothing here"), _("This folder is not there any more."))


def _number(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) <= 18):
        raise Problem(400, _("This can't be done"), _("The page you came from is out of date."))
    return int(text)


def _say(frame: Frame, action: str, target: int | str | None, outcome: Outcome) -> None:
    """A notice of what was done, with Undo where there is one."""
    text = _told(frame, action, target, outcome.done)
    if not outcome.finished:
        text += " " + _("The rest follows by itself; you can close the page.")
    if outcome.token is None:
        flash(text, "success")
        return
    notice: dict[str, Any] = {
        "text": text,
        "url": "/mail/undo",
        "button": _("Undo"),
        "fields": {"undo": outcome.token, "back": request.form.get("back", "")},
    }
    flash(notice, "undo")  # type: ignore[arg-type]  # the template knows what to do with it


def _told(frame: Frame, action: str, target: int | str | None, done: int) -> str:
    if not done:
        return _("Nothing had to be changed.")
    if action in {MOVE, RESTORE}:
        if action == RESTORE:
            return ngettext(
                "The message is back where it was.",
                "%(num)d messages are back where they were.",
                done,
            )
        folder = next(box.label for box in frame.mailboxes if target in {box.id, box.role})
        if done == 1:
            return _("Moved to %(folder)s.", folder=folder)
        return _("%(num)d messages moved to %(folder)s.", num=done, folder=folder)
    if action == DESTROY:
        return ngettext(
            "The message is deleted for good.", "%(num)d messages are deleted for good.", done
        )
    if action == READ:
        return ngettext("Marked read.", "%(num)d messages marked read.", done)
    if action == UNREAD:
        return ngettext("Marked unread.", "%(num)d messages marked unread.", done)
    if action == STAR:
        return ngettext("Starred.", "%(num)d messages starred.", done)
    return ngettext("Star taken away.", "%(num)d stars taken away.", done)
