"""What the tests of attachments stand on: both stores and both databases, as real servers."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_network
from pathlib import Path
from typing import Protocol

import httpx
import pytest
from flask import Flask
from werkzeug.serving import make_server

import mailapp.accounts.models
import mailapp.compose.models
import mailapp.limits
import mailapp.mail.models
import mailapp.mailbox.models
import mailapp.sessions  # noqa: F401
from deploy.topology import HOST, Nginx, Postgres, SeaweedFS
from mailapp import database, i18n, proxies
from mailapp.attachments import linger
from mailapp.attachments.directory import DirectoryStore
from mailapp.attachments.s3 import S3Store
from mailapp.attachments.store import Store, from_settings
from mailapp.database import Base
from mailapp.settings import Settings


class MakeS3(Protocol):
    def __call__(
        self, server: SeaweedFS, bucket: str = "attachments", timeout: float = 3.0
    ) -> S3Store: ...


@pytest.fixture(scope="session")
def make_s3() -> MakeS3:
    """A function that makes a store of a server's bucket."""

    def make(server: SeaweedFS, bucket: str = "attachments", timeout: float = 3.0) -> S3Store:
        return S3Store(
            f"http://{server.endpoint}",
            access_key=server.access_key,
            secret_key=server.secret_key,
            bucket=bucket,
            region="us-east-1",
            timeout=timeout,
            connections=16,
        )

    return make


@pytest.fixture(params=["directory", "s3"])
def store(request: pytest.FixtureRequest, make_s3: MakeS3, tmp_path: Path) -> Store:
    """Each of the two stores, prepared and empty."""
    made: Store
    if request.param == "directory":
        made = DirectoryStore(tmp_path / "attachments")
    else:
        made = make_s3(request.getfixturevalue("s3_server"))
    made.prepare()
    for key, _ in made.list():
        made.delete(key)
    made.sweep(datetime.now(UTC) + timedelta(days=1))
    return made


@pytest.fixture
def settings(tmp_path: Path) -> Settings:
    """The embedded default in a folder of the test's own."""
    return Settings.from_env({"DATA_DIR": str(tmp_path / "data"), "WEB_THREADS": "16"})


@pytest.fixture
def bare_app(settings: Settings) -> Flask:
    """An application with this room in it and no other."""
    app = Flask(__name__)
    i18n.init_app(app)
    app.extensions["settings"] = settings
    app.extensions["attachments"] = from_settings(settings)
    app.extensions["attachments"].prepare()
    linger.init_app(app)
    return app


@contextmanager
def behind_nginx(app: Flask, place: Path, store: str | Path) -> Iterator[httpx.Client]:
    """A visitor of an application behind nginx, which fetches attachments from `store` itself."""
    app.extensions["settings"] = replace(
        app.extensions["settings"],
        accel_location="/-/store/",
        trusted_proxies=(ip_network(f"{HOST}/32"),),
    )
    proxies.init_app(app)
    server = make_server(HOST, 0, app, threaded=True)
    serving = threading.Thread(target=server.serve_forever, args=(0.02,))
    serving.start()
    try:
        with (
            Nginx(place, [f"{HOST}:{server.server_port}"], store=store) as nginx,
            httpx.Client(base_url=nginx.url, timeout=10) as visitor,
        ):
            yield visitor
    finally:
        server.shutdown()
        serving.join()
        server.server_close()


@pytest.fixture(params=["sqlite", "postgresql"])
def app(request: pytest.FixtureRequest, bare_app: Flask, tmp_path: Path) -> Iterator[Flask]:
    """The same with the tables, on each of the two databases."""
    environment = {
        "DATA_DIR": str(tmp_path / "data"),
        "WEB_THREADS": "16",
        "SECRET_KEY": "0123456789abcdef" * 2,
    }
    server: Postgres | None = None
    if request.param == "postgresql":
        server = request.getfixturevalue("postgres_server")
        environment["DATABASE_URL"] = server.create_database("attachments")
    database.init_app(bare_app, Settings.from_env(environment))
    with bare_app.app_context():
        Base.metadata.create_all(database.engine())
        yield bare_app
        database.engine().dispose()
    if server is not None:
        server.drop_database("attachments")
