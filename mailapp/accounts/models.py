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
    """

    __tablename__ = "accounts"
    __table_args__ = ({"sqlite_autoincrement": True},)

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    address: Mapped[str] = mapped_column(String(320), unique=True)
    name: Mapped[str] = mapped_column(Text)
    password_hash: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    disabled_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    session_epoch: Mapped[int] = mapped_column(default=0, server_default="0")
    modseq: Mapped[int] = mapped_column(BigId, default=0, server_default="0")
    is_admin: Mapped[bool] = mapped_column(default=False, server_default=false())
