"""/metrics of a real instance of two workers: what they count together, also when one dies."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from deploy.topology import Web, free_port
from tests.people import Attached, Person
from tests.processes import workers
from tests.scraping import Scrape, within

PASSWORD = "three green lamps by the sea"

pytestmark = pytest.mark.parametrize("parts", ["servers"], indirect=True)


@pytest.fixture
def web(environment: dict[str, str], tmp_path: Path) -> Iterator[Web]:
    with Web(tmp_path / "web-1", {**environment, "DRAIN_SECONDS": "0"}) as web:
        yield web


def answered(web: Web, route: str, status: int = 200, method: str = "GET") -> float:
    return Scrape(web.metrics_url).value(
        "mailapp_http_requests_total", route=route, status=str(status), method=method
    )


def test_requests_are_added_up_over_all_workers(web: Web) -> None:
    for _ in range(20):  # a connection each, which either worker may take
        assert httpx.get(f"{web.url}/login").status_code == 200
    for number in range(5):
        assert httpx.get(f"{web.url}/nowhere/{number}").status_code == 404
        assert httpx.request(f"MADE{number}", f"{web.url}/login").status_code == 405

    assert answered(web, "/login") == 20
    assert answered(web, "none", 404) == 5
    assert answered(web, "none", 405, "other") == 5
    said = Scrape(web.metrics_url)
    assert said.value("mailapp_http_request_duration_seconds_count", route="/login") == 20
    assert (
        said.value("mailapp_http_request_duration_seconds_bucket", route="/login", le="+Inf") == 20
    )
    assert said.value("mailapp_http_requests_in_progress") == 0


def test_what_a_worker_counted_outlives_it(web: Web) -> None:
    for _ in range(20):
        httpx.get(f"{web.url}/login")
    before, old = Scrape(web.metrics_url).counters(), workers(web.pid)
    for pid in old:
        os.kill(pid, signal.SIGKILL)
    assert within(20, lambda: len(workers(web.pid) - old) == 2 and web.answers())
    after = Scrape(web.metrics_url).counters()
    for _ in range(10):
        httpx.get(f"{web.url}/login")

    assert {key for key, value in before.items() if after.get(key, 0) < value} == set()
    assert answered(web, "/login") == 30
    # Counted on in the files of those that died, whose number therefore stays.
    counted_in = {file.name for file in figures(web).glob("counter_[0-9]*.db")}
    assert counted_in == {"counter_0.db", "counter_1.db"}


def figures(web: Web) -> Path:
    """The folder that an instance's workers count in."""
    maps = Path(f"/proc/{next(iter(workers(web.pid)))}/maps").read_text().split()
    (folder,) = {Path(part).parent for part in maps if "mailapp-metrics-" in part}
    return folder


def test_a_request_that_its_worker_took_along_is_not_in_progress_for_ever(web: Web) -> None:
    def in_progress() -> float:
        return Scrape(web.metrics_url).value("mailapp_http_requests_in_progress")

    form = b"Content-Type: application/x-www-form-urlencoded\r\nContent-Length: 1000\r\n"
    with socket.create_connection(("127.0.0.1", web.port)) as slow:
        slow.sendall(b"POST /login HTTP/1.1\r\nHost: x\r\n" + form + b"\r\n")
        assert within(10, lambda: in_progress() == 1)
        for pid in workers(web.pid):
            os.kill(pid, signal.SIGKILL)
        assert within(20, lambda: in_progress() == 0)


def test_the_folder_is_gone_when_the_instance_has_ended(web: Web) -> None:
    httpx.get(f"{web.url}/login")
    folder = figures(web)
    assert list(folder.iterdir())

    assert web.stop() == 0
    assert not folder.exists()


def test_mail_attachments_round_trips_and_connections_are_counted(web: Web) -> None:
    content = os.urandom(1_234_567)
    with httpx.Client(base_url=web.url, timeout=30) as client:
        alice = Person(client)
        alice.sign_up("Alice", "alice@mail.example", PASSWORD)
        alice.send("alice@mail.example", "Counted", "See attached.", [Attached("a.bin", content)])
        alice.open("Counted")
        assert alice.download("a.bin") == content
    said = Scrape(web.metrics_url)

    assert said.value("mailapp_messages_sent_total") == 1
    assert said.value("mailapp_attachment_bytes_total", direction="up") == len(content)
    assert said.value("mailapp_attachment_bytes_total", direction="down") == len(content)
    for part in ("database", "redis", "store"):
        trips = said.value("mailapp_round_trip_duration_seconds_count", part=part)
        seconds = said.value("mailapp_round_trip_duration_seconds_sum", part=part)
        assert trips > 0
        assert 0 < seconds < 2.5 * trips

    def connections(state: str) -> float:
        return Scrape(web.metrics_url).value("mailapp_database_connections", state=state)

    assert within(5, lambda: connections("idle") >= 1 and connections("in_use") == 0)


def test_what_a_part_does_not_answer_is_a_failure(
    environment: dict[str, str], tmp_path: Path
) -> None:
    away = {**environment, "REDIS_URL": f"redis://127.0.0.1:{free_port()}/0"}
    web = Web(tmp_path / "web-1", {**away, "DRAIN_SECONDS": "0"})
    web.launch()
    try:
        assert within(30, lambda: _status(web, "/livez") == 200)
        before = Scrape(web.metrics_url).value("mailapp_round_trip_failures_total", part="redis")
        httpx.get(f"{web.url}/login", cookies={"mailapp_session": "x" * 43})
        after = Scrape(web.metrics_url).value("mailapp_round_trip_failures_total", part="redis")
    finally:
        web.stop()

    assert after > before


def _status(web: Web, path: str) -> int:
    try:
        return httpx.get(f"{web.url}{path}").status_code
    except httpx.TransportError:
        return 0
