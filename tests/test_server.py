"""A real server process: how it starts, how it stops, and what that costs its visitors."""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any

import httpx
import pytest

from deploy.topology import free_port
from mailapp.server import HANG_UP_SECONDS
from tests import processes

# What stands in for the application: small, so that a start takes no time, with the rooms whose
# behaviour over a start and a stop is looked at here.
PROGRAM = """
import os, time
from flask import Flask, Response, request, send_file
from mailapp import health, proxies, telemetry
from mailapp.health.probes import Checkup
from mailapp.health.views import bp
from mailapp.server import serve
from mailapp.settings import Settings, SettingsError
from mailapp.telemetry import exposition

def load(settings):
    if "REFUSE" in os.environ:
        try:
            open(os.environ["DATA_DIR"] + "/refused", "x").close()
        except FileExistsError:  # the second worker: the first has ended all by then
            time.sleep(1)
        raise SettingsError("SECRET_KEY is not what it should be.")
    app = Flask("mailapp")
    app.config["MAX_CONTENT_LENGTH"] = 1_000_000_000  # with a limit Werkzeug reads by readinto()
    app.extensions["settings"] = settings
    app.extensions["health"] = Checkup([])
    app.register_blueprint(bp)

    @app.get("/pid")
    def pid():
        return str(os.getpid())

    @app.get("/slow/<float:seconds>")
    def slow(seconds):
        time.sleep(seconds)
        return "done"

    @app.post("/upload")
    def upload():
        size = 0
        while chunk := request.stream.read(65536):
            size += len(chunk)
        return str(size)

    @app.get("/download")
    def download():
        def chunks():
            for _ in range(15):
                time.sleep(0.1)
                yield b"x" * 1000
        return Response(chunks())

    @app.get("/large")
    def large():
        return b"x" * 3_000_000

    @app.get("/file")
    def file():
        return send_file(os.environ["TEST_FILE"])

    @app.get("/nothing")
    def nothing():
        return "", 204

    @app.get("/seen")
    def seen():
        return request.scheme + " " + request.remote_addr

    proxies.init_app(app)
    telemetry.init_app(app)
    return app

serve(Settings.from_env(), load, [exposition.begin])
"""


class Instance:
    """One server process of ours, in a process group of its own."""

    def __init__(self, directory: Path, **environ: str) -> None:
        with socket.socket() as probe:
            probe.bind(("127.0.0.1", 0))
            self.port = int(environ.get("PORT") or probe.getsockname()[1])
        self.metrics_port = int(environ.get("METRICS_PORT") or free_port())
        self.wanted = int(environ.get("WEB_WORKERS", "2"))
        self.base = f"http://127.0.0.1:{self.port}"
        self.log = directory / f"log-{self.port}-{time.monotonic_ns()}"
        with self.log.open("wb") as log:
            self.process = subprocess.Popen(
                [sys.executable, "-c", PROGRAM],
                env={
                    **os.environ,
                    "DATA_DIR": str(directory),
                    "INSTANCE_NAME": "web-1",
                    "DRAIN_SECONDS": "1.5",
                    "GRACEFUL_TIMEOUT": "10",
                    "TEST_FILE": __file__,
                    **environ,
                    "PORT": str(self.port),
                    "METRICS_PORT": str(self.metrics_port),
                },
                # A run under nohup ignores it, and so would its children.
                preexec_fn=lambda: signal.signal(signal.SIGHUP, signal.SIG_DFL),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                start_new_session=True,
            )

    def wait_until_up(self) -> Instance:
        deadline = time.monotonic() + 20
        while time.monotonic() < deadline:
            # The first worker answers before the last one is started.
            with contextlib.suppress(httpx.TransportError, OSError):
                if len(self.workers()) == self.wanted and self.get("/livez").is_success:
                    return self
            assert self.process.poll() is None, self.said()
            time.sleep(0.05)
        raise AssertionError(self.said())

    def get(self, path: str, **options: Any) -> httpx.Response:
        return httpx.get(self.base + path, timeout=10, **options)

    def tell(self, number: signal.Signals) -> None:
        self.process.send_signal(number)

    def status(self, within: float) -> int:
        return self.process.wait(within)

    def said(self) -> str:
        return self.log.read_text()

    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for line in self.said().splitlines()]

    def workers(self) -> set[int]:
        return processes.workers(self.process.pid)

    def companions(self) -> set[int]:
        return processes.companions(self.process.pid)

    def end(self) -> None:
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


Start = Callable[..., Instance]


@pytest.fixture
def start(tmp_path: Path) -> Iterator[Start]:
    started: list[Instance] = []

    def start(**environ: str) -> Instance:
        started.append(Instance(tmp_path, **environ))
        return started[-1]

    yield start
    for instance in started:
        instance.end()


def draining_now(instance: Instance) -> None:
    """Wait until /healthz says so; bounded."""
    deadline = time.monotonic() + 2
    while instance.get("/healthz").json()["status"] != "draining":
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_busy_port_is_said_at_once_with_the_variable_to_change(start: Start) -> None:
    first = start().wait_until_up()
    second = start(PORT=str(first.port))

    assert second.status(20) == 1
    assert second.said() == (
        f"Port {first.port} is in use on 127.0.0.1. Stop what uses it, or set PORT to another, "
        f"such as PORT={first.port + 1}.\n"
    )
    assert first.get("/livez").status_code == 200


def test_an_address_that_is_not_ours_is_said(start: Start) -> None:
    instance = start(HOST="192.0.2.1")

    assert instance.status(20) == 1
    assert instance.said().startswith("HOST=192.0.2.1 is not an address of this machine.")


def test_a_setting_the_application_refuses_is_one_sentence(start: Start) -> None:
    instance = start(REFUSE="1")

    assert instance.status(20) == 4
    said = instance.said()
    assert said.count("SECRET_KEY is not what it should be.") == 1
    assert "Traceback" not in said


def test_every_line_of_the_server_is_json_and_names_the_instance(start: Start) -> None:
    instance = start(DRAIN_SECONDS="0").wait_until_up()
    answer = instance.get("/pid")
    instance.tell(signal.SIGTERM)
    assert instance.status(20) == 0

    lines = instance.lines()
    assert {line["instance"] for line in lines} == {"web-1"}
    (access,) = [line for line in lines if line["logger"] == "mailapp.access"]
    assert access["request_id"] == answer.headers["X-Request-ID"]
    assert (access["status"], access["path"]) == (200, "/pid")
    assert answer.headers["X-Served-By"] == "web-1"


def test_draining_is_said_by_every_worker_at_once(start: Start) -> None:
    instance = start(WEB_WORKERS="3", DRAIN_SECONDS="8").wait_until_up()
    instance.tell(signal.SIGTERM)
    draining_now(instance)
    # At once, because of workers that are all idle the same one may answer again and again.
    with ThreadPoolExecutor(12) as pool:
        busy = [pool.submit(instance.get, "/slow/0.3") for _ in range(4)]
        pids = set(pool.map(lambda _: instance.get("/pid").text, range(30)))
        said = list(pool.map(lambda _: instance.get("/healthz"), range(30)))
        assert all(answer.result().is_success for answer in busy)

    assert {(answer.status_code, answer.json()["status"]) for answer in said} == {(503, "draining")}
    assert len(pids) > 1
    assert instance.status(20) == 0


def test_a_worker_started_while_draining_says_so_too(start: Start) -> None:
    instance = start(WEB_WORKERS="1", DRAIN_SECONDS="4").wait_until_up()
    (old,) = instance.workers()
    instance.tell(signal.SIGTERM)
    draining_now(instance)
    os.kill(old, signal.SIGKILL)
    deadline = time.monotonic() + 3
    while not (instance.workers() - {old}):
        assert time.monotonic() < deadline
        time.sleep(0.02)
    answer = instance.get("/healthz")

    assert (answer.status_code, answer.json()["status"]) == (503, "draining")
    assert instance.status(20) == 0


class Visitor(threading.Thread):
    """Asks again and again on kept-alive connections until the server refuses to connect.

    Counts as lost what a balancer could not send to another instance: a request that went out on a
    connection and got no whole answer.
    """

    def __init__(self, port: int, method: str = "GET") -> None:
        super().__init__(daemon=True)
        self.port = port
        self.method = method
        self.answered = 0
        self.last_answer = 0.0
        self.lost: list[str] = []

    def run(self) -> None:
        connection: http.client.HTTPConnection | None = None
        until = time.monotonic() + 20
        while time.monotonic() < until:
            if connection is None:
                connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=5)
                try:
                    connection.connect()
                except OSError:
                    return
            try:
                if self.method == "POST":
                    connection.request("POST", "/upload", b"x" * 20000)
                else:
                    connection.request("GET", "/pid")
                answer = connection.getresponse()
                answer.read()
            except (OSError, http.client.HTTPException) as error:
                self.lost.append(repr(error))
                connection = None
                continue
            assert answer.status == 200
            self.answered += 1
            self.last_answer = time.monotonic()
            if answer.headers.get("Connection") == "close":
                connection.close()
                connection = None
            time.sleep(0.01)


def test_a_stop_under_load_loses_no_request(start: Start) -> None:
    instance = start(DRAIN_SECONDS="1.5").wait_until_up()
    visitors = [Visitor(instance.port, method) for method in ["GET", "POST"] * 3]
    slow: list[str] = []

    def ask_slowly() -> None:
        slow.append(instance.get("/slow/1.5").text)

    for visitor in visitors:
        visitor.start()
    time.sleep(0.5)
    instance.tell(signal.SIGTERM)
    stopped = time.monotonic()
    time.sleep(1.2)  # under way when the drain is over
    asker = threading.Thread(target=ask_slowly)
    asker.start()
    status = instance.status(15)
    for visitor in visitors:
        visitor.join(10)
    asker.join(10)

    assert status == 0
    assert [visitor.lost for visitor in visitors] == [[]] * 6
    assert slow == ["done"]
    for visitor in visitors:
        assert visitor.answered > 20
        assert visitor.last_answer - stopped > 1.3  # served through the whole drain


def test_while_draining_answers_tell_the_client_to_leave_the_connection(start: Start) -> None:
    instance = start().wait_until_up()
    with httpx.Client() as client:
        before = client.get(instance.base + "/pid").headers["Connection"]
        instance.tell(signal.SIGTERM)
        draining_now(instance)
        after = client.get(instance.base + "/pid").headers["Connection"]

    assert (before, after) == ("keep-alive", "close")


def test_after_the_drain_connections_are_refused_while_work_is_finished(start: Start) -> None:
    instance = start(DRAIN_SECONDS="0.2").wait_until_up()
    answers: list[bytes] = []

    def download() -> None:
        answers.append(instance.get("/download").content)

    asker = threading.Thread(target=download)
    asker.start()
    time.sleep(0.3)
    instance.tell(signal.SIGTERM)
    time.sleep(0.7)
    with pytest.raises(httpx.ConnectError):
        instance.get("/pid")
    asker.join(10)

    assert instance.status(20) == 0
    assert answers == [b"x" * 15000]


def test_connections_that_say_nothing_do_not_hold_up_a_stop(start: Start) -> None:
    instance = start(DRAIN_SECONDS="0", GRACEFUL_TIMEOUT="60").wait_until_up()
    with socket.create_connection(("127.0.0.1", instance.port)):
        time.sleep(5.5)  # by now the server has stopped waiting for its request
        instance.tell(signal.SIGTERM)
        began = time.monotonic()

        assert instance.status(60) == 0
        assert time.monotonic() - began < 30, "a request under way would have been given 60"


def test_clients_that_do_not_hang_up_keep_nobody_waiting(start: Start) -> None:
    instance = start(WEB_WORKERS="1").wait_until_up()
    with contextlib.ExitStack() as held:
        for _ in range(3):
            client = held.enter_context(socket.create_connection(("127.0.0.1", instance.port)))
            client.sendall(b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
        time.sleep(0.1)
        began = time.monotonic()
        answer = instance.get("/livez")
        waited = time.monotonic() - began
        client.settimeout(5)
        received = b"".join(iter(lambda: client.recv(65536), b""))

    assert (answer.status_code, waited < HANG_UP_SECONDS) == (200, True)
    assert b"alive" in received


def test_a_second_sigterm_skips_the_wait(start: Start) -> None:
    instance = start(DRAIN_SECONDS="60").wait_until_up()
    instance.tell(signal.SIGTERM)
    draining_now(instance)
    instance.tell(signal.SIGTERM)

    assert instance.status(20) == 0


@pytest.mark.parametrize("to_all", [False, True], ids=["the parent", "the process group"])
def test_ctrl_c_stops_fast_and_cleanly(start: Start, to_all: bool) -> None:
    instance = start(DRAIN_SECONDS="60", GRACEFUL_TIMEOUT="60").wait_until_up()
    with contextlib.suppress(httpx.TransportError):
        httpx.get(instance.base + "/slow/60.0", timeout=0.3)
    if to_all:
        os.killpg(instance.process.pid, signal.SIGINT)
    else:
        instance.tell(signal.SIGINT)
    began = time.monotonic()

    assert instance.status(60) == 0
    assert time.monotonic() - began < 30, "a request under way would have been given 60"
    assert "Traceback" not in instance.said()


def test_a_closed_terminal_stops_it(start: Start) -> None:
    instance = start(DRAIN_SECONDS="0").wait_until_up()
    os.killpg(instance.process.pid, signal.SIGHUP)

    assert instance.status(20) == 0
    assert "Traceback" not in instance.said()


def test_a_long_upload_does_not_end_the_worker(start: Start) -> None:
    instance = start().wait_until_up()
    workers = instance.workers()

    def slowly() -> Iterator[bytes]:
        for _ in range(20):
            time.sleep(0.1)
            yield b"x" * 1000

    answer = httpx.post(instance.base + "/upload", content=slowly(), timeout=10)

    assert answer.text == "20000"
    assert instance.workers() == workers


@pytest.mark.parametrize("size", [1, 500, 1500, 2000, 100_000])
def test_a_body_ends_where_its_head_says_however_it_comes(start: Start, size: int) -> None:
    head = f"POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: {size}\r\n\r\n".encode()
    sent = head + bytes(size) + b"GET /pid HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n"
    instance = start().wait_until_up()

    for part in {0, 1, size // 5, size // 2, size - 1, size, len(sent) - len(head)}:
        cut = len(head) + part
        with socket.create_connection(("127.0.0.1", instance.port), timeout=10) as connection:
            connection.sendall(sent[:cut])
            time.sleep(0.05)
            connection.sendall(sent[cut:])
            answers = b"".join(iter(lambda: connection.recv(65536), b""))

        assert answers.count(b"HTTP/1.1 200 OK") == 2, f"cut after {part} bytes"
        assert b"\r\n\r\n%dHTTP/1.1" % size in answers, f"cut after {part} bytes"


def test_kept_connections_are_shared_out_among_the_workers(start: Start) -> None:
    instance = start(WEB_WORKERS="2").wait_until_up()

    def of_eight_connections() -> Counter[str]:
        clients = [httpx.Client(base_url=instance.base, timeout=10) for _ in range(8)]
        with ThreadPoolExecutor(8) as pool:
            pids = Counter(pool.map(lambda client: client.get("/pid").text, clients))
        for client in clients:
            client.close()
        time.sleep(0.2)  # until the workers have seen that they are closed
        return pids

    deadline = time.monotonic() + 10
    while len(of_eight_connections()) < 2:
        assert time.monotonic() < deadline, "only one worker takes connections"
    for _ in range(5):
        pids = of_eight_connections()
        assert min(pids.values()) >= 3, pids


def test_every_kind_of_answer_arrives_whole(start: Start) -> None:
    instance = start().wait_until_up()
    with httpx.Client(base_url=instance.base, timeout=10) as client:
        for _ in range(2):  # on one connection, kept alive
            assert client.get("/pid").text.isdigit()
            assert client.head("/pid").content == b""
            assert len(client.get("/download").content) == 15_000  # no length, piece by piece
            assert client.get("/large").content == b"x" * 3_000_000
            assert client.get("/file").content == Path(__file__).read_bytes()
            assert client.get("/nothing").status_code == 204


def test_who_waits_to_be_asked_for_the_body_is_asked(start: Start) -> None:
    head = b"POST /upload HTTP/1.1\r\nHost: x\r\nContent-Length: 9\r\nExpect: 100-continue\r\n\r\n"
    instance = start().wait_until_up()

    with socket.create_connection(("127.0.0.1", instance.port), timeout=10) as connection:
        connection.sendall(head)
        assert connection.recv(65536).startswith(b"HTTP/1.1 100 Continue")
        connection.sendall(bytes(9))
        assert connection.recv(65536).startswith(b"HTTP/1.1 200 OK")


def test_the_server_itself_believes_no_proxy(start: Start) -> None:
    instance = start().wait_until_up()
    headers = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.9"}
    answer = instance.get("/seen", headers=headers)

    assert answer.text == "http 127.0.0.1"


def test_a_trusted_proxy_is_believed(start: Start) -> None:
    instance = start(TRUSTED_PROXIES="127.0.0.0/8").wait_until_up()
    headers = {"X-Forwarded-Proto": "https", "X-Forwarded-For": "203.0.113.9"}
    answer = instance.get("/seen", headers=headers)

    assert answer.text == "https 203.0.113.9"


def asked(connection: socket.socket, said: bytes) -> str:
    """The answer to what is sent; of a request that has no body."""
    connection.sendall(said)
    answer = http.client.HTTPResponse(connection)
    answer.begin()
    return f"{answer.status} {answer.read().decode().strip()}"


GET_SEEN = b"GET /seen HTTP/1.1\r\nHost: localhost\r\nX-Forwarded-For: 192.0.2.99\r\n\r\n"
BEHIND_L4 = {"PROXY_PROTOCOL": "true", "TRUSTED_PROXIES": "127.0.0.0/8"}


@pytest.mark.parametrize(
    ("header", "visitor"),
    [
        (b"PROXY TCP4 203.0.113.9 192.0.2.1 50000 80\r\n", "203.0.113.9"),
        (b"PROXY TCP6 2001:db8::9 2001:db8::1 50000 80\r\n", "2001:db8::9"),
        (
            b"\r\n\r\n\0\r\nQUIT\n\x21\x11\0\x0c"
            + bytes([203, 0, 113, 9, 192, 0, 2, 1, 9, 9, 0, 80]),
            "203.0.113.9",
        ),
        (b"\r\n\r\n\0\r\nQUIT\n\x20\0\0\0", "127.0.0.1"),  # LOCAL: the proxy itself asks
    ],
    ids=["version 1", "version 1, IPv6", "version 2", "version 2, LOCAL"],
)
def test_a_balancer_of_bytes_says_whose_a_connection_is(
    start: Start, header: bytes, visitor: str
) -> None:
    instance = start(**BEHIND_L4).wait_until_up()
    with socket.create_connection(("127.0.0.1", instance.port), timeout=10) as connection:
        first = asked(connection, header + GET_SEEN)
        later = [asked(connection, GET_SEEN) for _ in range(3)]

    assert [first, *later] == [f"200 http {visitor}"] * 4


def test_who_is_no_balancer_may_not_say_whose_a_connection_is(start: Start) -> None:
    instance = start(PROXY_PROTOCOL="true", TRUSTED_PROXIES="10.0.0.0/8").wait_until_up()
    with socket.create_connection(("127.0.0.1", instance.port), timeout=10) as connection:
        answer = asked(connection, b"PROXY TCP4 203.0.113.9 192.0.2.1 50000 80\r\n" + GET_SEEN)

    assert answer.startswith("403 ")


def test_a_connection_past_the_balancer_is_told_of_health_alone(start: Start) -> None:
    instance = start(**BEHIND_L4).wait_until_up()

    assert instance.get("/livez").status_code == 200
    assert instance.get("/healthz").status_code == 200
    answer = instance.get("/seen")
    assert answer.status_code == 400
    assert "balancer" in answer.text
    assert answer.headers["X-Request-ID"]


def test_where_no_balancer_of_bytes_is_expected_its_word_is_no_request(start: Start) -> None:
    instance = start(TRUSTED_PROXIES="127.0.0.0/8").wait_until_up()
    with socket.create_connection(("127.0.0.1", instance.port), timeout=10) as connection:
        answer = asked(connection, b"PROXY TCP4 203.0.113.9 192.0.2.1 50000 80\r\n" + GET_SEEN)

    assert answer.startswith("400 ")


def test_an_ipv4_balancer_is_known_on_a_socket_for_both(start: Start) -> None:
    instance = start(HOST="::", **BEHIND_L4).wait_until_up()
    with socket.create_connection(("127.0.0.1", instance.port), timeout=10) as connection:
        answer = asked(connection, b"PROXY TCP4 203.0.113.9 192.0.2.1 50000 80\r\n" + GET_SEEN)

    assert answer == "200 http 203.0.113.9"
