"""The stamp on every answer and the one line that is logged for it."""

from __future__ import annotations

import logging
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from flask import Flask, Response, abort
from werkzeug.wsgi import FileWrapper

from mailapp import telemetry
from mailapp.settings import Settings
from mailapp.telemetry import request_id


@pytest.fixture
def app(tmp_path: Path) -> Flask:
    app = Flask(__name__)
    app.extensions["settings"] = Settings.from_env(
        {"DATA_DIR": str(tmp_path), "INSTANCE_NAME": "web-1"}
    )

    @app.get("/id")
    def own_id() -> str:
        logging.getLogger("mailapp.test").info("inside, %s", request_id())
        return str(request_id())

    @app.get("/fails")
    def fails() -> str:
        raise ValueError("on purpose")

    @app.get("/gone")
    def gone() -> str:
        abort(410)

    @app.get("/stream")
    def stream() -> Response:
        def chunks() -> Iterator[bytes]:
            yield b"one"
            yield str(request_id()).encode()

        return Response(chunks())

    @app.get("/breaks")
    def breaks() -> Response:
        def chunks() -> Iterator[bytes]:
            yield b"one"
            raise OSError("the store went away")

        return Response(chunks())

    @app.get("/mail/<int:entry>/attachments/<int:n>/<filename>")
    def attachment(entry: int, n: int, filename: str) -> str:
        return "x" * 10

    @app.get("/livez")
    def livez() -> str:
        return ""

    telemetry.init_app(app)
    return app


@pytest.fixture
def lines(caplog: pytest.LogCaptureFixture) -> pytest.LogCaptureFixture:
    caplog.set_level(logging.DEBUG, "mailapp.access")
    return caplog


def access_line(caplog: pytest.LogCaptureFixture) -> Any:
    (record,) = [record for record in caplog.records if record.name == "mailapp.access"]
    return record


@pytest.mark.parametrize("path", ["/id", "/fails", "/gone", "/nowhere", "/static/none.css"])
def test_every_answer_names_its_instance_and_request(app: Flask, path: str) -> None:
    answer = app.test_client().get(path)

    assert answer.headers.getlist("X-Served-By") == ["web-1"]
    (ident,) = answer.headers.getlist("X-Request-ID")
    assert re.fullmatch("[0-9a-f]{32}", ident)


def test_a_method_that_is_not_allowed_is_stamped_too(app: Flask) -> None:
    answer = app.test_client().post("/id")

    assert answer.status_code == 405
    assert answer.headers["X-Served-By"] == "web-1"


def test_a_valid_incoming_id_is_kept(app: Flask) -> None:
    answer = app.test_client().get("/id", headers={"X-Request-ID": "from-nginx.0_1"})

    assert answer.headers["X-Request-ID"] == "from-nginx.0_1"
    assert answer.text == "from-nginx.0_1"


@pytest.mark.parametrize(
    "given", ["short", "x" * 129, "with space inside", 'quo"te-quote', "ünïcödé-id"]
)
def test_an_incoming_id_that_is_not_one_is_replaced(app: Flask, given: str) -> None:
    answer = app.test_client().get("/id", headers={"X-Request-ID": given})

    assert re.fullmatch("[0-9a-f]{32}", answer.headers["X-Request-ID"])


def test_an_error_page_that_fails_itself_is_still_an_answer(app: Flask) -> None:
    @app.errorhandler(410)
    def broken(error: Exception) -> str:
        raise RuntimeError("the template is broken")

    app.config["PROPAGATE_EXCEPTIONS"] = True  # Flask lets it through to the server
    answer = app.test_client().get("/gone")

    assert answer.status_code == 500
    assert answer.headers["X-Served-By"] == "web-1"


def test_one_line_is_logged_for_a_request(app: Flask, lines: pytest.LogCaptureFixture) -> None:
    app.test_client().get(
        "/id?token=secret", buffered=True, environ_base={"REMOTE_ADDR": "192.0.2.4"}
    )

    line = access_line(lines)
    assert line.getMessage() == "GET /id 200"
    assert (line.method, line.path, line.route, line.endpoint) == ("GET", "/id", "/id", "own_id")
    assert (line.status, line.bytes, line.client) == (200, 32, "192.0.2.4")
    assert line.duration_ms >= 0
    assert "secret" not in str(vars(line))


def test_the_name_of_an_attachment_is_not_logged(
    app: Flask, lines: pytest.LogCaptureFixture
) -> None:
    app.test_client().get("/mail/3/attachments/1/my%20diagnosis.pdf", buffered=True)

    line = access_line(lines)
    assert line.path == "/mail/3/attachments/1/*"
    assert "diagnosis" not in str(vars(line))


def test_a_stream_is_logged_when_it_is_over_and_knows_its_request(
    app: Flask, lines: pytest.LogCaptureFixture
) -> None:
    answer = app.test_client().get("/stream", buffered=True, headers={"X-Request-ID": "abcdefgh"})

    assert answer.data == b"oneabcdefgh"
    assert access_line(lines).bytes == 11
    assert request_id() is None


def test_a_stream_that_breaks_off_is_logged_as_such(
    app: Flask, lines: pytest.LogCaptureFixture
) -> None:
    with pytest.raises(OSError, match="went away"):
        app.test_client().get("/breaks", buffered=True)

    line = access_line(lines)
    assert (line.bytes, line.broken_off) == (3, True)
    assert any("broke off after 3 bytes" in record.message for record in lines.records)


def test_health_checks_are_logged_for_those_who_debug_only(
    app: Flask, lines: pytest.LogCaptureFixture
) -> None:
    app.test_client().get("/livez", buffered=True)

    assert access_line(lines).levelno == logging.DEBUG


def test_a_file_the_server_can_send_itself_stays_one(
    app: Flask, lines: pytest.LogCaptureFixture, tmp_path: Path
) -> None:
    (tmp_path / "file").write_bytes(b"content")
    wrapped: list[object] = []

    def inner(environ: Any, start_response: Any) -> Any:
        start_response("200 OK", [("Content-Length", "7")])
        return environ["wsgi.file_wrapper"]((tmp_path / "file").open("rb"))

    stamp = telemetry.requests.Stamp(app, inner, "web-1")
    environ = {"REQUEST_METHOD": "GET", "PATH_INFO": "/f", "wsgi.file_wrapper": FileWrapper}
    body: Any = stamp(environ, lambda *_: wrapped.append)
    content = b"".join(body)
    body.close()

    assert isinstance(body, FileWrapper)
    assert content == b"content"
    assert body.file.closed
    assert access_line(lines).status == 200
