"""What an instance says of itself with each beat of its heart."""

from __future__ import annotations

from typing import Literal

import msgspec

# Seconds that a point of the plots stands for, and how many points an instance keeps: four minutes.
STEP = 2
POINTS = 120

# What a balancer is told by /healthz. `silent`: it would get no answer; `starting`: it has not had
# one yet.
State = Literal["ok", "degraded", "unavailable", "draining", "silent", "starting"]


class Part(msgspec.Struct, frozen=True):
    """A part that the instance depends on, as it sees it; `latency` is in milliseconds."""

    name: str
    backend: str
    failing: bool
    latency: float
    error: str = ""


class Record(msgspec.Struct, frozen=True):
    """One instance at one moment.

    `id` is the run's own, because two may have one name by mistake. `uptime` is in seconds: no two
    machines' clocks are compared. Of `requests` and `errors` (answers with 500 and above) each
    point is their number a second in one STEP, oldest first; `latency` is how long those of the
    last STEP took on average, in milliseconds. `room` is how many requests it can have
    `under_way`, and `cpu` the share of one processor it used, both over all its workers.

    While a version is rolled out, each reads the other's records: what is added has a default.
    """

    id: str
    name: str
    version: str
    uptime: float
    state: State
    parts: tuple[Part, ...]
    workers: int
    under_way: int
    room: int
    cpu: float | None
    latency: float | None
    requests: tuple[float, ...]
    errors: tuple[float, ...]


encode = msgspec.json.Encoder().encode
decode = msgspec.json.Decoder(Record).decode
