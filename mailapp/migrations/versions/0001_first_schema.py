"""The first schema, and the triggers that keep the counts of mailboxes."""

import sqlalchemy as sa
from alembic import op

from mailapp.database import UtcDateTime

revision = "0001"
down_revision = None
branch_labels = None
depends_on = None

BIG = sa.BigInteger().with_variant(sa.Integer(), "sqlite")

# A mailbox's counts follow its entries by themselves. On PostgreSQL once a statement, whatever the
# number of rows: a row trigger would write the same mailbox ten thousand times in a bulk move.
POSTGRESQL = (
    """
    CREATE FUNCTION mailboxes_count_entries() RETURNS trigger LANGUAGE plpgsql AS $$
    BEGIN
      IF TG_OP = 'INSERT' THEN
        UPDATE mailboxes m SET total = total + d.n, unread = unread + d.u
        FROM (SELECT mailbox_id, count(*) AS n, count(*) FILTER (WHERE NOT seen) AS u
              FROM new_rows GROUP BY mailbox_id) d
        WHERE m.id = d.mailbox_id;
      ELSIF TG_OP = 'DELETE' THEN
        UPDATE mailboxes m SET total = total - d.n, unread = unread - d.u
        FROM (SELECT mailbox_id, count(*) AS n, count(*) FILTER (WHERE NOT seen) AS u
              FROM old_rows GROUP BY mailbox_id) d
        WHERE m.id = d.mailbox_id;
      ELSE
        UPDATE mailboxes m SET total = total + d.n, unread = unread + d.u
        FROM (SELECT mailbox_id, sum(n) AS n, sum(u) AS u
              FROM (SELECT mailbox_id, 1 AS n, (NOT seen)::int AS u FROM new_rows
                    UNION ALL
                    SELECT mailbox_id, -1, -(NOT seen)::int FROM old_rows) changes
              GROUP BY mailbox_id HAVING sum(n) <> 0 OR sum(u) <> 0) d
        WHERE m.id = d.mailbox_id;
      END IF;
      RETURN NULL;
    END $$
    """,
    """
    CREATE TRIGGER entries_counted_insert AFTER INSERT ON entries
    REFERENCING NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION mailboxes_count_entries()
    """,
    """
    CREATE TRIGGER entries_counted_update AFTER UPDATE ON entries
    REFERENCING OLD TABLE AS old_rows NEW TABLE AS new_rows
    FOR EACH STATEMENT EXECUTE FUNCTION mailboxes_count_entries()
    """,
    """
    CREATE TRIGGER entries_counted_delete AFTER DELETE ON entries
    REFERENCING OLD TABLE AS old_rows
    FOR EACH STATEMENT EXECUTE FUNCTION mailboxes_count_entries()
    """,
)

_COUNT_IN = """
  UPDATE mailboxes SET total = total + 1, unread = unread + (NOT NEW.seen)
  WHERE id = NEW.mailbox_id;
"""
_COUNT_OUT = """
  UPDATE mailboxes SET total = total - 1, unread = unread - (NOT OLD.seen)
  WHERE id = OLD.mailbox_id;
"""
SQLITE = (
    f"CREATE TRIGGER entries_counted_insert AFTER INSERT ON entries BEGIN {_COUNT_IN} END",
    "CREATE TRIGGER entries_counted_update AFTER UPDATE OF mailbox_id, seen ON entries "
    f"BEGIN {_COUNT_OUT} {_COUNT_IN} END",
    f"CREATE TRIGGER entries_counted_delete AFTER DELETE ON entries BEGIN {_COUNT_OUT} END",
)


def upgrade() -> None:
    op.create_table(
        "accounts",
        sa.Column("id", BIG, nullable=False),
        sa.Column("address", sa.String(length=320), nullable=False),
        sa.Column("name", sa.Text(), nullable=False),
        sa.Column("password_hash", sa.Text(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("disabled_at", UtcDateTime(), nullable=True),
        sa.Column("session_epoch", sa.Integer(), server_default="0", nullable=False),
        sa.Column("modseq", BIG, server_default="0", nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_accounts")),
        sa.UniqueConstraint("address", name=op.f("uq_accounts_address")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "blobs",
        sa.Column("id", BIG, nullable=False),
        sa.Column("sha256", sa.String(length=64), nullable=False),
        sa.Column("size", BIG, nullable=False),
        sa.Column("key", sa.String(length=200), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("last_used_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_blobs")),
        sa.UniqueConstraint("key", name=op.f("uq_blobs_key")),
        sa.UniqueConstraint("sha256", name=op.f("uq_blobs_sha256")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_blobs_last_used_at"), "blobs", ["last_used_at"], unique=False)
    op.create_table(
        "sessions",
        sa.Column("id", sa.String(length=64), nullable=False),
        sa.Column("account_id", BIG, nullable=True),
        sa.Column("data", sa.LargeBinary(), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_sessions")),
    )
    op.create_index(op.f("ix_sessions_account_id"), "sessions", ["account_id"], unique=False)
    op.create_index(op.f("ix_sessions_expires_at"), "sessions", ["expires_at"], unique=False)
    op.create_table(
        "try_counts",
        sa.Column("key", sa.String(length=512), nullable=False),
        sa.Column("tries", sa.Integer(), nullable=False),
        sa.Column("expires_at", UtcDateTime(), nullable=False),
        sa.PrimaryKeyConstraint("key", name=op.f("pk_try_counts")),
    )
    op.create_index(op.f("ix_try_counts_expires_at"), "try_counts", ["expires_at"], unique=False)
    op.create_table(
        "drafts",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("account_id", BIG, nullable=False),
        sa.Column("to", sa.Text(), nullable=False),
        sa.Column("cc", sa.Text(), nullable=False),
        sa.Column("bcc", sa.Text(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("body", sa.Text(), nullable=False),
        sa.Column("in_reply_to", sa.Text(), nullable=False),
        sa.Column("references", sa.Text(), nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("updated_at", UtcDateTime(), nullable=False),
        sa.Column("discarded_at", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name=op.f("fk_drafts_account_id_accounts")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_drafts")),
    )
    op.create_index("ix_drafts_newest", "drafts", ["account_id", "updated_at", "id"], unique=False)
    op.create_table(
        "mailboxes",
        sa.Column("id", BIG, nullable=False),
        sa.Column("account_id", BIG, nullable=False),
        sa.Column("role", sa.String(length=16), nullable=False),
        sa.Column("total", sa.Integer(), server_default="0", nullable=False),
        sa.Column("unread", sa.Integer(), server_default="0", nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name=op.f("fk_mailboxes_account_id_accounts")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_mailboxes")),
        sa.UniqueConstraint("account_id", "role", name=op.f("uq_mailboxes_account_id_role")),
        sqlite_autoincrement=True,
    )
    op.create_table(
        "messages",
        sa.Column("id", BIG, nullable=False),
        sa.Column("message_id", sa.Text(), nullable=False),
        sa.Column("send_id", sa.Uuid(), nullable=True),
        sa.Column("sender_id", BIG, nullable=True),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("headers", sa.JSON(), nullable=False),
        sa.Column("subject", sa.Text(), nullable=False),
        sa.Column("from_name", sa.Text(), nullable=False),
        sa.Column("from_address", sa.Text(), nullable=False),
        sa.Column("to_preview", sa.Text(), nullable=False),
        sa.Column("text_body", sa.Text(), nullable=False),
        sa.Column("preview", sa.Text(), nullable=False),
        sa.Column("attachments", sa.JSON(), nullable=False),
        sa.Column("attachment_count", sa.Integer(), nullable=False),
        sa.ForeignKeyConstraint(
            ["sender_id"], ["accounts.id"], name=op.f("fk_messages_sender_id_accounts")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_messages")),
        sa.UniqueConstraint("message_id", name=op.f("uq_messages_message_id")),
        sa.UniqueConstraint("send_id", name=op.f("uq_messages_send_id")),
        sqlite_autoincrement=True,
    )
    op.create_index(op.f("ix_messages_created_at"), "messages", ["created_at"], unique=False)
    op.create_table(
        "draft_attachments",
        sa.Column("id", sa.Uuid(), nullable=False),
        sa.Column("draft_id", sa.Uuid(), nullable=False),
        sa.Column("blob_id", BIG, nullable=True),
        sa.Column("filename", sa.Text(), nullable=False),
        sa.Column("content_type", sa.Text(), nullable=False),
        sa.Column("size", BIG, nullable=False),
        sa.Column("created_at", UtcDateTime(), nullable=False),
        sa.Column("removed_at", UtcDateTime(), nullable=True),
        sa.ForeignKeyConstraint(
            ["blob_id"], ["blobs.id"], name=op.f("fk_draft_attachments_blob_id_blobs")
        ),
        sa.ForeignKeyConstraint(
            ["draft_id"],
            ["drafts.id"],
            name=op.f("fk_draft_attachments_draft_id_drafts"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_draft_attachments")),
    )
    op.create_index(
        op.f("ix_draft_attachments_blob_id"), "draft_attachments", ["blob_id"], unique=False
    )
    op.create_index(
        op.f("ix_draft_attachments_draft_id"), "draft_attachments", ["draft_id"], unique=False
    )
    op.create_table(
        "entries",
        sa.Column("id", BIG, nullable=False),
        sa.Column("account_id", BIG, nullable=False),
        sa.Column("mailbox_id", BIG, nullable=False),
        sa.Column("message_id", BIG, nullable=False),
        sa.Column("was_in", BIG, nullable=True),
        sa.Column("seen", sa.Boolean(), nullable=False),
        sa.Column("bcc", sa.JSON(), nullable=True),
        sa.Column("sort_at", UtcDateTime(), nullable=False),
        sa.Column("modseq", BIG, nullable=False),
        sa.ForeignKeyConstraint(
            ["account_id"], ["accounts.id"], name=op.f("fk_entries_account_id_accounts")
        ),
        sa.ForeignKeyConstraint(
            ["mailbox_id"], ["mailboxes.id"], name=op.f("fk_entries_mailbox_id_mailboxes")
        ),
        sa.ForeignKeyConstraint(
            ["message_id"], ["messages.id"], name=op.f("fk_entries_message_id_messages")
        ),
        sa.ForeignKeyConstraint(
            ["was_in"], ["mailboxes.id"], name=op.f("fk_entries_was_in_mailboxes")
        ),
        sa.PrimaryKeyConstraint("id", name=op.f("pk_entries")),
        sqlite_autoincrement=True,
    )
    op.create_index(
        op.f("ix_entries_account_id_modseq"), "entries", ["account_id", "modseq"], unique=False
    )
    op.create_index(op.f("ix_entries_message_id"), "entries", ["message_id"], unique=False)
    op.create_index("ix_entries_newest", "entries", ["mailbox_id", "sort_at", "id"], unique=False)
    op.create_table(
        "message_blobs",
        sa.Column("message_id", BIG, nullable=False),
        sa.Column("blob_id", BIG, nullable=False),
        sa.ForeignKeyConstraint(
            ["blob_id"], ["blobs.id"], name=op.f("fk_message_blobs_blob_id_blobs")
        ),
        sa.ForeignKeyConstraint(
            ["message_id"],
            ["messages.id"],
            name=op.f("fk_message_blobs_message_id_messages"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint("message_id", "blob_id", name=op.f("pk_message_blobs")),
    )
    op.create_index(op.f("ix_message_blobs_blob_id"), "message_blobs", ["blob_id"], unique=False)

    triggers = POSTGRESQL if op.get_bind().dialect.name == "postgresql" else SQLITE
    for trigger in triggers:
        op.execute(trigger)


def downgrade() -> None:
    for table in (
        "message_blobs",
        "entries",
        "draft_attachments",
        "messages",
        "mailboxes",
        "drafts",
        "try_counts",
        "sessions",
        "blobs",
        "accounts",
    ):
        op.drop_table(table)
    if op.get_bind().dialect.name == "postgresql":
        op.execute("DROP FUNCTION mailboxes_count_entries()")
