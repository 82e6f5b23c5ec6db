"""Making messages: headers in order, a Message-ID, the text; written once, never changed."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from email.utils import format_datetime
from functools import cached_property
from typing import Any, NamedTuple

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
            "html_body",
            "size",
            "raw_blob_id",
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
    """Everything a message is made of, checked. Bcc is not here: it is part of no message.

    What follows from that is made once, however often it is asked for.
    """

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
    html: str | None = None

    @cached_property
    def message_id(self) -> str:
        """Its Message-ID, a new one."""
        return f"<{uuid.uuid4().hex}@{self.sender.domain}>"

    @cached_property
    def headers(self) -> list[list[str]]:
        """Its headers in order."""
        return _headers(self)

    @cached_property
    def size_without_files(self) -> int:
        """How much room all but its files takes."""
        return size_of_text(self.headers, self.body, self.html)

    @property
    def size(self) -> int:
        """How much room it takes."""
        return self.size_without_files + sum(attached.size for attached in self.attachments)


@dataclass(frozen=True)
class Incoming:
    """Everything that was read of a message from outside; `size` is that of its RFC 5322 text,
    which is kept as the blob `raw_blob_id`."""

    message_id: str
    headers: list[list[str]]
    subject: str
    from_name: str
    from_address: str
    to_preview: str
    date: datetime
    body: str
    html: str | None
    attachments: Sequence[Attached]
    raw_blob_id: int
    size: int


class Created(NamedTuple):
    """A message that has just been written: what filing it takes."""

    id: int
    message_id: str
    headers: list[list[str]]
    size: int


def create(inside: Transaction, outgoing: Outgoing) -> Created:
    """Write the message and what it refers to. IntegrityError when it was sent before."""
    return _write(
        inside,
        outgoing.attachments,
        message_id=outgoing.message_id,
        send_id=outgoing.send_id,
        sender_id=outgoing.sender_id,
        created_at=outgoing.date,
        headers=outgoing.headers,
        subject=outgoing.subject,
        from_name=outgoing.sender.name,
        from_address=outgoing.sender.spec,
        to_preview=", ".join(
            address.name or address.spec for address in (*outgoing.to, *outgoing.cc)
        ),
        text_body=outgoing.body,
        html_body=outgoing.html,
        size=outgoing.size,
        raw_blob_id=None,
    )


def receive(inside: Transaction, incoming: Incoming) -> Created:
    """Write a message that came from outside, and what it refers to."""
    return _write(
        inside,
        incoming.attachments,
        message_id=incoming.message_id,
        send_id=None,
        sender_id=None,
        created_at=incoming.date,
        headers=incoming.headers,
        subject=incoming.subject,
        from_name=incoming.from_name,
        from_address=incoming.from_address,
        to_preview=incoming.to_preview,
        text_body=incoming.body,
        html_body=incoming.html,
        size=incoming.size,
        raw_blob_id=incoming.raw_blob_id,
    )


def _write(inside: Transaction, attachments: Sequence[Attached], **values: Any) -> Created:
    """Write a message of these columns; what can be told from others is."""
    body = values["text_body"]
    rows = _INSERT.rows(
        inside,
        **values
        | {
            "to_preview": values["to_preview"][:_PREVIEW],
            "preview": " ".join(body[: _PREVIEW * 4].split())[:_PREVIEW],
            "attachments": [attached.as_json() for attached in attachments],
            "attachment_count": sum(one.disposition != "inline" for one in attachments),
        },
    )
    row: int = rows[0].id
    blobs = {attached.blob_id for attached in attachments}
    if blobs:
        _REFER.run(inside, message_id=row, blob_ids=sorted(blobs))
    return Created(row, values["message_id"], values["headers"], values["size"])


def size_of_text(headers: Sequence[Sequence[str]], body: str, html: str | None) -> int:
    """The bytes of a message that is written here, beside its files: its headers and its texts."""
    return sum(
        len(text.encode())
        for text in (*(part for pair in headers for part in pair), body, html or "")
    )


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


def _headers(outgoing: Outgoing) -> list[list[str]]:
    headers = [
        ["Date", format_datetime(outgoing.date)],
        ["From", str(outgoing.sender)],
        ["To", addresses.join(outgoing.to)],
        ["Cc", addresses.join(outgoing.cc)],
        ["Subject", outgoing.subject],
        ["Message-ID", outgoing.message_id],
        ["In-Reply-To", outgoing.in_reply_to],
        ["References", outgoing.references],
    ]
    if not outgoing.to and not outgoing.cc:
        # A message needs no destination field, but many readers expect one (RFC 6854).
        headers[2][1] = "undisclosed-recipients:;"
    return [pair for pair in headers if pair[1] or pair[0] == "Subject"]
