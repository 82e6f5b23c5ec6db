"""The table of accounts."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import String, Text, false
from sqlalchemy.orm import Mapped, mapped_column

from mailapp.database import Base, BigId, UtcDateTime


class Account(Base):
    """A person of this service.

    `address` is in its canonical spelling (see mail.addresses). A session is good only while its
    epoch equals `session_epoch`, so raising it ends every session, also one that a request under
    way is about to store. `modseq` grows with every change to the account's mail; whoever writes
    that mail raises it first, and so holds the account's row until the transaction ends. `is_admin`
    opens the operators' pages, and nobody's mail.

    What a person prefers: `language` (a locale such as "ko") and `time_zone` (IANA's name), where
    None is the browser's; `theme`; `undo_seconds` that a send waits, where None is the service's;
    `signature`, plain text. `used_bytes` is the size of their mail, kept by triggers; `quota_bytes`
    what it may be at most, where None is the service's.
    """

    __tablename__ = "accounts"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    address: Mapped[str] = mapped_column(String(320), unique=True)
    name: Mapped[str] = mapped_column(Text)
    password_hash: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    disabled_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    session_epoch: Mapped[int] = mapped_column(server_default="0")
    modseq: Mapped[int] = mapped_column(BigId, server_default="0")
    is_admin: Mapped[bool] = mapped_column(server_default=false())
    language: Mapped[str | None] = mapped_column(String(16))
    time_zone: Mapped[str | None] = mapped_column(String(64))
    theme: Mapped[str] = mapped_column(String(16), server_default="system")
    undo_seconds: Mapped[int | None]
    signature: Mapped[str] = mapped_column(Text, server_default="")
    used_bytes: Mapped[int] = mapped_column(BigId, server_default="0")
    quota_bytes: Mapped[int | None] = mapped_column(BigId)
