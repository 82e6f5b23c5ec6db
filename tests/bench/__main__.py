"""`make bench`: how fast it is, as ratios within one run, each against its bound."""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from tests.bench import growth, idle, pages, transfers
from tests.bench.figures import machine, table
from tests.bench.stage import stage

PARTS = {
    "pages": ("Pages, relative to an empty Flask view under the same gunicorn", pages.measure),
    "growth": ("The size of a mailbox", growth.measure),
    "transfers": ("Attachments, relative to the store through its own SDK", transfers.measure),
    "idle": ("An idle instance", idle.measure),
}


def main() -> None:
    """Print every figure; with --check, status 1 when one misses its bound."""
    parser = argparse.ArgumentParser(prog="python -m tests.bench", description=__doc__)
    parser.add_argument("parts", nargs="*", metavar="PART", help=f"some of {', '.join(PARTS)}")
    parser.add_argument("--check", action="store_true", help="fail when a figure misses its bound")
    asked = parser.parse_args()
    if unknown := set(asked.parts) - PARTS.keys():
        parser.error(f"there is no part {', '.join(sorted(unknown))}")
    print(machine(), flush=True)
    missed = 0
    for name in asked.parts or PARTS:
        title, measure = PARTS[name]
        # Servers and data of its own: no part warms up or burdens another.
        with (
            tempfile.TemporaryDirectory(prefix="mailapp-bench-") as directory,
            stage(Path(directory)) as ready,
        ):
            figures = measure(ready)
        print(table(title, figures), flush=True)
        missed += sum(not figure.kept for figure in figures)
    print(f"\n{missed} of the bounds missed." if missed else "\nEvery bound kept.")
    sys.exit(1 if missed and asked.check else 0)


if __name__ == "__main__":
    main()
