"""Replies and forwards: whom they go to, what they quote, which files they keep."""

from __future__ import annotations

import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from typing import Any

from markupsafe import escape
from sqlalchemy import Row

from mailapp.compose import markup
from mailapp.compose.files import File
from mailapp.compose.keys import DraftKey, Mode
from mailapp.compose.letter import MAX_SUBJECT
from mailapp.compose.typed import Typed
from mailapp.i18n import LANGUAGES, dates, in_language
from mailapp.i18n import gettext as _
from mailapp.mail import addresses
from mailapp.mail import services as mail
from mailapp.mail.addresses import Address, AddressError
from mailapp.settings import current_settings

_NOTHING = Typed()


@dataclass(frozen=True)
class Source:
    """What a reply or forward is made from: its text, its thread's headers, the files it keeps.

    A formatted text is without its plain one, which costs much: the signature comes before it.
    """

    typed: Typed = _NOTHING
    in_reply_to: str = ""
    references: str = ""
    attachments: Sequence[Mapping[str, Any]] = ()


def forwarded_marks() -> list[str]:
    """What stands above a forwarded text, in each language."""
    marks = []
    for language in LANGUAGES:
        with in_language(language):
            marks.append(_forwarded())
    return marks


def source_of(message: Row[Any] | None, key: DraftKey, me: str) -> Source:
    """What a reply or forward takes from its message; nothing where there is none."""
    if message is None:
        return Source()
    in_reply_to, references = mail.reply_headers(message.headers)
    html = _quotable(message)
    if key.mode == "forward":
        typed = _forward(message, html)
        return Source(typed, "", references, message.attachments)
    shown = markup.images(html) if html else set()
    images = [item for item in message.attachments if _content_id(item) in shown]
    return Source(_reply(message, key.mode, me, html), in_reply_to, references, images)


def source_files(source: Source, draft_id: uuid.UUID) -> list[File]:
    """The files that are kept of the message, under ids that are known before the draft is stored.

    An image stays in the text where the text shows it.
    """
    shown = markup.images(source.typed.html) if source.typed.html else set()
    files = []
    for number, item in enumerate(source.attachments):
        file = File(
            uuid.uuid5(draft_id, f"source:{number}"),
            item["filename"],
            item["content_type"],
            item["size"],
        )
        if _content_id(item) in shown:
            file = replace(file, disposition="inline", content_id=_content_id(item))
        files.append(file)
    return files


def _reply(row: Row[Any], mode: Mode, me: str, html: str | None) -> Typed:
    to, cc = _answered(row, mode, me)
    who = mail.header(row.headers, "From")
    line = _("On %(date)s, %(who)s wrote:", date=dates.full(row.created_at), who=who)
    typed = Typed(
        to=addresses.join(to), cc=addresses.join(cc), subject=_prefixed("Re: ", row.subject)
    )
    if html is None:
        quoted = "".join(f"> {line}\n" for line in _shortened(row.text_body).split("\n"))
        return replace(typed, body=f"\n\n{line}\n{quoted}")
    return replace(
        typed,
        html=f"<div><br></div><div><br></div><div>{escape(line)}</div>"
        f"<blockquote>{html}</blockquote><div><br></div>",
    )


def _answered(row: Row[Any], mode: Mode, me: str) -> tuple[list[Address], list[Address]]:
    """Whom an answer goes to, and who gets a copy."""
    sender = _readable(mail.header(row.headers, "Reply-To") or mail.header(row.headers, "From"))
    to, cc = (_readable(mail.header(row.headers, name)) for name in ("To", "Cc"))
    if any(address.canonical == me for address in sender):
        # Answering one's own message means writing to the same people again.
        answer_to, also = to, cc
    else:
        answer_to, also = sender, [*to, *cc]
    if mode == "reply":
        also = []
    seen = {address.canonical for address in answer_to} | {me}
    once = []
    for address in also:
        if address.canonical not in seen:
            seen.add(address.canonical)
            once.append(address)
    return answer_to, once


def _forward(row: Row[Any], html: str | None) -> Typed:
    typed = Typed(subject=_prefixed("Fwd: ", row.subject))
    lines = [_forwarded()] + [
        f"{label}: {value}"
        for label, value in (
            (_("From"), mail.header(row.headers, "From")),
            (_("Date"), dates.full(row.created_at)),
            (_("Subject"), mail.header(row.headers, "Subject")),
            (_("To"), mail.header(row.headers, "To")),
            (_("Cc"), mail.header(row.headers, "Cc")),
        )
        if value
    ]
    if html is None:
        head = "\n".join(lines)
        return replace(typed, body=f"\n\n{head}\n\n{row.text_body}")
    head = "".join(f"<div>{escape(line)}</div>" for line in lines)
    return replace(typed, html=f"<div><br></div><div><br></div>{head}<div><br></div>{html}")


def _forwarded() -> str:
    return _("---------- Forwarded message ----------")


def _quotable(message: Row[Any]) -> str | None:
    """The message's HTML as it can be quoted; None for a plain one, or one that is too long."""
    most = current_settings().max_message_bytes // 2
    if not message.html_body or len(message.html_body.encode()) > most:
        return None
    html = markup.quoted(message.html_body)
    return html if len(html.encode()) <= most else None


def _content_id(item: Mapping[str, Any]) -> str | None:
    return item["content_id"] and str(item["content_id"]).strip("<>")


def _readable(text: str) -> list[Address]:
    """The addresses of a header, as far as it can be read."""
    try:
        return [] if text.endswith(":;") else addresses.parse_list(text)
    except AddressError:
        return []


def _prefixed(prefix: str, subject: str) -> str:
    known = subject.lower().startswith(prefix.strip().lower())
    return (subject if known else f"{prefix}{subject}")[:MAX_SUBJECT]


def _shortened(text: str) -> str:
    """What is quoted of a text: so much that the answer, with a mark at each line, can be sent."""
    most = current_settings().max_message_bytes // 8
    text = text.rstrip("\n")
    return text if len(text) <= most else f"{text[:most]}\n[…]"
