"""What most tests stand on: two instances that share all their parts, and people in front of them.

Every test runs twice: on the embedded default (SQLite and a folder) and on real servers
(PostgreSQL, Valkey and SeaweedFS). A person's requests go to the two instances in turn, so a test
that passes has shown on the way that no instance keeps anything.
"""

from __future__ import annotations

import itertools
import shutil
from collections.abc import Callable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from functools import partial
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis as client
from argon2 import PasswordHasher
from argon2.profiles import CHEAPEST
from flask import Flask
from jinja2.bccache import Bucket, BytecodeCache
from sqlalchemy import Connection, Engine, event
from sqlalchemy.engine.default import DefaultDialect
from sqlalchemy.util import LRUCache
from werkzeug.routing import Rule

from deploy.topology import Postgres, SeaweedFS, Valkey, variables
from mailapp import create_app, database, migrations
from mailapp.accounts import passwords
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
SECRET_KEY = "0123456789abcdef" * 2

Environment = dict[str, str]


class CompiledOnce(BytecodeCache):
    """What Jinja makes of a template, for all applications that the tests make."""

    def __init__(self) -> None:
        self._kept: dict[tuple[str, str, str | None], Bucket] = {}

    def get_bucket(self, environment: Any, name: str, filename: str | None, source: str) -> Bucket:
        """The same for the same template in the same language."""
        place = (environment.language, name, source)
        return self._kept.setdefault(place, Bucket(environment, name, ""))

    def load_bytecode(self, bucket: Bucket) -> None:
        """It is in the bucket."""

    def dump_bytecode(self, bucket: Bucket) -> None:
        """So it stays."""


COMPILED = CompiledOnce()

# Real passwords take the time that they must; thousands of tests need not wait for theirs.
QUICK = PasswordHasher.from_parameters(CHEAPEST)


@pytest.fixture(scope="session", autouse=True)
def made_once() -> Iterator[None]:
    """What takes long and is the same in each application that tests make: what Werkzeug makes of
    a view's rule, and what SQLAlchemy makes of a statement, which one engine has as another."""
    make_rule = Rule._compile_builder
    builders: dict[tuple[object, ...], Any] = {}
    statements: LRUCache[Any, Any] = LRUCache(2000)

    def builder(rule: Rule, append_unknown: bool = True) -> Any:
        key = (rule.rule, repr(rule.defaults), rule.subdomain, rule.host, append_unknown)
        if key not in builders:
            builders[key] = make_rule(rule, append_unknown)
        return builders[key]

    def share(connection: Connection) -> None:
        connection.engine._compiled_cache = statements

    event.listen(Engine, "engine_connect", share)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(Rule, "_compile_builder", builder)
        # A statement is kept for a dialect, of which each engine has its own.
        patch.setattr(DefaultDialect, "__eq__", lambda one, other: type(one) is type(other))
        patch.setattr(DefaultDialect, "__hash__", lambda one: hash(type(one)))
        yield
    event.remove(Engine, "engine_connect", share)


@pytest.fixture(scope="session", autouse=True)
def quick_passwords() -> Iterator[None]:
    """Hashes that cost nothing; tests of the real ones ask for `real_passwords`."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(passwords, "_hasher", QUICK)
        yield


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


@pytest.fixture(scope="session")
def empty_folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """DATA_DIR on the embedded default, ready and empty, for each test to have a copy of."""
    folder = tmp_path_factory.mktemp("empty") / "data"
    _make_ready({"DATA_DIR": str(folder)})
    return folder


class Databases:
    """Databases that are ready and empty. The next is made, and the last removed, while a test
    goes on: both take as long as many a test."""

    def __init__(self, server: Postgres) -> None:
        self._server = server
        self._aside = ThreadPoolExecutor(1)
        self._numbers = itertools.count()
        self._next = self._begin()

    def take(self) -> tuple[str, str]:
        """The name of one, and its URL."""
        taken, self._next = self._next, self._begin()
        return taken.result()

    def leave(self, name: str) -> None:
        """Nobody needs it any more."""
        self._aside.submit(self._server.drop_database, name)

    def end(self) -> None:
        """Wait for what is under way."""
        self._aside.shutdown()

    def _begin(self) -> Future[tuple[str, str]]:
        return self._aside.submit(self._make, f"test_{next(self._numbers)}")

    def _make(self, name: str) -> tuple[str, str]:
        return name, self._server.create_database(name, like="empty")


@pytest.fixture(scope="session")
def databases(request: pytest.FixtureRequest) -> Iterator[Databases]:
    """For each test one that is ready, as `empty_folder`; the store is ready too."""
    servers = _servers(request)
    _make_ready({**variables(*servers), "DATABASE_URL": servers[0].create_database("empty")})
    made = Databases(servers[0])
    yield made
    made.end()


@pytest.fixture
def environment(
    parts: str, request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[Environment]:
    """The variables of an instance whose parts are empty and ready. A test may add to them."""
    common = {
        "DATA_DIR": str(tmp_path / "data"),
        "SECRET_KEY": SECRET_KEY,
        "UNDO_SEND_SECONDS": "0",
    }
    if parts == "embedded":
        shutil.copytree(request.getfixturevalue("empty_folder"), common["DATA_DIR"])
        yield common
        return
    servers = _servers(request)
    with client.Redis.from_url(servers[1].url) as connection:
        connection.flushall()
    databases: Databases = request.getfixturevalue("databases")
    name, url = databases.take()
    yield {**common, **variables(*servers), "DATABASE_URL": url}
    databases.leave(name)


@pytest.fixture
def instances(environment: Environment) -> Iterator[list[Flask]]:
    """Two instances of the application on the same parts."""
    made = [
        create_app(Settings.from_env({**environment, "INSTANCE_NAME": name}))
        for name in ("web-1", "web-2")
    ]
    for app in made:
        app.jinja_env.bytecode_cache = COMPILED
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


def _servers(request: pytest.FixtureRequest) -> tuple[Postgres, Valkey, SeaweedFS]:
    """The real ones, started where no test has asked for them yet."""
    return (
        request.getfixturevalue("postgres_server"),
        request.getfixturevalue("redis_server"),
        request.getfixturevalue("s3_server"),
    )


def _make_ready(environment: Environment) -> None:
    settings = Settings.from_env({"SECRET_KEY": SECRET_KEY, **environment})
    made = database.connect(settings, timeout=None)
    migrations.upgrade(made.engine)
    made.engine.dispose()
    store.from_settings(settings).prepare()
