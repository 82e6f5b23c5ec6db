"""The rules of delivery: a message is kept whole or not at all, and once however often it comes."""

from __future__ import annotations

import mmap
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from hashlib import sha256
from io import FileIO
from typing import BinaryIO

from sqlalchemy import bindparam, select

from mailapp.accounts.models import Account
from mailapp.attachments.models import Blob
from mailapp.attachments.services import discard, register
from mailapp.attachments.store import CHUNK, ByteReader, Stored, store
from mailapp.database import now
from mailapp.delivery.reading import File, NotMail, Received, read
from mailapp.mail import addresses
from mailapp.mail.addresses import AddressError
from mailapp.mail.models import Message
from mailapp.mail.services import Attached, Incoming, receive
from mailapp.mailbox.filing import change, deliver
from mailapp.mailbox.models import Entry
from mailapp.queries import Query, Transaction, transaction
from mailapp.quota import QuotaReached, must_have_room
from mailapp.settings import current_settings
from mailapp.templating import filesize

_ACCOUNT = Query(
    select(Account.id).where(Account.address == bindparam("address"), Account.disabled_at.is_(None))
)
# The same bytes in the same mailbox: what a server sends again because it heard no answer.
_HELD = Query(
    select(Entry.id)
    .join(Message, Message.id == Entry.message_id)
    .join(Blob, Blob.id == Message.raw_blob_id)
    .where(Blob.sha256 == bindparam("sha256"), Entry.account_id == bindparam("account_id"))
    .limit(1)
)


class NobodyHere(LookupError):
    """There is no such address here; `str()` is a sentence that says so."""


def deliver_to(text: str, stream: BinaryIO) -> bool:
    """Put the message that `stream` yields into the mailbox of the address `text`.

    False where it lies there already. Raises NobodyHere and NotMail, which nothing will change; and
    QuotaReached, Unavailable and SQLAlchemyError, after which it can be tried again. Memory does
    not grow with the message, only with its texts.
    """
    account_id = _account(text)
    with _spooled(stream, current_settings().max_delivery_bytes) as file:
        with mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ) as data:
            digest = sha256(data).hexdigest()
            if _HELD.read(sha256=digest, account_id=account_id):
                return False
            message = read(data, now=now(), domain=current_settings().mail_domain)
            # Objects first, then the rows that name them: see attachments/services.py.
            kept = [(part, _put(part.part.reader())) for part in message.files]
            raw = _put(file)
        return _filed(account_id, message, raw, kept)


def _filed(
    account_id: int, message: Received, raw: Stored, kept: list[tuple[File, Stored]]
) -> bool:
    """File what is in the store; False where that has been done, also just now by somebody else."""
    surplus: list[Stored] = []
    try:
        with transaction() as inside:
            modseqs = change(inside, [account_id])
            is_new = not _HELD.rows(inside, sha256=raw.sha256, account_id=account_id)
            if is_new:
                must_have_room(inside, account_id, raw.size)
                attached = [_attached(inside, file, stored, surplus) for file, stored in kept]
                registered = register(inside, raw)
                if registered.surplus:
                    surplus.append(raw)
                created = receive(
                    inside, _incoming(message, attached, registered.blob_id, raw.size)
                )
                deliver(inside, created, now(), modseqs, recipient_ids=[account_id])
            else:
                surplus = [raw, *(stored for _, stored in kept)]
    except QuotaReached:
        # It comes again and again until there is room, each time as new objects.
        for stored in (raw, *(stored for _, stored in kept)):
            discard(stored)
        raise
    for stored in surplus:
        discard(stored)
    return is_new


def _incoming(message: Received, attached: list[Attached], raw_blob_id: int, size: int) -> Incoming:
    return Incoming(
        message_id=message.message_id,
        headers=message.headers,
        subject=message.subject,
        from_name=message.sender.name if message.sender else message.sender_text,
        from_address=message.sender.spec if message.sender else "",
        to_preview=message.to_preview,
        date=message.sent_at,
        body=message.text,
        html=message.html,
        attachments=attached,
        raw_blob_id=raw_blob_id,
        size=size,
    )


def _attached(inside: Transaction, file: File, stored: Stored, surplus: list[Stored]) -> Attached:
    registered = register(inside, stored)
    if registered.surplus:
        surplus.append(stored)
    return Attached(
        registered.blob_id,
        stored.sha256,
        file.filename,
        file.content_type,
        stored.size,
        file.disposition,
        file.content_id,
    )


def _put(stream: ByteReader) -> Stored:
    return store().put(stream, sys.maxsize)


def _account(text: str) -> int:
    try:
        address = addresses.parse(text).canonical
    except AddressError:
        raise NobodyHere(f"{text!r} is not an address.") from None
    rows = _ACCOUNT.read(address=address)
    if not rows:
        raise NobodyHere(f"Nobody here has the address {address}.")
    account_id: int = rows[0].id
    return account_id


@contextmanager
def _spooled(stream: BinaryIO, limit: int) -> Iterator[FileIO]:
    """What `stream` yields, in a file that is gone afterwards, read from its beginning."""
    with tempfile.TemporaryFile(buffering=0) as file:
        size = 0
        while chunk := stream.read(CHUNK):
            size += len(chunk)
            if size > limit:
                raise NotMail(f"It is larger than {filesize(limit)}, the most that is taken.")
            file.write(chunk)
        if not size:
            raise NotMail("There is nothing in it.")
        file.seek(0)
        yield file
