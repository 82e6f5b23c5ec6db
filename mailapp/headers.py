"""The headers that tell a browser what pages of ours may do: nothing but what they need."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import TYPE_CHECKING

from flask import Flask, Response, current_app, request

if TYPE_CHECKING:
    from _typeshed import OptExcInfo
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

PAGE_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "frame-src 'self'",  # formatted mail, see html/document.py
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)

_ALWAYS = [
    (header[0].lower(), header)
    for header in (
        ("Content-Security-Policy", PAGE_POLICY),
        ("X-Content-Type-Options", "nosniff"),
        ("Referrer-Policy", "same-origin"),
        ("Cross-Origin-Opener-Policy", "same-origin"),
        # Mail must not be readable with the Back button after a log-out.
        ("Cache-Control", "no-store"),
    )
]


# Of pages and errors (i18n): whoever keeps one may give it only to who asks in the same language.
_BY_LANGUAGE = ("Vary", "Accept-Language")


def init_app(app: Flask) -> None:
    """Set the headers on every answer that has not chosen its own."""
    app.after_request(_let_keep_static)
    app.wsgi_app = Completed(app.wsgi_app)  # type: ignore[method-assign]


class Completed:
    """WSGI middleware that adds to an answer the headers it lacks.

    Not in Flask's after_request: its headers take many times as long to change as this list.
    """

    def __init__(self, app: WSGIApplication) -> None:
        self._app = app

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        def completed(
            status: str, headers: list[tuple[str, str]], exc_info: OptExcInfo | None = None
        ) -> Callable[[bytes], object]:
            chosen = {name.lower() for name, _ in headers}
            lacking = [header for name, header in _ALWAYS if name not in chosen]
            if not environ["PATH_INFO"].startswith("/static/"):
                lacking.append(_BY_LANGUAGE)
            return start_response(status, headers + lacking, exc_info)

        return self._app(environ, completed)


def _let_keep_static(response: Response) -> Response:
    if request.path.startswith("/static/"):
        kept = response.status_code in {200, 206, 304} and _is_this_version()
        response.headers["Cache-Control"] = (
            # Its address has the content's hash in it (templating.py): it never changes.
            "public, max-age=31536000, immutable" if kept else "no-cache"
        )
    return response


def _is_this_version() -> bool:
    """Whether the hash asked for is of the file we have.

    While a new version is rolled out, an old instance is asked for files of the new one. What it
    answers must not be kept under their address.
    """
    filename = (request.view_args or {}).get("filename", "")
    url: str = current_app.jinja_env.filters["static_url"](filename)
    return url == request.full_path
