"""Stage 6: what a visitor sees of a server that is killed, stopped, hung or sick, by the check."""

from __future__ import annotations

import time
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import partial

import httpx

from deploy.topology import free_port
from tests.cluster.stack import eventually
from tests.people import Person
from tests.stages.scene import Scene, must, standing, tell
from tests.stages.views import View, outcomes, slowest, view, views

TITLE = "health checks: none, L4 and L7"
COMPOSE = "6-health-checks/compose.yml"
CHECKS = {"none": "PORT_NONE", "L4": "PORT_L4", "L7": "PORT_L7"}
VIEWS = 30
APART = 0.25  # seconds from one view's beginning to the next one's
LAST = 8  # so many at the end tell whether it still fails


@dataclass(frozen=True)
class Fault:
    """How a server comes to harm and is helped, and which checks see it."""

    name: str
    harm: str
    help: str
    seen_by: frozenset[str]


FAULTS = (
    Fault("killed", "docker kill", "docker start", frozenset({"L4", "L7"})),
    Fault("stopped", "docker stop", "docker start", frozenset({"L4", "L7"})),
    Fault("hung", "docker pause", "docker unpause", frozenset({"L7"})),
    # The database is in the network `back`, the balancers are in `front`.
    Fault(
        "sick",
        "docker network disconnect PROJECT_back",
        "docker network connect PROJECT_back",
        frozenset({"L7"}),
    ),
)


def show() -> None:
    ports = {variable: str(free_port()) for variable in CHECKS.values()}
    with standing(COMPOSE, people=("alice",), at="web-1", environment=ports) as scene:
        scene.port = int(ports["PORT_L7"])  # by which she logs in
        visitors = _visitors(scene, ports)
        tell(
            f"Three balancers in front of web-1 and web-2 differ in their check alone, and none "
            f"tries a failed view again. For each fault of web-1, Alice looks at her inbox {VIEWS} "
            f"times through each, one view every {APART} s from the beginning of the fault on. ("
            + ", ".join(f"{fault.name}: {fault.harm.partition(' PRO')[0]}" for fault in FAULTS)
            + ")"
        )
        rows = [_try(scene, visitors, fault) for fault in FAULTS]
        print(_table(rows), flush=True)
        for fault, seen in zip(FAULTS, rows, strict=True):
            _judge(fault, seen)
        tell(
            "Without a check every fault goes on until somebody comes. L4 sees a server that is "
            "gone. One that hangs or is sick still takes connections: only L7 asks whether it can "
            "serve, and it hears of a server that stops before that is gone."
        )
    tell("Next, stage 7: the whole.")


def _try(scene: Scene, visitors: Mapping[str, httpx.Client], fault: Fault) -> dict[str, list[View]]:
    """The views under each check, in the order they were begun; web-1 is well again afterwards."""
    _until_well(visitors)
    web = scene.container("web-1")

    def do(command: str) -> None:
        scene.docker(*command.replace("PROJECT", scene.project).split()[1:], web)

    with ThreadPoolExecutor(len(visitors) * VIEWS + 1) as pool:
        begun = time.monotonic()
        harmed = pool.submit(do, fault.harm)
        asked = []
        for number in range(VIEWS):
            time.sleep(max(0.0, begun + number * APART - time.monotonic()))
            asked.append({check: pool.submit(view, it) for check, it in visitors.items()})
        seen = {check: [each[check].result() for each in asked] for check in visitors}
        harmed.result()
    do(fault.help)
    return seen


def _judge(fault: Fault, seen: Mapping[str, list[View]]) -> None:
    """NotSeen where a check saw a fault that it can't see, or not one that it can."""
    for check, found in seen.items():
        if check in fault.seen_by:
            must(not _goes_on(found), f"a server that is {fault.name} was not seen by {check}")
        else:
            must(_goes_on(found), f"a server that is {fault.name} did no harm with check {check}")
    if fault.name == "stopped":
        failed = outcomes(each for each in seen["L7"] if not each.fine)
        must(not failed, f"a server that stops cost views even with L7: {failed}")


def _table(rows: list[dict[str, list[View]]]) -> str:
    head = f"  {'web-1 is':8}  {'check':5}  {f'failed of {VIEWS}':26}  {'slowest':>7}   noticed"
    lines = ["", head, ""]
    for fault, seen in zip(FAULTS, rows, strict=True):
        for number, (check, found) in enumerate(seen.items()):
            failed = [each for each in found if not each.fine]
            how = f"{len(failed):2} ({outcomes(failed)})" if failed else " 0"
            name = fault.name if number == 0 else ""
            lines.append(
                f"  {name:8}  {check:5}  {how:26}  {slowest(found):>7}   {_noticed(found)}"
            )
        lines.append("")
    return "\n".join(lines)


def _noticed(seen: list[View]) -> str:
    """When the last view that failed was begun."""
    if _goes_on(seen):
        return "never"
    failed = [number for number, each in enumerate(seen) if not each.fine]
    return f"after {(failed[-1] + 1) * APART:.1f} s" if failed else "in time"


def _goes_on(seen: list[View]) -> bool:
    return not all(each.fine for each in seen[-LAST:])


def _visitors(scene: Scene, ports: Mapping[str, str]) -> dict[str, httpx.Client]:
    """Alice's browser, logged in, at each of the balancers."""
    alice = scene.person("alice").client
    visitors = {}
    for check, variable in CHECKS.items():
        visitor = httpx.Client(
            base_url=f"http://127.0.0.1:{ports[variable]}",
            cookies=alice.cookies,
            timeout=20,
            # A connection for each view. On one that is kept, HAProxy would not answer a failure
            # but hang up, for the browser to try again.
            limits=httpx.Limits(max_keepalive_connections=0),
        )
        scene.people.append(Person(visitor))  # so that it is closed with theirs
        visitors[check] = visitor
    return visitors


def _until_well(visitors: Mapping[str, httpx.Client]) -> None:
    """Wait until both servers serve behind every balancer."""

    def both_serve(visitor: httpx.Client) -> bool:
        seen = views(visitor, 8)
        return all(each.fine for each in seen) and len({each.server for each in seen}) == 2

    for check, visitor in visitors.items():
        well = eventually(partial(both_serve, visitor))
        must(well, f"web-1 and web-2 do not both serve behind the balancer with check {check}")
