"""The database: one engine an instance's process, PostgreSQL or SQLite, every wait bounded."""

from __future__ import annotations

import select
import time
from collections import deque, namedtuple
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any, cast

import psycopg
from flask import Flask, current_app
from psycopg import generators
from psycopg.abc import PQGen
from psycopg.adapt import PyFormat, Transformer
from psycopg.pq import ExecStatus, TransactionStatus
from psycopg.pq.abc import PGresult
from sqlalchemy import (
    ARRAY,
    JSON,
    BigInteger,
    Boolean,
    Connection,
    DateTime,
    Dialect,
    Engine,
    Integer,
    MetaData,
    Select,
    String,
    Text,
    bindparam,
    create_engine,
    event,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.engine import make_url
from sqlalchemy.exc import DBAPIError, DisconnectionError
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import DeclarativeBase, InstrumentedAttribute
from sqlalchemy.pool import ConnectionPoolEntry, Pool
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.dml import UpdateBase
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeDecorator, TypeEngine

from mailapp.settings import Settings
from mailapp.turnstile import Hangs, Turnstile

# Seconds in which no server that was stopped serves again.
MOMENT = 0.05

# SQLite counts rows only in an INTEGER key, PostgreSQL has room for more in a BIGINT.
BigId = BigInteger().with_variant(Integer(), "sqlite")


# PostgreSQL's own $1, $2 in place of Python's %(name)s, as libpq takes them.
_DIALECT = postgresql.psycopg.dialect(paramstyle="numeric_dollar")  # type: ignore[no-untyped-call]
_GOOD = (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK)


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


class Values(TypeDecorator[list[Any]]):
    """A list of values as one parameter: an array, or JSON where there are no arrays."""

    impl = JSON
    cache_ok = True

    def __init__(self, item: TypeEngine[Any]) -> None:
        super().__init__()
        self.item = item

    def load_dialect_impl(self, dialect: Dialect) -> TypeEngine[Any]:
        return ARRAY(self.item) if dialect.name == "postgresql" else JSON()


class among(FunctionElement[bool]):  # noqa: N801  # SQLAlchemy's functions are written so
    """Whether a column has one of the values of the parameter `name`, a list of any length.

    in_() writes a placeholder for each, so it makes another statement for each length.
    """

    type = Boolean()
    inherit_cache = True

    def __init__(self, column: InstrumentedAttribute[Any], name: str) -> None:
        # A cast to VARCHAR(n) would cut what is longer, and so find what was not asked for.
        item = Text() if isinstance(column.type, String) else column.type
        super().__init__(column, bindparam(name, type_=Values(item)))


@compiles(among, "postgresql")
def _in_array(element: among, compiler: SQLCompiler, **options: Any) -> str:
    column, values = (compiler.process(clause, **options) for clause in element.clauses)
    return f"{column} = ANY ({values})"


@compiles(among, "sqlite")
def _in_json(element: among, compiler: SQLCompiler, **options: Any) -> str:
    column, values = (compiler.process(clause, **options) for clause in element.clauses)
    return f"{column} IN (SELECT value FROM json_each({values}))"  # noqa: S608  # SQLAlchemy's own SQL


Statement = Select[*tuple[Any, ...]] | UpdateBase


class Query:
    """A statement that is executed again and again: compiled once, then given to libpq as it is.

    Built, compiled and executed by SQLAlchemy and psycopg's cursor, a statement takes several times
    the processor's time that its round trip to PostgreSQL does. This keeps what they are best at:
    the SQL and the types of its values are SQLAlchemy's, their conversion is psycopg's. On SQLite
    SQLAlchemy executes it.
    """

    def __init__(self, statement: Statement, *, sqlite: Statement | None = None) -> None:
        """What differs between executions of `statement` is in its bindparam()s.

        `sqlite` says the same for SQLite, where SQLAlchemy has no construct for both.
        """
        self._statement = statement if sqlite is None else sqlite
        compiled = statement.compile(dialect=_DIALECT)
        self._sql = str(compiled)
        # For each place in the SQL: its name, its value where that never differs, and what makes of
        # a value what psycopg takes.
        self._places = [
            (
                name,
                compiled.params[name],
                compiled.binds[name].type.dialect_impl(_DIALECT).bind_processor(_DIALECT),
            )
            for name in compiled.positiontup or ()
        ]
        self._formats = [PyFormat.TEXT] * len(self._places)
        columns = getattr(statement, "exported_columns", ())
        self._row: Any = namedtuple("Row", [column.key for column in columns])  # type: ignore[misc]

    def read(self, **values: Any) -> list[Any]:
        """The rows, with the columns' names as attributes, on a connection for this question alone.

        Each sees the database as it is when it is asked. Raises what SQLAlchemy raises.
        """
        engine = _database().engine
        pool = engine.pool
        if not isinstance(pool, _Idle):
            with read() as connection:
                return self.rows(connection, **values)
        try:
            with pool.taken() as driver:
                return self._converted(driver, self._result(driver, engine, values))
        except psycopg.Error as error:
            raise _reported(error, self._sql) from error

    def rows(self, inside: Transaction, **values: Any) -> list[Any]:
        """The rows, in this transaction. Raises what SQLAlchemy raises."""
        if isinstance(inside, Connection) and inside.dialect.name != "postgresql":
            return list(map(self._row._make, inside.execute(self._statement, values)))
        with _driver(inside, self._sql) as driver:
            return self._converted(driver, self._result(driver, inside, values))

    def run(self, inside: Transaction, **values: Any) -> int:
        """Execute what returns no rows: how many it changed. Raises what SQLAlchemy raises."""
        if isinstance(inside, Connection) and inside.dialect.name != "postgresql":
            return inside.execute(self._statement, values).rowcount
        with _driver(inside, self._sql) as driver:
            return self._result(driver, inside, values).command_tuples or 0

    def _result(
        self, driver: _PatientConnection, inside: Transaction | Engine, values: Mapping[str, Any]
    ) -> PGresult:
        given = [
            process(values.get(name, constant)) if process else values.get(name, constant)
            for name, constant, process in self._places
        ]
        # Who listens to what SQLAlchemy executes, such as tests that count, hears of this too.
        heard = _database().engine if isinstance(inside, _PatientConnection) else inside
        for listener in heard.dispatch.before_cursor_execute:
            listener(heard, None, self._sql, given, None, False)
        name = driver.prepared.get(self)
        if name is None:
            name = b"query_%d" % len(driver.prepared)
            driver.pgconn.send_prepare(name, self._sql.encode())
            driver.result()
            driver.prepared[self] = name
        converted = Transformer(driver).dump_sequence(given, self._formats)
        driver.pgconn.send_query_prepared(name, converted)
        return driver.result()

    def _converted(self, driver: _PatientConnection, result: PGresult) -> list[Any]:
        converter = Transformer(driver)
        converter.set_pgresult(result)
        return converter.load_rows(0, result.ntuples, self._row._make)


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


@contextmanager
def transaction() -> Iterator[Transaction]:
    """As `write`, for Queries alone, without SQLAlchemy's part of it. Raises the same."""
    pool = _database().engine.pool
    if not isinstance(pool, _Idle):
        with write() as connection:
            yield connection
        return
    try:
        with pool.taken() as driver:
            driver.command(b"BEGIN")
            try:
                yield driver
            except BaseException:
                with suppress(psycopg.Error):  # a connection that is gone has ended it already
                    driver.rollback()
                raise
            driver.command(b"COMMIT")
    except psycopg.Error as error:
        raise _reported(error, "BEGIN or COMMIT") from error


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
        connection.prepared = {}
        # statement_timeout ends a slow statement; this ends the wait for a server that is hung or
        # cut off and so can't end anything itself.
        connection.patience = None if timeout is None else timeout + 0.25
        return connection

    engine = create_engine(
        "postgresql+psycopg://",
        creator=open_connection,
        poolclass=_Idle,
        # Every transaction is ended where it was begun; another rollback would be one more call.
        pool_reset_on_return=None,
        hide_parameters=True,  # what people write does not belong into a log
    )

    @event.listens_for(engine, "checkout")
    def _refuse_closed(connection: _PatientConnection, _record: Any, _proxy: Any) -> None:
        if connection.was_closed():
            raise DisconnectionError("the server closed this connection")

    @event.listens_for(engine, "begin")
    def _begin(connection: Connection) -> None:
        if not _reads_only(connection):
            with _driver(connection, "BEGIN") as driver:
                driver.command(b"BEGIN")

    return Database(engine, engine.execution_options(reading=True))


class _PatientConnection(psycopg.Connection[Any]):
    """A connection that waits at most `patience` seconds for each answer, then gives itself up.

    `prepared` is what each Query is called that was prepared in it.
    """

    patience: float | None = None
    turnstile: Turnstile
    prepared: dict[Query, bytes]
    _ready: select.poll | None = None
    _answered_at = 0.0

    def wait(self, gen: PQGen[Any], interval: float = 0.1, timeout: float | None = None) -> Any:
        try:
            with self.turnstile.passed():
                return super().wait(gen, interval, self.patience if timeout is None else timeout)
        except (psycopg.errors._WaitTimeout, Hangs):
            # The answer may still come, to a question nobody asks any more: not to be used again.
            self.pgconn.finish()
            raise psycopg.OperationalError("the database did not answer in time") from None

    def was_closed(self) -> bool:
        """Whether the server has closed it (a restart, a failover).

        An idle connection has nothing to say, so one that can be read was closed: the pool opens
        another before any statement is lost to it. Unlike a ping, this costs no round trip; and
        where it was used a moment ago, no server can have come back since.
        """
        if time.monotonic() - self._answered_at < MOMENT:
            return self.closed
        if self._ready is None:
            self._ready = select.poll()  # select() can't look at a descriptor above 1023
            self._ready.register(self.fileno(), select.POLLIN)
        return self.closed or bool(self._ready.poll(0))

    def result(self) -> PGresult:
        """The answer to what was just sent; raises psycopg.Error."""
        result: PGresult = self.wait(generators.execute(self.pgconn))[-1]
        self._answered_at = time.monotonic()
        if result.status not in _GOOD:
            raise psycopg.errors.error_from_result(result)
        return result

    def command(self, sql: bytes) -> None:
        """Begin or end a transaction; raises psycopg.Error."""
        self.pgconn.send_query(sql)
        self.result()

    def commit(self) -> None:
        """Called by SQLAlchemy."""
        self.command(b"COMMIT")

    def rollback(self) -> None:
        """Called by SQLAlchemy, also where the transaction has ended already."""
        if self.pgconn.transaction_status != TransactionStatus.IDLE:
            self.command(b"ROLLBACK")


class _Idle(Pool):
    """Connections that nobody uses at the moment, the one used last on top.

    There are as many as threads that ask at once, so there is no other limit to keep.
    """

    def __init__(self, creator: Any, **options: Any) -> None:
        super().__init__(creator, **options)
        self._records: deque[ConnectionPoolEntry] = deque()

    @contextmanager
    def taken(self) -> Iterator[_PatientConnection]:
        """One of them for a single statement, without SQLAlchemy's own wrapping. psycopg.Error."""
        record, clean = cast(Any, self._do_get()), False
        try:
            driver: _PatientConnection = record.get_connection()
            if driver.was_closed():  # by itself too, when an answer did not come
                record.invalidate()
                driver = record.get_connection()
            yield driver
            if driver.pgconn.transaction_status == TransactionStatus.IDLE:
                clean = True
        finally:
            if not clean:  # closed, or left in the middle of something
                record.invalidate()
            self._do_return_conn(record)

    def _do_get(self) -> ConnectionPoolEntry:
        try:
            return self._records.pop()
        except IndexError:
            return self._create_connection()

    def _do_return_conn(self, record: ConnectionPoolEntry) -> None:
        self._records.append(record)

    def recreate(self) -> _Idle:
        return _Idle(
            self._creator,
            reset_on_return=self._reset_on_return,
            _dispatch=self.dispatch,
            dialect=self._dialect,
        )

    def dispose(self) -> None:
        while self._records:
            self._records.pop().close()

    def status(self) -> str:
        return f"{len(self._records)} idle connections"


# What Queries are executed in: SQLAlchemy's connection with its transaction, or psycopg's.
Transaction = Connection | _PatientConnection


@contextmanager
def _driver(inside: Transaction, sql: str) -> Iterator[_PatientConnection]:
    """psycopg's connection of a transaction; what fails in here is raised as SQLAlchemy does."""
    if isinstance(inside, _PatientConnection):
        driver = inside
    else:
        driver = cast(_PatientConnection, inside.connection.driver_connection)
    try:
        yield driver
    except psycopg.Error as error:
        if driver.closed and isinstance(inside, Connection):
            inside.invalidate(error)
        raise _reported(error, sql) from error


def _reported(error: psycopg.Error, sql: str) -> BaseException:
    return DBAPIError.instance(sql, None, error, psycopg.Error, hide_parameters=True)


def _timed_out(error: BaseException) -> bool:
    return isinstance(error, psycopg.errors._WaitTimeout | psycopg.errors.ConnectionTimeout)
