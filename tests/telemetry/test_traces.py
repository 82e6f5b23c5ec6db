"""Traces of a real instance, as a receiver of OTLP over HTTP gets them."""

from __future__ import annotations

import json
import os
import subprocess
import sys
import threading
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import httpx
import pytest
from opentelemetry.proto.collector.trace.v1.trace_service_pb2 import ExportTraceServiceRequest
from opentelemetry.proto.trace.v1.trace_pb2 import Span

from deploy.topology import Nginx, Web, free_port
from tests.people import Attached, Person

PASSWORD = "three green lamps by the sea"
EMBEDDED = pytest.mark.parametrize("parts", ["embedded"], indirect=True)
SERVERS = pytest.mark.parametrize("parts", ["servers"], indirect=True)


class Receiver(ThreadingHTTPServer):
    """Takes what is sent to /v1/traces and keeps it, with the resource's attributes of each."""

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Taken)
        self.resources: list[dict[str, Any]] = []
        self.spans: list[Span] = []

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server_port}"

    def named(self, name: str) -> list[Span]:
        return [span for span in self.spans if span.name == name]

    def below(self, parent: Span) -> list[Span]:
        return [span for span in self.spans if span.parent_span_id == parent.span_id]


class _Taken(BaseHTTPRequestHandler):
    server: Receiver

    def do_POST(self) -> None:
        sent = ExportTraceServiceRequest.FromString(
            self.rfile.read(int(self.headers["Content-Length"]))
        )
        assert self.path == "/v1/traces"
        for resource in sent.resource_spans:
            self.server.resources.append(attributes(resource.resource))
            for scope in resource.scope_spans:
                self.server.spans += scope.spans
        self.send_response(200)
        self.end_headers()

    def log_message(self, format: str, *args: object) -> None:
        pass


def attributes(of: Any) -> dict[str, Any]:
    """The attributes of a span or a resource."""
    return {
        found.key: getattr(found.value, str(found.value.WhichOneof("value")))
        for found in of.attributes
    }


@pytest.fixture
def receiver() -> Iterator[Receiver]:
    with Receiver() as receiver:
        threading.Thread(target=receiver.serve_forever, daemon=True).start()
        yield receiver
        receiver.shutdown()


@pytest.fixture
def start(
    environment: dict[str, str], receiver: Receiver, tmp_path: Path
) -> Iterator[Callable[..., Web]]:
    """A function that starts an instance which sends its traces to the receiver."""
    started: list[Web] = []

    def start(**variables: str) -> Web:
        web = Web(
            tmp_path / "web-1",
            {
                **environment,
                "DRAIN_SECONDS": "0",
                "OTEL_EXPORTER_OTLP_ENDPOINT": receiver.url,
                "OTEL_BSP_SCHEDULE_DELAY": "100",
                **variables,
            },
        )
        started.append(web.start())
        return web

    yield start
    for web in started:
        web.stop()


@SERVERS
def test_a_request_is_a_span_and_what_it_asks_the_parts_are_spans_below_it(
    start: Callable[..., Web], receiver: Receiver
) -> None:
    web = start(OTEL_SERVICE_NAME="post", OTEL_RESOURCE_ATTRIBUTES="deployment.environment.name=a")
    content = os.urandom(6 * 1024 * 1024)  # in two parts, which threads of their own send
    with httpx.Client(base_url=web.url, timeout=30) as client:
        alice = Person(client)
        alice.sign_up("Alice", "alice@mail.example", PASSWORD)
        alice.send("alice@mail.example", "Traced", "See attached.", [Attached("a.bin", content)])
        alice.open("Traced")
        alice.download("a.bin")
        alice.visit("/mail/inbox")
    assert web.stop() == 0

    (inbox,) = [
        span
        for span in receiver.spans
        if attributes(span).get("mailapp.request_id") == alice.response.headers["X-Request-ID"]
    ]
    said = attributes(inbox)
    assert inbox.kind == Span.SPAN_KIND_SERVER
    assert (said["http.request.method"], said["http.response.status_code"]) == ("GET", 200)
    assert said["url.path"] == "/mail/inbox"
    assert inbox.name == f"GET {said['http.route']}"
    asked = {attributes(span).get("db.system.name"): span for span in receiver.below(inbox)}
    assert set(asked) == {"postgresql", "redis"}
    assert asked["redis"].name == "GETEX"
    assert attributes(asked["postgresql"])["db.query.text"].startswith("SELECT")
    assert {span.trace_id for span in asked.values()} == {inbox.trace_id}

    sent = [span for span in receiver.spans if attributes(span).get("peer.service") == "store"]
    assert {"GET", "POST", "PUT"} <= {span.name for span in sent}
    requests = {span.span_id for span in receiver.spans if span.kind == Span.SPAN_KIND_SERVER}
    assert {span.parent_span_id for span in sent} <= requests
    (resource,) = {json.dumps(resource, sort_keys=True) for resource in receiver.resources}
    assert json.loads(resource)["service.name"] == "post"
    assert json.loads(resource)["service.instance.id"] == "web-1"
    assert json.loads(resource)["deployment.environment.name"] == "a"
    # What people wrote, and the ids of their sessions, is in none of it.
    shown = "".join(map(str, receiver.spans))
    for secret in ("Traced", "See attached", "alice@mail.example", PASSWORD, "a.bin"):
        assert secret not in shown
    for cookie in client.cookies.values():
        assert cookie not in shown


@EMBEDDED
def test_a_log_line_and_a_span_lead_to_each_other(
    start: Callable[..., Web], receiver: Receiver
) -> None:
    web = start()
    answer = httpx.get(f"{web.url}/login")
    assert web.stop() == 0

    lines = [json.loads(line) for line in web.log.read_text().splitlines()]
    (line,) = [line for line in lines if line.get("path") == "/login"]
    (span,) = receiver.named("GET /login")
    assert line["trace_id"] == span.trace_id.hex()
    assert line["request_id"] == answer.headers["X-Request-ID"]
    assert attributes(span)["mailapp.request_id"] == line["request_id"]


@EMBEDDED
def test_what_was_not_sent_yet_is_sent_at_the_end(
    start: Callable[..., Web], receiver: Receiver
) -> None:
    web = start(OTEL_BSP_SCHEDULE_DELAY="3600000")
    httpx.get(f"{web.url}/nowhere")
    assert receiver.named("GET") == []
    assert web.stop() == 0

    (span,) = receiver.named("GET")  # which has no route
    assert attributes(span)["http.response.status_code"] == 404


@EMBEDDED
@pytest.mark.parametrize("trusted", [True, False])
def test_a_trace_is_continued_for_a_trusted_proxy_alone(
    start: Callable[..., Web], receiver: Receiver, trusted: bool
) -> None:
    web = start(TRUSTED_PROXIES="127.0.0.0/8" if trusted else "")
    theirs = "4bf92f3577b34da6a3ce929d0e0e4736"
    httpx.get(f"{web.url}/login", headers={"traceparent": f"00-{theirs}-00f067aa0ba902b7-01"})
    assert web.stop() == 0

    (span,) = receiver.named("GET /login")
    assert (span.trace_id.hex() == theirs) is trusted
    assert (span.parent_span_id.hex() == "00f067aa0ba902b7") is trusted


@EMBEDDED
def test_nginx_lets_no_visitor_say_whose_trace_it_is(
    start: Callable[..., Web], receiver: Receiver, tmp_path: Path
) -> None:
    web = start(TRUSTED_PROXIES="127.0.0.0/8")
    theirs = "4bf92f3577b34da6a3ce929d0e0e4736"
    with Nginx(tmp_path / "nginx", [web.address]) as nginx:
        headers = {"traceparent": f"00-{theirs}-00f067aa0ba902b7-01"}
        assert httpx.get(f"{nginx.url}/login", headers=headers).status_code == 200
    assert web.stop() == 0

    (span,) = receiver.named("GET /login")
    assert span.trace_id.hex() != theirs
    assert span.parent_span_id == b""


@EMBEDDED
def test_a_receiver_that_is_away_costs_nobody_a_page_and_no_clean_stop(
    start: Callable[..., Web],
) -> None:
    web = start(OTEL_EXPORTER_OTLP_ENDPOINT=f"http://127.0.0.1:{free_port()}")
    assert httpx.get(f"{web.url}/login").status_code == 200

    assert web.stop() == 0


@EMBEDDED
@pytest.mark.parametrize(
    "variables",
    [
        {},
        {"OTEL_SERVICE_NAME": "mailapp"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318", "OTEL_SDK_DISABLED": "true"},
        {"OTEL_EXPORTER_OTLP_ENDPOINT": "http://collector:4318", "OTEL_TRACES_EXPORTER": "none"},
    ],
)
def test_without_being_asked_for_nothing_of_it_is_loaded(
    environment: dict[str, str], variables: dict[str, str]
) -> None:
    program = (
        "import sys, mailapp.server; app = mailapp.create_app()\n"
        "assert app.test_client().get('/livez').status_code == 200\n"
        # redis-py loads the SDK's metrics wherever they are installed.
        "parts = 'opentelemetry.sdk.trace', 'opentelemetry.exporter', 'opentelemetry.proto'\n"
        "print([name for name in sys.modules if name.startswith(parts)])"
    )
    said = subprocess.run(
        [sys.executable, "-c", program],
        env={"PATH": "/usr/bin:/bin", **environment, **variables},
        capture_output=True,
        text=True,
        check=True,
    )

    assert said.stdout == "[]\n"
