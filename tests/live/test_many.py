"""Hundreds of open pages at one instance."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import httpx
import pytest

from deploy.topology import Web, family
from tests.conftest import Environment
from tests.live.streams import Page, counter
from tests.people import Person


@pytest.mark.parametrize("parts", ["embedded"], indirect=True)
def test_500_open_pages_hold_no_thread_and_little_memory(
    environment: Environment,
    tmp_path: Path,
    somebody: Callable[[str, Web], Person],
    page: Callable[..., Page],
) -> None:
    few = {**environment, "WEB_WORKERS": "1", "WEB_THREADS": "2", "DRAIN_SECONDS": "0"}
    with Web(tmp_path / "web-1", few) as web:
        alice = somebody("Alice", web)
        known = counter(alice)
        before = _memory(web)
        pages = [page(web, alice, known) for _ in range(500)]
        taken = _memory(web) - before

        assert httpx.get(web.url + "/login").status_code == 200
        assert taken < 50 * 1024
        alice.send("alice@mail.example", "To all of them")
        for one in pages:
            one.is_told(known + 1)


def _memory(web: Web) -> int:
    """What all its processes hold, in KiB."""
    sizes = (
        int(line.split()[1])
        for pid in family(web.pid)
        for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        if line.startswith("Pss:")
    )
    return sum(sizes)
