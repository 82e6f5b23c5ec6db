"""The token in every form that proves it came from one of our pages, to the person it was sent to."""

from __future__ import annotations

from flask import Flask
from flask_wtf.csrf import CSRFProtect, validate_csrf
from wtforms.validators import ValidationError

# Views that read a streamed body themselves are exempt here and call `valid` on what they read:
# Flask-WTF would make Flask spool the whole body to a temporary file first.
protect = CSRFProtect()


def init_app(app: Flask) -> None:
    """Refuse every POST without a valid token, but to exempt views."""
    # A token is good as long as the session it belongs to: a page may stay open all day.
    app.config["WTF_CSRF_TIME_LIMIT"] = None
    protect.init_app(app)


def valid(token: str | None) -> bool:
    """Whether `token` belongs to this visitor's session."""
    try:
        validate_csrf(token)
    except ValidationError:
        return False
    return True
