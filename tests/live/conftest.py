"""Two instances as real processes, on real servers and on the embedded default."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import httpx
import pytest

from deploy.topology import Web, running
from tests.conftest import PASSWORD, Environment
from tests.live.streams import Page, cookie
from tests.people import Person


@pytest.fixture
def webs(environment: Environment, tmp_path: Path) -> Iterator[list[Web]]:
    """Two instances that share all their parts."""
    own = {**environment, "DRAIN_SECONDS": "4", "GRACEFUL_TIMEOUT": "5"}
    made = [Web(tmp_path / name, own, name=name) for name in ("web-1", "web-2")]
    with running(*made):
        yield made


@pytest.fixture
def somebody() -> Iterator[Callable[[str, Web], Person]]:
    """A function that makes an account at an instance, and gives its browser, logged in there."""
    with ExitStack() as clients:

        def make(name: str, at: Web) -> Person:
            client = httpx.Client(base_url=at.url, timeout=20)
            person = Person(clients.enter_context(client))
            person.sign_up(name, f"{name.lower()}@mail.example", PASSWORD)
            assert person.logged_in, person.text
            return person

        yield make


@pytest.fixture
def page() -> Iterator[Callable[..., Page]]:
    """A function that opens a stream at an instance, in somebody's session."""
    opened: list[Page] = []

    def open_one(at: Web, person: Person, known: int | str | None = None) -> Page:
        opened.append(Page(at.url, cookie(person), known))
        return opened[-1]

    yield open_one
    for one in opened:
        one.close()
