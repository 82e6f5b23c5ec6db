"""The tables of messages. A message's content is written once and never changes."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import JSON, ForeignKey, Index, Text
from sqlalchemy.orm import Mapped, mapped_column

from mailapp.database import Base, BigId, UtcDateTime


class Message(Base):
    """One message, however many people hold it.

    `headers` is the ordered list of [name, value], Bcc never among it. `attachments` is the
    ordered list of {"blob", "sha256", "filename", "content_type", "disposition", "content_id",
    "size"}: part of the immutable content, kept with it so that opening a message is one read;
    `message_blobs` repeats which blobs they are, for the foreign key that protects them.
    `send_id` is the identity of the draft it was sent from: the same send twice is one message.
    `html_body` is as it was written or received, and is made harmless only where it is shown.
    `size` is in bytes: of its text, HTML and files, or of all of it as it was received.
    `raw_blob_id` is, for received mail, its RFC 5322 text exactly as it came. `message_id` is as
    the header says, and so not ours to keep unique.
    """

    __tablename__ = "messages"
    __table_args__ = (
        Index(None, "created_at"),
        Index(None, "raw_blob_id"),
        {"sqlite_autoincrement": True},
    )

    id: Mapped[int] = mapped_column(BigId, primary_key=True)
    message_id: Mapped[str] = mapped_column(Text)
    send_id: Mapped[uuid.UUID | None] = mapped_column(unique=True)
    sender_id: Mapped[int | None] = mapped_column(BigId, ForeignKey("accounts.id"))
    created_at: Mapped[datetime] = mapped_column(UtcDateTime)
    headers: Mapped[list[list[str]]] = mapped_column(JSON)
    subject: Mapped[str] = mapped_column(Text)
    from_name: Mapped[str] = mapped_column(Text)
    from_address: Mapped[str] = mapped_column(Text)
    to_preview: Mapped[str] = mapped_column(Text)
    text_body: Mapped[str] = mapped_column(Text)
    preview: Mapped[str] = mapped_column(Text)
    attachments: Mapped[list[dict[str, Any]]] = mapped_column(JSON)
    attachment_count: Mapped[int]
    html_body: Mapped[str | None] = mapped_column(Text)
    size: Mapped[int] = mapped_column(BigId, server_default="0")
    raw_blob_id: Mapped[int | None] = mapped_column(BigId, ForeignKey("blobs.id"))


class MessageBlob(Base):
    """That a message refers to a blob: while it does, the database refuses to delete the blob."""

    __tablename__ = "message_blobs"
    __table_args__ = (Index(None, "blob_id"),)

    message_id: Mapped[int] = mapped_column(
        BigId, ForeignKey("messages.id", ondelete="CASCADE"), primary_key=True
    )
    blob_id: Mapped[int] = mapped_column(BigId, ForeignKey("blobs.id"), primary_key=True)
