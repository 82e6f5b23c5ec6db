"""The tables of blobs, which content is stored under which name, and of uploads under way."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, String, Text
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


class Upload(Base):
    """A file that comes piece by piece, until it is a draft's attachment under the same id.

    `received` bytes of `size` are in the store under `key`; `state` is what the store needs to take
    the next piece, on whichever instance it arrives.
    """

    __tablename__ = "uploads"
    __table_args__ = (Index(None, "draft_id"), Index(None, "updated_at"))

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    draft_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("drafts.id", ondelete="CASCADE"))
    filename: Mapped[str] = mapped_column(Text)
    content_type: Mapped[str] = mapped_column(Text)
    size: Mapped[int] = mapped_column(BigId)
    received: Mapped[int] = mapped_column(BigId)
    key: Mapped[str] = mapped_column(String(200))
    state: Mapped[dict[str, Any]] = mapped_column(JSON)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)
