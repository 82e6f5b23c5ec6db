"""Making messages: headers in order, a Message-ID, the text; written once, never changed."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime
from typing import Any

from sqlalchemy import bindparam, insert, select

from mailapp.attachments.models import Blob
from mailapp.mail import addresses
from mailapp.mail.addresses import Address
from mailapp.mail.models import Message, MessageBlob
from mailapp.queries import Query, Transaction, among, given

# Characters of what a folder shows of a message.
_PREVIEW = 140

# RFC 5322, section 3.6.4: when a thread has grown long, References may be cut, keeping the first
# (the thread's root) and the last ones.
_MOST_REFERENCES = 50

_INSERT = Query(
    insert(Message)
    .values(
        given(
            "message_id",
            "send_id",
            "sender_id",
            "created_at",
            "headers",
            "subject",
            "from_name",
            "from_address",
            "to_preview",
            "text_body",
            "preview",
            "attachments",
            "attachment_count",
        )
    )
    .returning(Message.id)
)
_REFER = Query(
    insert(MessageBlob).from_select(
        (MessageBlob.message_id, MessageBlob.blob_id),
        select(bindparam("message_id", type_=MessageBlob.message_id.type), Blob.id).where(
            among(Blob.id, "blob_ids")
        ),
    )
)


@dataclass(frozen=True)
class Attached:
    """A file of a message, by reference to its blob."""

    blob_id: int
    sha256: str
    filename: str
    content_type: str
    size: int
    disposition: str = "attachment"
    content_id: str | None = None

    def as_json(self) -> dict[str, Any]:
        """As the message keeps it."""
        return {
            "blob": self.blob_id,
            "sha256": self.sha256,
            "filename": self.filename,
            "content_type": self.content_type,
            "disposition": self.disposition,
            "content_id": self.content_id,
            "size": self.size,
        }


@dataclass(frozen=True)
class Outgoing:
    """Everything a message is made of, checked. Bcc is not here: it is part of no message."""

    send_id: uuid.UUID
    sender_id: int
    sender: Address
    to: Sequence[Address]
    cc: Sequence[Address]
    subject: str
    body: str
    in_reply_to: str
    references: str
    attachments: Sequence[Attached]
    date: datetime


def create(inside: Transaction, outgoing: Outgoing) -> int:
    """Write the message and what it refers to; its id. IntegrityError when it was sent before."""
    message_id = f"<{uuid.uuid4().hex}@{outgoing.sender.domain}>"
    rows = _INSERT.rows(
        inside,
        message_id=message_id,
        send_id=outgoing.send_id,
        sender_id=outgoing.sender_id,
        created_at=outgoing.date,
        headers=_headers(outgoing, message_id),
        subject=outgoing.subject,
        from_name=outgoing.sender.name,
        from_address=outgoing.sender.spec,
        to_preview=", ".join(
            address.name or address.spec for address in (*outgoing.to, *outgoing.cc)
        )[:_PREVIEW],
        text_body=outgoing.body,
        preview=" ".join(outgoing.body[: _PREVIEW * 4].split())[:_PREVIEW],
        attachments=[attached.as_json() for attached in outgoing.attachments],
        attachment_count=len(outgoing.attachments),
    )
    row: int = rows[0].id
    blobs = {attached.blob_id for attached in outgoing.attachments}
    if blobs:
        _REFER.run(inside, message_id=row, blob_ids=sorted(blobs))
    return row


def header(headers: Sequence[Sequence[str]], name: str) -> str:
    """The value of the first header of that name, or ""."""
    return next((value for known, value in headers if known.lower() == name.lower()), "")


def reply_headers(headers: Sequence[Sequence[str]]) -> tuple[str, str]:
    """In-Reply-To and References of an answer to the message with `headers` (RFC 5322, 3.6.4)."""
    parent = header(headers, "Message-ID")
    chain = header(headers, "References").split() or header(headers, "In-Reply-To").split()
    references = [*chain, parent]
    if len(references) > _MOST_REFERENCES:
        references = [references[0], *references[-(_MOST_REFERENCES - 1) :]]
    return parent, " ".join(references)


def _headers(outgoing: Outgoing, message_id: str) -> list[list[str]]:
    headers = [
        ["Date", format_datetime(outgoing.date)],
        ["From", str(outgoing.sender)],
        ["To", addresses.join(outgoing.to)],
        ["Cc", addresses.join(outgoing.cc)],
        ["Subject", outgoing.subject],
        ["Message-ID", message_id],
        ["In-Reply-To", outgoing.in_reply_to],
        ["References", outgoing.references],
    ]
    if not outgoing.to and not outgoing.cc:
        # A message needs no destination field, but many readers expect one (RFC 6854).
        headers[2][1] = "undisclosed-recipients:;"
    return [pair for pair in headers if pair[1] or pair[0] == "Subject"]
