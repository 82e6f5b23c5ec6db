"""The whole topology on this machine, once for all tests here."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from deploy.topology import HOST, Nginx, Postgres, SeaweedFS, Valkey, Web, running, variables
from tests.cluster.parts import PASSWORD, Cluster


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Cluster]:
    """Two instances behind nginx, with alice and bob."""
    place: Path = tmp_path_factory.mktemp("cluster")
    postgres = Postgres(place / "postgres", durable=False)
    valkey = Valkey(place / "valkey")
    seaweedfs = SeaweedFS(place / "seaweedfs")
    settings = {
        "SECRET_KEY": "not a secret, since it is only for tests 0123456789",
        **variables(postgres, valkey, seaweedfs),
        "TRUSTED_PROXIES": f"{HOST}/32",
        "ACCEL_LOCATION": "/-/store/",
        # As in production longer than nginx's fail_timeout: an instance that was just restarted may
        # be left out for so long, and the next one goes on serving meanwhile.
        "DRAIN_SECONDS": "4",
        "LOGIN_TRIES_ADDRESS": "10000",
        "UNDO_SEND_SECONDS": "0",
    }
    webs = [Web(place / name, settings, name=name) for name in ("web-1", "web-2")]
    nginx = Nginx(place / "nginx", [web.address for web in webs], store=seaweedfs.endpoint)
    cluster = Cluster(postgres, valkey, seaweedfs, webs, nginx, settings)
    with running(postgres, valkey, seaweedfs):
        cluster.command("migrate")
        for name in ("alice", "bob"):
            address = f"{name}@mail.example"
            cluster.command(
                *("user", "add", address, "--name", name.title(), "--password-stdin"),
                said=PASSWORD,
            )
        with running(*webs), running(nginx), cluster._clients:
            yield cluster
