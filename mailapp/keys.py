"""The page that lists what each key does; the keys themselves are static/keys.js."""

from __future__ import annotations

from flask import Blueprint, render_template

from mailapp.accounts import auth
from mailapp.i18n import gettext as _

bp = Blueprint("keys", __name__)


@bp.get("/keys")
def page() -> str:
    """Gmail's letters, as far as there is something here that they can do."""
    frame = auth.signed_in()
    return render_template("keys.html", frame=frame, active="keys", lists=_lists())


def _lists() -> list[tuple[str, list[tuple[str, str]]]]:
    return [
        (
            _("Everywhere"),
            [
                ("c", _("Write a message")),
                ("/", _("Search")),
                ("g i", _("To the inbox")),
                ("g s", _("To what has a star")),
                ("g d", _("To the drafts")),
                ("g t", _("To sent mail")),
                ("g a", _("To the archive")),
                ("z", _("Undo what was just done")),
                ("?", _("Show these keys")),
            ],
        ),
        (
            _("In a list"),
            [
                ("j", _("Next row")),
                ("k", _("Row before")),
                ("o", _("Open it; Enter does the same")),
                ("x", _("Select it")),
                ("* a", _("Select all")),
                ("* n", _("Select none")),
                ("* u", _("Select what is unread")),
                ("* s", _("Select what has a star")),
            ],
        ),
        (
            _("What is selected or open"),
            [
                ("e", _("Archive")),
                ("#", _("Delete")),
                ("!", _("Report as spam")),
                ("s", _("Give a star, or take it")),
                ("Shift i", _("Mark read")),
                ("Shift u", _("Mark unread")),
            ],
        ),
        (
            _("In a conversation"),
            [
                ("n", _("Next message")),
                ("p", _("Message before")),
                ("r", _("Reply")),
                ("a", _("Reply to all")),
                ("f", _("Forward")),
                ("u", _("Back to the list")),
            ],
        ),
    ]
