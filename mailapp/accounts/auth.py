"""Who is asking: the signed-in person of a request, or the way to the log-in page."""

from __future__ import annotations

from flask import (
    Flask,
    Response,
    flash,
    g,
    jsonify,
    make_response,
    redirect,
    request,
    session,
    url_for,
)

from mailapp import sessions
from mailapp.errors import Problem, wants_json
from mailapp.i18n import choose
from mailapp.i18n import gettext as _
from mailapp.mailbox.services import Frame, load_frame


class NotSignedIn(Exception):
    """The request needs somebody signed in, and nobody is."""


def init_app(app: Flask) -> None:
    """Send who is not signed in to the log-in page, and back afterwards."""
    app.register_error_handler(NotSignedIn, _to_login)


def signed_in(entry_id: int | None = None) -> Frame:
    """The signed-in person's frame, with the message `entry_id`; raises NotSignedIn.

    The session says who; the account's row, read with the frame, says whether that still holds: a
    session from before the last password change ends here, even if the store should still have it.
    """
    account_id, epoch = session.get("account"), session.get("epoch")
    if account_id is None:
        raise NotSignedIn
    frame = load_frame(account_id, entry_id)
    if frame is None or frame.account.session_epoch != epoch:
        sessions.end()
        raise NotSignedIn
    g.frame = frame
    choose(frame.account.language, frame.account.time_zone)
    return frame


def signed_in_operator() -> Frame:
    """The frame of a signed-in person who has the admin flag; raises NotSignedIn, or Problem.

    Not 404 for who lacks the flag: that the page exists is no secret, and an operator who forgot to
    ask for the flag learns what is missing.
    """
    frame = signed_in()
    if not frame.account.is_admin:
        raise Problem(
            403,
            _("This page is for operators"),
            _("Whoever runs this service can open it to you: `mailapp user admin ADDRESS`."),
        )
    return frame


def login_answer(after: str, notice: str) -> Response:
    """The way to the log-in page and on to `after`: a redirect, or 401 as JSON to a script."""
    if wants_json():
        return make_response(jsonify(error=notice, login_url=url_for("accounts.login")), 401)
    flash(notice, "error")
    return make_response(redirect(url_for("accounts.login", next=after), 303))


def safe_next(target: str) -> str | None:
    """`target` when it is a path of this site, else None: a log-in must not lead elsewhere."""
    if not target.startswith("/") or target.startswith(("//", "/\\")) or "\\" in target:
        return None
    return target if target.isprintable() else None


def _to_login(_error: NotSignedIn) -> Response:
    if request.method in {"GET", "HEAD"}:
        after = request.full_path.rstrip("?")
        if wants_json():
            return login_answer(after, _("Please log in."))
        return make_response(redirect(url_for("accounts.login", next=after), 303))
    return login_answer("/", _("You are logged out, so nothing was done. Log in and try again."))
