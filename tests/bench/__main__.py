"""`make bench`: how fast it is, as ratios within one run, each against its bound."""

from __future__ import annotations

import argparse
import sys
import tempfile
from collections.abc import Callable, Sequence
from pathlib import Path

from tests.bench import growth, idle, live, pages, scale, search, transfers
from tests.bench.figures import Figure, machine, table
from tests.bench.stage import Stage, stage


def _on_a_stage(measure: Callable[[Stage], list[Figure]]) -> Callable[[], list[Figure]]:
    """`measure` with servers and data of its own: no part warms up or burdens another."""

    def measured() -> list[Figure]:
        with (
            tempfile.TemporaryDirectory(prefix="mailapp-bench-") as directory,
            stage(Path(directory)) as ready,
        ):
            return measure(ready)

    return measured


PARTS: dict[str, tuple[str, Callable[[], Sequence[Figure]]]] = {
    "pages": (
        "Pages, relative to an empty Flask view under the same gunicorn",
        _on_a_stage(pages.measure),
    ),
    "growth": ("The size of a mailbox", _on_a_stage(growth.measure)),
    "search": ("Searching a million messages", _on_a_stage(search.measure)),
    "transfers": (
        "Attachments, relative to the store through its own SDK",
        _on_a_stage(transfers.measure),
    ),
    "idle": ("An idle instance", _on_a_stage(idle.measure)),
    "live": ("Open pages", _on_a_stage(live.measure)),
    "scale": ("In containers, each instance on a quarter of a core", scale.measure),
}


def main() -> None:
    """Print every figure; with --check, status 1 when one misses its bound."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"some of {', '.join(PARTS)}")
    parser.add_argument("--check", action="store_true", help="fail when a figure misses its bound")
    asked = parser.parse_args()
    if unknown := set(asked.parts) - PARTS.keys():
        parser.error(f"there is no part {', '.join(sorted(unknown))}")
    parts, left_out = asked.parts or list(PARTS), ""
    if "scale" in parts and (why := scale.missing()):
        if asked.parts:
            parser.error(f"scale can't be measured: {why}")
        parts.remove("scale")
        left_out = f" Not measured: scale; {why}."
    print(machine(), flush=True)
    missed = 0
    for name in parts:
        title, measure = PARTS[name]
        figures = measure()
        print(table(title, figures), flush=True)
        missed += sum(not figure.kept for figure in figures)
    said = f"{missed} of the bounds missed." if missed else "Every bound kept."
    print(f"\n{said}{left_out}")
    sys.exit(1 if missed and asked.check else 0)


if __name__ == "__main__":
    main()
