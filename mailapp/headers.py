"""The headers that tell a browser what pages of ours may do: nothing but what they need."""

from __future__ import annotations

from flask import Flask, Response, current_app, request

_PAGE_POLICY = "; ".join(
    (
        "default-src 'none'",
        "script-src 'self'",
        "style-src 'self'",
        "img-src 'self' data:",
        "connect-src 'self'",
        "form-action 'self'",
        "base-uri 'none'",
        "frame-ancestors 'none'",
    )
)

_ALWAYS = [
    (pair[0].lower(), pair)
    for pair in (
        ("Content-Security-Policy", _PAGE_POLICY),
        ("X-Content-Type-Options", "nosniff"),
        ("Referrer-Policy", "same-origin"),
        ("Cross-Origin-Opener-Policy", "same-origin"),
    )
]


def init_app(app: Flask) -> None:
    """Set the headers on every answer that has not chosen its own."""
    app.after_request(_set)


def _set(response: Response) -> Response:
    chosen = {name.lower() for name, _ in response.headers}
    response.headers.extend(pair for name, pair in _ALWAYS if name not in chosen)
    if not request.path.startswith("/static/"):
        # Mail must not be readable with the Back button after a log-out.
        response.headers.setdefault("Cache-Control", "no-store")
    elif response.status_code in {200, 206, 304} and _is_this_version():
        # Its address has the content's hash in it (templating.py): it never changes.
        response.headers["Cache-Control"] = "public, max-age=31536000, immutable"
    else:
        response.headers.setdefault("Cache-Control", "no-cache")
    return response


def _is_this_version() -> bool:
    """Whether the hash asked for is of the file we have.

    While a new version is rolled out, an old instance is asked for files of the new one. What it
    answers must not be kept under their address.
    """
    filename = (request.view_args or {}).get("filename", "")
    url: str = current_app.jinja_env.filters["static_url"](filename)
    return url == request.full_path
