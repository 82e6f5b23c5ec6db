"""What most tests stand on: two instances that share all their parts, and people in front of them.

Every test runs twice: on the embedded default (SQLite and a folder) and on real servers
(PostgreSQL, Valkey and SeaweedFS). A person's requests go to the two instances in turn, so a test
that passes has shown on the way that no instance keeps anything.
"""

from __future__ import annotations

import itertools
from collections.abc import Callable, Iterator
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis as client
from flask import Flask

from deploy.topology import Postgres, SeaweedFS, Valkey, variables
from mailapp import create_app, database, migrations
from mailapp.accounts import services as accounts
from mailapp.attachments import store
from mailapp.settings import Settings
from tests.people import Person
from tests.servers import (  # noqa: F401
    postgres_server,
    redis_server,
    s3_server,
)

PASSWORD = "correct horse battery staple"

Environment = dict[str, str]


class InTurn(httpx.BaseTransport):
    """Sends each request to the next of several applications, as a load balancer does."""

    def __init__(self, instances: list[Flask]) -> None:
        self._turn = itertools.cycle(
            [httpx.WSGITransport(app=partial(_with_path, app)) for app in instances]
        )

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        return next(self._turn).handle_request(request)


@pytest.fixture(params=["embedded", "servers"])
def parts(request: pytest.FixtureRequest) -> str:
    """Which parts the test runs on. Parametrize with `indirect` to have only one of the two."""
    return str(request.param)


@pytest.fixture
def environment(
    parts: str, request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[Environment]:
    """The variables of an instance whose parts are empty and ready. A test may add to them."""
    common = {"DATA_DIR": str(tmp_path / "data"), "SECRET_KEY": "0123456789abcdef" * 2}
    if parts == "embedded":
        yield _ready(common)
        return
    postgres: Postgres = request.getfixturevalue("postgres_server")
    redis: Valkey = request.getfixturevalue("redis_server")
    s3: SeaweedFS = request.getfixturevalue("s3_server")
    name = f"test_{tmp_path.parent.name}_{tmp_path.name}".replace("-", "_").lower()[-60:]
    with client.Redis.from_url(redis.url) as connection:
        connection.flushall()
    yield _ready(
        {
            **common,
            **variables(postgres, redis, s3),
            "DATABASE_URL": postgres.create_database(name),
        }
    )
    postgres.drop_database(name)


@pytest.fixture
def instances(environment: Environment) -> Iterator[list[Flask]]:
    """Two instances of the application on the same parts."""
    made = [
        create_app(Settings.from_env({**environment, "INSTANCE_NAME": name}))
        for name in ("web-1", "web-2")
    ]
    yield made
    for app in made:
        app.extensions["database"].engine.dispose()
        if app.extensions["redis-client"] is not None:
            app.extensions["redis-client"].close()


@pytest.fixture
def app(instances: list[Flask]) -> Iterator[Flask]:
    """The first instance, with its context, for tests that call services."""
    with instances[0].app_context():
        yield instances[0]


@pytest.fixture
def visitor(instances: list[Flask]) -> Iterator[Callable[[], Person]]:
    """A function that gives a new browser in front of both instances."""
    opened: list[httpx.Client] = []

    def make() -> Person:
        browser = httpx.Client(transport=InTurn(instances), base_url="http://mail.test")
        opened.append(browser)
        return Person(browser)

    yield make
    for browser in opened:
        browser.close()


@pytest.fixture
def person(instances: list[Flask], visitor: Callable[[], Person]) -> Callable[[str], Person]:
    """A function that makes an account NAME@mail.example and gives its browser, logged in."""

    def make(name: str) -> Person:
        with instances[0].app_context():
            accounts.create(name.lower(), name, PASSWORD)
        browser = visitor()
        browser.log_in(f"{name.lower()}@mail.example", PASSWORD)
        assert browser.logged_in
        return browser

    return make


@pytest.fixture
def alice(person: Callable[[str], Person]) -> Person:
    """Alice, logged in."""
    return person("Alice")


@pytest.fixture
def bob(person: Callable[[str], Person]) -> Person:
    """Bob, logged in."""
    return person("Bob")


@pytest.fixture
def charlie(person: Callable[[str], Person]) -> Person:
    """Charlie, logged in."""
    return person("Charlie")


def _with_path(app: Flask, environ: Any, start_response: Any) -> Any:
    """Give PATH_INFO as PEP 3333 has it, UTF-8 read as Latin-1, which httpx 0.28 does not."""
    path = environ["PATH_INFO"].encode().decode("latin-1")
    return app({**environ, "PATH_INFO": path}, start_response)


def _ready(environment: Environment) -> Environment:
    settings = Settings.from_env(environment)
    made = database.connect(settings, timeout=None)
    migrations.upgrade(made.engine)
    made.engine.dispose()
    store.from_settings(settings).prepare()
    return environment
