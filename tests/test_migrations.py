"""The schema that the migrations make is the one the code's models say."""

from __future__ import annotations

from pathlib import Path

import pytest
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from flask import Flask
from sqlalchemy import text
from sqlalchemy.exc import OperationalError

from mailapp import database, migrations
from mailapp.database import Base


def test_the_migrations_make_what_the_models_say(app: Flask) -> None:
    with database.engine().connect() as connection:
        context = MigrationContext.configure(
            connection, opts={"compare_type": True, "compare_server_default": False}
        )
        assert compare_metadata(context, Base.metadata) == []
        assert migrations.is_new_enough(connection)


def test_migrating_again_changes_nothing(app: Flask) -> None:
    migrations.upgrade(database.engine())
    with database.engine().connect() as connection:
        assert migrations.is_new_enough(connection)


def test_what_serving_asks_for_is_what_alembic_would_upgrade_to() -> None:
    config = Config()
    config.set_main_option("script_location", str(Path(migrations.__file__).parent))

    assert migrations.newest() == ScriptDirectory.from_config(config).get_current_head()


def test_a_version_serves_on_a_later_schema_and_not_on_an_older_one(app: Flask) -> None:
    with database.write() as connection:
        connection.execute(text("UPDATE alembic_version SET version_num = '0000'"))
        assert not migrations.is_new_enough(connection)
        connection.execute(text("UPDATE alembic_version SET version_num = '9999'"))
        assert migrations.is_new_enough(connection)

    migrations.upgrade(database.engine())  # as an older image does that was put back
    with database.read() as connection:
        assert (
            connection.execute(text("SELECT version_num FROM alembic_version")).scalar() == "9999"
        )


def test_the_version_before_goes_on_making_accounts_who_are_no_operators(app: Flask) -> None:
    with database.write() as connection:
        connection.execute(
            text(
                "INSERT INTO accounts (address, name, password_hash, created_at) "
                "VALUES ('old@mail.example', 'Old', '-', CURRENT_TIMESTAMP)"
            )
        )
        made = connection.execute(text("SELECT is_admin FROM accounts"))
        assert [bool(row.is_admin) for row in made] == [False]


@pytest.mark.parametrize("parts", ["servers"], indirect=True)
def test_a_migration_gives_up_rather_than_hold_up_the_mail_behind_a_backup(app: Flask) -> None:
    with database.write() as connection:
        connection.execute(text("ALTER TABLE accounts DROP COLUMN is_admin"))
        connection.execute(text("DROP TABLE instances"))
        connection.execute(text("UPDATE alembic_version SET version_num = '0001'"))
    with database.write() as backup:
        backup.execute(text("LOCK TABLE accounts IN ACCESS SHARE MODE"))
        with pytest.raises(OperationalError, match="lock timeout"):
            migrations.upgrade(database.engine())

    migrations.upgrade(database.engine())
    with database.read() as connection:
        assert migrations.is_new_enough(connection)
