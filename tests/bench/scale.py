"""The compose stack on capped containers: three instances beside one, nginx beside none."""

from __future__ import annotations

import inspect
import itertools
import os
import subprocess
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from statistics import median
from typing import Self

from tests.bench import load, mailboxes
from tests.bench.figures import Figure
from tests.cluster.stack import Stack
from tests.people import Attached

FILES = ("docker-compose.yml", "tests/bench/scale.yml")
MESSAGES = 10_000
SECONDS = 20.0
WARM_UP = 3.0
# For each instance, so that one of three has as much to do as the one alone.
CONNECTIONS = 8
# Seconds of each turn of `_latency`, which changes sides so often that both meet the same machine.
TURN = 3.0
TURNS = 6
# Seconds between two requests of a visitor who comes alone: the instance uses a part of its quarter
# of a core, since one that has used it up stands still for the rest of each 0.1 s.
PAUSE = 0.03
PAIRS = 200
SIZE = 40 * 1024 * 1024  # of the largest attachment's 50 MiB
ROUNDS = 5
DOWNLOADS = 8

# In the instance, since nobody else reaches the database.
_FILL = f"""
{inspect.getsource(mailboxes)}
from sqlalchemy import select
from mailapp import database
from mailapp.accounts.models import Account
from mailapp.settings import Settings

made = database.connect(Settings.from_env(), timeout=None)
with made.engine.begin() as connection:
    fill(connection, {{connection.scalars(select(Account.id)).one(): ({MESSAGES}, True)}})
with made.reader.connect() as connection:
    connection.exec_driver_sql("VACUUM (ANALYZE)")
"""


def missing() -> str | None:
    """Why it can't be measured here, if it can't."""
    try:
        subprocess.run(["docker", "info"], check=True, capture_output=True, timeout=30)
    except (OSError, subprocess.SubprocessError):
        return "it needs Docker, which does not answer"
    return None


def measure() -> list[Figure]:
    """What three instances do beside one, and what nginx adds to one and takes off it."""
    with _one_instance() as stack:
        person = stack.person("reader")
        cookie = "; ".join(f"{key}={value}" for key, value in person.client.cookies.items())
        person.send("reader@mail.example", "Large", "", [Attached("file", os.urandom(SIZE))])
        person.open("Large")
        file = load.get(str(person.link("file")["href"]), cookie)
        inbox = load.get("/mail/inbox", cookie)
        _rate(stack, inbox, instances=1, seconds=WARM_UP)
        busy = _latency(stack, inbox, CONNECTIONS)
        alone = _alone(stack, inbox)
        handed, streamed = _downloads(stack, file)
        one = _rate(stack, inbox, instances=1, seconds=SECONDS)
        stack.up(instances=3)
        _rate(stack, inbox, instances=3, seconds=WARM_UP)
        three = _rate(stack, inbox, instances=3, seconds=SECONDS)
    return [
        Figure(
            "inbox: requests/s of 3 instances, of 1",
            three / one,
            least=2.7,
            note=f"{three:.0f} requests/s of {one:.0f}",
        ),
        Figure(
            f"inbox: p50 through nginx, of past it, {CONNECTIONS} at once",
            busy.through / busy.direct,
            most=1.1,
            note=str(busy),
        ),
        Figure(
            "inbox: the same, one visitor on an idle instance",
            alone.through / alone.direct,
            note=str(alone),
        ),
        Figure(
            "download by X-Accel-Redirect: bytes per CPU second, of streamed",
            streamed.together / handed.together,
            least=3,
            note=f"{handed} of {streamed}",
        ),
        Figure("the same, of the instance's alone", streamed.web / handed.web),
    ]


@contextmanager
def _one_instance() -> Iterator[Stack]:
    """The stack with one instance, and somebody with a full mailbox."""
    stack = Stack(FILES)
    try:
        stack.compose("build")
        stack.up(instances=1)
        stack.add_people("reader")
        stack.compose("exec", "-T", "web", "python", "-", said=_FILL)
        yield stack
    finally:
        stack.down()


def _rate(stack: Stack, request: bytes, *, instances: int, seconds: float) -> float:
    """Answers a second, with every connection asking again as soon as it has its answer."""
    answers, took = load.drive(
        stack.port, itertools.repeat(request), connections=CONNECTIONS * instances, seconds=seconds
    )
    return len(answers) / took


def _latency(stack: Stack, request: bytes, connections: int) -> _Ways:
    """The median seconds of an answer past nginx and through it, on so many connections at once.

    Both ways lead from this machine through the engine's own forwarding of a published port.
    """
    ports = (_direct_port(stack), stack.port)
    taken: list[list[float]] = [[], []]
    for _ in range(TURNS):
        for port, seconds in zip(ports, taken, strict=True):
            requests = itertools.repeat(request)
            seconds += load.drive(port, requests, connections=connections, seconds=TURN)[0]
    return _Ways(*map(median, taken))


def _alone(stack: Stack, request: bytes) -> _Ways:
    """The same for one request at a time, with a pause after each, in turn."""
    ways = [load.Connection(port) for port in (_direct_port(stack), stack.port)]
    taken: list[list[float]] = [[], []]
    for _ in range(PAIRS):
        for way, seconds in zip(ways, taken, strict=True):
            started = time.perf_counter()
            answer = way.ask(request)
            seconds.append(time.perf_counter() - started)
            if answer.status != 200:
                raise RuntimeError(answer.head.decode("latin-1"))
            time.sleep(PAUSE)
    for way in ways:
        way.close()
    return _Ways(*map(median, taken))


def _downloads(stack: Stack, request: bytes) -> tuple[_Cost, _Cost]:
    """(handed over to nginx, streamed by the application): what the same downloads through nginx
    cost, in turn.

    What the store takes is left out; it sends the same in both.
    """
    # A condition that nginx can't be told: the application answers such a request itself.
    streamed = request.removesuffix(b"\r\n") + b"If-Match: *\r\n\r\n"
    asked = load.Connection(_direct_port(stack))
    head = asked.ask(request).head
    asked.close()
    if b"X-Accel-Redirect" not in head:
        raise RuntimeError(f"not handed over: {head!r}")
    spent = {request: _Cost(0, 0), streamed: _Cost(0, 0)}
    through = load.Connection(stack.port)
    for _ in range(ROUNDS):
        for way, cost in spent.items():
            before = _Cost.until_now(stack)
            for _ in range(DOWNLOADS):
                status, read = through.download(way)
                if status != 200 or read != SIZE:
                    raise RuntimeError(f"status {status}, {read} of {SIZE} bytes")
            now = _Cost.until_now(stack)
            spent[way] = _Cost(
                cost.nginx + now.nginx - before.nginx, cost.web + now.web - before.web
            )
    through.close()
    return spent[request], spent[streamed]


@dataclass(frozen=True)
class _Ways:
    """Seconds past nginx, and through it."""

    direct: float
    through: float

    def __str__(self) -> str:
        return f"{self.through * 1e3:.2f} ms of {self.direct * 1e3:.2f} ms"


@dataclass(frozen=True)
class _Cost:
    """Seconds of CPU time of nginx's processes and of the instance's; health checks, which are
    over each time, not among them."""

    nginx: float
    web: float

    @classmethod
    def until_now(cls, stack: Stack) -> Self:
        """Since they were started."""
        return cls(*(cls._of(stack, service) for service in ("nginx", "web")))

    @staticmethod
    def _of(stack: Stack, service: str) -> float:
        command = ("exec", "-T", service, "sh", "-c", "cat /proc/[0-9]*/stat")
        # See tests.bench.stage.cpu_seconds.
        fields = [line.rpartition(")")[2].split() for line in stack.compose(*command).splitlines()]
        return sum(int(of[11]) + int(of[12]) for of in fields) / os.sysconf("SC_CLK_TCK")

    @property
    def together(self) -> float:
        return self.nginx + self.web

    def __str__(self) -> str:
        sent = ROUNDS * DOWNLOADS * SIZE / 1e6
        return f"{sent / self.together:.0f} MB (nginx {self.nginx:.2f} s, web {self.web:.2f} s)"


def _direct_port(stack: Stack) -> int:
    return int(stack.compose("port", "web", "8000").rpartition(":")[2])
