"""Whether this instance is leaving: one byte that all its processes share."""

from __future__ import annotations

import mmap

# Anonymous and shared, and made when the module is imported, which is before the server forks its
# workers: what the parent writes on SIGTERM is what every worker reads at its next request, those
# included that are started while the instance drains.
_flag = mmap.mmap(-1, 1)


def begin_drain() -> None:
    """From now on every process of this instance says that it is leaving."""
    _flag[0] = 1


def draining() -> bool:
    """Whether this instance has been asked to stop."""
    return _flag[0] == 1
