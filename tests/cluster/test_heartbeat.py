"""A real instance that tells of itself: to Redis, or to the database where there is none."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import httpx
import pytest
from flask import Flask

import mailapp
from deploy.topology import Valkey, Web
from mailapp.cluster.record import Record, decode
from tests.cluster.records import registry_of
from tests.conftest import Environment
from tests.processes import companions, workers

# Two workers count, one of them ends, and a third process adds up; as an instance's processes do.
COUNTING = """
import os, sys
from pathlib import Path
from mailapp.cluster.pulse import counted, under_way
from mailapp.telemetry import metrics

figures = Path(sys.argv[1])
for place in ("0", "1"):
    pid = os.fork()
    if pid == 0:
        metrics.count_in(figures, place)
        counts = metrics.metrics()
        counts.in_progress.inc()
        for route in ("/login", "/mail/inbox", None, "/healthz", "/livez"):
            counts.answered(route, "GET", 200, 0.25)
            counts.answered(route, "POST", 503, 0.25)
        os._exit(0)
    os.waitpid(pid, 0)
metrics.leave(figures, "1")
print(*counted(figures), under_way(figures))
"""

# A worker's first eight requests come at once, each in a thread.
COUNTING_AT_ONCE = """
import sys
from pathlib import Path
from threading import Barrier, Thread
from mailapp.cluster.pulse import under_way
from mailapp.telemetry import metrics

def begin():
    all_are_there.wait()
    metrics.metrics().in_progress.inc()

sys.setswitchinterval(1e-5)
figures = Path(sys.argv[1])
metrics.count_in(figures, "0")
all_are_there = Barrier(8)
threads = [Thread(target=begin) for _ in range(8)]
for thread in threads:
    thread.start()
for thread in threads:
    thread.join()
print(under_way(figures))
"""


@pytest.fixture
def web(environment: Environment, tmp_path: Path) -> Iterator[Web]:
    """A running instance."""
    web = Web(tmp_path / "web", {**environment, "DRAIN_SECONDS": "3"}, name="web-7")
    yield web.start()
    web.kill()


@pytest.fixture
def until(app: Flask) -> Callable[[Callable[[Record], object]], Record]:
    """A function that waits until the one instance's fresh record is as it says; bounded."""

    def wait(is_so: Callable[[Record], object]) -> Record:
        deadline = time.monotonic() + 20
        found: list[tuple[bytes, float]] = []
        while time.monotonic() < deadline:
            found = registry_of(app).all()
            if found:
                ((data, age),) = found
                record = decode(data)
                if age < 2 and is_so(record):
                    return record
            time.sleep(0.1)
        raise AssertionError(found)

    return wait


Until = Callable[[Callable[[Record], object]], Record]


def test_it_tells_what_it_is_and_how_it_is(web: Web, until: Until) -> None:
    record = until(lambda record: record.state == "ok" and record.requests and record.workers == 2)

    assert (record.name, record.version) == ("web-7", mailapp.__version__)
    assert record.room == 16
    assert {part.name for part in record.parts} == {"database", "redis", "attachments"}
    assert not any(part.failing for part in record.parts)
    assert 0 < record.uptime < 60
    assert record.cpu is not None
    assert record.under_way == 0

    later = until(lambda later: later.uptime > record.uptime)
    assert later.id == record.id


@pytest.mark.parametrize("parts", ["embedded"], indirect=True)
def test_what_people_ask_for_is_counted_and_health_checks_are_not(web: Web, until: Until) -> None:
    until(lambda record: len(record.requests) >= 2)
    with httpx.Client(base_url=web.url) as visitor:
        for _ in range(20):
            visitor.get("/login").raise_for_status()
    record = until(lambda record: any(record.requests))

    assert record.latency
    assert not any(record.errors)


@pytest.mark.parametrize("parts", ["embedded"], indirect=True)
def test_a_worker_that_was_killed_is_replaced_and_leaves_nothing_under_way(
    web: Web, until: Until
) -> None:
    before = until(lambda record: record.workers == 2)
    os.kill(workers(web.pid).pop(), signal.SIGKILL)

    after = until(lambda record: record.uptime > before.uptime + 2 and record.workers == 2)
    assert after.id == before.id
    assert after.under_way == 0


@pytest.mark.parametrize("parts", ["embedded"], indirect=True)
def test_one_whose_workers_hang_says_so(web: Web, until: Until) -> None:
    until(lambda record: record.state == "ok")
    stopped = workers(web.pid)
    for pid in stopped:
        os.kill(pid, signal.SIGSTOP)
    record = until(lambda record: record.state == "silent")
    for pid in stopped:
        os.kill(pid, signal.SIGCONT)

    assert record.parts, "what it saw last may be why"
    until(lambda record: record.state == "ok")


@pytest.mark.parametrize("parts", ["embedded"], indirect=True)
def test_one_that_is_asked_to_stop_says_so_until_it_ends(web: Web, until: Until) -> None:
    until(lambda record: record.state == "ok")
    web.terminate()

    until(lambda record: record.state == "draining")
    assert web.wait() == 0


@pytest.mark.parametrize("parts", ["servers"], indirect=True)
def test_it_goes_on_where_redis_was_away(web: Web, until: Until, redis_server: Valkey) -> None:
    before = until(lambda record: record.requests)
    (companion,) = companions(web.pid)

    def threads() -> int:
        return len(list(Path(f"/proc/{companion}/task").iterdir()))

    running = threads()
    redis_server.pause()
    try:
        time.sleep(4)
        assert threads() <= running
    finally:
        redis_server.resume()

    after = until(lambda record: record.uptime > before.uptime + 4)
    assert after.id == before.id
    assert len(after.requests) > len(before.requests)
    assert '"ERROR"' not in web.log.read_text()


def test_what_all_workers_count_is_added_up_also_of_those_that_are_gone(tmp_path: Path) -> None:
    said = subprocess.run(
        [sys.executable, "-c", COUNTING, tmp_path], capture_output=True, check=True
    )

    # Of two workers: three routes, twice each, half of them errors; one is under way.
    assert said.stdout.split() == [b"12.0", b"6.0", b"3.0", b"1"]


def test_a_workers_first_requests_are_counted_though_they_come_at_once(tmp_path: Path) -> None:
    said = subprocess.run(
        [sys.executable, "-c", COUNTING_AT_ONCE, tmp_path], capture_output=True, check=True
    )

    assert said.stdout == b"8\n"
