"""The schema that the migrations make is the one the code's models say."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest
from alembic import command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.migration import MigrationContext
from alembic.script import ScriptDirectory
from flask import Flask
from sqlalchemy import Connection, Engine, text
from sqlalchemy.exc import OperationalError

from mailapp import database, migrations
from mailapp.database import Base


def test_the_migrations_make_what_the_models_say(app: Flask) -> None:
    with database.engine().connect() as connection:
        context = MigrationContext.configure(
            connection,
            opts={
                "compare_type": True,
                "compare_server_default": False,
                # The full-text indexes are what no model can say.
                "include_name": lambda name, *_: not (name or "").startswith("search_words"),
            },
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
    _at(database.engine(), "0001")
    with database.write() as backup:
        backup.execute(text("LOCK TABLE accounts IN ACCESS SHARE MODE"))
        with pytest.raises(OperationalError, match="lock timeout"):
            migrations.upgrade(database.engine())

    migrations.upgrade(database.engine())
    with database.read() as connection:
        assert migrations.is_new_enough(connection)


def test_mail_from_before_there_were_threads_is_in_conversations(app: Flask) -> None:
    _at(database.engine(), "0002")
    with database.write() as connection:
        _fill(connection)

    migrations.upgrade(database.engine())

    with database.read() as connection:
        rows = connection.execute(
            text(
                "SELECT b.role, c.total, c.unread, m.subject AS newest FROM conversations c "
                "JOIN mailboxes b ON b.id = c.mailbox_id JOIN entries e ON e.id = c.newest_id "
                "JOIN messages m ON m.id = e.message_id ORDER BY c.newest_at"
            )
        ).all()
        assert [tuple(row) for row in rows] == [
            ("sent", 1, 0, "Re: Question"),
            ("inbox", 2, 1, "Re: Re: Question"),
            ("inbox", 1, 1, "Re: Question"),
        ]
        sent_and_answered = connection.execute(
            text("SELECT count(DISTINCT thread_id) FROM entries WHERE id < 4")
        ).scalar()
        assert sent_and_answered == 1
        sizes = connection.execute(text("SELECT used_bytes FROM accounts")).scalar()
        headers = len("In-Reply-To<1@x>") + len("References<1@x> <2@x>")
        assert sizes == 3 * len("a text") + len("안녕".encode()) + headers + 1000
        assert connection.execute(text("SELECT count(*) FROM mailboxes")).scalar() == 4


@pytest.mark.parametrize("parts", ["servers"], indirect=True)
def test_the_version_before_goes_on_filing_mail_that_is_seen(app: Flask) -> None:
    with database.write() as connection:
        _fill(connection)
    with database.read() as connection:
        found = connection.execute(text("SELECT total FROM conversations ORDER BY newest_id"))
        assert [row.total for row in found] == [1, 1, 1, 1]
        weights = [6, 6, len("안녕".encode()), 1006]
        for table in ("messages", "entries"):
            sizes = connection.execute(text(f"SELECT size FROM {table} ORDER BY id"))
            assert [row.size for row in sizes] == weights
        used = connection.execute(text("SELECT used_bytes FROM accounts")).scalar()
        assert used == sum(weights)

    migrations.upgrade(database.engine())  # as a job that is run again
    with database.read() as connection:
        found = connection.execute(text("SELECT count(*) FROM entries WHERE thread_id IS NULL"))
        assert found.scalar() == 0


@pytest.mark.parametrize("parts", ["servers"], indirect=True)
def test_an_index_that_was_broken_off_is_built_again(app: Flask) -> None:
    with database.write() as connection:
        connection.execute(
            text(
                "UPDATE pg_index SET indisvalid = false "
                "WHERE indexrelid = 'ix_entries_threads'::regclass"
            )
        )

    migrations.upgrade(database.engine())

    with database.read() as connection:
        valid = text(
            "SELECT indisvalid FROM pg_index WHERE indexrelid = 'ix_entries_threads'::regclass"
        )
        assert connection.execute(valid).scalar() is True


@pytest.mark.parametrize("parts", ["servers"], indirect=True)
def test_old_rows_are_looked_through_for_a_foreign_key_only_after_the_migration(
    app: Flask,
) -> None:
    not_valid = text("SELECT conname FROM pg_constraint WHERE NOT convalidated ORDER BY conname")
    _at(database.engine(), "0003")
    with database.read() as connection:
        assert connection.scalars(not_valid).all() == [
            "fk_entries_thread_id_threads",
            "fk_messages_raw_blob_id_blobs",
        ]

    migrations.upgrade(database.engine())
    with database.read() as connection:
        assert connection.scalars(not_valid).all() == []


def _at(engine: Engine, revision: str) -> None:
    """Make the schema anew, as it was at that revision."""
    with engine.connect() as connection:
        if engine.dialect.name == "sqlite":
            driver: Any = connection.connection.driver_connection
            driver.execute("PRAGMA foreign_keys = OFF")
        with connection.begin():
            if engine.dialect.name == "postgresql":
                connection.execute(text("DROP SCHEMA public CASCADE"))
                connection.execute(text("CREATE SCHEMA public"))
            else:
                for (table,) in connection.execute(
                    text("SELECT name FROM sqlite_master WHERE type = 'table' AND sql <> ''")
                ).all():
                    if not table.startswith("sqlite_"):
                        connection.execute(text(f"DROP TABLE IF EXISTS {table}"))
            config = Config()
            config.set_main_option("script_location", str(Path(migrations.__file__).parent))
            config.attributes["connection"] = connection
            command.upgrade(config, revision)


def _fill(connection: Connection) -> None:
    """A question that was sent, an answer with an answer to it, and another of the same subject."""
    connection.execute(
        text(
            "INSERT INTO accounts (id, address, name, password_hash, created_at) "
            "VALUES (1, 'old@mail.example', 'Old', '-', CURRENT_TIMESTAMP)"
        )
    )
    for number, role in enumerate(("inbox", "sent", "drafts", "trash"), 1):
        connection.execute(
            text("INSERT INTO mailboxes (id, account_id, role) VALUES (:number, 1, :role)"),
            {"number": number, "role": role},
        )
    for number, (box, subject, headers, body, files) in enumerate(
        [
            (2, "Re: Question", [], "a text", []),
            (1, "Re: Question", [["In-Reply-To", "<1@x>"]], "a text", []),
            (1, "Re: Re: Question", [["References", "<1@x> <2@x>"]], "안녕", []),
            (1, "Re: Question", [], "a text", [{"filename": "a", "size": 1000}]),
        ],
        1,
    ):
        connection.execute(
            text(
                "INSERT INTO messages (id, message_id, created_at, headers, subject, from_name, "
                "from_address, to_preview, text_body, preview, attachments, attachment_count) "
                "VALUES (:number, :message_id, CURRENT_TIMESTAMP, :headers, :subject, '', '', '', "
                ":body, '', :files, 0)"
            ),
            {
                "number": number,
                "message_id": f"<{number}@x>",
                "headers": json.dumps(headers),
                "subject": subject,
                "body": body,
                "files": json.dumps(files),
            },
        )
        connection.execute(
            text(
                "INSERT INTO entries (account_id, mailbox_id, message_id, seen, sort_at, modseq) "
                "VALUES (1, :box, :number, :seen, :moment, 0)"
            ),
            {
                "box": box,
                "number": number,
                "seen": number < 3,
                "moment": f"2026-01-0{number} 12:00:00.000000",
            },
        )
