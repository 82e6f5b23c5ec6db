"""/healthz before real servers that hang, die, refuse and come back."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import make_url

from deploy.topology import Postgres, SeaweedFS, Server, Valkey, running, variables
from mailapp import database, health, migrations, redis, sessions
from mailapp.attachments import store
from mailapp.settings import Settings


@dataclass(frozen=True)
class Parts:
    database: Postgres
    redis: Valkey
    attachments: SeaweedFS

    def environ(self) -> dict[str, str]:
        return {
            "SECRET_KEY": "a key for tests only, of no worth 0123456789",
            **variables(self.database, self.redis, self.attachments),
        }


@pytest.fixture(scope="module")
def parts(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Parts]:
    place = tmp_path_factory.mktemp("parts")
    parts = Parts(
        Postgres(place / "postgres", durable=False),
        Valkey(place / "valkey"),
        SeaweedFS(place / "seaweedfs"),
    )
    with running(parts.database, parts.redis, parts.attachments):
        with instance(parts.environ()).app_context():
            migrations.upgrade(database.engine())
            database.engine().dispose()
            store.store().prepare()
        yield parts


def instance(environ: dict[str, str]) -> Flask:
    app = Flask("mailapp")
    settings = Settings.from_env(environ)
    app.extensions["settings"] = settings
    database.init_app(app, settings)
    redis.init_app(app, settings)
    store.init_app(app)
    sessions.init_app(app, settings)
    health.init_app(app)
    return app


@pytest.fixture
def app(parts: Parts) -> Iterator[Flask]:
    app = instance(parts.environ())
    yield app
    with app.app_context():
        database.engine().dispose()
        client = redis.redis_client()
        assert client is not None
        client.close()


def ask(app: Flask) -> tuple[int, dict[str, Any], float]:
    """Status code, body, seconds it took."""
    began = time.monotonic()
    answer = app.test_client().get("/healthz")
    return answer.status_code, answer.get_json(), time.monotonic() - began


def until(app: Flask, status: str) -> dict[str, Any]:
    """Ask until /healthz says `status`; bounded."""
    deadline = time.monotonic() + 15
    while True:
        _, said, took = ask(app)
        assert took < 1.5
        if said["status"] == status:
            return said
        assert time.monotonic() < deadline, said
        time.sleep(0.1)


def test_all_parts_there_is_ok_and_says_what_they_are(app: Flask) -> None:
    code, said, _ = ask(app)

    assert (code, said["status"]) == (200, "ok"), said
    assert {name: check["backend"] for name, check in said["checks"].items()} == {
        "database": "postgresql",
        "redis": "redis",
        "attachments": "minio",
    }


@pytest.mark.parametrize(
    ("name", "status"),
    [("database", "unavailable"), ("redis", "unavailable"), ("attachments", "degraded")],
)
def test_a_part_that_hangs_is_said_in_time_and_is_over_when_it_is_over(
    app: Flask, parts: Parts, name: str, status: str
) -> None:
    until(app, "ok")
    server: Server = getattr(parts, name)
    server.pause()
    try:
        said = until(app, status)
        threads = threading.active_count()
        time.sleep(2.2)
        _, still, took = ask(app)
        alive_began = time.monotonic()
        alive = app.test_client().get("/livez")
        alive_took = time.monotonic() - alive_began
        piled = threading.active_count() - threads
    finally:
        server.resume()
    back = until(app, "ok")

    assert said["checks"][name]["status"] == "failing"
    assert said["checks"][name]["error"].startswith("no answer")
    assert (still["status"], took < 1.3) == (status, True)
    assert (alive.status_code, alive_took < 0.2) == (200, True)
    assert piled <= 1
    assert back["checks"][name]["status"] == "ok"


@pytest.mark.parametrize(
    ("name", "status"),
    [("database", "unavailable"), ("redis", "unavailable"), ("attachments", "degraded")],
)
def test_a_part_that_dies_is_said_and_found_again_after_its_restart(
    app: Flask, parts: Parts, name: str, status: str
) -> None:
    until(app, "ok")
    server: Server = getattr(parts, name)
    server.kill()
    try:
        said = until(app, status)
    finally:
        server.start()
    back = until(app, "ok")

    check = said["checks"][name]
    assert check["status"] == "failing"
    assert check["error"] in {"connection refused", "connection lost", "no answer in time"}
    assert back["checks"][name]["status"] == "ok"


def test_a_wrong_password_is_said_without_saying_it(parts: Parts, tmp_path: Path) -> None:
    wrong = make_url(parts.database.url).set(password="hunter2-hunter2")
    app = instance(
        parts.environ()
        | {
            "DATABASE_URL": wrong.render_as_string(hide_password=False),
            "REDIS_URL": parts.redis.url.replace(parts.redis.password, "hunter2-hunter2"),
            "MINIO_SECRET_KEY": "hunter2-hunter2",
        }
    )
    answer = app.test_client().get("/healthz")

    assert answer.status_code == 503
    errors = {check["error"] for check in answer.get_json()["checks"].values()}
    assert errors == {"credentials refused"}
    assert "hunter2" not in answer.text
    assert "127.0.0.1" not in answer.text


def test_the_embedded_default_probes_its_own_sessions(tmp_path: Path) -> None:
    app = instance({"DATA_DIR": str(tmp_path)})
    with app.app_context():
        store.store().prepare()
    _, before, _ = ask(app)
    with app.app_context():
        migrations.upgrade(database.engine())
    ready = until(app, "ok")

    assert before["checks"]["redis"]["error"] == "schema missing, run: mailapp migrate"
    assert ready["checks"]["redis"]["backend"] == "embedded"
    assert ready["checks"]["attachments"]["backend"] == "directory"
