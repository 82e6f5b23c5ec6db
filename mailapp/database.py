"""The database: one engine an instance's process, PostgreSQL or SQLite, every wait bounded."""

from __future__ import annotations

import select
from collections import namedtuple
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

import psycopg
from flask import Flask, current_app
from psycopg.abc import PQGen
from sqlalchemy import (
    BigInteger,
    Connection,
    DateTime,
    Dialect,
    Engine,
    Integer,
    MetaData,
    Select,
    create_engine,
    event,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.orm import DeclarativeBase
from sqlalchemy.sql.dml import ReturningUpdate
from sqlalchemy.types import TypeDecorator

from mailapp.settings import Settings
from mailapp.turnstile import Hangs, Turnstile

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


class Query:
    """A statement that is executed again and again: compiled once, then given to psycopg as it is.

    SQLAlchemy would look up its compiled form, and make a result and a class for its rows, at every
    execution: more of the processor's time than PostgreSQL and psycopg need for all of theirs.
    """

    def __init__(
        self, statement: Select[*tuple[Any, ...]] | ReturningUpdate[*tuple[Any, ...]]
    ) -> None:
        """`statement` returns rows; what differs between executions is in bindparam()s."""
        self._statement = statement
        self._row: Any = namedtuple(  # type: ignore[misc]
            "Row", list(map(str, statement.exported_columns.keys()))
        )
        compiled = statement.compile(dialect=postgresql.psycopg.dialect())  # type: ignore[no-untyped-call]
        self._sql = str(compiled)
        self._constants = {
            name: value for name, value in compiled.params.items() if value is not None
        }

    def rows(self, connection: Connection, **values: Any) -> list[Any]:
        """The rows, with the columns' names as attributes; raises what SQLAlchemy raises."""
        if connection.dialect.name != "postgresql":
            return list(connection.execute(self._statement, values).all())
        driver: psycopg.Connection[Any] = connection.connection.driver_connection  # type: ignore[assignment]
        cursor, parameters = driver.cursor(), self._constants | values
        # Who listens to what SQLAlchemy executes, such as tests that count, hears of this too.
        for note in connection.dispatch.before_cursor_execute:
            note(connection, cursor, self._sql, parameters, None, False)
        try:
            cursor.execute(self._sql, parameters, prepare=True)
            return list(map(self._row._make, cursor.fetchall()))
        except psycopg.Error as error:
            if driver.closed:
                connection.invalidate(error)
            raise DBAPIError.instance(
                self._sql,
                None,
                error,
                psycopg.Error,
                hide_parameters=True,
                connection_invalidated=driver.closed,
            ) from error


def connect(settings: Settings, *, timeout: float | None) -> Database:
    """Engines for `settings.database_url`; nothing is opened before the first statement.

    `timeout` is in seconds and bounds every answer of PostgreSQL; None, for jobs such as a
    migration, waits as long as it takes.
    """
    if settings.database_url.startswith("sqlite"):
        return _sqlite(settings)
    return _postgresql(settings, timeout)


def init_app(app: Flask, settings: Settings) -> None:
    """Give the application its database."""
    app.extensions["database"] = connect(settings, timeout=settings.database_timeout)


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
    with _database().engine.begin() as connection:
        yield connection


def now() -> datetime:
    """This moment, in UTC."""
    return datetime.now(UTC)


def _database() -> Database:
    database: Database = current_app.extensions["database"]
    return database


def _sqlite(settings: Settings) -> Database:
    settings.data_dir.mkdir(mode=0o700, parents=True, exist_ok=True)  # it is people's mail
    engine = create_engine(
        settings.database_url, connect_args={"timeout": 10}, hide_parameters=True
    )

    @event.listens_for(engine, "connect")
    def _prepare(connection: Any, _record: Any) -> None:
        # The driver's own way of opening transactions is off: _begin below says what is opened.
        connection.isolation_level = None
        connection.execute("PRAGMA foreign_keys = ON")
        connection.execute("PRAGMA journal_mode = WAL")  # readers and the writer don't wait
        connection.execute("PRAGMA synchronous = FULL")  # what was answered "sent" is on the disk

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        if not _reads_only(connection):
            # A transaction that reads first and writes later could not be retried when another
            # writer came between: take the write lock at once and wait for it.
            connection.exec_driver_sql("BEGIN IMMEDIATE")

    return Database(engine, engine.execution_options(reading=True))


def _reads_only(connection: Connection) -> bool:
    return bool(connection.get_execution_options().get("reading"))


def _postgresql(settings: Settings, timeout: float | None) -> Database:
    url = make_url(settings.database_url)
    parameters: dict[str, Any] = {
        "connect_timeout": 2,  # seconds; the least that libpq has
        "application_name": f"mailapp {settings.instance_name}",
    }
    parameters["options"] = "-c TimeZone=UTC"
    if timeout is not None:
        milliseconds = int(timeout * 1000)
        parameters["options"] += (
            f" -c statement_timeout={milliseconds} -c lock_timeout={milliseconds}"
            f" -c idle_in_transaction_session_timeout={max(30_000, milliseconds)}"
        )
    dsn = url.set(drivername="postgresql").render_as_string(hide_password=False)
    turnstile = Turnstile(_timed_out)

    def open_connection() -> psycopg.Connection[Any]:
        # The driver's own way of opening transactions is off: _begin below says what is opened.
        try:
            with turnstile.passed():
                connection = _PatientConnection.connect(dsn, autocommit=True, **parameters)
        except Hangs:
            raise psycopg.OperationalError("the database does not answer") from None
        connection.turnstile = turnstile
        # statement_timeout ends a slow statement; this ends the wait for a server that is hung or
        # cut off and so can't end anything itself.
        connection.patience = None if timeout is None else timeout + 0.25
        return connection

    engine = create_engine(
        "postgresql+psycopg://",
        creator=open_connection,
        pool_size=settings.web_threads,
        max_overflow=2,
        pool_timeout=timeout or 30,
        pool_use_lifo=True,
        # Every transaction is ended where it was begun; another rollback would be one more call.
        pool_reset_on_return=None,
        hide_parameters=True,  # what people write does not belong into a log
    )

    @event.listens_for(engine, "checkout")
    def _refuse_closed(connection: Any, _record: Any, _proxy: Any) -> None:
        # An idle connection has nothing to say, so one that can be read was closed by the server
        # (a restart, a failover): the pool opens another before any statement is lost to it.
        # Unlike a ping, this costs no round trip.
        ready = select.poll()  # select() can't look at a descriptor above 1023
        ready.register(connection.fileno(), select.POLLIN)
        if ready.poll(0):
            raise DisconnectionError("the server closed this connection")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        if not _reads_only(connection):
            connection.exec_driver_sql("BEGIN")

    return Database(engine, engine.execution_options(reading=True))


class _PatientConnection(psycopg.Connection[Any]):
    """A connection that waits at most `patience` seconds for each answer, then gives itself up."""

    patience: float | None = None
    turnstile: Turnstile

    def wait(self, gen: PQGen[Any], interval: float = 0.1, timeout: float | None = None) -> Any:
        try:
            with self.turnstile.passed():
                return super().wait(gen, interval, self.patience if timeout is None else timeout)
        except (psycopg.errors._WaitTimeout, Hangs):
            # The answer may still come, to a question nobody asks any more: not to be used again.
            self.pgconn.finish()
            raise psycopg.OperationalError("the database did not answer in time") from None


def _timed_out(error: BaseException) -> bool:
    return isinstance(error, psycopg.errors._WaitTimeout | psycopg.errors.ConnectionTimeout)
