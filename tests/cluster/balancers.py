"""What an instance that fails costs those who come through nginx, and through HAProxy.

nginx learns of a fault from visitors' requests (passive checks), HAProxy asks every second (active
checks). Both stand in front of the same three instances here, so that the same fault meets both.
`make balancers` writes the table in deploy/balancers.md.
"""

from __future__ import annotations

import http.client
import sys
import threading
import time
from collections.abc import Callable, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from urllib.parse import urlsplit

from deploy.topology import REPOSITORY
from tests.cluster.container import Container
from tests.cluster.stack import Stack, running

PAGE = REPOSITORY / "deploy" / "balancers.md"
BEGIN, END = "<!-- begin: measured -->\n", "<!-- end: measured -->\n"

HAPROXY = ("docker-compose.yml", "deploy/haproxy/compose.yml")
# Visitors a second through each balancer, who come whether or not others still wait.
RATE = 15
# Seconds that a fault lasts.
AWAY = 20
# From here on, in seconds, a visitor has waited for the fault, and not for a busy machine.
SLOW = 2


@dataclass(frozen=True)
class Visit:
    """One page view: when it began and how long it took, in seconds; 0 where no answer came."""

    began: float
    took: float
    status: int


@dataclass(frozen=True)
class Cost:
    """What the visitors saw; in seconds the slowest, and from the fault until none still waited."""

    requests: int
    failed: int
    slow: int
    slowest: float
    until: float


@dataclass
class Crowd:
    """People who open a page at a steady rate, each on a connection of their own."""

    url: str
    visits: list[Visit] = field(default_factory=list)

    @contextmanager
    def coming(self) -> Iterator[None]:
        """While the body runs; every answer is waited for at the end."""
        done = threading.Event()
        gate = threading.Thread(target=self._open, args=(done,))
        gate.start()
        try:
            yield
        finally:
            done.set()
            gate.join()

    def cost(self, fault: float) -> Cost:
        """What a fault at that moment, by time.monotonic(), cost them."""
        failed = [visit for visit in self.visits if visit.status != 200]
        slow = [visit for visit in self.visits if visit.took >= SLOW]
        return Cost(
            requests=len(self.visits),
            failed=len(failed),
            slow=len(slow),
            slowest=max(visit.took for visit in self.visits),
            until=max((visit.began + visit.took - fault for visit in failed + slow), default=0.0),
        )

    def _open(self, done: threading.Event) -> None:
        visitors = []
        while not done.wait(1 / RATE):
            visitors.append(threading.Thread(target=self._visit))
            visitors[-1].start()
        for visitor in visitors:
            visitor.join()

    def _visit(self) -> None:
        began = time.monotonic()
        connection = http.client.HTTPConnection(urlsplit(self.url).netloc, timeout=60)
        try:
            connection.request("GET", "/login")
            answer = connection.getresponse()
            answer.read()
            status = answer.status
        except (OSError, http.client.HTTPException):
            status = 0
        finally:
            connection.close()
        self.visits.append(Visit(began, time.monotonic() - began, status))


def killed(instance: Container) -> None:
    """Its processes are gone at once, and so is its name."""
    instance.docker("kill")
    time.sleep(AWAY)
    instance.docker("start")


def hung(instance: Container) -> None:
    """It stands still; its kernel still accepts connections."""
    with instance.hung():
        time.sleep(AWAY)


def cut_off(instance: Container) -> None:
    """Nothing reaches it, nor anybody from it."""
    with instance.cut_off():
        time.sleep(AWAY)


def left_alone(instance: Container) -> None:
    """Nothing happens to it: what the machine itself costs."""
    time.sleep(AWAY / 4)


FAULTS: Mapping[str, Callable[[Container], None]] = {
    "left alone": left_alone,
    "killed": killed,
    "hung": hung,
    "cut off": cut_off,
}


@contextmanager
def nginx_beside(stack: Stack) -> Iterator[str]:
    """nginx on a port of its own, before the same instances as HAProxy in this stack; its URL."""
    beside = Stack()
    beside.options = ["--project-name", stack.project]
    beside.compose("up", "--detach", "--wait", "--no-recreate", "--no-deps", "nginx")
    try:
        yield beside.url
    finally:
        beside.compose("rm", "--force", "--stop", "nginx")
        stack.docker("volume", "rm", f"{stack.project}_static")  # nginx's own


def measure(stack: Stack, nginx: str, fault: str) -> dict[str, Cost]:
    """What this fault of one instance costs, by balancer; the instance serves again afterwards."""
    crowds = {"nginx": Crowd(nginx), "HAProxy": Crowd(stack.url)}
    instance = Container(stack, "web")
    with crowds["nginx"].coming(), crowds["HAProxy"].coming():
        time.sleep(2)
        began = time.monotonic()
        FAULTS[fault](instance)
        time.sleep(2)
    stack.up()
    return {balancer: crowd.cost(began) for balancer, crowd in crowds.items()}


def table(rows: Mapping[str, Mapping[str, Cost]]) -> str:
    """The figures as Markdown, a line for each fault and balancer."""
    lines = [
        f"| an instance is | through | page views | failed | over {SLOW} s | slowest "
        "| nobody waits after |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: |",
    ]
    for fault, costs in rows.items():
        for balancer, cost in costs.items():
            last = f"{cost.until:.0f} s" if cost.failed + cost.slow else "–"
            lines.append(
                f"| {fault} | {balancer} | {cost.requests} | {cost.failed} | {cost.slow} "
                f"| {cost.slowest:.1f} s | {last} |"
            )
    return "\n".join(lines) + "\n"


def main() -> None:
    """Measure every fault; print the table, or write it to where it is read."""
    with running(Stack(HAPROXY)) as stack, nginx_beside(stack) as nginx:
        rows = {}
        for fault in FAULTS:
            rows[fault] = measure(stack, nginx, fault)
            print(table({fault: rows[fault]}), flush=True)
    if "--record" in sys.argv:
        before, _, rest = PAGE.read_text(encoding="utf-8").partition(BEGIN)
        after = rest.partition(END)[2]
        PAGE.write_text(f"{before}{BEGIN}{table(rows)}{END}{after}", encoding="utf-8")


if __name__ == "__main__":
    main()
