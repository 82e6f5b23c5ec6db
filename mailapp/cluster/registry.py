"""Where the instances' records are: in Redis, or in the database where no Redis is configured.

How long ago one came is told by the clock of whoever keeps it, never by two machines' clocks.
"""

from __future__ import annotations

from typing import Any, Protocol, cast

from sqlalchemy import Float, delete, event, select
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.functions import FunctionElement

from mailapp import database
from mailapp.cluster.models import Instance
from mailapp.database import Database, insert_or_update
from mailapp.redis import Client
from mailapp.redis import connect as connect_redis
from mailapp.settings import Settings

# Seconds for which the record of an instance that has fallen silent is kept.
KEPT = 60

# Beats after which an instance removes the rows of those that are gone.
_SWEEP = 60


class Registry(Protocol):
    """The last record of each instance. What the store raises passes through."""

    def put(self, ident: str, record: bytes) -> None:
        """Keep an instance's record in place of its last one."""

    def all(self) -> list[tuple[bytes, float]]:
        """Every record of the last KEPT seconds, and how many seconds ago it came."""


class RedisRegistry:
    """Each record under a key that expires, and a set of the instances' ids.

    The set is there because to search for keys is to walk over every session.
    """

    _IDS = "instances"

    def __init__(self, client: Client) -> None:
        self._client = client

    def put(self, ident: str, record: bytes) -> None:
        with self._client.pipeline(transaction=False) as pipe:
            pipe.set(f"instance:{ident}", record, ex=KEPT)
            # Each time: it might have been taken for gone, after a pause of a minute.
            pipe.sadd(self._IDS, ident)
            pipe.execute()

    def all(self) -> list[tuple[bytes, float]]:
        idents = sorted(cast("set[bytes]", self._client.smembers(self._IDS)))
        if not idents:
            return []
        with self._client.pipeline(transaction=False) as pipe:
            for ident in idents:
                pipe.get(b"instance:" + ident)
                pipe.pttl(b"instance:" + ident)
            told = pipe.execute()
        records, left = told[::2], told[1::2]
        gone = [ident for ident, record in zip(idents, records, strict=True) if record is None]
        if gone:
            self._client.srem(self._IDS, *gone)
        return [
            (record, KEPT - milliseconds / 1000)
            for record, milliseconds in zip(records, left, strict=True)
            if record is not None
        ]


class DatabaseRegistry:
    """One row an instance."""

    def __init__(self, kept_in: Database) -> None:
        self._database = kept_in
        self._puts = 0

    def put(self, ident: str, record: bytes) -> None:
        with self._database.engine.begin() as connection:
            fresh = {"record": record, "seen_at": _clock()}
            connection.execute(
                insert_or_update(connection, Instance)
                .values(id=ident, **fresh)
                .on_conflict_do_update(index_elements=[Instance.id], set_=fresh)
            )
            if self._puts % _SWEEP == 0:
                connection.execute(delete(Instance).where(Instance.seen_at < _clock() - KEPT))
        self._puts += 1

    def all(self) -> list[tuple[bytes, float]]:
        age = (_clock() - Instance.seen_at).label("age")
        with self._database.reader.connect() as connection:
            rows = connection.execute(
                select(Instance.record, age).where(age < KEPT).order_by(Instance.id)
            )
            return [(bytes(row.record), row.age) for row in rows]


class _clock(FunctionElement[float]):  # noqa: N801  # SQLAlchemy's functions are written so
    """Seconds since 1970 by the database's clock, also within a transaction."""

    type = Float()
    inherit_cache = True


@compiles(_clock, "postgresql")
def _on_postgresql(element: _clock, compiler: SQLCompiler, **options: Any) -> str:
    return "CAST(extract(epoch FROM clock_timestamp()) AS double precision)"


@compiles(_clock, "sqlite")
def _on_sqlite(element: _clock, compiler: SQLCompiler, **options: Any) -> str:
    return "((julianday('now') - 2440587.5) * 86400.0)"


def registry(client: Client | None, kept_in: Database) -> Registry:
    """The registry on these parts of an application."""
    return DatabaseRegistry(kept_in) if client is None else RedisRegistry(client)


def connect(settings: Settings) -> Registry:
    """A registry on connections of its own, for a process that writes a record every second."""
    client = connect_redis(settings)
    own = database.connect(settings, timeout=settings.database_timeout)
    if own.engine.dialect.name == "sqlite":

        @event.listens_for(own.engine, "connect")
        def _spare_the_disk(connection: Any, _record: Any) -> None:
            # A power cut may take the last records, but nobody's mail: what others commit is still
            # waited for (sqlite.org/pragma.html#pragma_synchronous).
            connection.execute("PRAGMA synchronous = NORMAL")

    return registry(client, own)
