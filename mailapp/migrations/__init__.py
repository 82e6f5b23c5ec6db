"""The database's schema, step by step; `upgrade` is the job that brings it to the newest."""

from __future__ import annotations

import fcntl
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from alembic import command
from alembic.config import Config
from alembic.runtime.migration import MigrationContext
from alembic.script import ScriptDirectory
from sqlalchemy import Connection, Engine, text

# Any number, as long as nobody else uses it in this database: "mail" in ASCII.
_LOCK = 0x6D61696C


def upgrade(engine: Engine) -> None:
    """Bring the schema to the newest version; of two at once, one waits for the other."""
    with _alone(engine) as connection:
        config = _config()
        config.attributes["connection"] = connection
        command.upgrade(config, "head")


def is_current(connection: Connection) -> bool:
    """Whether the schema is the one this version of mailapp was written for."""
    newest = ScriptDirectory.from_config(_config()).get_current_head()
    return MigrationContext.configure(connection).get_current_revision() == newest


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


def _config() -> Config:
    config = Config()
    config.set_main_option("script_location", str(Path(__file__).parent))
    return config
