"""The table of blobs: which content is stored, under which name in the store."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import Index, String
from sqlalchemy.orm import Mapped, mapped_column

from mailapp.database import Base, BigId, UtcDateTime


class Blob(Base):
    """One content, stored once however often it was uploaded, attached or forwarded.

    `key` names the object in the store. Keys are never used again, so that the collector, which
    deletes the row first and the object after, can't hit an object that a new upload has revived.
    """

    __tablename__ = "blobs"
    __table_args__ = (Index(None, "last_used_at"), {"sqlite_autoincrement": True})

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    sha256: Mapped[str] = mapped_column(String(64), unique=True)
    size: Mapped[int] = mapped_column(BigId)
    key: Mapped[str] = mapped_column(String(200), unique=True)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    last_used_at: Mapped[datetime] = mapped_column(UtcDateTime)
