"""The process beside the workers: what it answers, and that it goes when its parent goes."""

from __future__ import annotations

import os
import signal
import socket
import threading
import time
from pathlib import Path

import httpx
import pytest

from mailapp import __version__
from mailapp.companion import _repeat, _Server
from tests.scraping import Scrape, within
from tests.test_server import Instance, Start, draining_now
from tests.test_server import start as start  # the fixture


def scrape(instance: Instance) -> Scrape:
    return Scrape(f"http://127.0.0.1:{instance.metrics_port}/metrics")


def gone(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return True
    # Ended, with a parent that has not asked how.
    return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[0] == "Z"


def answers(instance: Instance) -> bool:
    try:
        return scrape(instance).value("mailapp_build_info", name="web-1", version=__version__) == 1
    except httpx.TransportError:
        return False


def figures(instance: Instance) -> Path:
    """The folder that the workers count in, once one of them has answered."""
    maps = " ".join(Path(f"/proc/{pid}/maps").read_text() for pid in instance.workers())
    (folder,) = {Path(part).parent for part in maps.split() if "mailapp-metrics-" in part}
    return folder


def test_it_says_how_many_workers_there_are_and_of_which_version(start: Start) -> None:
    instance = start(WEB_WORKERS="3").wait_until_up()

    assert within(5, lambda: answers(instance))
    assert within(5, lambda: scrape(instance).value("mailapp_workers") == 3)
    assert scrape(instance).value("mailapp_draining") == 0


def test_it_answers_nothing_else_and_the_public_port_no_metrics(start: Start) -> None:
    instance = start().wait_until_up()
    beside = f"http://127.0.0.1:{instance.metrics_port}"

    assert httpx.get(f"{beside}/").status_code == 404
    assert httpx.get(f"{beside}/healthz").status_code == 404
    assert instance.get("/metrics").status_code == 404


def test_a_busy_port_for_metrics_is_said_with_the_variable_to_change(start: Start) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        instance = start(METRICS_PORT=str(port))

        assert instance.status(20) == 1
    assert instance.said() == (
        f"Port {port} is in use on 127.0.0.1. Stop what uses it, or set METRICS_PORT to another, "
        f"such as METRICS_PORT={port + 1}.\n"
    )


def test_without_a_port_for_metrics_it_serves_all_the_same(start: Start) -> None:
    instance = start(METRICS_PORT="0").wait_until_up()
    assert instance.get("/livez").is_success
    instance.tell(signal.SIGTERM)

    assert instance.status(20) == 0


@pytest.mark.parametrize("number", [signal.SIGKILL, signal.SIGSEGV])
def test_one_that_dies_is_replaced_and_costs_no_worker(
    start: Start, number: signal.Signals
) -> None:
    instance = start().wait_until_up()
    assert within(5, lambda: answers(instance))
    workers, (companion,) = instance.workers(), instance.companions()
    os.kill(companion, number)

    assert within(10, lambda: instance.companions() not in (set(), {companion}))
    assert within(5, lambda: answers(instance))
    assert instance.workers() == workers


def test_what_the_terminal_sends_to_all_does_not_end_it_before_the_rest(start: Start) -> None:
    instance = start().wait_until_up()
    assert within(5, lambda: answers(instance))
    (companion,) = instance.companions()
    for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
        os.kill(companion, number)
    time.sleep(0.5)

    assert instance.companions() == {companion}
    assert answers(instance)


def test_it_goes_on_through_the_drain_and_ends_with_the_instance(start: Start) -> None:
    instance = start(DRAIN_SECONDS="3").wait_until_up()
    assert within(5, lambda: answers(instance))
    (companion,) = instance.companions()
    instance.tell(signal.SIGTERM)
    draining_now(instance)

    assert scrape(instance).value("mailapp_draining") == 1
    assert instance.status(20) == 0
    assert gone(companion)


def test_it_ends_with_a_parent_that_was_killed_and_leaves_nothing_in_memory(start: Start) -> None:
    instance = start().wait_until_up()
    assert within(5, lambda: answers(instance))
    (companion,) = instance.companions()
    folder = figures(instance)
    assert folder.is_dir()
    instance.process.kill()
    instance.process.wait()

    assert within(5, lambda: gone(companion))
    assert not folder.exists()


def test_it_does_not_hold_the_public_port(start: Start) -> None:
    instance = start(DRAIN_SECONDS="0", WEB_WORKERS="1").wait_until_up()
    (companion,) = instance.companions()
    listening = {line.split()[9] for line in Path("/proc/net/tcp").read_text().splitlines()
                 if f":{instance.port:04X} 00000000:0000 0A" in line}  # fmt: skip
    held = {str(fd.readlink()) for fd in Path(f"/proc/{companion}/fd").iterdir()}

    assert len(listening) == 1
    assert not {f"socket:[{inode}]" for inode in listening} & held


def test_a_task_that_takes_longer_than_its_period_is_called_again() -> None:
    calls = 0

    def task() -> None:
        nonlocal calls
        calls += 1
        if calls == 5:
            raise SystemExit
        time.sleep(0.01)

    with pytest.raises(SystemExit):
        _repeat(0.001, task)
    assert calls == 5


def test_a_page_that_fails_is_told_in_the_log_and_not_past_it(
    caplog: pytest.LogCaptureFixture, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail() -> tuple[str, bytes]:
        raise ValueError("torn file")

    with socket.create_server(("127.0.0.1", 0)) as listener:
        server = _Server(listener, {"/metrics": fail})
        threading.Thread(target=server.serve_forever, daemon=True).start()
        with pytest.raises(httpx.RemoteProtocolError):
            httpx.get(f"http://127.0.0.1:{listener.getsockname()[1]}/metrics")
        server.shutdown()

    (record,) = caplog.records
    assert record.name == "mailapp.companion"
    assert "torn file" in caplog.text
    assert capsys.readouterr().err == ""
