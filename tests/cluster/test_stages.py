"""Every step of the story in deploy/stages, as `make stage` shows it with real containers."""

from __future__ import annotations

import os
import re
import signal
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager

import pytest

from deploy.topology import REPOSITORY, free_port
from tests.stages import sessions
from tests.stages.attachments import COMPOSE as ATTACHMENTS
from tests.stages.scene import LEFT, NotSeen, Scene, standing

pytestmark = pytest.mark.containers

# What each must have printed, beside ending with 0, its lines joined.
PRINTED = {
    1: ["web answered 10, none of 10 failed", r"all 10 failed \(connection refused 10 times\)"],
    2: [r"all 10 failed \(503 10 times\)", r"all 10 failed \(connection refused 10 times\)"],
    3: ["web-2 answered 30, none of 30 failed"],
    4: [r"web-\d \d+ times asked her to log in", r"web-1 answered \d+, web-2 \d+, none of 20"],
    5: [r"web-\d \d times answered 404", "gave it from the shared folder", "gave it from MinIO"],
    6: [r"killed none \d+ \(503 \d+ times\) [\d.]+ m?s never", "stopped .* L7 0 .* in time hung"],
    7: [r"asked 12 times: \w+ answered \d+, \w+ \d+, \w+ \d+\.", "none of 60 failed"],
}


@contextmanager
def started(number: int) -> Iterator[subprocess.Popen[str]]:
    """`make stage N=…` in a process group of its own, as a terminal starts it."""
    process = subprocess.Popen(
        ["make", "--no-print-directory", "stage", f"N={number}"],
        cwd=REPOSITORY,
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
                os.killpg(process.pid, signal.SIGINT)


def left_of(printed: str) -> dict[str, list[str]]:
    """What there still is of the compose project that a stage said it is."""
    named = re.search(r"mailapp-test-\d+", printed)
    assert named is not None, printed
    scene = Scene()
    scene.project = named[0]
    return {kind: scene.left(kind) for kind in LEFT}


@pytest.mark.parametrize("number", PRINTED)
def test_a_stage_shows_what_it_is_there_to_show_and_leaves_nothing(number: int) -> None:
    with started(number) as process:
        printed, _ = process.communicate(timeout=400)

    assert process.returncode == 0, printed
    for words in PRINTED[number]:
        assert re.search(words, " ".join(printed.split())), (words, printed)
    assert not any(left_of(printed).values())


def test_a_stage_that_is_stopped_by_ctrl_c_leaves_nothing() -> None:
    with started(1) as process:
        assert process.stdout is not None
        printed = ""
        while "healthy" not in printed:
            line = process.stdout.readline()
            assert line, printed
            printed += line
        os.killpg(process.pid, signal.SIGINT)
        printed += process.stdout.read()

    assert process.returncode != 0
    assert "was stopped" in printed
    assert not any(left_of(printed).values())


def test_a_broken_stage_that_does_not_break_fails_and_a_mended_one_that_does_not_hold() -> None:
    with standing(sessions.COMPOSE, people=("alice",), at="web-1") as scene:
        with pytest.raises(NotSeen, match="log-in"):
            sessions.kept(scene)

        scene.change_to(sessions.COMPOSE, "4-sessions/redis.yml")
        with pytest.raises(NotSeen, match="know each other's sessions"):
            sessions.lost(scene)


def test_the_nfs_server_keeps_what_is_written_to_it() -> None:
    scene = Scene(ATTACHMENTS, "5-attachments/nfs.yml", environment={"NFS_PORT": str(free_port())})
    try:
        scene.compose("build", "nfs")
        scene.compose("up", "--detach", "--wait", "nfs")
        scene.compose(
            "exec", "-T", "nfs", "sh", "-c", "echo kept > /tmp/a && nfs-cp /tmp/a $0", NFS
        )

        assert scene.compose("exec", "-T", "nfs", "nfs-cat", NFS) == "kept\n"
        stored = scene.compose("exec", "-T", "nfs", "stat", "--format", "%u:%g", "/export/a")
        assert stored == "10001:10001\n"  # mailapp's user in its image
    finally:
        scene.down()


NFS = "nfs://127.0.0.1/attachments/a?version=4"
