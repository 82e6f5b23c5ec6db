"""A message as RFC 5322 text with MIME parts, made while it is sent: no file is held in memory."""

from __future__ import annotations

import base64
import hashlib
from collections.abc import Callable, Iterator, Sequence
from email import quoprimime
from email.headerregistry import Address as HeaderAddress
from email.headerregistry import Group
from email.message import EmailMessage, MIMEPart
from email.policy import SMTP
from typing import Any

from mailapp.mail import addresses

# Bytes in a line of base64 text: 57 make 76 characters, the most a line may have (RFC 2045, 6.8).
_LINE = 57

Chunks = Iterator[bytes]


def text(
    headers: Sequence[Sequence[str]],
    body: str,
    attachments: Sequence[dict[str, Any]],
    open_blob: Callable[[dict[str, Any]], Chunks],
) -> Chunks:
    """The message's text in chunks, lines ending in CRLF.

    `attachments` as a message keeps them; `open_blob` gives the bytes of one, and its errors pass
    through. Python's `email` package reads the same headers, text and files back.
    """
    message = EmailMessage(policy=SMTP)
    for name, value in headers:
        message[name] = _value(name, value)
    message["MIME-Version"] = "1.0"
    if not attachments:
        yield _lines_of(message) + _text_part(body)
        return
    boundary = _boundary(headers)
    message["Content-Type"] = f'multipart/mixed; boundary="{boundary}"'
    yield _lines_of(message) + f"\r\n--{boundary}\r\n".encode() + _text_part(body)
    for attachment in attachments:
        yield f"\r\n--{boundary}\r\n".encode() + _attachment_headers(attachment)
        yield from _base64(open_blob(attachment))
    yield f"\r\n--{boundary}--\r\n".encode()


def _lines_of(part: MIMEPart) -> bytes:
    """The part's headers, folded, without the empty line that ends them."""
    return b"".join(SMTP.fold_binary(name, value) for name, value in part.items())


def _value(name: str, value: str) -> object:
    """A header's value for the email package, which encodes what is not ASCII (RFC 2047)."""
    if name not in {"From", "To", "Cc", "Bcc"}:
        return value
    if value.endswith(":;"):
        return Group(value[:-2])
    return [
        HeaderAddress(found.name, found.local, found.domain)
        for found in addresses.parse_list(value)
    ]


def _text_part(body: str) -> bytes:
    part = MIMEPart(policy=SMTP)
    part["Content-Type"] = 'text/plain; charset="utf-8"'
    # Never 8bit: the text may be mailed on through anything. Encoded here, not by set_content,
    # which adds a line break at the end: what is read back would not be what was written.
    part["Content-Transfer-Encoding"] = "quoted-printable"
    text = quoprimime.body_encode(body.encode().decode("latin-1"), eol="\r\n")
    return _lines_of(part) + b"\r\n" + text.encode("ascii")


def _attachment_headers(attachment: dict[str, Any]) -> bytes:
    part = MIMEPart(policy=SMTP)
    part["Content-Type"] = attachment["content_type"]
    part["Content-Transfer-Encoding"] = "base64"
    part.add_header(
        "Content-Disposition", attachment["disposition"], filename=attachment["filename"]
    )
    if attachment["content_id"]:
        part["Content-ID"] = attachment["content_id"]
    return _lines_of(part) + b"\r\n"


def _base64(chunks: Chunks) -> Chunks:
    rest = b""
    for chunk in chunks:
        data = rest + chunk
        whole = len(data) - len(data) % _LINE
        rest = data[whole:]
        if whole:
            yield _lines(data[:whole])
    if rest:
        yield _lines(rest)


def _lines(data: bytes) -> bytes:
    return base64.encodebytes(data).replace(b"\n", b"\r\n")


def _boundary(headers: Sequence[Sequence[str]]) -> str:
    """Always the same for a message, so that its text is; '=_' can't occur in either encoding."""
    digest = hashlib.sha256(repr(headers).encode()).hexdigest()
    return f"=_{digest[:40]}"
