"""Statements that are executed again and again, made ready once."""

from __future__ import annotations

from collections import namedtuple
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from typing import Any

import psycopg
from psycopg.adapt import PyFormat, Transformer
from psycopg.pq.abc import PGresult
from sqlalchemy import (
    ARRAY,
    JSON,
    BindParameter,
    Boolean,
    Connection,
    Dialect,
    Engine,
    Select,
    String,
    Subquery,
    Text,
    bindparam,
)
from sqlalchemy.dialects import postgresql
from sqlalchemy.ext.compiler import compiles
from sqlalchemy.orm import InstrumentedAttribute
from sqlalchemy.sql.compiler import SQLCompiler
from sqlalchemy.sql.dml import UpdateBase
from sqlalchemy.sql.functions import FunctionElement
from sqlalchemy.types import TypeDecorator, TypeEngine

from mailapp.database import engine, followed, read, write
from mailapp.postgresql import Idle, PatientConnection, driver_of, reported
from mailapp.postgresql import Transaction as Transaction

# PostgreSQL's own $1, $2 in place of Python's %(name)s, as libpq takes them.
_DIALECT = postgresql.psycopg.dialect(paramstyle="numeric_dollar")  # type: ignore[no-untyped-call]

Statement = Select[*tuple[Any, ...]] | UpdateBase

_DIFFERS = object()


def given(*names: str) -> dict[str, BindParameter[Any]]:
    """Columns to fill, each with the value that is given under its name."""
    return {name: bindparam(name) for name in names}


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
    # It is a comparison: SQLite, which has no booleans, would compare it with 1, and use no index.
    _is_implicitly_boolean = True

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


class rows_as_json(FunctionElement[str]):  # noqa: N801  # SQLAlchemy's functions are written so
    """All rows of a subquery as one text: a JSON list of lists."""

    type = Text()
    inherit_cache = True

    def __init__(self, rows: Subquery) -> None:
        super().__init__(*rows.c)


@compiles(rows_as_json, "postgresql")
def _json_agg(element: rows_as_json, compiler: SQLCompiler, **options: Any) -> str:
    columns = ", ".join(compiler.process(column, **options) for column in element.clauses)
    return f"CAST(json_agg(json_build_array({columns})) AS TEXT)"


@compiles(rows_as_json, "sqlite")
def _json_group_array(element: rows_as_json, compiler: SQLCompiler, **options: Any) -> str:
    columns = ", ".join(compiler.process(column, **options) for column in element.clauses)
    return f"json_group_array(json_array({columns}))"


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
                _DIFFERS if compiled.binds[name].required else compiled.params[name],
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
        asked = engine()
        if not isinstance(asked.pool, Idle):
            with read() as connection:
                return self.rows(connection, **values)
        try:
            record, driver = asked.pool.take()
            try:
                return self._converted(driver, self._result(driver, asked, values))
            finally:
                asked.pool.give_back(record, driver)
        except psycopg.Error as error:
            raise reported(error, self._sql) from error

    def rows(self, inside: Transaction, **values: Any) -> list[Any]:
        """The rows, in this transaction. Raises what SQLAlchemy raises."""
        if isinstance(inside, Connection) and inside.dialect.name != "postgresql":
            return list(map(self._row._make, inside.execute(self._statement, values)))
        driver = driver_of(inside)
        try:
            return self._converted(driver, self._result(driver, inside, values))
        except psycopg.Error as error:
            raise reported(error, self._sql, inside) from error

    def run(self, inside: Transaction, **values: Any) -> int:
        """Execute what returns no rows: how many it changed. Raises what SQLAlchemy raises."""
        if isinstance(inside, Connection) and inside.dialect.name != "postgresql":
            return inside.execute(self._statement, values).rowcount
        driver = driver_of(inside)
        try:
            return self._result(driver, inside, values).command_tuples or 0
        except psycopg.Error as error:
            raise reported(error, self._sql, inside) from error

    def _result(
        self, driver: PatientConnection, inside: Transaction | Engine, values: Mapping[str, Any]
    ) -> PGresult:
        parameters = []
        for place, constant, process in self._places:
            value = values[place] if constant is _DIFFERS else constant
            parameters.append(process(value) if process else value)
        # Who listens to what SQLAlchemy executes, such as tests that count, hears of this too.
        heard = engine() if isinstance(inside, PatientConnection) else inside
        for listener in heard.dispatch.before_cursor_execute:
            listener(heard, None, self._sql, parameters, None, False)
        name = driver.prepared.get(self)
        if name is None:
            name = b"query_%d" % len(driver.prepared)
            driver.pgconn.send_prepare(name, self._sql.encode())
            driver.result()
            driver.prepared[self] = name
        converted = Transformer(driver).dump_sequence(parameters, self._formats)
        driver.pgconn.send_query_prepared(name, converted)
        return driver.result()

    def _converted(self, driver: PatientConnection, result: PGresult) -> list[Any]:
        converter = Transformer(driver)
        converter.set_pgresult(result)
        return converter.load_rows(0, result.ntuples, self._row._make)


@contextmanager
def transaction() -> Iterator[Transaction]:
    """As `write`, for Queries alone, without SQLAlchemy's part of it. Raises the same."""
    pool = engine().pool
    if not isinstance(pool, Idle):
        with write() as connection:
            yield connection
        return
    with followed():
        try:
            record, driver = pool.take()
            try:
                driver.command(b"BEGIN")
                try:
                    yield driver
                except BaseException:
                    with suppress(psycopg.Error):  # a connection that is gone has ended it already
                        driver.rollback()
                    raise
                driver.commit()
            finally:
                pool.give_back(record, driver)
        except psycopg.Error as error:
            raise reported(error, "BEGIN or COMMIT") from error
