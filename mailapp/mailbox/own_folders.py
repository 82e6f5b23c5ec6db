"""The pages of one's own folders: making one, renaming it, taking it away with what is in it."""

from __future__ import annotations

from flask import Blueprint, flash, make_response, redirect, render_template, request
from werkzeug.wrappers import Response

from mailapp import errors
from mailapp.accounts import auth
from mailapp.errors import Problem
from mailapp.i18n import gettext as _
from mailapp.mailbox import bulk, folders, selections
from mailapp.mailbox.changes import DISSOLVE
from mailapp.mailbox.filing import INBOX
from mailapp.mailbox.folders import Refused
from mailapp.mailbox.services import ARCHIVE, TRASH, Frame, MailboxView

bp = Blueprint("folders", __name__)

# Where what is in a folder can go when it is taken away.
_HEIRS = (INBOX, ARCHIVE, TRASH)


@bp.get("/folders")
def all_folders() -> str:
    """Every folder, where there is no room for them at the side."""
    frame = auth.signed_in()
    return render_template("mailbox/folders.html", frame=frame, active="folders")


@bp.get("/folders/new")
def new() -> str:
    """The form for a new one."""
    return _new_page(auth.signed_in(), "", None)


@bp.post("/folders/new")
def create() -> Response:
    """Make it, and show it."""
    frame = auth.signed_in()
    name = request.form.get("name", "")
    try:
        mailbox_id = folders.create(frame.account.id, name)
    except Refused as refused:
        return make_response(_new_page(frame, name, str(refused)), 422)
    return redirect(f"/mail/folder/{mailbox_id}", 303)


@bp.get("/folders/<number:mailbox_id>")
def edit(mailbox_id: int) -> str:
    """The forms to rename it and to take it away."""
    frame = auth.signed_in()
    mailbox = _own(frame, mailbox_id)
    return _edit_page(frame, mailbox, mailbox.label, None)


@bp.post("/folders/<number:mailbox_id>")
def rename(mailbox_id: int) -> Response:
    """Give it another name."""
    frame = auth.signed_in()
    mailbox, name = _own(frame, mailbox_id), request.form.get("name", "")
    try:
        folders.rename(frame.account.id, mailbox_id, name)
    except Refused as refused:
        return make_response(_edit_page(frame, mailbox, name, str(refused)), 422)
    flash(_("The folder has a new name."), "success")
    return redirect(mailbox.path, 303)


@bp.post("/folders/<number:mailbox_id>/delete")
def delete(mailbox_id: int) -> Response:
    """Take it away, and move what is in it where its owner said."""
    frame = auth.signed_in()
    mailbox = _own(frame, mailbox_id)
    heir = request.form.get("into", TRASH)
    if heir not in _HEIRS:
        raise Problem(400, _("Choose a folder"), _("Nothing was moved: choose where to first."))
    outcome = bulk.perform(frame.account.id, DISSOLVE, selections.folder(mailbox_id), heir)
    text = _("The folder “%(name)s” is deleted.", name=mailbox.label)
    if outcome.done:
        text = _(
            "The folder “%(name)s” is deleted; what was in it is in %(folder)s.",
            name=mailbox.label,
            folder=frame.mailbox(heir).label,
        )
    if not outcome.finished:
        text += " " + _("The rest follows by itself; you can close the page.")
    flash(text, "success")
    return redirect(f"/mail/{heir if outcome.done else INBOX}", 303)


def _own(frame: Frame, mailbox_id: int) -> MailboxView:
    mailbox = frame.folder(mailbox_id)
    if mailbox is None or mailbox.role is not None:
        raise errors.not_there()
    return mailbox


def _new_page(frame: Frame, name: str, error: str | None) -> str:
    return render_template(
        "mailbox/new_folder.html",
        frame=frame,
        active="new-folder",
        name=name,
        error=error,
    )


def _edit_page(frame: Frame, mailbox: MailboxView, name: str, error: str | None) -> str:
    return render_template(
        "mailbox/edit_folder.html",
        frame=frame,
        active=mailbox.place,
        mailbox=mailbox,
        name=name,
        error=error,
        heirs=[frame.mailbox(role) for role in _HEIRS],
    )
