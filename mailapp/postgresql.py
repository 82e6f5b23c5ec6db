"""PostgreSQL: connections that never wait for long, and a pool of those nobody uses.

Of several servers, of which one takes writes and the others stand by, the one is found when a
connection is opened, and its connections are left when it turns out not to be it any more.
"""

from __future__ import annotations

import select
import threading
import time
from collections import deque
from collections.abc import Sequence
from queue import Empty, SimpleQueue
from typing import Any, cast

import psycopg
from psycopg import generators
from psycopg.abc import PQGen
from psycopg.conninfo import conninfo_to_dict, make_conninfo
from psycopg.pq import ExecStatus, TransactionStatus
from psycopg.pq.abc import PGresult
from sqlalchemy import Connection, Engine, create_engine, event
from sqlalchemy.engine import make_url
from sqlalchemy.exc import ArgumentError, DBAPIError, DisconnectionError
from sqlalchemy.pool import ConnectionPoolEntry, Pool

from mailapp.settings import Settings
from mailapp.telemetry import traces
from mailapp.turnstile import Hangs, Turnstile

# Seconds after an answer in which a connection is taken for alive: no server that was stopped
# serves again so soon. (One that was ended by an operator alone costs its next user an error.)
MOMENT = 0.05

# What is said to a statement that was prepared before its tables were changed, or elsewhere
# (feature_not_supported, invalid_sql_statement_name): another connection prepares it anew.
_OUT_OF_DATE = ("0A000", "26000")

# "canceling wait for synchronous replication": a warning without a code of its own.
_UNCONFIRMED = "01000"

_GOOD = (ExecStatus.TUPLES_OK, ExecStatus.COMMAND_OK)

_CONNECT_SECONDS = 2  # the least that libpq has


def servers(database_url: str) -> list[str]:
    """What libpq is told of each server that a `postgresql+psycopg://` URL names.

    Raises ValueError with the rest of the sentence "DATABASE_URL …".
    """
    plain = f"postgresql://{database_url.partition('://')[2]}"
    authority = plain.partition("://")[2].partition("?")[0].rpartition("@")[2].partition("/")[0]
    # The password is in the texts of these errors.
    if "," not in authority:
        try:
            return [make_url(plain).render_as_string(hide_password=False)]
        except (ArgumentError, ValueError):
            raise ValueError("can't be read as a URL (the port must be a number)") from None
    try:
        named: dict[str, Any] = conninfo_to_dict(plain)
    except psycopg.Error:
        raise ValueError("can't be read as a URL of several servers") from None
    if named.get("target_session_attrs") not in {"read-write", "primary"}:
        raise ValueError(
            "names several servers, so it must end in ?target_session_attrs=read-write: "
            "one that stands by can't be written to"
        )
    ports = [port or "5432" for port in str(named.get("port") or "").split(",")]
    if not all(port.isdecimal() for port in ports):
        raise ValueError("can't be read as a URL of several servers (each port must be a number)")
    hosts = str(named["host"]).split(",")
    if len(ports) == 1:  # which is then every server's
        ports *= len(hosts)
    if len(ports) != len(hosts) or not all(hosts):
        raise ValueError("can't be read as a URL of several servers (each as host:port)")
    return [
        make_conninfo(**{**named, "host": host, "port": port})
        for host, port in zip(hosts, ports, strict=True)
    ]


def new_engine(settings: Settings, timeout: float | None) -> Engine:
    """An engine for `settings.database_url`; see `mailapp.database.connect` for `timeout`."""
    parameters: dict[str, Any] = {
        "connect_timeout": _CONNECT_SECONDS,
        "application_name": f"mailapp {settings.instance_name}",
    }
    parameters["options"] = "-c TimeZone=UTC"
    if timeout is not None:
        milliseconds = int(timeout * 1000)
        parameters["options"] += (
            f" -c statement_timeout={milliseconds} -c lock_timeout={milliseconds}"
            f" -c idle_in_transaction_session_timeout={max(30_000, milliseconds)}"
        )
    named = servers(settings.database_url)
    turnstile = Turnstile("database", _timed_out, lambda *_asked: traces.statement())
    failures = Failures()

    def open_connection() -> psycopg.Connection[Any]:
        seen = failures.count
        traces.say("CONNECT")
        try:
            connection = turnstile.ask(_connect, named, parameters)
        except Hangs:
            raise psycopg.OperationalError("the database does not answer") from None
        connection.turnstile = turnstile
        connection.failures, connection.failures_seen = failures, seen
        connection.prepared = {}
        # Only Query prepares: after an ALTER or DROP psycopg would deallocate all, ours too.
        connection.prepare_threshold = None
        connection.warnings = warnings = []
        connection.add_notice_handler(lambda notice: warnings.append(notice.sqlstate))
        # statement_timeout ends a slow statement; this ends the wait for a server that is hung or
        # cut off and so can't end anything itself.
        connection.patience = None if timeout is None else timeout + 0.25
        return connection

    engine = create_engine(
        "postgresql+psycopg://",
        creator=open_connection,
        poolclass=Idle,
        # Every transaction is ended where it was begun; another rollback would be one more call.
        pool_reset_on_return=None,
        hide_parameters=True,  # what people write does not belong into a log
    )

    @event.listens_for(engine, "checkout")
    def _refuse_closed(connection: PatientConnection, _record: Any, _proxy: Any) -> None:
        if connection.was_closed():
            raise DisconnectionError("the server closed this connection")

    return engine


def begin(connection: Connection) -> None:
    """Open a transaction in SQLAlchemy's connection; raises what SQLAlchemy raises."""
    try:
        driver_of(connection).command(b"BEGIN")
    except psycopg.Error as error:
        raise reported(error, "BEGIN", connection) from error


class Failures:
    """How often a server was found to hang, or to take no writes, by whichever connection.

    What others were opened before goes to the same server: none is used again, so that each need
    not find out for itself.
    """

    count = 0


class PatientConnection(psycopg.Connection[Any]):
    """A connection that waits at most `patience` seconds for each answer, then gives itself up.

    `prepared` is what each statement is called that was prepared in it; `warnings` are the codes of
    what the server warned of.
    """

    patience: float | None = None
    turnstile: Turnstile
    failures: Failures
    failures_seen: int
    prepared: dict[object, bytes]
    warnings: list[str | None]
    _ready: select.poll | None = None
    _answered_at = 0.0

    def wait(self, gen: PQGen[Any], interval: float = 0.1, timeout: float | None = None) -> Any:
        try:
            return self.turnstile.ask(
                super().wait, gen, interval, self.patience if timeout is None else timeout
            )
        except (psycopg.errors._WaitTimeout, Hangs) as error:
            # The answer may still come, to a question nobody asks any more: not to be used again.
            self.pgconn.finish()
            if not isinstance(error, Hangs):
                self.failures.count += 1
            raise psycopg.OperationalError("the database did not answer in time") from None
        except psycopg.errors.ReadOnlySqlTransaction as error:
            raise self._demoted() from error

    def was_closed(self) -> bool:
        """Whether the server has closed it (a restart, a failover), or is not to be asked again.

        An idle connection has nothing to say, so one that can be read was closed: the pool opens
        another before any statement is lost to it. Unlike a ping, this costs no round trip, and
        right after an answer nothing.
        """
        if self.failures_seen != self.failures.count:
            return True
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
            error = psycopg.errors.error_from_result(result)
            if isinstance(error, psycopg.errors.ReadOnlySqlTransaction):
                raise self._demoted() from error
            if error.sqlstate in _OUT_OF_DATE:
                self.pgconn.finish()
            raise error
        return result

    def command(self, sql: bytes) -> None:
        """Begin or end a transaction; raises psycopg.Error."""
        traces.say(sql.decode())
        self.pgconn.send_query(sql)
        self.result()

    def commit(self) -> None:
        """Called by SQLAlchemy. Raises psycopg.Error where it is not sure that it will stay so.

        A server that waits for its standby (synchronous_commit) and runs out of time answers that
        all is well, and warns: what it has committed the standby may not have, so that a takeover
        would lose it. Whoever asked is told to try again, which is safe to do.
        """
        self.warnings.clear()
        self.command(b"COMMIT")
        if _UNCONFIRMED in self.warnings:
            raise psycopg.OperationalError("no standby confirmed the commit in time")

    def rollback(self) -> None:
        """Called by SQLAlchemy, also where the transaction has ended already."""
        if self.pgconn.transaction_status != TransactionStatus.IDLE:
            self.command(b"ROLLBACK")

    def _demoted(self) -> psycopg.Error:
        """The server was made one that stands by: the next connection goes to another."""
        self.pgconn.finish()
        self.failures.count += 1
        return psycopg.OperationalError("this database server takes no writes any more")


def _connect(named: Sequence[str], parameters: dict[str, Any]) -> PatientConnection:
    """A connection to the one that takes writes; raises psycopg.Error.

    All are asked at the same time: one that is gone or hangs delays nobody, and however many there
    are, it takes no longer than one may.
    """
    # The driver's own way of opening transactions is off: `begin` opens them.
    if len(named) == 1:
        return PatientConnection.connect(named[0], autocommit=True, **parameters)
    answers: SimpleQueue[PatientConnection | Exception] = SimpleQueue()
    decided = threading.Event()

    def ask(server: str) -> None:
        try:
            answers.put(PatientConnection.connect(server, autocommit=True, **parameters))
        except Exception as error:
            answers.put(error)
        if decided.is_set():
            _close_all(answers)

    for server in named:
        threading.Thread(target=ask, args=(server,), name="connect", daemon=True).start()
    errors: list[Exception] = []
    deadline = time.monotonic() + _CONNECT_SECONDS + 0.25
    try:
        while len(errors) < len(named):
            answer = answers.get(timeout=max(0.0, deadline - time.monotonic()))
            if isinstance(answer, PatientConnection):
                return answer
            errors.append(answer)
    except Empty:
        errors.append(psycopg.errors.ConnectionTimeout("no answer in time"))
    finally:
        decided.set()
        _close_all(answers)
    said = "; ".join(" ".join(str(error).split()) for error in errors)
    silent = any(map(_timed_out, errors))
    raise (psycopg.errors.ConnectionTimeout if silent else psycopg.OperationalError)(said)


def _close_all(late: SimpleQueue[PatientConnection | Exception]) -> None:
    while True:
        try:
            answer = late.get_nowait()
        except Empty:
            return
        if isinstance(answer, PatientConnection):
            answer.close()


class Idle(Pool):
    """Connections that nobody uses at the moment, the one used last on top.

    There are as many as threads that ask at once, so there is no other limit to keep.
    """

    def __init__(self, creator: Any, **options: Any) -> None:
        super().__init__(creator, **options)
        self._records: deque[ConnectionPoolEntry] = deque()
        self._made: list[ConnectionPoolEntry] = []

    def take(self) -> tuple[Any, PatientConnection]:
        """One of them, without SQLAlchemy's own wrapping, and what to give back; psycopg.Error."""
        record: Any = self._do_get()
        try:
            driver: PatientConnection = record.get_connection()
            if driver.was_closed():
                record.invalidate()
                driver = record.get_connection()
        except BaseException:
            self._do_return_conn(record)
            raise
        return record, driver

    def give_back(self, record: Any, driver: PatientConnection) -> None:
        """Give back what was taken; what was closed, or left in the middle of something, ends."""
        if driver.pgconn.transaction_status != TransactionStatus.IDLE:
            record.invalidate()
        self._do_return_conn(record)

    def _do_get(self) -> ConnectionPoolEntry:
        try:
            return self._records.pop()
        except IndexError:
            record = self._create_connection()
            self._made.append(record)
            return record

    def _do_return_conn(self, record: ConnectionPoolEntry) -> None:
        self._records.append(record)

    def recreate(self) -> Idle:
        return Idle(
            self._creator,
            reset_on_return=self._reset_on_return,
            _dispatch=self.dispatch,
            dialect=self._dialect,
        )

    def dispose(self) -> None:
        while self._records:
            self._records.pop().close()
        self._made.clear()

    def counts(self) -> tuple[int, int]:
        """How many there are: idle, in use."""
        idle = len(self._records)
        return idle, max(0, len(self._made) - idle)

    def status(self) -> str:
        return f"{len(self._records)} idle connections"


# What Queries are executed in: SQLAlchemy's connection with its transaction, or psycopg's.
Transaction = Connection | PatientConnection


def driver_of(inside: Transaction) -> PatientConnection:
    """psycopg's connection of a transaction."""
    if isinstance(inside, PatientConnection):
        return inside
    return cast(PatientConnection, inside.connection.driver_connection)


def reported(error: psycopg.Error, sql: str, inside: Transaction | None = None) -> BaseException:
    """What SQLAlchemy would raise for an error; it too is told where that ended its connection."""
    if isinstance(inside, Connection) and driver_of(inside).closed:
        inside.invalidate(error)
    return DBAPIError.instance(sql, None, error, psycopg.Error, hide_parameters=True)


def _timed_out(error: BaseException) -> bool:
    return isinstance(error, psycopg.errors._WaitTimeout | psycopg.errors.ConnectionTimeout)
