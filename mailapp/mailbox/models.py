"""The tables of a person's view: their mailboxes, which message lies in which, conversations."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, String, Text, UniqueConstraint, false, text
from sqlalchemy.orm import Mapped, mapped_column

from mailapp.database import Base, BigId, UtcDateTime


class Mailbox(Base):
    """A folder of one account (RFC 8621, section 2): one with a role, or a person's own.

    One with a role has no name, and one's own no role. `name_key` is the name as names are compared
    (see mailbox/folders.py); one that was taken away keeps its row, with `deleted_at` and no key.
    `total` and `unread` count its entries; triggers keep them (see migrations/triggers.py), so that
    no code path can forget to, and showing them never counts rows.
    """

    __tablename__ = "mailboxes"
    __table_args__ = (
        UniqueConstraint("account_id", "role"),
        UniqueConstraint("account_id", "name_key"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    account_id: Mapped[int] = mapped_column(BigId, ForeignKey("accounts.id"))
    role: Mapped[str | None] = mapped_column(String(16))
    name: Mapped[str | None] = mapped_column(Text)
    name_key: Mapped[str | None] = mapped_column(Text)
    deleted_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    total: Mapped[int] = mapped_column(server_default="0")
    unread: Mapped[int] = mapped_column(server_default="0")


class Entry(Base):
    """That a message lies in somebody's mailbox, and what they did with it.

    One row a person and copy: nothing here is seen by, or changes for, anybody else. `bcc` is set
    only on the sender's own copy. `was_in` is the mailbox it was moved from and `moved_at` when, so
    that a move can be undone, and Trash emptied by age. `size` is the message's.
    """

    __tablename__ = "entries"
    __table_args__ = (
        Index("ix_entries_newest", "mailbox_id", "sort_at", "id"),
        Index(None, "account_id", "modseq"),
        Index(None, "message_id"),
        Index("ix_entries_threads", "thread_id", "sort_at", "id"),
        Index("ix_entries_conversations", "mailbox_id", "thread_id", "sort_at", "id"),
        Index(
            "ix_entries_starred",
            "account_id",
            "sort_at",
            "id",
            postgresql_where=text("starred"),
            sqlite_where=text("starred"),
        ),
        Index(
            "ix_entries_unread",
            "account_id",
            "sort_at",
            "id",
            postgresql_where=text("NOT seen"),
            sqlite_where=text("NOT seen"),
        ),
        Index("ix_entries_moved", "mailbox_id", "moved_at"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    account_id: Mapped[int] = mapped_column(BigId, ForeignKey("accounts.id"))
    mailbox_id: Mapped[int] = mapped_column(BigId, ForeignKey("mailboxes.id"))
    message_id: Mapped[int] = mapped_column(BigId, ForeignKey("messages.id"))
    was_in: Mapped[int | None] = mapped_column(BigId, ForeignKey("mailboxes.id"))
    seen: Mapped[bool]
    bcc: Mapped[list[Any] | None] = mapped_column(JSON(none_as_null=True))
    sort_at: Mapped[datetime] = mapped_column(UtcDateTime)
    modseq: Mapped[int] = mapped_column(BigId)
    thread_id: Mapped[int | None] = mapped_column(BigId, ForeignKey("threads.id"))
    starred: Mapped[bool] = mapped_column(server_default=false())
    size: Mapped[int] = mapped_column(BigId, server_default="0")
    moved_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class Thread(Base):
    """One conversation of one account, whichever of its mailboxes its messages lie in."""

    __tablename__ = "threads"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    account_id: Mapped[int] = mapped_column(BigId, ForeignKey("accounts.id"))


class ThreadRef(Base):
    """That a Message-ID belongs to a thread of the account, whether or not it has that message.

    `ref` stands for the Message-ID, see mailbox/threads.py.
    """

    __tablename__ = "thread_refs"
    __table_args__ = (Index(None, "thread_id"),)

    account_id: Mapped[int] = mapped_column(BigId, ForeignKey("accounts.id"), primary_key=True)
    ref: Mapped[str] = mapped_column(String(32), primary_key=True)
    thread_id: Mapped[int] = mapped_column(BigId, ForeignKey("threads.id", ondelete="CASCADE"))


class Conversation(Base):
    """What of a thread lies in one mailbox: a row of its list.

    `newest_at` and `newest_id` are the newest entry's, `total`, `unread` and `starred` count.
    Triggers keep it, like a mailbox's counts.
    """

    __tablename__ = "conversations"
    __table_args__ = (
        Index("ix_conversations_newest", "mailbox_id", "newest_at", "newest_id"),
        Index(None, "thread_id"),
    )

    mailbox_id: Mapped[int] = mapped_column(
        BigId, ForeignKey("mailboxes.id", ondelete="CASCADE"), primary_key=True
    )
    thread_id: Mapped[int] = mapped_column(
        BigId, ForeignKey("threads.id", ondelete="CASCADE"), primary_key=True
    )
    newest_at: Mapped[datetime] = mapped_column(UtcDateTime)
    newest_id: Mapped[int] = mapped_column(BigId)
    total: Mapped[int]
    unread: Mapped[int]
    starred: Mapped[int]


class BulkJob(Base):
    """Something that is done with many messages, a piece after the other; see mailbox/bulk.py.

    `selection` says which (mailbox/selections.py), `after` how far it has come, `target_id` where
    they are moved to. What has changed since the counter `until` is left alone. `modseqs` are the
    counters of its pieces, by which it can be undone, and `done` the messages it changed.
    """

    __tablename__ = "bulk_jobs"
    __table_args__ = (
        Index(
            "ix_bulk_jobs_unfinished",
            "id",
            postgresql_where=text("finished_at IS NULL"),
            sqlite_where=text("finished_at IS NULL"),
        ),
        Index(None, "created_at"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    account_id: Mapped[int] = mapped_column(BigId, ForeignKey("accounts.id"))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    action: Mapped[str] = mapped_column(String(16))
    selection: Mapped[dict[str, Any]] = mapped_column(JSON)
    target_id: Mapped[int | None] = mapped_column(BigId, ForeignKey("mailboxes.id"))
    until: Mapped[int] = mapped_column(BigId)
    after: Mapped[str | None] = mapped_column(Text)
    modseqs: Mapped[list[int]] = mapped_column(JSON)
    done: Mapped[int]
    finished_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class TrustedSender(Base):
    """Somebody whose mail may load its remote images at once; `address` in canonical spelling."""

    __tablename__ = "trusted_senders"

    account_id: Mapped[int] = mapped_column(BigId, ForeignKey("accounts.id"), primary_key=True)
    address: Mapped[str] = mapped_column(String(320), primary_key=True)
