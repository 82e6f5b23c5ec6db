"""Replacing, adding and taking away instances while twenty people use them: nobody notices."""

from __future__ import annotations

import json
import re
import signal
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import httpx
import pytest

from deploy.topology import REPOSITORY
from tests.cluster.ledger import LATE, figures, harm
from tests.cluster.load import Load
from tests.cluster.stack import IMAGE, Stack, eventually, running

pytestmark = pytest.mark.containers

# A name of its own: it comes to mean broken images too.
ROLLED = f"{IMAGE}-rollout"
ROLLOUT = REPOSITORY / "deploy" / "rollout"


@pytest.fixture(scope="module")
def stack() -> Iterator[Stack]:
    """The stack with three instances, who come from an image that each test makes anew."""
    stack = Stack(
        ["docker-compose.yml", "tests/cluster/patient.yml"],
        {"MAILAPP_IMAGE": ROLLED, "LOGIN_TRIES_ADDRESS": "100000"},
    )
    with running(stack):
        yield stack
    stack.docker("rmi", "--force", ROLLED, f"{ROLLED}:first")


@pytest.fixture(scope="module")
def load(stack: Stack) -> Iterator[Load]:
    """Twenty people with accounts."""
    stack.docker("tag", ROLLED, f"{ROLLED}:first")
    load = Load(stack.url, people=20)
    load.sign_up()
    yield load
    load.close()


@contextmanager
def nobody_notices(load: Load) -> Iterator[None]:
    """Whatever is done meanwhile, no request fails and nothing is lost."""
    since, first = time.monotonic(), len(load.tries)
    with load.running():
        yield
    tries = load.tries[first:]
    found = figures(tries, load.audit(since), load.sessions, load.count_lost_sessions())
    # How fast an answer was is the machine's business here.
    failed = [one for one in tries if one.kind not in {"", LATE}]
    assert failed == [], load.complaints
    assert harm(found) == 0, found
    assert found["acknowledged"] > 0


def release(stack: Stack, instruction: str) -> str:
    """Make the image's name mean another, which has this on top of the first; its id."""
    stack.docker("build", "--tag", ROLLED, "-", said=f"FROM {ROLLED}:first\n{instruction}\n")
    return stack.docker("image", "inspect", "--format", "{{.Id}}", ROLLED).strip()


def changed_style(words: str) -> str:
    """What a release is made of whose style sheet ends in a comment."""
    where = "import mailapp; print(mailapp.__path__[0])"
    append = f'echo "/* {words} */" >> "$(python -c "{where}")/static/app.css"'
    return f"USER root\nRUN {append}\nUSER 10001:10001"


def roll_out(stack: Stack, **environment: str) -> subprocess.CompletedProcess[str]:
    """deploy/rollout, as an operator starts it."""
    return subprocess.run(
        [ROLLOUT, *stack.options],
        cwd=REPOSITORY,
        env={**stack.environment, **environment},
        capture_output=True,
        text=True,
        check=False,
    )


def images(stack: Stack, service: str) -> list[str]:
    """The image's id of each container of a service."""
    ids = stack.compose("ps", "--quiet", service).split()
    found: list[dict[str, Any]] = json.loads(stack.docker("inspect", *ids))
    return [container["Image"] for container in found]


def test_a_rollout_replaces_every_instance(stack: Stack, load: Load) -> None:
    before = stack.webs()
    new = release(stack, changed_style("second"))

    with nobody_notices(load):
        ran = roll_out(stack)

    assert ran.returncode == 0, ran.stdout + ran.stderr
    (style,) = re.findall(r'"(/static/app\.css\?v=\w+)"', httpx.get(f"{stack.url}/login").text)
    by_nginx = httpx.get(f"{stack.url}{style}")
    assert "/* second */" in by_nginx.text
    assert by_nginx.headers["X-Served-By"] not in stack.webs()
    assert not before & stack.webs()
    assert images(stack, "web") == [new] * 3
    assert images(stack, "gc") == [new]


@pytest.mark.parametrize(
    ("instruction", "says"),
    [('CMD ["sh", "-c", "echo out of order; exit 1"]', "out of order"), ('CMD ["cat"]', "")],
    ids=["ends", "is never healthy"],
)
def test_a_new_instance_that_can_not_serve_leaves_the_old_ones(
    stack: Stack, load: Load, instruction: str, says: str
) -> None:
    before = stack.webs()
    release(stack, instruction)

    with nobody_notices(load):
        ran = roll_out(stack, ROLLOUT_SECONDS="8")

    assert ran.returncode == 1
    assert "0 of 3 instances were replaced; the others go on serving" in ran.stderr
    assert says in ran.stderr
    assert stack.webs() == before
    assert not left_over(stack)


def test_one_that_fails_after_the_rehearsal_leaves_the_old_ones(stack: Stack, load: Load) -> None:
    before = stack.webs()
    # The rehearsal finds three instances in the DNS, the first new one itself as the fourth.
    alone = "test $(getent ahostsv4 web | grep -c STREAM) -le 3"
    release(stack, f'CMD ["sh", "-c", "{alone} && exec mailapp serve; echo one too many"]')

    with nobody_notices(load):
        ran = roll_out(stack)

    assert ran.returncode == 1
    assert "0 of 3 instances were replaced; the others go on serving" in ran.stderr
    assert "one too many" in ran.stderr
    assert stack.webs() == before


def test_an_interrupt_leaves_the_old_ones(stack: Stack, load: Load) -> None:
    before = stack.webs()
    release(stack, 'CMD ["sleep", "600"]')

    with nobody_notices(load):
        rollout = subprocess.Popen(
            # A run in the background of a script ignores it, and so would what it starts.
            ["env", "--default-signal=INT", ROLLOUT, *stack.options],
            cwd=REPOSITORY,
            env=stack.environment,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )
        assert rollout.stdout is not None
        assert any("Rehearsing" in line for line in rollout.stdout)
        assert eventually(lambda: bool(left_over(stack)))
        rollout.send_signal(signal.SIGINT)
        said, _ = rollout.communicate(timeout=60)

    assert rollout.returncode == 130, said
    assert stack.webs() == before
    assert not left_over(stack)


def test_one_that_was_stopped_is_not_taken_for_a_new_one(stack: Stack, load: Load) -> None:
    stopped, *others = stack.compose("ps", "--quiet", "--no-trunc", "web").split()
    stack.docker("stop", stopped)
    new = release(stack, "LABEL release=after-a-stop")

    with nobody_notices(load):
        ran = roll_out(stack)

    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert images(stack, "web") == [new] * len(others)


def test_more_and_fewer_instances(stack: Stack, load: Load) -> None:
    release(stack, "LABEL release=third")

    with nobody_notices(load):
        stack.up(5)
        time.sleep(3)
        served_by = len(stack.webs())
        stack.up(2)

    assert (served_by, len(stack.webs())) == (5, 2)


def test_an_instance_that_is_stopped_ends_with_0(stack: Stack, load: Load) -> None:
    instance = stack.compose("ps", "--quiet", "web").split()[0]

    with nobody_notices(load):
        stack.docker("stop", instance)

    assert stack.docker("inspect", "--format", "{{.State.ExitCode}}", instance).strip() == "0"


def left_over(stack: Stack) -> list[str]:
    """Containers that a rollout made and that serve nobody."""
    label = f"label=com.docker.compose.project={stack.project}"
    oneoff = "label=com.docker.compose.oneoff=True"
    return stack.docker("ps", "--all", "--quiet", "--filter", label, "--filter", oneoff).split()
