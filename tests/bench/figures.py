"""A figure with its bound, and the machine it was measured on."""

from __future__ import annotations

import os
import platform
from collections.abc import Sequence
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path


@dataclass(frozen=True)
class Figure:
    """What was measured. `least` and `most` are the bounds it must keep; without, it only informs.

    `note` says what the value was made from.
    """

    name: str
    value: float
    unit: str = "x"
    least: float | None = None
    most: float | None = None
    note: str = ""

    @property
    def kept(self) -> bool:
        """Whether it is within its bounds."""
        return (self.least is None or self.value >= self.least) and (
            self.most is None or self.value <= self.most
        )

    def __str__(self) -> str:
        bound = (
            f">= {self.least:g}" if self.least else f"<= {self.most:g}" if self.most else "no bound"
        )
        verdict = "pass" if self.kept else "FAIL"
        if self.least is None and self.most is None:
            verdict = "-"
        value = f"{self.value:.2f} {self.unit}"
        return f"  {verdict:5} {self.name:58} {value:>10}  {bound:9}  {self.note}".rstrip()


def machine() -> str:
    """The machine and what runs on it, in two lines."""
    cpu = next(
        (
            line.partition(":")[2].strip()
            for line in Path("/proc/cpuinfo").read_text().splitlines()
            if line.startswith("model name")
        ),
        platform.processor() or platform.machine(),
    )
    names = ("flask", "werkzeug", "gunicorn", "sqlalchemy", "psycopg", "redis", "minio")
    memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") / 2**30
    return (
        f"{cpu}, {os.cpu_count()} cores, {memory:.0f} GB, load {os.getloadavg()[0]:.1f}, "
        f"{platform.system()} {platform.release()}\n"
        f"Python {platform.python_version()}, "
        + ", ".join(f"{name} {version(name)}" for name in names)
    )


def table(title: str, figures: Sequence[Figure]) -> str:
    """Figures under a heading."""
    return "\n".join([f"\n{title}", *map(str, figures)])
