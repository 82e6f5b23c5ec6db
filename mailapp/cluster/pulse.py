"""What the last minutes of an instance were like, from what its workers count for Prometheus."""

from __future__ import annotations

import os
import time
from collections import deque
from pathlib import Path
from typing import Any, NamedTuple

from prometheus_client.multiprocess import MultiProcessCollector

from mailapp.cluster.record import POINTS, STEP

# Asked every second by balancers and supervisors, and by the heartbeat itself.
_QUIET = ("/livez", "/healthz")


class Counted(NamedTuple):
    """Since the instance's start: requests answered, those with 500 and above, and what all took
    together, in seconds."""

    answered: float = 0.0
    errors: float = 0.0
    seconds: float = 0.0


def counted(figures: Path) -> Counted:
    """What all workers have counted in that folder, those included that are gone."""
    answered = errors = seconds = 0.0
    for metric in _merged(figures, "counter", "histogram"):
        for sample in metric.samples:
            if sample.labels.get("route") in _QUIET:
                continue
            if sample.name == "mailapp_http_requests_total":
                answered += sample.value
                errors += sample.value * (sample.labels["status"] >= "500")
            elif sample.name == "mailapp_http_request_duration_seconds_sum":
                seconds += sample.value
    return Counted(answered, errors, seconds)


def under_way(figures: Path) -> int:
    """How many requests the workers that live are answering."""
    return sum(
        int(sample.value)
        for metric in _merged(figures, "gauge_livesum")
        for sample in metric.samples
        if sample.name == "mailapp_http_requests_in_progress"
    )


def _merged(figures: Path, *kinds: str) -> Any:
    """Only the files of these kinds: most series are none that are needed here."""
    files = [str(path) for kind in kinds for path in figures.glob(f"{kind}_*.db")]
    return MultiProcessCollector.merge(files)  # type: ignore[no-untyped-call]


class Pulse:
    """A point a STEP of what the instance did meanwhile; see Record for the units."""

    cpu: float | None = None
    latency: float | None = None

    def __init__(self, figures: Path) -> None:
        self._figures = figures
        self.requests: deque[float] = deque(maxlen=POINTS)
        self.errors: deque[float] = deque(maxlen=POINTS)
        self._before = counted(figures)
        self._used = _processor_seconds()
        self._at = time.monotonic()

    def take(self) -> None:
        """Add the point of the time since the last one."""
        at = time.monotonic()
        length = at - self._at
        if length < STEP / 2:  # the first, which is asked for at once
            return
        now, before = counted(self._figures), self._before
        used = _processor_seconds()
        answered = now.answered - before.answered
        self.requests.append(round(answered / length, 1))
        self.errors.append(round((now.errors - before.errors) / length, 1))
        self.latency = (now.seconds - before.seconds) * 1000 / answered if answered else None
        # Of those that were there before: a worker that has ended meanwhile takes its time along.
        shares = [used[pid] - self._used[pid] for pid in used if pid in self._used]
        self.cpu = round(sum(shares) / length, 3) if shares else None
        self._before, self._used, self._at = now, used, at


def _processor_seconds() -> dict[int, float]:
    """What each process of the instance has used of the processors; nothing without /proc."""
    ticks = os.sysconf("SC_CLK_TCK")
    parent = os.getppid()
    try:
        children = Path(f"/proc/{parent}/task/{parent}/children").read_text().split()
    except OSError:
        return {}
    found = {}
    for pid in (parent, *map(int, children)):
        try:
            # Behind the program's name, which may hold anything: proc_pid_stat(5).
            fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        except OSError:
            continue
        found[pid] = (int(fields[11]) + int(fields[12])) / ticks
    return found
