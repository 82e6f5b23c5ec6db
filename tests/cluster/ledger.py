"""What the people of a load were told, and whether their mailboxes agree."""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

# Why a try was no good, as its person sees it.
REFUSED = "refused"  # nobody listens there
BROKEN = "broken off"  # the connection ended before the answer did
SILENT = "no answer"  # the person's patience ended first
LATE = "late"  # answered, but not as soon as promised
CLEAN = "503"  # with Retry-After
WRONG = "wrong page"  # answered, with something that nobody asked for

# Seconds in which any answer is promised, and one for a machine that is busy with the load itself.
PROMISED, BUSY = 3.0, 1.0


@dataclass(frozen=True)
class Try:
    """One request, once. `kind` is empty when its answer was good; times are monotonic seconds."""

    began: float
    seconds: float
    what: str
    kind: str = ""

    @property
    def ended(self) -> float:
        """When the answer was there, or when it was clear that none would be."""
        return self.began + self.seconds


@dataclass
class Letter:
    """A message somebody pressed Send for; `key` is in its subject and in no other's.

    `files` are the SHA-256 of each attachment by its name. `answered` is when the answer said
    "sent"; None where the person gave up before that.
    """

    key: str
    sender: str
    recipients: tuple[str, ...]
    files: Mapping[str, str]
    pressed: float
    answered: float | None = None


@dataclass
class Found:
    """What the mailboxes hold of a letter: how many copies each person has, and where else it is.

    `files` is what each recipient's copy has attached, by name, as SHA-256.
    """

    copies: Counter[str] = field(default_factory=Counter)
    sent: int = 0
    drafts: int = 0
    files: dict[str, Mapping[str, str]] = field(default_factory=dict)


@dataclass(frozen=True)
class Verdict:
    """What is not as it has to be; a letter is counted at the first that fits."""

    acknowledged: int
    lost: int
    doubled: int
    damaged: int
    half_done: int
    why: tuple[str, ...]


def judge(letters: Iterable[Letter], found: Mapping[str, Found]) -> Verdict:
    """Hold letters against the mailboxes.

    One that was answered "sent" is with each recipient, and among what its sender sent, exactly
    once, its files as they were, and is a draft no more. One whose sender gave up is all of that
    or with nobody, perhaps still a draft: anything between is half done.
    """
    counts: Counter[str] = Counter()
    why = []
    for letter in letters:
        seen = found.get(letter.key, Found())
        copies = [seen.copies[name] for name in letter.recipients] + [seen.sent]
        counts["acknowledged"] += letter.answered is not None
        fault = _fault(letter, seen, copies)
        if fault:
            counts[fault] += 1
            why.append(f"{letter.key} of {letter.sender}: {fault}; {seen}")
    return Verdict(
        acknowledged=counts["acknowledged"],
        lost=counts["lost"],
        doubled=counts["doubled"],
        damaged=counts["damaged"],
        half_done=counts["half_done"],
        why=tuple(why),
    )


def _fault(letter: Letter, seen: Found, copies: list[int]) -> str:
    if max(copies) > 1 or seen.drafts > 1:
        return "doubled"
    if letter.answered is not None and min(copies) == 0:
        return "lost"
    if min(copies) != max(copies) or (copies[0] and seen.drafts):
        return "half_done"
    if any(files != letter.files for files in seen.files.values()):
        return "damaged"
    return ""


def figures(tries: Iterable[Try], verdict: Verdict, sessions: int, lost: int) -> dict[str, Any]:
    """The figures of a load, as JSON has them.

    `recovered_s` is how long, from the first failure on, it took until nothing failed any more.
    """
    tries = list(tries)
    failed = [one for one in tries if one.kind]
    kinds = Counter(one.kind for one in failed)
    times = [one.seconds * 1000 for one in tries] or [0.0]
    cuts = statistics.quantiles(times, n=100, method="inclusive") if len(times) > 1 else times * 99
    clean = [one.seconds * 1000 for one in failed if one.kind == CLEAN]
    began = min((one.began for one in failed), default=0.0)
    return {
        "requests": len(tries),
        "failed": kinds.total(),
        "failures": dict(sorted(kinds.items())),
        "recovered_s": round(max((one.ended for one in failed), default=began) - began, 1),
        "acknowledged": verdict.acknowledged,
        "lost": verdict.lost,
        "doubled": verdict.doubled,
        "damaged": verdict.damaged,
        "half_done": verdict.half_done,
        "sessions": sessions,
        "sessions_lost": lost,
        "p50_ms": round(cuts[49], 1),
        "p95_ms": round(cuts[94], 1),
        "max_ms": round(max(times)),
        "slowest_503_ms": round(max(clean, default=0)),
    }


def told(figures: Mapping[str, Any]) -> str:
    """The figures as a few sentences."""
    kinds = ", ".join(f"{count} {kind}" for kind, count in figures["failures"].items())
    return (
        f"{figures['requests']} requests, {figures['failed']} failed"
        f"{f' ({kinds})' if kinds else ''}; half were answered within "
        f"{figures['p50_ms']:g} ms, 95 of 100 within "
        f"{figures['p95_ms']:g} ms, the slowest within {figures['max_ms']} ms.\n"
        f"Of {figures['acknowledged']} messages answered “sent”, {figures['lost']} were lost, "
        f"{figures['doubled']} doubled, {figures['damaged']} damaged; {figures['half_done']} "
        f"messages were left half done; of {figures['sessions']} sessions "
        f"{figures['sessions_lost']} were lost."
    )


def harm(figures: Mapping[str, Any]) -> int:
    """How much of what people were promised does not hold: what no fault excuses."""
    return sum(
        figures[name] for name in ("lost", "doubled", "damaged", "half_done", "sessions_lost")
    )
