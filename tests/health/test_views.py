"""/livez and /healthz as a supervisor and a balancer read them."""

from __future__ import annotations

import mmap
from pathlib import Path

import pytest
from flask import Flask

from mailapp.health import begin_drain, drain
from mailapp.health.probes import Checkup, Probe
from mailapp.health.views import bp
from mailapp.settings import Settings


class Parts:
    """Three parts, of which the named ones fail."""

    def __init__(self) -> None:
        self.failing: set[str] = set()
        self.asked = 0

    def probe(self, name: str) -> Probe:
        def ask() -> None:
            self.asked += 1
            if name in self.failing:
                raise ConnectionRefusedError(111, "Connection refused by 10.0.0.7")

        return Probe(name, "fake", ask)


@pytest.fixture
def parts() -> Parts:
    return Parts()


@pytest.fixture
def app(parts: Parts, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Flask:
    monkeypatch.setattr(drain, "_flag", mmap.mmap(-1, 1))
    app = Flask(__name__)
    app.extensions["settings"] = Settings.from_env(
        {"DATA_DIR": str(tmp_path), "INSTANCE_NAME": "web-1"}
    )
    names = ("database", "redis", "attachments")
    app.extensions["health"] = Checkup([parts.probe(name) for name in names])
    app.register_blueprint(bp)
    return app


def test_an_instance_that_can_do_all_is_ok(app: Flask) -> None:
    answer = app.test_client().get("/healthz")
    said = answer.get_json()

    assert answer.status_code == 200
    assert answer.headers["Cache-Control"] == "no-store"
    assert (said["status"], said["instance"]) == ("ok", "web-1")
    assert said["version"]
    assert set(said["checks"]) == {"database", "redis", "attachments"}
    for check in said["checks"].values():
        assert check["status"] == "ok"
        assert check["latency_ms"] >= 0
        assert "error" not in check


@pytest.mark.parametrize(
    ("failing", "status", "code"),
    [
        ({"attachments"}, "degraded", 200),
        ({"database"}, "unavailable", 503),
        ({"redis"}, "unavailable", 503),
        ({"database", "redis", "attachments"}, "unavailable", 503),
    ],
)
def test_what_fails_decides_whether_it_can_serve(
    app: Flask, parts: Parts, failing: set[str], status: str, code: int
) -> None:
    parts.failing = failing
    answer = app.test_client().get("/healthz")
    said = answer.get_json()

    assert (answer.status_code, said["status"]) == (code, status)
    for name, check in said["checks"].items():
        assert check["status"] == ("failing" if name in failing else "ok")
        assert check.get("error") == ("connection refused" if name in failing else None)
    assert "10.0.0.7" not in answer.text


@pytest.mark.parametrize("failing", [set(), {"database"}, {"attachments"}])
def test_draining_wins_over_all(app: Flask, parts: Parts, failing: set[str]) -> None:
    parts.failing = failing
    begin_drain()
    answer = app.test_client().get("/healthz")

    assert (answer.status_code, answer.get_json()["status"]) == (503, "draining")
    assert len(answer.get_json()["checks"]) == 3


def test_alive_asks_nobody_and_stays_so_while_draining(app: Flask, parts: Parts) -> None:
    begin_drain()
    answer = app.test_client().get("/livez")

    assert (answer.status_code, answer.get_json()["status"]) == (200, "alive")
    assert answer.headers["Cache-Control"] == "no-store"
    assert parts.asked == 0


@pytest.mark.parametrize("path", ["/livez", "/healthz"])
def test_a_head_request_gets_the_status_alone(app: Flask, path: str) -> None:
    answer = app.test_client().head(path)

    assert (answer.status_code, answer.data) == (200, b"")
