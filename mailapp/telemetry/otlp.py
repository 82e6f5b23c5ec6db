"""Spans by OpenTelemetry's SDK, sent by OTLP over HTTP: a request, and below it what was asked.

The names of attributes are OpenTelemetry's semantic conventions. The SDK reads the OTEL_… variables
itself: where to send and with which headers, how much to sample, what the service is called.
"""

from __future__ import annotations

from collections.abc import Iterable
from contextvars import Token
from typing import TYPE_CHECKING, Any

from flask import Flask
from opentelemetry import context
from opentelemetry.exporter.otlp.proto.http.trace_exporter import OTLPSpanExporter
from opentelemetry.sdk.resources import Resource
from opentelemetry.sdk.trace import TracerProvider
from opentelemetry.sdk.trace.export import BatchSpanProcessor
from opentelemetry.trace import Span, SpanKind, StatusCode, get_current_span, set_span_in_context
from opentelemetry.trace.propagation.tracecontext import TraceContextTextMapPropagator
from sqlalchemy import event

from mailapp import __version__
from mailapp.settings import Settings
from mailapp.telemetry.traces import say

if TYPE_CHECKING:
    from _typeshed.wsgi import StartResponse, WSGIApplication, WSGIEnvironment

_METHODS = frozenset(("GET", "HEAD", "POST", "PUT", "PATCH", "DELETE", "OPTIONS"))
_SYSTEMS = {"database": "postgresql", "redis": "redis"}

_propagator = TraceContextTextMapPropagator()


class Recorder:
    """What records and sends the spans of this process."""

    def __init__(self, settings: Settings) -> None:
        resource = Resource.create({"service.instance.id": settings.instance_name})
        if str(resource.attributes["service.name"]).startswith("unknown_service"):
            resource = resource.merge(Resource({"service.name": "mailapp"}))
        resource = Resource({"service.version": __version__}).merge(resource)
        # Sends what it still holds when the process ends.
        provider = TracerProvider(resource=resource)
        provider.add_span_processor(BatchSpanProcessor(OTLPSpanExporter()))
        self._tracer = provider.get_tracer("mailapp", __version__)

    def request(self, environ: WSGIEnvironment) -> RequestSpan:
        """A span for the request, as a part of the trace that a trusted proxy says it is of."""
        given = {name: environ.get(f"HTTP_{name.upper()}", "") for name in _propagator.fields}
        parent = _propagator.extract(given, context.Context())
        method = environ.get("REQUEST_METHOD", "")
        method = method if method in _METHODS else "_OTHER"
        attributes = {
            "http.request.method": method,
            "url.scheme": environ.get("wsgi.url_scheme", "http"),
        }
        span = self._tracer.start_span(method, parent, SpanKind.SERVER, attributes)
        return RequestSpan(span, method)

    def trip(self, part: str, said: str) -> Trip | None:
        """A span for a question to a part; None outside of a request, as for a health check."""
        if not get_current_span().is_recording():
            return None
        operation = said.split(maxsplit=1)[0].upper() if said else part
        attributes = {"db.operation.name": operation}
        if part == "store":
            attributes = {"http.request.method": operation, "peer.service": part}
        else:
            attributes["db.system.name"] = _SYSTEMS[part]
        if part == "database":
            attributes["db.query.text"] = said  # which has $1 where people's words would be
        return Trip(self._tracer.start_span(operation, None, SpanKind.CLIENT, attributes))


class RequestSpan:
    """The span of one request, current until `end`."""

    def __init__(self, span: Span, method: str) -> None:
        self._span = span
        self._method = method
        self._token: Token[context.Context] = context.attach(
            set_span_in_context(span, context.Context())
        )

    @property
    def trace_id(self) -> str:
        """For the log, so that one leads to the other."""
        return f"{self._span.get_span_context().trace_id:032x}"

    def end(self, *, route: str | None, path: str, status: int, request_id: str | None) -> None:
        """The answer is over. `path` is one without what people wrote."""
        context.detach(self._token)
        span = self._span
        span.set_attribute("url.path", path)
        span.set_attribute("http.response.status_code", status)
        span.set_attribute("mailapp.request_id", request_id or "")
        if route is not None:
            span.set_attribute("http.route", route)
            span.update_name(f"{self._method} {route}")
        if status >= 500:
            span.set_attribute("error.type", str(status))
            span.set_status(StatusCode.ERROR)
        span.end()


class Trip:
    """The span of one question."""

    def __init__(self, span: Span) -> None:
        self._span = span

    def end(self, failure: BaseException | None) -> None:
        """It was answered, or failed so."""
        if failure is not None:
            # Not its text, which may quote what people wrote, or a password.
            self._span.set_attribute("error.type", type(failure).__name__)
            self._span.set_status(StatusCode.ERROR)
        self._span.end()


def init_app(app: Flask, recorder: Recorder) -> None:
    """Begin a span with each request, and note what the database is asked."""
    app.wsgi_app = _Traced(app.wsgi_app, recorder)  # type: ignore[method-assign]
    if "database" in app.extensions:
        event.listen(app.extensions["database"].engine, "before_cursor_execute", _note_statement)


class _Traced:
    """WSGI middleware that begins the span. It ends with the answer, see telemetry/requests.py."""

    def __init__(self, inner: WSGIApplication, recorder: Recorder) -> None:
        self._inner = inner
        self._recorder = recorder

    def __call__(self, environ: WSGIEnvironment, start_response: StartResponse) -> Iterable[bytes]:
        environ["mailapp.span"] = self._recorder.request(environ)
        return self._inner(environ, start_response)


def _note_statement(_connection: Any, _cursor: Any, sql: str, *_rest: Any) -> None:
    say(sql)
