"""The parts and two instances; each test here leaves all of them running."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.topology import HOST, Nginx, Postgres, SeaweedFS, Valkey, Web, running, variables
from tests.services.house import PASSWORD, PEOPLE, House


@pytest.fixture(scope="session")
def house(tmp_path_factory: pytest.TempPathFactory) -> Iterator[House]:
    """Two instances with alice and bob."""
    place: Path = tmp_path_factory.mktemp("house")
    postgres = Postgres(place / "postgres", durable=False)
    valkey = Valkey(place / "valkey")
    seaweedfs = SeaweedFS(place / "seaweedfs")
    settings = {
        "SECRET_KEY": "not a secret, since it is only for tests 0123456789",
        **variables(postgres, valkey, seaweedfs),
        "TRUSTED_PROXIES": f"{HOST}/32",
        "DRAIN_SECONDS": "1",
        "LOGIN_TRIES_ADDRESS": "10000",
        "UNDO_SEND_SECONDS": "0",
        "WEB_WORKERS": "1",  # so that one burst reaches every pooled connection of an instance
    }
    webs = [Web(place / name, settings, name=name) for name in ("web-1", "web-2")]
    made = House(postgres, valkey, seaweedfs, webs, settings)
    with running(postgres, valkey, seaweedfs):
        made.command("migrate")
        made.wait_for_store()
        for name in PEOPLE:
            address = f"{name}@mail.example"
            made.command(
                *("user", "add", address, "--name", name.title(), "--password-stdin"),
                said=PASSWORD,
            )
        with running(*webs), made._clients:
            yield made


@pytest.fixture(scope="module")
def nginx(house: House, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    """nginx in front of all instances."""
    place: Path = tmp_path_factory.mktemp("nginx")
    with Nginx(place, [web.address for web in house.webs]) as server:
        yield server


@pytest.fixture
def mortal(house: House) -> Iterator[Web]:
    """The instance that is killed."""
    web = house.webs[0]
    yield web
    if not web.running:
        web.start()
