"""Conversations, one's own folders, stars, formatted and received mail, preferences, uploads.

What grows with the mail, the indexes and foreign keys of large tables and the threads of what is
there already, is not done here but afterwards, without a lock (mailapp/migrations/catching_up.py).
There is no way down: the version before serves on this schema as it is.
"""

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects.postgresql import TSVECTOR

from mailapp.database import UtcDateTime
from mailapp.migrations import catching_up, triggers

revision = "0003"
down_revision = "0002"
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")


def upgrade() -> None:
    on_postgresql = op.get_bind().dialect.name == "postgresql"
    if on_postgresql:
        op.execute("SET LOCAL lock_timeout = '1s'")  # see 0002
    _drop_old_triggers(on_postgresql)
    _new_tables()
    _new_columns()
    _new_search(on_postgresql)
    for trigger in triggers.POSTGRESQL if on_postgresql else triggers.SQLITE:
        op.execute(trigger)
    if not on_postgresql:
        catching_up.create_indexes(op.get_bind())


def _drop_old_triggers(on_postgresql: bool) -> None:
    for what in ("insert", "update", "delete"):
        where = " ON entries" if on_postgresql else ""
        op.execute(f"DROP TRIGGER entries_counted_{what}{where}")
    if on_postgresql:
        op.execute("DROP FUNCTION mailboxes_count_entries()")


def _new_tables() -> None:
    op.create_table(
        "threads",
        sa.Column("id", BIG, nullable=False),
        sa.Column("account_id", BIG, nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name=op.f("fk_threads_account_id_accounts")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_threads")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "thread_refs",
        sa.Column("account_id", BIG, nullable=False),
        sa.Column("ref", sa.String(length=32), nullable=False),
        sa.Column("thread_id", BIG, nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name=op.f("fk_thread_refs_account_id_accounts")
        ),
        sa.ForeignKeyConstraint(
            ["thread_id"],
            ["threads.id"],
            name=op.f("fk_thread_refs_thread_id_threads"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("account_id", "ref", name=op.f("pk_thread_refs")),
    )
    op.create_index(op.f("ix_thread_refs_thread_id"), "thread_refs", ["thread_id"])
    op.create_table(
        "conversations",
        sa.Column("mailbox_id", BIG, nullable=False),
        sa.Column("thread_id", BIG, nullable=False),
        sa.Column("newest_at", UtcDateTime(), nullable=False),
        sa.Column("newest_id", BIG, nullable=False),
        sa.Column("total", sa.Integer(), nullable=False),
        sa.Column("unread", sa.Integer(), nullable=False),
        sa.Column("starred", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["mailbox_id"],
            ["mailboxes.id"],
            name=op.f("fk_conversations_mailbox_id_mailboxes"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["thread_id"],
            ["threads.id"],
            name=op.f("fk_conversations_thread_id_threads"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("mailbox_id", "thread_id", name=op.f("pk_conversations")),
    )
    op.create_index(
        "ix_conversations_newest", "conversations", ["mailbox_id", "newest_at", "newest_id"]
    )
    op.create_index(op.f("ix_conversations_thread_id"), "conversations", ["thread_id"])
    op.create_table(
        "bulk_jobs",
        sa.Column("id", BIG, nullable=False),
        sa.Column("account_id", BIG, nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("action", sa.String(length=16), nullable=False),
        sa.Column("selection", sa.JSON(), nullable=False),
        sa.Column("target_id", BIG),
        sa.Column("until", BIG, nullable=False),
        sa.Column("after", sa.Text()),
        sa.Column("modseqs", sa.JSON(), nullable=False),
        sa.Column("done", sa.Integer(), nullable=False),
        sa.Column("finished_at", UtcDateTime()),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name=op.f("fk_bulk_jobs_account_id_accounts")
        ),
        sa.ForeignKeyConstraint(
            ["target_id"], ["mailboxes.id"], name=op.f("fk_bulk_jobs_target_id_mailboxes")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_bulk_jobs")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_bulk_jobs_created_at"), "bulk_jobs", ["created_at"])
    op.create_index(
        "ix_bulk_jobs_unfinished",
        "bulk_jobs",
        ["id"],
        postgresql_where=sa.text("finished_at IS NULL"),
        sqlite_where=sa.text("finished_at IS NULL"),
    )
    op.create_table(
        "contacts",
        sa.Column("account_id", BIG, nullable=False),
        sa.Column("address", sa.String(length=320), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("used_at", UtcDateTime(), nullable=False),
        sa.Column("uses", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name=op.f("fk_contacts_account_id_accounts")
        ),
        sa.PrimaryKeyConstraint("account_id", "address", name=op.f("pk_contacts")),
    )
    # One order on both databases: that of the characters' numbers.
    word = sa.String(length=100).with_variant(sa.String(length=100, collation="C"), "postgresql")
    op.create_table(
        "address_words",
        sa.Column("owner_id", BIG, nullable=False),
        sa.Column("word", word, nullable=False),
        sa.Column("address", sa.String(length=320), nullable=False),
        sa.PrimaryKeyConstraint("owner_id", "word", "address", name=op.f("pk_address_words")),
    )
    op.create_index(
        op.f("ix_address_words_owner_id_address"), "address_words", ["owner_id", "address"]
    )
    op.create_table(
        "trusted_senders",
        sa.Column("account_id", BIG, nullable=False),
        sa.Column("address", sa.String(length=320), nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name=op.f("fk_trusted_senders_account_id_accounts")
        ),
        sa.PrimaryKeyConstraint("account_id", "address", name=op.f("pk_trusted_senders")),
    )
    op.create_table(
        "uploads",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("draft_id", sa.Uuid(), nullable=False),
        sa.Column("filename", sa.Text(), nullable=False),
        sa.Column("content_type", sa.Text(), nullable=False),
        sa.Column("size", BIG, nullable=False),
        sa.Column("received", BIG, nullable=False),
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.Column("state", sa.JSON(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.ForeignKeyConstraint(
            ["draft_id"],
            ["drafts.id"],
            name=op.f("fk_uploads_draft_id_drafts"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_uploads")),
    )
    op.create_index(op.f("ix_uploads_draft_id"), "uploads", ["draft_id"])
    op.create_index(op.f("ix_uploads_updated_at"), "uploads", ["updated_at"])


def _new_search(on_postgresql: bool) -> None:
    op.create_table(
        "search_entries",
        sa.Column("entry_id", BIG, autoincrement=False, nullable=False),
        sa.Column("account_id", BIG, nullable=False),
        sa.Column("sort_at", UtcDateTime(), nullable=False),
        sa.Column("words", sa.Text().with_variant(TSVECTOR(), "postgresql"), nullable=False),
        sa.ForeignKeyConstraint(
            ["entry_id"],
            ["entries.id"],
            name=op.f("fk_search_entries_entry_id_entries"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("entry_id", name=op.f("pk_search_entries")),
    )
    op.create_index(
        "ix_search_entries_newest", "search_entries", ["account_id", "sort_at", "entry_id"]
    )
    op.create_table(
        "search_missing",
        sa.Column("entry_id", BIG, autoincrement=False, nullable=False),
        sa.ForeignKeyConstraint(
            ["entry_id"],
            ["entries.id"],
            name=op.f("fk_search_missing_entry_id_entries"),
            ondelete="CASCADE",
            # The trigger that writes it comes before the entry.
            deferrable=True,
            initially="DEFERRED",
        ),
        sa.PrimaryKeyConstraint("entry_id", name=op.f("pk_search_missing")),
    )
    for statement in triggers.POSTGRESQL_SEARCH if on_postgresql else triggers.SQLITE_SEARCH:
        op.execute(statement)


def _new_columns() -> None:
    """What the version before does not know is null, or has a default."""
    with op.batch_alter_table("accounts") as accounts:
        accounts.add_column(sa.Column("language", sa.String(length=16)))
        accounts.add_column(sa.Column("time_zone", sa.String(length=64)))
        accounts.add_column(
            sa.Column("theme", sa.String(length=16), server_default="system", nullable=False)
        )
        accounts.add_column(sa.Column("undo_seconds", sa.Integer()))
        accounts.add_column(sa.Column("signature", sa.Text(), server_default="", nullable=False))
        accounts.add_column(sa.Column("used_bytes", BIG, server_default="0", nullable=False))
        accounts.add_column(sa.Column("quota_bytes", BIG))
    with op.batch_alter_table("mailboxes") as mailboxes:
        mailboxes.alter_column("role", existing_type=sa.String(length=16), nullable=True)
        mailboxes.add_column(sa.Column("name", sa.Text()))
        mailboxes.add_column(sa.Column("name_key", sa.Text()))
        mailboxes.add_column(sa.Column("deleted_at", UtcDateTime()))
        mailboxes.create_unique_constraint(
            op.f("uq_mailboxes_account_id_name_key"), ["account_id", "name_key"]
        )
    with op.batch_alter_table("messages") as messages:
        messages.drop_constraint(op.f("uq_messages_message_id"), type_="unique")
        messages.add_column(sa.Column("html_body", sa.Text()))
        messages.add_column(sa.Column("size", BIG, server_default="0", nullable=False))
        messages.add_column(sa.Column("raw_blob_id", BIG))
        # Holds for what is written from now on; catching_up.py looks through what is there.
        messages.create_foreign_key(
            op.f("fk_messages_raw_blob_id_blobs"),
            "blobs",
            ["raw_blob_id"],
            ["id"],
            postgresql_not_valid=True,
        )
    with op.batch_alter_table("entries") as entries:
        entries.add_column(sa.Column("thread_id", BIG))
        entries.add_column(
            sa.Column("starred", sa.Boolean(), server_default=sa.false(), nullable=False)
        )
        entries.add_column(sa.Column("size", BIG, server_default="0", nullable=False))
        entries.add_column(sa.Column("moved_at", UtcDateTime()))
        entries.create_foreign_key(
            op.f("fk_entries_thread_id_threads"),
            "threads",
            ["thread_id"],
            ["id"],
            postgresql_not_valid=True,
        )
    with op.batch_alter_table("drafts") as drafts:
        drafts.add_column(sa.Column("html", sa.Text()))
        drafts.add_column(sa.Column("version", sa.Integer(), server_default="0", nullable=False))
        drafts.add_column(sa.Column("window", sa.Uuid()))
        drafts.add_column(sa.Column("send_at", UtcDateTime()))
        drafts.add_column(sa.Column("send_error", sa.Text()))
    op.create_index(
        "ix_drafts_due",
        "drafts",
        ["send_at"],
        postgresql_where=sa.text("send_at IS NOT NULL"),
        sqlite_where=sa.text("send_at IS NOT NULL"),
    )
    with op.batch_alter_table("draft_attachments") as files:
        files.add_column(
            sa.Column(
                "disposition", sa.String(length=16), server_default="attachment", nullable=False
            )
        )
        files.add_column(sa.Column("content_id", sa.Text()))
