"""An upload that is refused sees the answer, with real gunicorn and real clients."""

from __future__ import annotations

import hashlib
import http.client
import json
import shutil
import socket
import subprocess
import time
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import httpx
import pytest
import urllib3

from deploy.topology import HOST, Server, free_port, http_status, script
from mailapp.attachments.linger import LINGER_SECONDS

MIB = 1024 * 1024

APPLICATION = """
import hashlib
from flask import Flask, Response, jsonify, request
from mailapp import i18n
from mailapp.attachments import linger, multipart, store
from mailapp.errors import Problem, Unavailable
from mailapp.settings import Settings

app = Flask(__name__)
i18n.init_app(app)
app.extensions["settings"] = Settings.from_env()
store.init_app(app)
store.from_settings(app.extensions["settings"]).prepare()
linger.init_app(app)

@app.errorhandler(Problem)
def problem(error):
    return Response(error.text, error.status)

@app.get("/")
def index():
    return "here"

@app.post("/unread")
def unread():
    return Response("not logged in", 401)

@app.post("/upload")
def upload():
    sums = []
    def on_file(part):
        if part.fields.get("refuse"):
            raise Problem(400, "no", "refused half way")
        stored = store.store().put(part, 1 << 40)
        sums.append(stored.sha256)
    multipart.read_form(request, limit=int(request.args.get("limit", 1 << 40)), on_file=on_file)
    return jsonify(sums)
"""


class Gunicorn(Server):
    """The application above under one gthread worker with two threads."""

    def __init__(self, directory: Path) -> None:
        super().__init__(directory, name="gunicorn")
        self.port = free_port()

    def prepare(self) -> None:
        (self.directory / "lingering.py").write_text(APPLICATION)

    def command(self) -> list[str | Path]:
        return [
            script("gunicorn"),
            *("--worker-class", "gthread", "--threads", "2", "--no-control-socket"),
            *("--bind", f"{HOST}:{self.port}", "--chdir", str(self.directory)),
            "lingering:app",
        ]

    def answers(self) -> bool:
        return http_status(self.port, "/") == 200


@pytest.fixture(scope="module")
def server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Gunicorn]:
    with Gunicorn(tmp_path_factory.mktemp("gunicorn")) as started:
        yield started


@pytest.fixture
def url(server: Gunicorn) -> str:
    return f"http://{HOST}:{server.port}"


@pytest.fixture(scope="module")
def big(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A file far larger than what the sockets between client and server hold."""
    path = tmp_path_factory.mktemp("big") / "big.bin"
    path.write_bytes(bytes(80 * MIB))
    return path


def test_a_client_that_sends_all_before_it_reads_sees_the_answer(url: str, big: Path) -> None:
    with big.open("rb") as file:
        answer = httpx.post(f"{url}/upload?limit={MIB}", files={"file": file}, timeout=20)

    assert answer.status_code == 413
    assert "at most" in answer.text


def test_one_that_sends_in_one_call_sees_it_too(url: str, big: Path) -> None:
    answer = urllib3.request(
        "POST",
        f"{url}/upload?limit={MIB}",
        fields={"file": ("big.bin", big.read_bytes())},
        retries=False,
        timeout=20,
    )

    assert answer.status == 413


def test_a_body_of_unknown_length_that_grows_too_large_sees_it(url: str) -> None:
    head = b'--b\r\nContent-Disposition: form-data; name="f"; filename="x"\r\n\r\n'

    def body() -> Iterator[bytes]:
        yield head
        for _ in range(80):
            yield bytes(MIB)

    answer = httpx.post(
        f"{url}/upload?limit={MIB}",
        content=body(),
        headers={"Content-Type": "multipart/form-data; boundary=b"},
        timeout=20,
    )

    assert answer.status_code == 413


@pytest.mark.skipif(shutil.which("curl") is None, reason="curl is not installed")
@pytest.mark.parametrize("more", [[], ["-H", "Expect:"]], ids=["asks first", "just sends"])
def test_curl_sees_it(url: str, big: Path, more: list[str]) -> None:
    ran = subprocess.run(
        ["curl", "-sS", "-w", "%{http_code}", *more, "-F", f"f=@{big}", f"{url}/upload?limit=9"],
        capture_output=True,
        text=True,
        timeout=20,
        check=False,
    )

    assert (ran.returncode, ran.stderr) == (0, "")
    assert ran.stdout.endswith("413")


def test_the_answer_comes_before_the_upload_ends(server: Gunicorn) -> None:
    with socket.create_connection((HOST, server.port), timeout=5) as connection:
        connection.sendall(
            b"POST /upload?limit=1000 HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n"
            b"Content-Type: multipart/form-data; boundary=b\r\n\r\n--b\r\n"
        )
        answer = b"".join(iter(lambda: connection.recv(65536), b""))
        # It is still ready to read what we had on the way.
        connection.sendall(bytes(4 * MIB))

    assert answer.startswith(b"HTTP/1.1 413 ")
    assert b"at most" in answer


def test_a_client_that_can_only_send_first_is_let_send(server: Gunicorn) -> None:
    head = b"POST /unread HTTP/1.1\r\nHost: x\r\nContent-Length: %d\r\n\r\n" % (80 * MIB)
    with socket.create_connection((HOST, server.port), timeout=20) as connection:
        connection.sendall(head)
        time.sleep(0.5)  # the answer is there now
        connection.sendall(bytes(80 * MIB))
        answer = b"".join(iter(lambda: connection.recv(65536), b""))

    assert answer.startswith(b"HTTP/1.1 401 ")


def test_an_upload_refused_half_way_sees_the_answer(url: str, big: Path) -> None:
    with big.open("rb") as file:
        answer = httpx.post(
            f"{url}/upload", data={"refuse": "yes"}, files={"file": file}, timeout=20
        )

    assert (answer.status_code, answer.text) == (400, "refused half way")


def test_an_upload_that_nobody_reads_sees_the_answer(url: str, big: Path) -> None:
    with big.open("rb") as file:
        answer = httpx.post(f"{url}/unread", files={"file": file}, timeout=20)

    assert (answer.status_code, answer.text) == (401, "not logged in")


def test_a_connection_goes_on_after_an_upload_that_was_read(server: Gunicorn) -> None:
    form = b'--b\r\nContent-Disposition: form-data; name="f"; filename="x"\r\n\r\n'
    body = form + bytes(MIB) + b"\r\n--b--\r\n"
    connection = http.client.HTTPConnection(HOST, server.port, timeout=5)
    headers = {"Content-Type": "multipart/form-data; boundary=b"}
    connection.request("POST", "/upload", body, headers)
    assert json.loads(connection.getresponse().read()) == [hashlib.sha256(bytes(MIB)).hexdigest()]
    local = connection.sock.getsockname()

    connection.request("GET", "/")
    assert connection.getresponse().read() == b"here"

    assert connection.sock.getsockname() == local
    connection.close()


def test_a_client_that_trickles_on_is_left_in_the_end(server: Gunicorn) -> None:
    start = time.monotonic()
    with socket.create_connection((HOST, server.port), timeout=5) as connection:
        connection.sendall(b"POST /unread HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999\r\n\r\n")

        lasted = _trickle(connection, until=start + 30)

    assert LINGER_SECONDS - 1 < lasted - start < LINGER_SECONDS + 5


def _trickle(connection: socket.socket, until: float) -> float:
    """Send a byte now and then; when that was refused."""
    with suppress(ConnectionError):
        while time.monotonic() < until:
            connection.sendall(b"x")
            time.sleep(0.1)
    return time.monotonic()
