"""Records of instances that are not there, for what is made of them."""

from __future__ import annotations

from typing import Any

from flask import Flask, current_app
from sqlalchemy import update

from mailapp.cluster.models import Instance
from mailapp.cluster.record import Part, Record, encode
from mailapp.cluster.registry import KEPT, Registry, registry
from mailapp.database import write
from mailapp.redis import redis_client

PARTS = (
    Part("database", "postgresql", failing=False, latency=1.2),
    Part("redis", "redis", failing=False, latency=0.4),
    Part("attachments", "minio", failing=False, latency=2.5),
)


def record(ident: str = "1", **changes: Any) -> Record:
    """A healthy instance `web-IDENT`, but for the changes."""
    fields: dict[str, Any] = {
        "id": ident,
        "name": f"web-{ident}",
        "version": "1.9",
        "uptime": 7500.0,
        "state": "ok",
        "parts": PARTS,
        "workers": 2,
        "under_way": 3,
        "room": 16,
        "cpu": 0.25,
        "latency": 12.5,
        "requests": (1.0, 4.0, 2.0),
        "errors": (0.0, 0.0, 0.0),
    }
    return Record(**{**fields, **changes})


def registry_of(app: Flask) -> Registry:
    """The one that the application reads. Needs its context."""
    return registry(redis_client(), app.extensions["database"])


def tell(app: Flask, *records: Record) -> None:
    """Have instances say this of themselves, now."""
    with app.app_context():
        for one in records:
            registry_of(app).put(one.id, encode(one))


def make_older(app: Flask, ident: str, seconds: int) -> None:
    """Have an instance's last record come so many seconds earlier."""
    with app.app_context():
        client = redis_client()
        if client is not None:
            client.expire(f"instance:{ident}", KEPT - seconds)
            return
        with write() as connection:
            connection.execute(
                update(Instance)
                .where(Instance.id == ident)
                .values(seen_at=Instance.seen_at - seconds)
            )


def stored(app: Flask) -> int:
    """How many instances the store knows of, gone ones included."""
    with app.app_context():
        client = redis_client()
        if client is not None:
            return len(client.smembers("instances"))
        with current_app.extensions["database"].reader.connect() as connection:
            return len(connection.execute(Instance.__table__.select()).all())
