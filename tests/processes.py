"""The processes of an instance, as the system lists them."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from pathlib import Path

COMPANION = "companion"


def workers(instance: int) -> set[int]:
    """The process ids of those that take requests."""
    return {pid for pid, name in _children(instance) if name != COMPANION}


def companions(instance: int) -> set[int]:
    """The process ids of those that do what is due beside the requests: one."""
    return {pid for pid, name in _children(instance) if name == COMPANION}


def _children(parent: int) -> Iterator[tuple[int, str]]:
    for child in Path(f"/proc/{parent}/task/{parent}/children").read_text().split():
        with contextlib.suppress(OSError):  # one that ends meanwhile
            yield int(child), Path(f"/proc/{child}/comm").read_text().strip()
