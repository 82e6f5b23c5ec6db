"""`make stage N=4`: shows one step of the story in deploy/stages with real containers."""

from __future__ import annotations

import argparse
import sys

from deploy.run import listen_for_the_end
from tests.stages import (
    attachments,
    database_apart,
    health_checks,
    one_machine,
    sessions,
    two_servers,
    whole,
)
from tests.stages.scene import NotSeen

STAGES = (one_machine, database_apart, two_servers, sessions, attachments, health_checks, whole)


def main() -> None:
    """Exit with 0 when what the stage shows was seen, else with 1 and a sentence."""
    parser = argparse.ArgumentParser(prog="make stage", description=__doc__)
    numbers = range(1, len(STAGES) + 1)
    parser.add_argument("number", type=int, choices=numbers, metavar="N", help="1 to 7")
    number = parser.parse_args().number
    listen_for_the_end()
    stage = STAGES[number - 1]
    print(f"\nStage {number}: {stage.TITLE}\n", flush=True)
    try:
        stage.show()
    except NotSeen as why:
        sys.exit(f"\nStage {number} did not show what it is there to show: {why}.")
    except AssertionError as failure:
        sys.exit(f"\nStage {number} could not be shown: {failure}")
    except KeyboardInterrupt:
        sys.exit(f"\nStage {number} was stopped and is removed.")
    print(f"\nStage {number} was seen, and nothing of it is left.")


if __name__ == "__main__":
    main()
