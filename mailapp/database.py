"""The database: one engine an instance's process, PostgreSQL or SQLite, every wait bounded."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from flask import Flask, current_app
from sqlalchemy import (
    BigInteger,
    Connection,
    DateTime,
    Dialect,
    Engine,
    Integer,
    MetaData,
    create_engine,
    dialects,
    event,
)
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.types import TypeDecorator

from mailapp import postgresql
from mailapp.settings import Settings
from mailapp.telemetry.metrics import metrics

# SQLite counts rows only in an INTEGER key, PostgreSQL has room for more in a BIGINT.
BigId = BigInteger().with_variant(Integer(), "sqlite")


class UtcDateTime(TypeDecorator[datetime]):
    """A moment in UTC, aware of it in Python on both databases (SQLite stores no time zone)."""

    impl = DateTime(timezone=True)
    cache_ok = True

    def process_bind_param(self, value: datetime | None, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        return value.astimezone(UTC)

    def process_result_value(self, value: Any, dialect: Dialect) -> datetime | None:
        if value is None:
            return None
        moment: datetime = value
        return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment.astimezone(UTC)


class Base(DeclarativeBase):
    """The tables of every room; constraints are named by one rule, so migrations can say them."""

    metadata = MetaData(
        naming_convention={
            "ix": "ix_%(table_name)s_%(column_0_N_name)s",
            "uq": "uq_%(table_name)s_%(column_0_N_name)s",
            "fk": "fk_%(table_name)s_%(column_0_name)s_%(referred_table_name)s",
            "pk": "pk_%(table_name)s",
        }
    )


@dataclass(frozen=True)
class Database:
    """An engine, and a second face of it for reading that spends no round trip on BEGIN and END."""

    engine: Engine
    reader: Engine


def connect(settings: Settings, *, timeout: float | None) -> Database:
    """Engines for `settings.database_url`; nothing is opened before the first statement.

    `timeout` is in seconds and bounds every answer of PostgreSQL; None, for jobs such as a
    migration, waits as long as it takes.
    """
    if settings.database_url.startswith("sqlite"):
        engine, begin = _sqlite(settings), _begin_writing
    else:
        engine, begin = postgresql.new_engine(settings, timeout), postgresql.begin

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        if not connection.get_execution_options().get("reading"):
            begin(connection)

    return Database(engine, engine.execution_options(reading=True))


def init_app(app: Flask, settings: Settings) -> None:
    """Give the application its database."""
    app.extensions["database"] = connect(settings, timeout=settings.database_timeout)


def count_connections(app: Flask) -> None:
    """Tell the metrics how many connections the application has; on SQLite it has no pool."""
    made: Database | None = app.extensions.get("database")
    if made is not None and isinstance(made.engine.pool, postgresql.Idle):
        idle, in_use = made.engine.pool.counts()
        metrics().connections_idle.set(idle)
        metrics().connections_in_use.set(in_use)


def engine() -> Engine:
    """The engine of the application that handles this request or command."""
    return _database().engine


@contextmanager
def read() -> Iterator[Connection]:
    """A connection for statements that change nothing, each a snapshot of its own."""
    with _database().reader.connect() as connection:
        yield connection


@contextmanager
def write() -> Iterator[Connection]:
    """A connection in one transaction: committed at the end, rolled back by an exception."""
    with followed(), _database().engine.begin() as connection:
        yield connection


class _Following(threading.local):
    """What is to follow the commit of the transaction that a thread is in; None outside of one."""

    tasks: list[Callable[[], None]] | None = None


_following = _Following()


def after_commit(task: Callable[[], None]) -> None:
    """Do `task` once this thread's transaction is committed; never when it is not.

    The transaction is over then, so what `task` raises reaches who had it committed.
    """
    if _following.tasks is not None:
        _following.tasks.append(task)


@contextmanager
def followed() -> Iterator[None]:
    """Around a transaction: what was to follow its commit is done at the end of this."""
    before = _following.tasks
    tasks: list[Callable[[], None]] = []
    _following.tasks = tasks
    try:
        yield
    finally:
        _following.tasks = before
    for task in tasks:
        task()


def insert_or_update(connection: Connection, table: type[Base]) -> Any:
    """An INSERT with `on_conflict_do_update`, which SQLAlchemy has in each dialect of its own."""
    on = dialects.postgresql if connection.dialect.name == "postgresql" else dialects.sqlite
    return on.insert(table)


def now() -> datetime:
    """This moment, in UTC."""
    return datetime.now(UTC)


def _database() -> Database:
    database: Database = current_app.extensions["database"]
    return database


def _sqlite(settings: Settings) -> Engine:
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)  # it is people's mail
    engine = create_engine(
        settings.database_url, connect_args={"timeout": 10}, hide_parameters=True
    )

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: Any) -> None:
        # The driver's own way of opening transactions is off: `connect` says what is opened.
        connection.isolation_level = None
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA journal_mode = WAL")  # readers and the writer don't wait
        connection.execute("PRAGMA synchronous = FULL")  # what was answered "sent" is on the disk

    return engine


def _begin_writing(connection: Connection) -> None:
    # A transaction that reads first and writes later could not be retried when another writer came
    # between: take the write lock at once and wait for it.
    connection.exec_driver_sql("BEGIN IMMEDIATE")
