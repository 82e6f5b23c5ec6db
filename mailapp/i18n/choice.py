"""Whom an answer is for: in which language, by which clock.

What a signed-in person has chosen counts, else what their browser asks for. A cookie repeats a
chosen language, for the pages that know nobody: of the log-in, of an error. The browser's time zone
is known to its scripts alone, so until they have run, times are in UTC.
"""

from __future__ import annotations

from contextlib import AbstractContextManager
from datetime import UTC, tzinfo
from functools import lru_cache
from zoneinfo import ZoneInfo, ZoneInfoNotFoundError

import flask_babel
from babel import Locale
from flask import Response, after_this_request, current_app, g, has_request_context, request
from werkzeug.datastructures import LanguageAccept
from werkzeug.http import parse_accept_header

from mailapp.i18n.catalogue import LANGUAGES

DEFAULT = "en"

COOKIE = "mailapp_language"

# The longest that browsers keep a cookie.
_COOKIE_SECONDS = 400 * 86400


def current_language() -> str:
    """The language of the answer being made; English outside of a request."""
    spoken = flask_babel.get_locale()
    return spoken.language if spoken else DEFAULT


def locale_asked_for() -> Locale:
    """The locale of this request's visitor, for Flask-Babel."""
    return locale(asked_for())


@lru_cache
def locale(name: str) -> Locale:
    """What Babel knows of a language, or of a region's way with it, such as `en_GB`."""
    return Locale.parse(name)


def current_zone() -> tzinfo:
    """The time zone that the signed-in person has chosen, else UTC."""
    return zone(g.get("time_zone")) or UTC if g else UTC


def in_language(language: str | None) -> AbstractContextManager[None]:
    """Speak `language` for a while, to somebody who is not the one asking; None is English."""
    spoken: AbstractContextManager[None] = flask_babel.force_locale(language or DEFAULT)
    return spoken


def choose(language: str | None, time_zone: str | None) -> None:
    """Answer as the signed-in person has chosen, from here on; None is as the browser asks."""
    is_known = request.cookies.get(COOKIE) == language
    if not is_known or "language" in g:
        flask_babel.refresh()  # what is in force already may be another
    g.language, g.time_zone = language, time_zone
    if not is_known:
        after_this_request(_remember)


def asked_for() -> str:
    """The language of this request's visitor."""
    if not has_request_context():
        return DEFAULT
    chosen = g.language if "language" in g else request.cookies.get(COOKIE)
    return chosen if chosen in LANGUAGES else _best(request.headers.get("Accept-Language", ""))


@lru_cache(maxsize=1024)
def zone(name: str | None) -> ZoneInfo | None:
    """The time zone of an IANA name; None where there is none such on this machine."""
    try:
        return ZoneInfo(name) if name else None
    except (ZoneInfoNotFoundError, ValueError, OSError):  # of a folder of zones, say
        return None


@lru_cache(maxsize=256)
def _best(accepted: str) -> str:
    """The first of our languages in an Accept-Language header (RFC 9110, section 12.5.4).

    Not Werkzeug's best_match: of `en-US, ko` it takes Korean, because that is written as ours is.
    """
    for tag, quality in parse_accept_header(accepted, LanguageAccept):
        language = tag.partition("-")[0].lower()
        if quality > 0 and language in LANGUAGES:
            return language
    return DEFAULT


def _remember(response: Response) -> Response:
    if g.language is None:
        response.delete_cookie(COOKIE, path="/")
    else:
        always_secure = current_app.extensions["settings"].cookie_secure == "always"
        response.set_cookie(
            COOKIE,
            g.language,
            max_age=_COOKIE_SECONDS,
            path="/",
            secure=always_secure or request.is_secure,
            httponly=True,
            samesite="Lax",
        )
    return response
