"""The tables of drafts: what has been typed and attached, before it is a message."""

from __future__ import annotations

import uuid
from datetime import datetime

from sqlalchemy import ForeignKey, Index, Text
from sqlalchemy.orm import Mapped, mapped_column

from mailapp.database import Base, BigId, UtcDateTime


class Draft(Base):
    """What somebody is writing, as typed: nothing is checked before Send is pressed.

    Its id is made with the empty form and becomes the send's identity. `discarded_at` keeps a
    discarded draft for a while, so that discarding can be undone.
    """

    __tablename__ = "drafts"
    __table_args__ = (Index("ix_drafts_newest", "account_id", "updated_at", "id"),)

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    account_id: Mapped[int] = mapped_column(BigId, ForeignKey("accounts.id"))
    to: Mapped[str] = mapped_column(Text)
    cc: Mapped[str] = mapped_column(Text)
    bcc: Mapped[str] = mapped_column(Text)
    subject: Mapped[str] = mapped_column(Text)
    body: Mapped[str] = mapped_column(Text)
    in_reply_to: Mapped[str] = mapped_column(Text)
    references: Mapped[str] = mapped_column(Text)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    updated_at: Mapped[datetime] = mapped_column(UtcDateTime)
    discarded_at: Mapped[datetime | None] = mapped_column(UtcDateTime)


class DraftAttachment(Base):
    """A file of a draft. Its id is made by who uploads, so a repeated upload is the same file.

    A removed one stays as a row with `removed_at` and no blob: an upload of the same id that was
    still under way when it was removed then finds its place taken, and stays removed.
    """

    __tablename__ = "draft_attachments"
    __table_args__ = (Index(None, "draft_id"), Index(None, "blob_id"))

    id: Mapped[uuid.UUID] = mapped_column(primary_key=True)
    draft_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("drafts.id", ondelete="CASCADE"))
    blob_id: Mapped[int | None] = mapped_column(BigId, ForeignKey("blobs.id"))
    filename: Mapped[str] = mapped_column(Text)
    content_type: Mapped[str] = mapped_column(Text)
    size: Mapped[int] = mapped_column(BigId)
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    removed_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
