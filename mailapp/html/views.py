"""The pages of formatted mail: the document in a message's frame, and whose images are loaded."""

from __future__ import annotations

from flask import Blueprint, Flask, Response, redirect, request
from markupsafe import Markup
from werkzeug.wrappers import Response as AnyResponse

from mailapp import errors
from mailapp.accounts import auth
from mailapp.html import document, letters
from mailapp.html.letters import Letter
from mailapp.i18n import gettext as _
from mailapp.mailbox.services import Frame

bp = Blueprint("html", __name__)


def init_app(app: Flask) -> None:
    """Register the pages, and let templates say how a message's frame is walled in."""
    app.register_blueprint(bp)
    app.jinja_env.globals["html_sandbox"] = document.SANDBOX


@bp.get("/mail/<number:entry_id>/html")
def shown(entry_id: int) -> Response:
    """The document in the frame: formatted or, with `?as=text`, as text; with `?images=1` whole."""
    frame = auth.signed_in()
    letter = _letter(frame, entry_id)
    remote = _asks_for_images() or letters.is_trusted(frame.account.id, letter.sender)
    as_text = request.args.get("as") == "text"
    made = None if as_text else letter.shown(remote=remote)
    if made is None:
        back = Markup('<p><a href="/mail/{}/html">{}</a></p>').format(entry_id, _("Show formatted"))
        # Not where it is too heavy to be: that would lead here again.
        text = document.of_text(letter.subject, letter.text, str(back) if as_text else "")
        response = Response(text)
    else:
        response = Response(document.of_html(letter.subject, made))
    response.headers["Content-Security-Policy"] = document.policy(remote=remote)
    response.headers["Referrer-Policy"] = "no-referrer"
    # No policy stops a browser from looking up the hosts of links beforehand; this does.
    response.headers["X-DNS-Prefetch-Control"] = "off"
    return response


@bp.post("/mail/<number:entry_id>/images")
def images(entry_id: int) -> AnyResponse:
    """Always load the images in mail from this message's sender, or, with `always=no`, not."""
    frame = auth.signed_in()
    letter = _letter(frame, entry_id)
    if letter.sender:
        letters.trust(frame.account.id, letter.sender, trusted=request.form.get("always") != "no")
    return redirect(f"/mail/{entry_id}", 303)


def _letter(frame: Frame, entry_id: int) -> Letter:
    letter = letters.find(frame.account.id, entry_id)
    if letter is None:
        raise errors.not_there()
    return letter


def _asks_for_images() -> bool:
    """Whether the person does: a link in somebody's mail or page must not ask for them."""
    came_from = request.headers.get("Sec-Fetch-Site", "same-origin")
    # A link in a mail to its own document is of this origin too, but opens a tab, never the frame.
    goes_to = request.headers.get("Sec-Fetch-Dest", "iframe")
    return request.args.get("images") == "1" and came_from == "same-origin" and goes_to == "iframe"
