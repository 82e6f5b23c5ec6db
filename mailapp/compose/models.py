"""The tables of drafts: what has been typed and attached, before it is a message."""

from __future__ import annotations

import uuid
from datetime import datetime

from sqlalchemy import ForeignKey, Index, String, Text, text
from sqlalchemy.orm import Mapped, mapped_column

from mailapp.database import Base, BigId, UtcDateTime


class Draft(Base):
    """What somebody is writing, as typed: nothing is checked before Send is pressed.

    Its id is made with the empty form and becomes the send's identity. `discarded_at` keeps a
    discarded draft for a while, so that discarding can be undone. `html` is a formatted text, None
    a plain one. `version` grows with each save, and `window` is the page that made the last one, so
    that a page of an older version is told so.
    `send_at` is when it is to be sent, None while it is being written; `send_error` why it could
    not be.
    """

    __tablename__ = "drafts"
    __table_args__ = (
        Index("ix_drafts_newest", "account_id", "updated_at", "id"),
        Index(
            "ix_drafts_due",
            "send_at",
            postgresql_where=text("send_at IS NOT NULL"),
            sqlite_where=text("send_at IS NOT NULL"),
        ),
    )

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
    html: Mapped[str | None] = mapped_column(Text)
    version: Mapped[int] = mapped_column(server_default="0")
    window: Mapped[uuid.UUID | None]
    send_at: Mapped[datetime | None] = mapped_column(UtcDateTime)
    send_error: Mapped[str | None] = mapped_column(Text)


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
    disposition: Mapped[str] = mapped_column(String(16), server_default="attachment")
    content_id: Mapped[str | None] = mapped_column(Text)
