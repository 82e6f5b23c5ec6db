"""Reading a message: from bytes that anybody sent to what a mailbox keeps of it."""

from __future__ import annotations

import mimetypes
import re
import uuid
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from email.utils import parsedate_to_datetime

from mailapp.attachments.serving import clean_filename, safe_type
from mailapp.delivery import bodies
from mailapp.delivery.fields import one_line, people, plain, read_fields
from mailapp.delivery.parts import Data, Part
from mailapp.delivery.parts import read as read_parts
from mailapp.mail import addresses
from mailapp.mail.addresses import Address

# One of these has every message that was ever sent.
_KNOWN = frozenset(
    """
    bcc cc content-type date delivered-to from message-id mime-version received reply-to return-path
    sender subject to x-mailer
    """.split()  # noqa: SIM905
)
_PEOPLE = frozenset({"from", "to", "cc", "reply-to", "sender"})
# Of the header what a page, a reply and a thread need; all of it is in the original.
_MAX_FIELDS = 300
_MAX_SUBJECT, _MAX_NAME = 2_000, 200

_FIRST_LINE = re.compile(rb"(?:>?From [^\n]*\n|[ \t]*\r?\n)*")
_MESSAGE_ID = re.compile(r"<[^<>\s]{1,900}>")
# Before this nobody sent mail by a protocol that has a Date.
_OLDEST = datetime(1980, 1, 1, tzinfo=UTC)
_CLOCKS_DIFFER = timedelta(days=1)


class NotMail(ValueError):
    """What was given can't be read as mail; `str()` is a sentence that says why."""


@dataclass(frozen=True)
class File:
    """A file of a message: a part of it, under the name it is kept with."""

    part: Part
    filename: str
    content_type: str
    disposition: str
    content_id: str | None


@dataclass(frozen=True)
class Received:
    """What a message says. `headers` are decoded, Bcc not among them; `sender` may be nobody."""

    headers: list[list[str]]
    message_id: str
    subject: str
    sender: Address | None
    sender_text: str
    to_preview: str
    sent_at: datetime
    text: str
    html: str | None
    files: list[File]


def read(data: Data, *, now: datetime, domain: str) -> Received:
    """What the message in `data` says, received `now`; NotMail where it is none.

    One without a Message-ID gets one of `domain`, so that it can be answered.
    """
    start = _beginning(data)
    message = read_parts(data, start)
    hint = _hint(message)
    headers = _headers(message, hint)
    message_id = _message_id(headers)
    if not message_id:
        message_id = f"<{uuid.uuid4().hex}@{domain}>"
        headers = [pair for pair in headers if pair[0].lower() != "message-id"]
        headers.append(["Message-ID", message_id])
    found = bodies.find(message)
    html = bodies.as_html(found.html or [], hint)
    text = bodies.as_text(found.text or found.html or [], hint)
    senders = people(_first(message, "From", hint) or _first(message, "Sender", hint))
    return Received(
        headers=headers,
        message_id=message_id,
        subject=plain(_first(message, "Subject", hint))[:_MAX_SUBJECT],
        sender=senders[0] if senders else None,
        sender_text=plain(_first(message, "From", hint))[:_MAX_NAME],
        to_preview=_to_preview(message, hint),
        sent_at=_sent_at(_first(message, "Date", hint), now),
        text=text,
        html=html,
        files=[_file(part, number, html or "") for number, part in enumerate(found.files, 1)],
    )


def _beginning(data: Data) -> int:
    """Where the header begins: after what mailboxes of Unix put before it; NotMail if none does."""
    if len(data) == 0:
        raise NotMail("There is nothing in it.")
    found = _FIRST_LINE.match(data, 0, min(len(data), 10_000))
    start = found.end() if found else 0
    head = bytes(data[start : start + 100_000])
    line_end = re.search(rb"\r?\n\r?\n", head)
    fields = read_fields(head[: line_end.start() + 1] if line_end else head)
    first = head.partition(b"\n")[0]
    if not fields or not read_fields(first):
        raise NotMail("It does not begin with the header of a message.")
    if not any(field.name.lower() in _KNOWN for field in fields):
        raise NotMail("Its header has none of the fields that mail has, such as From or Subject.")
    return start


def _hint(message: Part) -> str:
    """The first charset that a part of the message names: what its header may be in, too."""
    waiting = [message]
    while waiting:
        part = waiting.pop(0)
        if part.charset and part.charset.lower() not in {"us-ascii", "utf-8"}:
            return part.charset
        waiting += part.children
    return ""


def _first(message: Part, name: str, hint: str) -> str:
    field = next((one for one in message.fields if one.name.lower() == name.lower()), None)
    return field.text(hint) if field else ""


def _headers(message: Part, hint: str) -> list[list[str]]:
    headers = []
    for field in message.fields[:_MAX_FIELDS]:
        name = field.name.lower()
        # Who else got it was not meant to be known, whoever forwards it.
        if name == "bcc":
            continue
        text = field.text(hint)
        if name in _PEOPLE:
            found = people(text)
            text = addresses.join(found) if found else plain(text)
        else:
            text = plain(text)
        headers.append([field.name, one_line(text)])
    return headers


def _message_id(headers: list[list[str]]) -> str:
    value = next((value for name, value in headers if name.lower() == "message-id"), "")
    found = _MESSAGE_ID.search(value)
    return found.group() if found else ""


def _to_preview(message: Part, hint: str) -> str:
    found = [one for name in ("To", "Cc") for one in people(_first(message, name, hint)[:20_000])]
    return ", ".join(one.name or one.spec for one in found)


def _sent_at(date: str, now: datetime) -> datetime:
    """When it says it was sent; when it came, where that can't be."""
    try:
        sent_at = parsedate_to_datetime(date[:200])
    except (ValueError, TypeError, IndexError, OverflowError):
        return now
    try:
        # A time without a zone is one of UTC (RFC 5322, section 3.3, says so of -0000).
        sent_at = sent_at.replace(tzinfo=UTC) if sent_at.tzinfo is None else sent_at.astimezone(UTC)
    except (ValueError, OverflowError):
        return now
    return sent_at if _OLDEST <= sent_at <= now + _CLOCKS_DIFFER else now


def _file(part: Part, number: int, html: str) -> File:
    # Shown in its place only where the HTML names it; all others are found in the list of files.
    is_named = bool(part.content_id) and f"cid:{part.content_id}" in html
    return File(
        part,
        clean_filename(part.name) if part.name else _made_name(part, number),
        safe_type(part.type),
        "inline" if is_named else "attachment",
        f"<{part.content_id}>" if part.content_id else None,
    )


def _made_name(part: Part, number: int) -> str:
    """A name for a part that has none."""
    if part.type == "message/rfc822":
        head = b"".join(part.decoded())[:100_000] if part.size < 10_000_000 else b""
        fields = read_fields(head.partition(b"\n\r\n")[0].partition(b"\n\n")[0])
        subject = next((one.text() for one in fields if one.name.lower() == "subject"), "")
        return clean_filename(f"{plain(subject)[:100] or 'message'}.eml".replace("/", "-"))
    ending = mimetypes.guess_extension(safe_type(part.type)) or ".bin"
    if part.type.startswith("message/"):  # such as a report of what became of a message
        ending = ".txt"
    return f"part-{number}{ending}"
