"""The instances that are alive now, and what they come to together."""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Sequence
from itertools import zip_longest
from typing import NamedTuple

import msgspec

from mailapp.cluster.record import POINTS, Record, decode
from mailapp.cluster.registry import Registry

# Seconds since its last beat for which an instance is taken for alive: two beats may be late.
ALIVE = 3.5


class Overview(NamedTuple):
    """All of them at one moment, by name.

    `silent_for` is, for each instance that stopped without a word within the last minute, how many
    seconds ago it did. `requests` and `errors` are the sums of the instances' own.
    """

    instances: list[Record]
    silent_for: list[float]
    versions: list[tuple[str, int]]
    requests: list[float]
    errors: list[float]

    @property
    def serving(self) -> list[Record]:
        """Those that a balancer sends people to."""
        return [record for record in self.instances if record.state in {"ok", "degraded"}]

    @property
    def newest_version(self) -> str:
        """The highest version that an instance has."""
        return self.versions[-1][0]


def look(registry: Registry) -> Overview:
    """Who is alive. What the store raises passes through."""
    alive: list[Record] = []
    silent_for: list[float] = []
    for data, age in registry.all():
        try:
            record = decode(data)
        except msgspec.MsgspecError:  # of a version that says less than we ask for
            continue
        if age <= ALIVE:
            alive.append(record)
        elif record.state != "draining":  # that one had said that it would go
            silent_for.append(age)
    alive.sort(key=lambda record: (_as_counted(record.name), -record.uptime))
    return Overview(
        instances=alive,
        silent_for=sorted(silent_for),
        versions=sorted(
            Counter(record.version for record in alive).items(),
            key=lambda version: _as_counted(version[0]),
        ),
        requests=_sum([record.requests for record in alive]),
        errors=_sum([record.errors for record in alive]),
    )


def _as_counted(name: str) -> list[tuple[int, str]]:
    """A name as people order it: web-2 before web-10."""
    return [
        (int(part), "") if part.isdecimal() else (0, part)
        for part in re.split(r"(\d+)", name)
        if part
    ]


def _sum(lines: Sequence[Sequence[float]]) -> list[float]:
    """The sum of lines that end at the same moment."""
    columns = zip_longest(*(reversed(line) for line in lines), fillvalue=0.0)
    return [round(sum(column), 1) for column in columns][:POINTS][::-1]
