"""The database's schema, step by step; `upgrade` is the job that brings it to the newest.

While a new version is rolled out, instances of the one before serve on the new schema. So a step
only adds what they can do without, and what they need goes one version later.
"""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import Connection, Engine, inspect, text

# Any number, as long as nobody else uses it in this database: "mail" in ASCII.
_LOCK = 0x6D61696C

_HERE = Path(__file__).parent


def upgrade(engine: Engine) -> None:
    """Bring the schema to this version's; of two at once, one waits for the other.

    A later one is left as it is: the job may be an older image's that was put back.
    """
    # Imported here, because every process that serves asks is_new_enough and would keep 9 MB of it.
    from alembic import command
    from alembic.config import Config

    with _alone(engine) as connection:
        if _reached(connection) > newest():
            return
        config = Config()
        config.set_main_option("script_location", str(_HERE))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


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
def _alone(engine: Engine) -> Iterator[Connection]:
    """One transaction that no other migration runs beside."""
    if engine.dialect.name == "postgresql":
        with engine.begin() as connection:
            # Held until the transaction ends, also when this process is killed.
            connection.execute(text("SELECT pg_advisory_xact_lock(:lock)"), {"lock": _LOCK})
            yield connection
        return
    path = Path(f"{engine.url.database}.migrating")
    with path.open("w") as file:
        fcntl.flock(file, fcntl.LOCK_EX)  # given up by the kernel with the process
        with engine.begin() as connection:
            yield connection
