"""What `mailapp doctor` looks at: the settings that are legal but doubtful, and every part."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import cast

from psycopg.conninfo import conninfo_to_dict
from redis.exceptions import RedisError, ResponseError
from redis.sentinel import SentinelConnectionPool
from sqlalchemy.exc import SQLAlchemyError

from mailapp import migrations
from mailapp.attachments.store import store
from mailapp.database import engine
from mailapp.errors import Unavailable
from mailapp.postgresql import servers
from mailapp.redis import redis_client
from mailapp.sentinel import Watch
from mailapp.settings import Settings


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at: whether it is fine, and what it is or what to do."""

    subject: str
    fine: bool
    text: str


def examine(settings: Settings) -> list[Finding]:
    """Everything, in the order in which it should be put right. Needs an application context."""
    return [
        Finding("settings", True, "every variable can be read and is safe"),
        *_doubts(settings),
        _part("DATABASE_URL", _database),
        _part("REDIS_URL", _redis),
        _part("MINIO_ENDPOINT" if settings.minio_endpoint else "ATTACHMENT_DIR", _store),
    ]


def _doubts(settings: Settings) -> Iterator[Finding]:
    embedded = settings.database_url.startswith("sqlite")
    if embedded and settings.redis_url is not None:
        yield Finding(
            "DATABASE_URL",
            False,
            "Redis is shared but the database is an SQLite file of this machine: instances on "
            "other machines would have other mail. Set it to postgresql://…",
        )
    if not embedded and settings.redis_url is None:
        yield Finding(
            "REDIS_URL",
            True,
            "not set: sessions are kept in the database, which works, at a statement a request",
        )
    if not embedded and settings.minio_endpoint is None:
        yield Finding(
            "ATTACHMENT_DIR",
            True,
            f"{settings.attachment_dir}: must be a file system that all instances share",
        )
    if not embedded and "password" not in conninfo_to_dict(servers(settings.database_url)[0]):
        yield Finding(
            "DATABASE_URL", True, "has no password: right only where the server asks none"
        )
    if settings.host not in {"127.0.0.1", "localhost", "::1"} and not settings.trusted_proxies:
        yield Finding(
            "TRUSTED_PROXIES",
            True,
            f"empty while listening on {settings.host}: right only without a proxy in front, else "
            "everybody seems to come from the proxy's address",
        )
    if settings.accel_location and not settings.trusted_proxies:
        yield Finding(
            "ACCEL_LOCATION",
            False,
            "is never used while TRUSTED_PROXIES is empty: attachments are handed over only to a "
            "proxy that is trusted. Name nginx's network there",
        )


_WHAT_TO_DO = {
    "DATABASE_URL": "Is the server running, and are host, port, user and password right?",
    "REDIS_URL": "Is the server running, and are host, port and password right?",
    "MINIO_ENDPOINT": "Is the store running, are host, port and keys right, and has `mailapp "
    "migrate` made the bucket?",
    "ATTACHMENT_DIR": "Is the folder there, and may this user write to it?",
}


def _part(variable: str, ask: Callable[[], str]) -> Finding:
    started = time.perf_counter()
    try:
        said = ask()
    except LookupError as error:
        return Finding(variable, False, str(error))
    except (SQLAlchemyError, RedisError, Unavailable) as error:
        cause = " ".join(str(getattr(error, "orig", None) or error).split())
        return Finding(variable, False, f"{cause}. {_WHAT_TO_DO[variable]}")
    return Finding(variable, True, f"{said} ({(time.perf_counter() - started) * 1000:.1f} ms)")


def _database() -> str:
    with engine().connect() as connection:
        if not migrations.is_new_enough(connection):
            raise LookupError("the schema is older than this version; run `mailapp migrate`")
        return f"{connection.dialect.name} answers, its schema is up to date"


def _redis() -> str:
    client = redis_client()
    if client is None:
        return "not set: sessions and limits are kept in the database"
    client.ping()
    try:
        policy = client.config_get("maxmemory-policy").get("maxmemory-policy") or "noeviction"
    except ResponseError:
        return "answers; it does not say whether it would drop sessions when its memory is full"
    if policy.startswith("allkeys"):
        raise LookupError(f"maxmemory-policy is {policy}: sessions would vanish; set noeviction")
    if isinstance(client.connection_pool, SentinelConnectionPool):
        return _sentinels(client.connection_pool, cast(int, client.info()["connected_slaves"]))
    return "answers"


def _sentinels(pool: SentinelConnectionPool, replicas: int) -> str:
    watch = cast(Watch, pool.sentinel_manager)
    answering, named = watch.answering(), len(watch.sentinels)
    said = f"{answering} of {named} Sentinels answer, the master has {replicas} replicas"
    if not replicas or answering <= named // 2:
        raise LookupError(f"{said}: nothing could take over from it")
    host, port = pool.get_master_address()  # type: ignore[no-untyped-call]
    return f"{said}; it is {host}:{port}"


def _store() -> str:
    store().check()
    return "answers and can be written"
