"""The database's schema, step by step; `upgrade` is the job that brings it to the newest."""

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
    """Bring the schema to the newest version; of two at once, one waits for the other."""
    # Imported here, because every process that serves asks is_current and would keep 9 MB of it.
    from alembic import command
    from alembic.config import Config

    with _alone(engine) as connection:
        config = Config()
        config.set_main_option("script_location", str(_HERE))
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def is_current(connection: Connection) -> bool:
    """Whether the schema is the one this version of mailapp was written for."""
    if not inspect(connection).has_table("alembic_version"):
        return False
    reached = connection.execute(text("SELECT version_num FROM alembic_version")).scalars().all()
    return list(reached) == [newest()]


def newest() -> str:
    """The last revision: the number that the last file in versions/ begins with."""
    return max(path.name.partition("_")[0] for path in _HERE.glob("versions/[0-9]*.py"))


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
