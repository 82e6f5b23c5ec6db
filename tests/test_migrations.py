"""The schema that the migrations make is the one the code's models say."""

from __future__ import annotations

from pathlib import Path

from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from flask import Flask

from mailapp import database, migrations
from mailapp.database import Base


def test_the_migrations_make_what_the_models_say(app: Flask) -> None:
    with database.engine().connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": False}
        )
        assert compare_metadata(context, Base.metadata) == []
        assert migrations.is_current(connection)


def test_migrating_again_changes_nothing(app: Flask) -> None:
    migrations.upgrade(database.engine())
    with database.engine().connect() as connection:
        assert migrations.is_current(connection)


def test_what_serving_asks_for_is_what_alembic_would_upgrade_to() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))

    assert migrations.newest() == ScriptDirectory.from_config(config).get_current_head()
