"""The token in every form, which proves that the form is from a page we sent to this person."""

from __future__ import annotations

from collections.abc import Callable
from functools import lru_cache
from typing import Any, TypeVar

from flask import Flask, current_app, g, request, session
from flask_wtf.csrf import CSRFProtect, generate_csrf, validate_csrf
from itsdangerous import URLSafeTimedSerializer
from wtforms.validators import ValidationError

View = TypeVar("View", bound=Callable[..., Any])

_protect = CSRFProtect()


def init_app(app: Flask) -> None:
    """Refuse every POST without a valid token, but to exempt views."""
    # A token is good as long as the session it belongs to: a page may stay open all day.
    app.config["WTF_CSRF_TIME_LIMIT"] = None
    app.config["WTF_CSRF_CHECK_DEFAULT"] = False  # here, where most requests need no more of it
    _protect.init_app(app)
    app.before_request(_check)
    app.context_processor(lambda: {"csrf_token": token})


def _check() -> None:
    if request.method in current_app.config["WTF_CSRF_METHODS"]:
        _protect.protect(apply_exemptions=True)


def exempt(view: View) -> View:
    """Mark a view that calls `valid` itself, because what follows a bad token is its own.

    Among them those that read a streamed body: Flask-WTF would have Flask spool all of it first.
    """
    exempted: View = _protect.exempt(view)
    return exempted


def token() -> str:
    """The token for this visitor's forms; a page has it in several places."""
    made: str | None = g.get("csrf_token")  # where Flask-WTF keeps it for the rest of the request
    if made is None:
        secret = session.get("csrf_token")
        made = _signed(str(current_app.secret_key), secret) if secret else generate_csrf()
        g.csrf_token = made
    return made


def valid(token: str | None) -> bool:
    """Whether `token` belongs to this visitor's session."""
    try:
        validate_csrf(token)
    except ValidationError:
        return False
    return True


@lru_cache(maxsize=1024)
def _signed(key: str, secret: str) -> str:
    """What Flask-WTF makes of a session's secret, once for all the pages of a visit."""
    token = URLSafeTimedSerializer(key, salt="wtf-csrf-token").dumps(secret)
    return token if isinstance(token, str) else token.decode()
