"""What a person is told when something goes wrong: the right status, what happened, what to do."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Literal

from flask import Flask, Response, current_app, g, jsonify, make_response, render_template, request
from flask_wtf.csrf import CSRFError
from redis.exceptions import RedisError
from sqlalchemy.exc import InterfaceError, OperationalError
from sqlalchemy.exc import TimeoutError as PoolTimeoutError
from werkzeug.datastructures import MultiDict
from werkzeug.exceptions import HTTPException, InternalServerError

from mailapp.i18n import gettext as _
from mailapp.i18n import lazy_gettext
from mailapp.telemetry import request_id

Part = Literal["database", "redis", "attachments"]

# Long enough for a part to be restarted, short enough that a person waits for it.
RETRY_AFTER = 5

_AWAY: dict[Part, Any] = {
    "database": lazy_gettext("The database does not answer at the moment."),
    "redis": lazy_gettext(
        "The service that remembers who is logged in does not answer at the moment."
    ),
    "attachments": lazy_gettext(
        "The store that keeps attachments does not answer at the moment. "
        "Mail without attachments works."
    ),
}

_TITLES = {
    400: lazy_gettext("This request can't be understood"),
    403: lazy_gettext("This is not allowed"),
    404: lazy_gettext("There is nothing here"),
    405: lazy_gettext("This can't be done here"),
    413: lazy_gettext("This is too large"),
    429: lazy_gettext("Too many tries"),
}

# What there is to say of an error that the framework raises; of the rest, as of 400.
_TEXTS = {
    400: lazy_gettext("Nothing was done. Go back and try again."),
    404: lazy_gettext("The address is wrong, or what was here is gone."),
    405: lazy_gettext("Nothing was done. Begin at your mail."),
    413: lazy_gettext("The request is larger than this service takes."),
}


class Unavailable(Exception):
    """A part that this request needs does not answer: 503, with Retry-After."""

    def __init__(self, part: Part) -> None:
        super().__init__(f"{part} is unavailable")
        self.part: Part = part


class Problem(Exception):
    """The request can't be done as it is: `status` (4xx), title and text a person can act on."""

    def __init__(self, status: int, title: str, text: str) -> None:
        super().__init__(title)
        self.status = status
        self.title = title
        self.text = text


def init_app(app: Flask) -> None:
    """Answer every error with a page, or with JSON to a script that asked for it."""
    app.register_error_handler(Unavailable, _unavailable)
    app.register_error_handler(Problem, _problem)
    app.register_error_handler(CSRFError, _stale_form)
    app.register_error_handler(HTTPException, _http_error)
    app.register_error_handler(OperationalError, _database_away)
    app.register_error_handler(InterfaceError, _database_away)
    app.register_error_handler(PoolTimeoutError, _database_away)
    app.register_error_handler(RedisError, _redis_away)


def not_there() -> Problem:
    """There is nothing at this address, or nothing for this person."""
    return Problem(404, str(_TITLES[404]), str(_TEXTS[404]))


def wants_json() -> bool:
    """Whether a script asked, which wants {"error": …}, not a page."""
    return request.accept_mimetypes.best == "application/json"


def away_text(part: Part) -> str:
    """One or two sentences that tell a person which part is away."""
    return str(_AWAY[part])


def is_database_away(error: BaseException) -> bool:
    """Whether `error` means that the database can't be reached, rather than a wrong statement."""
    return isinstance(error, OperationalError | InterfaceError | PoolTimeoutError)


def page(
    status: int,
    title: str,
    text: str,
    *,
    retry_after: int | None = None,
    typed: Sequence[tuple[str, str]] = (),
) -> Response:
    """An error as a page or as JSON; `typed` is what the person wrote, given back to them."""
    response = make_response(
        jsonify(error=text, title=title, request_id=request_id())
        if wants_json()
        else render_template(
            "errors/error.html",
            status=status,
            title=title,
            text=text,
            retry_after=retry_after,
            typed=typed,
        ),
        status,
    )
    if retry_after is not None:
        response.headers["Retry-After"] = str(retry_after)
    return response


def unavailable_page(part: Part, *, typed: Sequence[tuple[str, str]] = ()) -> Response:
    """503: which part is away, and that trying again in a moment is the thing to do."""
    return page(
        503,
        _("Please try again in a moment"),
        " ".join([away_text(part), _("Nothing that was saved is lost.")]),
        retry_after=RETRY_AFTER,
        typed=typed,
    )


def _unavailable(error: Unavailable) -> Response:
    return unavailable_page(error.part, typed=typed())


def _database_away(error: BaseException) -> Response:
    current_app.logger.warning("database unavailable", exc_info=error)
    return unavailable_page("database", typed=typed())


def _redis_away(error: RedisError) -> Response:
    current_app.logger.warning("redis unavailable", exc_info=error)
    return unavailable_page("redis", typed=typed())


def _problem(error: Problem) -> Response:
    return page(error.status, error.title, error.text, typed=typed())


def _stale_form(error: CSRFError) -> Response:
    return page(
        400,
        _("This page was out of date"),
        _(
            "The form carried no valid security token, so nothing was done. "
            "Open the page again and repeat what you did."
        ),
        typed=typed(),
    )


def _http_error(error: HTTPException) -> Response:
    status = error.code or 500
    if isinstance(error, InternalServerError):
        cause = error.original_exception
        if isinstance(cause, RedisError):  # the session could not be written after the view
            return _redis_away(cause)
        if cause is not None and is_database_away(cause):
            return _database_away(cause)
        return page(
            500,
            _("Something went wrong here"),
            _("It is not your fault. It has been noted under the number below; please try again."),
        )
    if status < 400:  # a redirect raised by the router is an answer, not an error
        return make_response(error.get_response())
    text = _TEXTS.get(status, _TEXTS[400])
    response = page(status, str(_TITLES.get(status, _TITLES[400])), str(text))
    for name, value in error.get_headers():
        if name.lower() in {"allow", "retry-after", "content-range"}:
            response.headers[name] = value
    return response


# Fields that are no text of a person's, or must not be shown again.
_NOT_TYPED = frozenset(
    (
        *("csrf_token", "draft_key", "form_id", "version", "next", "action", "remove"),
        *("html", "preset", "send_at", "time_zone", "anyway"),
    )
)

_LABELS = {
    "to": lazy_gettext("To"),
    "cc": lazy_gettext("Cc"),
    "bcc": lazy_gettext("Bcc"),
    "subject": lazy_gettext("Subject"),
    "body": lazy_gettext("Message"),
    "email": lazy_gettext("Email"),
    "name": lazy_gettext("Name"),
}


def typed() -> list[tuple[str, str]]:
    """What the person typed into the form that failed, as (label, text), where it has been read.

    A view that reads its form as it arrives leaves it in `g.typed`.
    """
    form: MultiDict[str, str] | None = g.get("typed") or request.__dict__.get("form")
    if request.method != "POST" or form is None:
        return []
    return [
        (str(_LABELS[name]) if name in _LABELS else name.capitalize(), value)
        for name, value in form.items(multi=True)
        if value and name not in _NOT_TYPED and "password" not in name
    ]
