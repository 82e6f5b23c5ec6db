"""The database's schema, step by step; `upgrade` is the job that brings it to the newest.

While a new version is rolled out, instances of the one before serve on the new schema. So a step
only adds what they can do without, and what they need goes one version later.
"""

from __future__ import annotations

import fcntl
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from sqlalchemy import Connection, Engine, inspect, text

# Any number, as long as nobody else uses it in this database: "mail" in ASCII.
_LOCK = 0x6D61696C

# Seconds until it is looked again whether another migration has ended.
AGAIN_AFTER = 0.2

_HERE = Path(__file__).parent


def upgrade(engine: Engine) -> None:
    """Bring the schema to this version's; of two at once, one waits for the other.

    A later one is left as it is: the job may be an older image's that was put back.
    """
    # Imported here, because every process that serves asks is_new_enough and would keep 9 MB of it.
    from alembic import command
    from alembic.config import Config

    from mailapp.migrations import catching_up

    with _alone(engine):
        with _transaction(engine) as connection:
            if _reached(connection) > newest():
                return
            config = Config()
            config.set_main_option("script_location", str(_HERE))
            config.attributes["connection"] = connection
            command.upgrade(config, "head")
        catching_up.catch_up(engine)


def is_new_enough(connection: Connection) -> bool:
    """Whether the schema has all that this version of mailapp was written for."""
    return _reached(connection) >= newest()


def newest() -> str:
    """The last revision: the number that the last file in versions/ begins with."""
    return max(path.name.partition("_")[0] for path in _HERE.glob("versions/[0-9]*.py"))


def _reached(connection: Connection) -> str:
    """The revision that the schema is at; nothing where it is at none."""
    if not inspect(connection).has_table("alembic_version"):
        return ""
    found = connection.execute(text("SELECT version_num FROM alembic_version")).scalar()
    return str(found or "")


@contextmanager
def _alone(engine: Engine) -> Iterator[None]:
    """No other migration runs beside; the lock is given up with the process, however that ends."""
    if engine.dialect.name == "sqlite":
        with Path(f"{engine.url.database}.migrating").open("w") as file:
            fcntl.flock(file, fcntl.LOCK_EX)
            yield
        return
    lock = {"lock": _LOCK}
    with engine.execution_options(reading=True).connect() as connection:
        # Not by waiting for it inside PostgreSQL: who builds an index beside others waits for every
        # statement that was begun before, and that would be one.
        while not connection.execute(text("SELECT pg_try_advisory_lock(:lock)"), lock).scalar():
            time.sleep(AGAIN_AFTER)
        try:
            yield
        finally:
            connection.execute(text("SELECT pg_advisory_unlock(:lock)"), lock)


@contextmanager
def _transaction(engine: Engine) -> Iterator[Connection]:
    """The transaction in which the schema changes."""
    if engine.dialect.name == "postgresql":
        with engine.begin() as connection:
            yield connection
        return
    with engine.connect() as connection:
        # A table that changes is made anew under another name, and then takes the old one's: what
        # refers to it must not notice (SQLite's "Making Other Kinds Of Table Schema Changes").
        driver: Any = connection.connection.driver_connection
        driver.execute("PRAGMA foreign_keys = OFF")
        try:
            with connection.begin():
                yield connection
                if connection.exec_driver_sql("PRAGMA foreign_key_check").first():
                    raise RuntimeError("a migration would leave rows that refer to nothing")
        finally:
            driver.execute("PRAGMA foreign_keys = ON")
