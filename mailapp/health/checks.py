"""What is asked of each part this instance depends on."""

from __future__ import annotations

from collections.abc import Callable

from flask import Flask
from sqlalchemy import text

from mailapp import database, sessions
from mailapp.attachments import store
from mailapp.health.probes import Probe
from mailapp.redis import redis_client
from mailapp.settings import Settings


def probes(app: Flask) -> list[Probe]:
    """The probes of /healthz, each asking through the same pools and clients that requests use."""
    settings: Settings = app.extensions["settings"]
    sqlite = settings.database_url.startswith("sqlite")
    return [
        Probe("database", "sqlite" if sqlite else "postgresql", _inside(app, _ask_database)),
        Probe("redis", "redis" if settings.redis_url else "embedded", _inside(app, _ask_sessions)),
        Probe(
            "attachments",
            "minio" if settings.minio_endpoint else "directory",
            _inside(app, _ask_store),
        ),
    ]


def _ask_database() -> None:
    with database.read() as connection:
        # Not just SELECT 1: a database without our tables answers that, and can't serve anybody.
        connection.execute(text("SELECT version_num FROM alembic_version")).one()


def _ask_sessions() -> None:
    client = redis_client()
    if client is None:
        sessions.check_store()
    else:
        # What every request asks, not PING: a Redis that takes no writes (a replica, a master that
        # has lost its replicas) answers that, and can't serve anybody. There is no such key.
        client.getex("health", persist=True)


def _ask_store() -> None:
    store.store().check()


def _inside(app: Flask, ask: Callable[[], None]) -> Callable[[], None]:
    """`ask`, for a thread of its own."""

    def asked() -> None:
        with app.app_context():
            ask()

    return asked
