"""Where open pages connect to be told of changes, and where those ask that can't."""

from __future__ import annotations

import random
from collections.abc import Callable
from functools import partial

from flask import Blueprint, Flask, Response, current_app, jsonify, request
from werkzeug.wrappers import Response as AnyResponse

from mailapp import sessions
from mailapp.accounts import auth
from mailapp.live.hub import Hub, Stream, event

bp = Blueprint("live", __name__)

# Milliseconds after which a page whose connection has ended comes back. Not the same for all: those
# of an instance that stops would come at the same moment.
_BACK_AFTER = (100, 800)
# The same for who can't be held on to, and so asks again and again.
_ASK_AGAIN_AFTER = (4000, 6000)


def init_app(app: Flask) -> None:
    """Give the application its hub; its thread begins with the first page."""
    app.extensions["live"] = Hub(app)
    app.register_blueprint(bp)


def end_all(app: Flask) -> None:
    """End the streams of an application that takes no more connections, if it has any."""
    hub: Hub | None = app.extensions.get("live")
    if hub is not None:
        hub.close()


@bp.get("/live")
def stream() -> Response:
    """Server-sent events: the account's change counter whenever it has grown, as id and as data.

    Who comes back says which it knows by Last-Event-ID, a page that was just made by `since`.
    """
    try:
        frame = auth.signed_in()
    except auth.NotSignedIn:
        return Response(status=204)  # tells an EventSource not to come back (HTML, section 9.2)
    account = frame.account
    known = request.headers.get("Last-Event-ID") or request.args.get("since", "")
    behind = known != str(account.modseq)
    hub: Hub = current_app.extensions["live"]
    # Of a server such as ours: what gives the connection away when the answer so far is sent.
    hand_over: Callable[[Callable[..., None]], None] | None = getattr(
        request.environ.get("gunicorn.socket"), "hand_over", None
    )
    stays = hand_over is not None and request.method == "GET" and hub.has_room(account.id)
    if hand_over is not None and stays:
        page = Stream(account.id, account.session_epoch, sessions.handle(), account.modseq)
        hand_over(partial(hub.take, page))
    milliseconds = random.randint(*(_BACK_AFTER if stays else _ASK_AGAIN_AFTER))  # noqa: S311
    first = b"retry: %d\n\n" % milliseconds + (event(account.modseq) if behind else b"")
    # What is no list gets no length, which an answer that goes on has not.
    body = iter([first]) if stays else first
    answer = Response(body, content_type="text/event-stream")
    # So that nginx, also one that is not set up by us, passes on what comes as it comes.
    answer.headers["X-Accel-Buffering"] = "no"
    return answer


@bp.get("/live/state")
def state() -> AnyResponse:
    """How far the account's change counter has come, for who asks by itself: 304 if no further."""
    modseq = auth.signed_in().account.modseq
    answer = jsonify(modseq=modseq)
    answer.set_etag(str(modseq))
    return answer.make_conditional(request)
