"""Fixtures: the real PostgreSQL, Valkey and SeaweedFS, one of each for a whole run of tests."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from deploy.topology import Postgres, SeaweedFS, Valkey


@pytest.fixture(scope="session")
def postgres_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Postgres]:
    """PostgreSQL that doesn't wait for its disk; `create_database` gives a test one of its own."""
    with Postgres(tmp_path_factory.mktemp("postgres"), durable=False) as server:
        yield server


@pytest.fixture(scope="session")
def postgres_url(postgres_server: Postgres) -> str:
    """DATABASE_URL of one database that all tests share."""
    return postgres_server.url


@pytest.fixture(scope="session")
def redis_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Valkey]:
    """Valkey, which speaks Redis."""
    with Valkey(tmp_path_factory.mktemp("valkey")) as server:
        yield server


@pytest.fixture(scope="session")
def redis_url(redis_server: Valkey) -> str:
    """REDIS_URL of one database that all tests share."""
    return redis_server.url


@pytest.fixture(scope="session")
def s3_server(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SeaweedFS]:
    """SeaweedFS's S3 gateway: `endpoint`, `access_key`, `secret_key`; without any bucket."""
    with SeaweedFS(tmp_path_factory.mktemp("seaweedfs")) as server:
        yield server
