"""The token in every form, which proves that the form is from a page we sent to this person."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeVar

from flask import Flask
from flask_wtf.csrf import CSRFProtect, validate_csrf
from wtforms.validators import ValidationError

View = TypeVar("View", bound=Callable[..., Any])

_protect = CSRFProtect()


def init_app(app: Flask) -> None:
    """Refuse every POST without a valid token, but to exempt views."""
    # A token is good as long as the session it belongs to: a page may stay open all day.
    app.config["WTF_CSRF_TIME_LIMIT"] = None
    _protect.init_app(app)


def exempt(view: View) -> View:
    """Mark a view that calls `valid` itself, because what follows a bad token is its own.

    Among them those that read a streamed body: Flask-WTF would have Flask spool all of it first.
    """
    exempted: View = _protect.exempt(view)
    return exempted


def valid(token: str | None) -> bool:
    """Whether `token` belongs to this visitor's session."""
    try:
        validate_csrf(token)
    except ValidationError:
        return False
    return True
