"""`make faults`: each part of the compose stack killed, stopped, hung, cut off and restarted, while
twenty people use it; what they saw of it, and whether everything they were promised still holds.

Needs Docker and, to kill a process and to cut a container off, root. What it finds is compared with
faults.md beside this file, which RECORD=1 writes anew.
"""

from __future__ import annotations

import argparse
import json
import sys
import time
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from deploy.topology import REPOSITORY
from tests.cluster.container import Container
from tests.cluster.ledger import BUSY, PROMISED, figures
from tests.cluster.load import Load
from tests.cluster.matrix import (
    RECORD,
    Case,
    broken,
    differences,
    every_case,
    rows_of,
    table,
    with_cases,
)
from tests.cluster.stack import Stack

PEOPLE = 20
# Seconds of the load before the fault, for which a part stays away, and after its return: longer
# than WHOLE_WITHIN.
BEFORE, AWAY, STOPPED, AFTER = 2.0, 10.0, 4.0, 7.0
# The most seconds that an answer may take longer than promised because the machine is busy: no more
# than that tells a hang from it, since nginx asks another instance after 5 s.
BUSIEST = 1.9


def hung(container: Container) -> None:
    """It stands still for as long as a part stays away."""
    with container.hung():
        time.sleep(AWAY)


def cut_off(container: Container) -> None:
    """Nothing reaches it, nor anybody from it, for as long as a part stays away."""
    with container.cut_off():
        time.sleep(AWAY)


FAULTS: Mapping[str, Callable[[Container], None]] = {
    "killed": Container.kill,
    "stopped": lambda container: container.stop(STOPPED),
    "hung": hung,
    "cut off": cut_off,
    "restarted": Container.restart,
}


def run(stack: Stack, load: Load, part: str, fault: str) -> dict[str, Any]:
    """One case: its figures, `recovered_s` counted from the part's return."""
    container, since, first = Container(stack, part), time.monotonic(), len(load.tries)
    with load.running():
        time.sleep(BEFORE)
        # A machine that is busy with other things needs no fault to be slow.
        usual = max((one.seconds for one in load.tries[first:]), default=0.0)
        load.soon = PROMISED + min(max(BUSY, usual), BUSIEST)
        FAULTS[fault](container)
        returned = time.monotonic()
        time.sleep(AFTER)
    tries = load.tries[first:]
    last = max((one.ended for one in tries if one.kind), default=returned)
    verdict = load.audit(since)
    measured = figures(tries, verdict, load.sessions, load.count_lost_sessions())
    recovered = {"recovered_s": round(max(0.0, last - returned), 1)}
    return {"part": part, "fault": fault, **measured, **recovered}


def chosen(text: str) -> list[Case]:
    """The cases that CASES names, as `web:killed,redis` does; all of them where it is empty."""
    every = every_case()
    if not text:
        return every
    asked = [tuple(one.replace("-", " ").split(":")) for one in text.split(",")]
    found = [case for case in every if any(case[: len(one)] == one for one in asked)]
    if not all(any(case[: len(one)] == one for case in every) for one in asked):
        sys.exit(f"CASES={text}: there are {', '.join(':'.join(case) for case in every)}.")
    return found


def main() -> None:
    """Print the matrix and write it as JSON; status 1 where anything does not hold."""
    parser = argparse.ArgumentParser(prog="python -m tests.cluster.faults", description=__doc__)
    parser.add_argument("--cases", default="", help="such as web:killed,redis; all by default")
    parser.add_argument("--json", type=Path, default=REPOSITORY / "build" / "faults.json")
    parser.add_argument("--record", action="store_true", help=f"write it to {RECORD.name}")
    asked = parser.parse_args()
    asked.json.parent.mkdir(parents=True, exist_ok=True)
    cases: list[dict[str, Any]] = []
    complaints: list[str] = []
    stack = Stack(environment={"LOGIN_TRIES_ADDRESS": "100000"})
    try:
        stack.compose("build")
        stack.up(3)
        load = Load(stack.url, PEOPLE)
        load.sign_up()
        for part, fault in chosen(asked.cases):
            began = time.monotonic()
            case = run(stack, load, part, fault)
            cases.append(case)
            complaints += [f"{part} {fault}: {why}" for why in broken(case)]
            print(f"{part} {fault} ({time.monotonic() - began:.0f} s): {case}", flush=True)
            for complaint in load.complaints:
                print(f"  {complaint}", flush=True)
            load.complaints.clear()
            asked.json.write_text(json.dumps(cases, indent=1) + "\n")
            if asked.record and not broken(case):
                RECORD.write_text(with_cases(RECORD.read_text(), [case]))
        load.close()
    finally:
        stack.down()
    print(f"\n{table(rows_of(cases))}")
    complaints += differences(RECORD.read_text(), cases)
    for complaint in complaints:
        print(complaint)
    sys.exit(1 if complaints else 0)


if __name__ == "__main__":
    main()
