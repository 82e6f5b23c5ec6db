"""The tables of a person's view: their mailboxes, and which message lies in which."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, String, UniqueConstraint
from sqlalchemy.orm import Mapped, mapped_column

from mailapp.database import Base, BigId, UtcDateTime


class Mailbox(Base):
    """A folder of one account (RFC 8621, section 2: a mailbox with a role).

    `total` and `unread` count its entries; triggers keep them (see the first migration), so that
    no code path can forget to, and showing them never counts rows.
    """

    __tablename__ = "mailboxes"
    __table_args__ = (UniqueConstraint("account_id", "role"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    account_id: Mapped[int] = mapped_column(BigId, ForeignKey("accounts.id"))
    role: Mapped[str] = mapped_column(String(16))
    total: Mapped[int] = mapped_column(default=0, server_default="0")
    unread: Mapped[int] = mapped_column(default=0, server_default="0")


class Entry(Base):
    """That a message lies in somebody's mailbox, and what they did with it.

    One row a person and copy: nothing here is seen by, or changes for, anybody else. `bcc` is set
    only on the sender's own copy. `was_in` remembers the mailbox it was moved to Trash from.
    """

    __tablename__ = "entries"
    __table_args__ = (
        Index("ix_entries_newest", "mailbox_id", "sort_at", "id"),
        Index(None, "account_id", "modseq"),
        Index(None, "message_id"),
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
