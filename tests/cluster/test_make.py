"""`make cluster` and `make run` as a person uses them: start, Ctrl-C, and what is in the way."""

from __future__ import annotations

import contextlib
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

import httpx
import pytest

from deploy.cluster import kept_secret
from deploy.topology import REPOSITORY, Postgres, StartError, Valkey, Web, free_port, running
from tests.people import Attached, Person


@contextlib.contextmanager
def started(command: Sequence[str | Path], **environment: str) -> Iterator[subprocess.Popen[str]]:
    """A command in a process group of its own, as a terminal starts it; ended if it still runs."""
    process = subprocess.Popen(
        command,
        cwd=REPOSITORY,
        env={**os.environ, **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        start_new_session=True,
    )
    with process:
        try:
            yield process
        finally:
            if process.poll() is None:
                process.terminate()


def cluster(data: Path, port: int, web: int = 3) -> list[str | Path]:
    return [
        *(sys.executable, "-m", "deploy.cluster"),
        *("--web", str(web), "--port", str(port), "--data", data),
    ]


def read_until(output: IO[str] | None, words: str) -> str:
    """What was printed up to a line with these words."""
    assert output is not None
    seen = ""
    for line in output:
        seen += line
        if words in line:
            return seen
    raise AssertionError(f"ended without {words!r}:\n{seen}")


def left_running(place: Path) -> list[str]:
    """The command lines of processes that have to do with a directory, some seconds on."""
    deadline = time.monotonic() + 12
    while True:
        found = []
        for process in Path("/proc").glob("[0-9]*"):
            with contextlib.suppress(OSError):
                line = (process / "cmdline").read_bytes().replace(b"\0", b" ").decode()
                here = process.joinpath("cwd").readlink()
                if str(place) in line or here.is_relative_to(place):
                    found.append(line)
        if not found or time.monotonic() > deadline:
            return found
        time.sleep(0.2)


def log_ins(printed: str) -> dict[str, str]:
    """Address to password, of the lines that tell them."""
    words = [line.split() for line in printed.splitlines() if "@mail.example" in line]
    return {line[0]: line[-1] for line in words}


def figures(printed: str) -> str:
    """The address of /metrics, of the line that tells it."""
    (address,) = re.findall(r"http://[^/]+/metrics", printed)
    return str(address)


def test_a_cluster_starts_keeps_its_data_and_stops_by_ctrl_c(tmp_path: Path) -> None:
    port, data = free_port(), tmp_path / "cluster"
    address = f"http://127.0.0.1:{port}"

    with started(cluster(data, port)) as process:
        printed = read_until(process.stdout, "bob@mail.example")
        assert address in printed
        with httpx.Client(base_url=address) as client:
            names = Counter(client.get("/login").headers["X-Served-By"] for _ in range(12))
            assert set(names) == {"web-1", "web-2", "web-3"}
            alice = Person(client)
            alice.log_in("alice@mail.example", log_ins(printed)["alice@mail.example"])
            assert alice.logged_in
            file = Attached("kept.bin", bytes(range(256)) * 40)
            alice.send("bob@mail.example", "Before the restart", "See attached.", [file])
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(40) == 0
    assert left_running(tmp_path) == []

    with started(cluster(data, port, web=1)) as process:
        again = read_until(process.stdout, "bob@mail.example")
        assert log_ins(again) == log_ins(printed)
        with httpx.Client(base_url=address) as client:
            bob = Person(client)
            bob.log_in("bob@mail.example", log_ins(again)["bob@mail.example"])
            bob.open("Before the restart")
            assert bob.download("kept.bin") == file.content
        # Not even a chance to say goodbye: the servers are stopped all the same.
        process.kill()
    assert left_running(tmp_path) == []


def test_two_clusters_do_not_share_their_data(tmp_path: Path) -> None:
    with started(cluster(tmp_path, free_port(), web=1)) as first:
        read_until(first.stdout, "bob@mail.example")
        with started(cluster(tmp_path, free_port(), web=1)) as second:
            read_until(second.stdout, "is running on")
            assert second.wait(20) == 1


def test_a_secret_is_made_once_at_random_and_for_its_owner_alone(tmp_path: Path) -> None:
    one = kept_secret(tmp_path, "one")

    assert kept_secret(tmp_path, "one") == one
    assert kept_secret(tmp_path, "two") != one
    assert len(one) >= 32
    for path in (tmp_path / "secrets").iterdir():
        assert path.stat().st_mode & 0o777 == 0o600


def test_a_part_that_does_not_start_leaves_nothing_running(tmp_path: Path) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with started(cluster(tmp_path, port, web=2)) as process:
            printed = read_until(process.stdout, "failed (98: ")
            assert process.wait(60) == 1

    assert "nginx" in printed
    assert left_running(tmp_path) == []


def test_what_failed_is_named_with_the_end_of_its_log(tmp_path: Path) -> None:
    redis = Valkey(tmp_path / "valkey")
    web = Web(tmp_path / "web-1", {"SECRET_KEY": "short"})

    why = r"(?s)web-1 ended with status .*SECRET_KEY is shorter"
    with pytest.raises(StartError, match=why), running(redis, web):
        pass

    assert not redis.running
    assert left_running(tmp_path) == []


def test_servers_can_be_frozen_and_killed_and_come_back(tmp_path: Path) -> None:
    with Postgres(tmp_path / "postgres", durable=False) as postgres:
        postgres.create_database("kept")
        postgres.pause()
        postgres.resume()
        postgres.kill()
        assert not postgres.running
        postgres.start()
        postgres.drop_database("kept")
    assert left_running(tmp_path) == []


@pytest.mark.parametrize("target", ["run", "cluster"])
def test_a_busy_port_is_said_with_the_variable_to_change(target: str) -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with started(["make", target, f"PORT={port}"]) as process:
            printed = read_until(process.stdout, "in use")
            assert process.wait(20) != 0

    assert f"PORT={port + 1}" in printed


def test_an_old_python_is_said_with_the_variable_to_change(tmp_path: Path) -> None:
    old = tmp_path / "python3"
    old.write_text(
        f"#!{sys.executable}\n"
        "import runpy, sys\n"
        "sys.version_info = (3, 9, 0)\n"
        "sys.argv.pop(0)\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')\n"
    )
    old.chmod(0o755)

    with started(["make", "run", f"PYTHON={old}", f"PORT={free_port()}"]) as process:
        assert "PYTHON=" in read_until(process.stdout, "needs Python 3.11")
        assert process.wait(20) != 0


def test_make_run_shows_the_address_and_the_log_ins_last_and_keeps_the_data(
    tmp_path: Path,
) -> None:
    port = free_port()
    environment = {"DATA_DIR": str(tmp_path), "PORT": str(port)}
    command = [sys.executable, "-m", "deploy.run"]

    with started(command, **environment) as process:
        printed = read_until(process.stdout, "bob@mail.example")
        assert f"http://127.0.0.1:{port}" in printed
        assert "mailapp_workers" in httpx.get(figures(printed)).text
        with httpx.Client(base_url=f"http://127.0.0.1:{port}") as client:
            alice = Person(client)
            alice.log_in("alice@mail.example", log_ins(printed)["alice@mail.example"])
            assert alice.logged_in
            assert len(alice.subjects()) > 0
        os.killpg(process.pid, signal.SIGINT)
        assert process.wait(20) == 0
    assert left_running(tmp_path) == []

    with started(command, **environment) as process:
        assert log_ins(read_until(process.stdout, "bob@mail.example")) == log_ins(printed)


def test_two_of_make_run_do_not_fight_for_the_port_of_their_figures(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "deploy.run"]
    one, other = (
        {"DATA_DIR": str(tmp_path / name), "PORT": str(free_port()), "METRICS_PORT": ""}
        for name in ("one", "other")
    )

    with started(command, **one) as first:
        place = figures(read_until(first.stdout, "bob@mail.example"))
        with started(command, **other) as second:
            another = figures(read_until(second.stdout, "bob@mail.example"))
            assert "mailapp_workers" in httpx.get(place).text
            assert "mailapp_workers" in httpx.get(another).text

    assert place != another
