"""Each request's id, the stamp on each answer, and one access line when an answer is over."""

from __future__ import annotations

import logging
import random
import re
import time
from collections.abc import Callable, Iterable, Iterator
from contextvars import ContextVar
from typing import TYPE_CHECKING, Any

from flask import Flask, request
from werkzeug.wsgi import get_path_info

from mailapp.settings import Settings
from mailapp.telemetry.metrics import metrics

if TYPE_CHECKING:
    from _typeshed import OptExcInfo
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

access = logging.getLogger("mailapp.access")
logger = logging.getLogger(__name__)

_VALID_ID = re.compile(r"[A-Za-z0-9._-]{8,128}", re.ASCII)
_STAMPS = ("x-request-id", "x-served-by")
# Asked every second by every balancer: worth a line only to somebody who looks for it.
_QUIET = ("/livez", "/healthz")

_request_id: ContextVar[str | None] = ContextVar("request_id", default=None)


def request_id() -> str | None:
    """The id of the request this thread is answering, or None outside of one.

    Known from the first line of the application to the end of a streamed answer, also where Flask
    has no request (yet)."""
    return _request_id.get()


def init_app(app: Flask) -> None:
    """Stamp every answer with X-Request-ID and X-Served-By, and log it.

    To be called last, so that it wraps all other WSGI middleware and stamps their answers too.
    """
    settings: Settings = app.extensions["settings"]
    app.wsgi_app = Stamp(app, app.wsgi_app, settings.instance_name)  # type: ignore[method-assign]
    # The first of all, so that it is known also where one of the others refuses the request.
    app.before_request_funcs.setdefault(None, []).insert(0, _note_route)


class Stamp:
    """WSGI middleware: outside of Flask, because some answers are made before or without it."""

    def __init__(self, app: Flask, inner: WSGIApplication, instance: str) -> None:
        self._flask = app
        self._inner = inner
        self._instance = instance

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        given = environ.get("HTTP_X_REQUEST_ID", "")
        # A name and no secret, so it needs no question to the kernel.
        ident = given if _VALID_ID.fullmatch(given) else f"{random.getrandbits(128):032x}"
        _request_id.set(ident)
        line = _AccessLine(environ)

        def stamped(
            status: str, headers: list[tuple[str, str]], exc_info: OptExcInfo | None = None
        ) -> Callable[[bytes], object]:
            line.status = int(status.partition(" ")[0])
            kept = [header for header in headers if header[0].lower() not in _STAMPS]
            stamps = [("X-Request-ID", ident), ("X-Served-By", self._instance)]
            return start_response(status, kept + stamps, exc_info)

        try:
            body = self._inner(environ, stamped)
        except Exception:
            # Flask answers its own exceptions; here is what an error page that failed lets through.
            if self._flask.testing:
                _request_id.set(None)
                raise
            logger.exception("no answer could be made")
            text = b"Something went wrong here. Try again in a moment.\n"
            headers = [
                ("Content-Type", "text/plain; charset=utf-8"),
                ("Content-Length", str(len(text))),
            ]
            stamped("500 Internal Server Error", headers)
            body = [text]
        return _watched(body, line, environ)


class _AccessLine:
    """What is known of one request and its answer, written once, when the answer is over.

    Neither the query string nor an attachment's file name is logged: they are what people wrote.
    """

    def __init__(self, environ: WSGIEnvironment) -> None:
        self._environ = environ
        self._started = time.perf_counter()
        metrics().in_progress.inc()
        self._path = get_path_info(environ)[:300]
        self.status = 0
        self.written = False

    def write(self, *, sent: int | None, whole: bool) -> None:
        if self.written:
            return
        self.written = True
        seconds = time.perf_counter() - self._started
        method = self._environ.get("REQUEST_METHOD", "")
        path = self._environ.get("mailapp.path", self._path)
        route = self._environ.get("mailapp.route")
        counted = metrics()
        counted.in_progress.dec()
        counted.answered(route, method, self.status, seconds)
        fields: dict[str, Any] = {
            "method": method,
            "path": path,
            "route": route,
            "endpoint": self._environ.get("mailapp.endpoint"),
            "status": self.status,
            "duration_ms": round(seconds * 1000, 1),
            "client": self._environ.get("REMOTE_ADDR"),
        }
        if sent is not None:
            fields["bytes"] = sent
        if not whole:
            fields["broken_off"] = True
        span = self._environ.get("mailapp.span")
        if span is not None:
            fields["trace_id"] = span.trace_id
            span.end(route=route, path=path, status=self.status, request_id=request_id())
        level = logging.DEBUG if self._path in _QUIET else logging.INFO
        access.log(level, "%s %s %s", method, path, self.status, extra=fields)
        _request_id.set(None)


class _Body:
    """An answer's chunks, counted on their way out; the access line is written at `close`."""

    def __init__(self, chunks: Iterable[bytes], line: _AccessLine) -> None:
        self._chunks = chunks
        self._iterator = iter(chunks)
        self._line = line
        self._sent = 0
        self._whole = False

    def __iter__(self) -> Iterator[bytes]:
        return self

    def __next__(self) -> bytes:
        try:
            chunk = next(self._iterator)
        except StopIteration:
            self._whole = True
            raise
        except Exception:
            logger.exception("an answer broke off after %s bytes", self._sent)
            raise
        self._sent += len(chunk)
        return chunk

    def close(self) -> None:
        try:
            close = getattr(self._chunks, "close", None)
            if close is not None:
                close()
        finally:
            self._line.write(sent=self._sent, whole=self._whole)


def _watched(body: Iterable[bytes], line: _AccessLine, environ: WSGIEnvironment) -> Iterable[bytes]:
    wrapper = environ.get("wsgi.file_wrapper")
    if isinstance(wrapper, type) and isinstance(body, wrapper):
        # The server sends such a file with sendfile(2), but only while it can see that it is one.
        inner: Callable[[], object] = getattr(body, "close", lambda: None)

        def close() -> None:
            try:
                inner()
            finally:
                line.write(sent=None, whole=True)

        body.close = close  # type: ignore[attr-defined]
        return body
    return _Body(body, line)


def _note_route() -> None:
    rule, environ = request.url_rule, request.environ
    if rule is None:
        return
    environ["mailapp.route"] = rule.rule
    environ["mailapp.endpoint"] = rule.endpoint
    name = (request.view_args or {}).get("filename")
    if isinstance(name, str) and rule.endpoint != "static":
        environ["mailapp.path"] = request.path.removesuffix(name) + "*"
