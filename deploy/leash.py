"""Ends the servers whose parent is gone: process ids come by standard input, its end is the sign.

See `topology.Leash`, which starts this.
"""

import contextlib
import os
import signal
import sys
import time

from deploy.topology import family

PATIENCE_SECONDS = 8.0


def main() -> None:
    """Keep the list until the pipe closes, then end all that is on it."""
    held: list[int] = []
    for line in sys.stdin:
        sign, pid = line[0], int(line[1:])
        if sign == "+":
            held.append(pid)
        else:
            held.remove(pid)
    members = [member for pid in reversed(held) for member in family(pid)]
    _send(held, signal.SIGCONT)
    _send(held, signal.SIGTERM)
    deadline = time.monotonic() + PATIENCE_SECONDS
    while any(map(_alive, members)) and time.monotonic() < deadline:
        time.sleep(0.1)
    _send(members, signal.SIGKILL)


def _send(pids: list[int], number: signal.Signals) -> None:
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, number)


def _alive(pid: int) -> bool:
    try:
        os.kill(pid, 0)
    except ProcessLookupError:
        return False
    return True


if __name__ == "__main__":
    main()
