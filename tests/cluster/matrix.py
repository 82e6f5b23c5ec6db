"""The matrix of faults: what people are expected to see of each, what must hold, and the table that
faults.md keeps of it."""

from __future__ import annotations

import re
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from tests.cluster.ledger import BROKEN, CLEAN, LATE, REFUSED, SILENT, harm

RECORD = Path(__file__).with_name("faults.md")

# Seconds after a part's return in which nothing may fail any more.
WHOLE_WITHIN = 5.0


@dataclass(frozen=True)
class Seen:
    """What people see of a fault: each of `must`, and some of `may`; nothing else."""

    must: frozenset[str] = frozenset()
    may: frozenset[str] = frozenset()

    def __str__(self) -> str:
        said = [*sorted(self.must), *(f"perhaps {kind}" for kind in sorted(self.may))]
        return ", ".join(said) or "nothing"

    def agrees_with(self, kinds: Collection[str]) -> bool:
        """Whether these are the kinds of failures that are expected."""
        return self.must <= set(kinds) <= self.must | self.may


NOTHING = Seen()
# A part that is away for seconds is noticed by someone of twenty; one that is back at once perhaps.
AWAY_PART = Seen(must=frozenset({CLEAN}))
BACK_AT_ONCE = Seen(may=frozenset({CLEAN}))
# The one door: who comes while it is shut stands outside. For some milliseconds after its start it
# doesn't know yet where the instances are.
SHUT = Seen(must=frozenset({REFUSED}), may=frozenset({BROKEN, "502"}))
SHUT_FOR_A_MOMENT = Seen(may=frozenset({REFUSED, BROKEN, "502"}))
# One of three that is silent keeps whoever is sent to it waiting until nginx asks another.
STUCK = Seen(may=frozenset({LATE}))

EXPECTED: Mapping[str, Mapping[str, Seen]] = {
    "web": {
        "killed": NOTHING,
        "stopped": NOTHING,
        "hung": STUCK,
        "cut off": STUCK,
        "restarted": NOTHING,
    },
    **{
        part: {
            "killed": BACK_AT_ONCE,
            "stopped": AWAY_PART,
            "hung": AWAY_PART,
            "cut off": AWAY_PART,
            "restarted": BACK_AT_ONCE,
        }
        for part in ("postgres", "redis", "silo")
    },
    "nginx": {
        "killed": SHUT_FOR_A_MOMENT,
        "stopped": SHUT,
        # What has been sent is answered when it goes on, or too late for a person's patience.
        "hung": Seen(may=frozenset({LATE, SILENT})),
        "cut off": Seen(must=frozenset({SILENT}), may=frozenset({LATE})),
        "restarted": SHUT_FOR_A_MOMENT,
    },
}


def broken(case: Mapping[str, Any]) -> list[str]:
    """What does not hold in a case, as sentences."""
    expected = EXPECTED[case["part"]][case["fault"]]
    said = []
    if harm(case):
        said.append("something that was promised was lost")
    if not case["acknowledged"]:
        said.append("nothing was sent, so nothing was shown")
    if case["recovered_s"] > WHOLE_WITHIN:
        said.append(f"not whole again within {WHOLE_WITHIN:g} s")
    if not expected.agrees_with(case["failures"]):
        said.append(f"people saw {', '.join(case['failures']) or 'nothing'}, not {expected}")
    return said


# The table ---------------------------------------------------------------------------------------

# What every run must find again; then what differs from run to run, within the bounds of `broken`.
PROMISES = (
    *("part", "fault", "what people see", "whole within 5 s", "lost", "doubled", "sessions lost"),
)
FIGURES = ("requests", "failed", "whole after", "sent", "slowest 503")

Case = tuple[str, str]


def promises(case: Mapping[str, Any]) -> list[str]:
    """A case's first columns: the expectation where it was met, and else what was seen."""
    expected = EXPECTED[case["part"]][case["fault"]]
    seen = ", ".join(case["failures"]) or "nothing"
    return [
        case["part"],
        case["fault"],
        str(expected) if expected.agrees_with(case["failures"]) else seen,
        "yes" if case["recovered_s"] <= WHOLE_WITHIN else "no",
        *(str(case[name]) for name in ("lost", "doubled", "sessions_lost")),
    ]


def varying(case: Mapping[str, Any]) -> list[str]:
    """A case's other columns."""
    slowest = f"{case['slowest_503_ms'] / 1000:.1f} s" if CLEAN in case["failures"] else ""
    return [
        str(case["requests"]),
        str(case["failed"]),
        f"{case['recovered_s']:g} s",
        str(case["acknowledged"]),
        slowest,
    ]


def every_case() -> list[Case]:
    """Part and fault of each."""
    return [(part, fault) for part, faults in EXPECTED.items() for fault in faults]


def rows(text: str) -> dict[Case, list[str]]:
    """The cases that a text has a table of, with all columns."""
    found = [re.split(r" *\| *", line)[1:-1] for line in text.splitlines() if line.startswith("| ")]
    return {(row[0], row[1]): row for row in found if (row[0], row[1]) in every_case()}


def table(found: Mapping[Case, list[str]]) -> str:
    """Such rows as a table in Markdown."""
    head = [*PROMISES, *FIGURES]
    lines = [head, ["---"] * len(head), *(found[case] for case in every_case() if case in found)]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def rows_of(cases: Iterable[Mapping[str, Any]]) -> dict[Case, list[str]]:
    """Cases as rows."""
    return {(case["part"], case["fault"]): [*promises(case), *varying(case)] for case in cases}


def grid() -> str:
    """What people see of every fault, as a small table in Markdown: the one in README.md."""
    faults = list(next(iter(EXPECTED.values())))
    lines = [["", *faults], ["---"] * (len(faults) + 1)]
    lines += [[f"`{part}`", *map(str, seen.values())] for part, seen in EXPECTED.items()]
    return "".join(f"| {' | '.join(line)} |\n" for line in lines)


def with_cases(text: str, cases: Iterable[Mapping[str, Any]]) -> str:
    """A text that ends with the table, with these cases put into it."""
    before, _, _ = text.partition("| part |")
    return before + table(rows(text) | rows_of(cases))


def differences(text: str, cases: Iterable[Mapping[str, Any]]) -> list[str]:
    """Where a text with the table promises something else than these cases kept."""
    said = {case: row[: len(PROMISES)] for case, row in rows(text).items()}
    now = {case: row[: len(PROMISES)] for case, row in rows_of(cases).items()}
    return [
        f"{RECORD.name} says {said.get(case)}, now it is {row}"
        for case, row in now.items()
        if said.get(case) != row
    ]
