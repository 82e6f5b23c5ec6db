"""The pages of mailboxes: a list, a conversation, the original text of a message."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from datetime import date
from functools import lru_cache
from typing import Any

from flask import Blueprint, Response, redirect, render_template, request, url_for
from sqlalchemy import bindparam, select
from werkzeug.routing import IntegerConverter
from werkzeug.wrappers import Response as AnyResponse

from mailapp import errors
from mailapp.accounts import auth
from mailapp.attachments import listing as files
from mailapp.attachments.models import Blob
from mailapp.attachments.store import ObjectStream, store
from mailapp.compose import drafts, outbox
from mailapp.errors import Problem
from mailapp.html import letters as html
from mailapp.i18n import dates, ngettext
from mailapp.i18n import gettext as _
from mailapp.mail import addresses
from mailapp.mail import original as originals
from mailapp.mail.addresses import AddressError
from mailapp.mail.models import Message
from mailapp.mail.services import header
from mailapp.mailbox import conversations, kept, listing, rows, services
from mailapp.mailbox.changes import TARGETS
from mailapp.mailbox.conversations import Letter, Read
from mailapp.mailbox.filing import INBOX, SENT
from mailapp.mailbox.models import Entry
from mailapp.mailbox.services import DRAFTS, STARRED, Frame, MailboxView
from mailapp.queries import Query, among
from mailapp.sessions import is_visit
from mailapp.settings import current_settings

bp = Blueprint("mailbox", __name__)

_BLOBS = Query(select(Blob.id, Blob.key).where(among(Blob.id, "ids")))
_RECEIVED = Query(
    select(Blob.key)
    .join(Message, Message.raw_blob_id == Blob.id)
    .join(Entry, Entry.message_id == Message.id)
    .where(Entry.id == bindparam("entry_id"), Entry.account_id == bindparam("account_id"))
)


class _Number(IntegerConverter):
    """A number in a path that no database is too small for: a longer one is no address here."""

    regex = r"\d{1,18}"


bp.record_once(lambda state: state.app.url_map.converters.update(number=_Number))


@bp.get("/")
def home() -> AnyResponse:
    """To the inbox; who is not logged in is sent on to the log-in page from there."""
    return redirect(url_for("mailbox.folder", role=INBOX), 303)


@bp.get("/mail/<any(inbox, sent, drafts, archive, spam, trash):role>")
def folder(role: str) -> bytes:
    """One page of a folder that everybody has."""
    frame = auth.signed_in()
    return _list(frame, role, frame.mailbox(role))


@bp.get("/mail/folder/<number:mailbox_id>")
def own_folder(mailbox_id: int) -> bytes:
    """One page of a folder of one's own."""
    frame = auth.signed_in()
    mailbox = frame.folder(mailbox_id)
    if mailbox is None or mailbox.role is not None:
        raise errors.not_there()
    return _list(frame, mailbox.place, mailbox)


@bp.get("/mail/starred")
def starred() -> bytes:
    """One page of what has a star."""
    return _list(auth.signed_in(), STARRED, None)


def _list(frame: Frame, place: str, mailbox: MailboxView | None) -> bytes:
    before, today = request.args.get("before"), dates.today()
    try:
        return kept.page(
            frame, (place, before, today), lambda: _list_page(frame, place, mailbox, before, today)
        )
    except ValueError:
        raise Problem(
            400, _("There is no such page"), _("The address is wrong. Begin at the newest.")
        ) from None


def _on_its_way(frame: Frame, mailbox: MailboxView | None, before: str | None) -> list[outbox.Held]:
    """What stands above what has been sent, because it is about to be."""
    is_first_of_sent = mailbox is not None and mailbox.role == SENT and not before
    return outbox.held(frame.account.id) if frame.scheduled and is_first_of_sent else []


def _list_page(
    frame: Frame, place: str, mailbox: MailboxView | None, before: str | None, today: date
) -> str:
    """A page of a list; ValueError where `before` is no key of a page."""
    me = frame.account.address
    if mailbox is None:
        page = listing.starred(frame, before)
        lines = [rows.message(row, me, today) for row in page.rows]
    elif mailbox.role == DRAFTS:
        page = drafts.page(frame.account.id, before)
        lines = [rows.draft(row, today) for row in page.rows]
    else:
        page = listing.folder(frame, mailbox, before)
        line = rows.sent if mailbox.role == SENT else rows.conversation
        lines = [line(row, me, today) for row in page.rows]
    return render_template(
        "mailbox/folder.html",
        frame=frame,
        active=place,
        place=place,
        mailbox=mailbox,
        role=mailbox.role if mailbox else STARRED,
        label=mailbox.label if mailbox else _("Starred"),
        rows=rows.as_html(lines),
        shown=",".join(str(line.entry) for line in lines if line.entry),
        next_key=page.next_key,
        before=before,
        on_its_way=_on_its_way(frame, mailbox, before),
        kept_days=current_settings().trash_days,
        targets=targets(frame, mailbox),
        whole=_whole(mailbox, page.next_key or before),
    )


@bp.get("/mail/<number:entry_id>")
def message(entry_id: int) -> bytes:
    """The conversation of a message. What is unread of it, as far as it is shown, is read then.

    One statement where the page is kept, two where it is made, and a third or fourth for all that
    is formatted; marking takes two more.
    """
    frame = auth.signed_in()
    until, today = request.args.get("until"), dates.today()
    key = (entry_id, until, today)
    if (found := kept.find_page(frame, key)) is not None:
        return found
    try:
        read = conversations.read(frame, entry_id, until)
    except ValueError:
        raise errors.not_there() from None
    if read is None:
        raise errors.not_there()
    if read.unread:
        if request.method == "GET" and is_visit(request):
            frame = frame.with_read(*conversations.mark_read(frame.account.id, read.unread))
        return _conversation_page(frame, read, today).encode()
    return kept.page(frame, key, lambda: _conversation_page(frame, read, today))


def _conversation_page(frame: Frame, read: Read, today: date) -> str:
    mailbox = frame.folder(read.mailbox)
    assert mailbox is not None  # noqa: S101  # an entry lies in a folder of its account
    subject = next((letter.subject for letter in read.letters if letter.subject), "")
    first_unread = next((letter.entry for letter in read.letters if not letter.seen), None)
    formatted = [letter.entry for letter in read.letters if letter.is_open and letter.has_html]
    seen = html.all_seen(frame.account.id, formatted)
    return render_template(
        "mailbox/conversation.html",
        frame=frame,
        active=mailbox.place,
        mailbox=mailbox,
        role=mailbox.role,
        subject=subject or _("(no subject)"),
        opened=read.opened,
        letters=[
            _shown(letter, read, frame, today) | {"formatted": seen.get(letter.entry)}
            for letter in read.letters
        ],
        first_unread=first_unread,
        starred=any(letter.starred for letter in read.letters),
        earlier=read.earlier,
        entry=read.entry,
        is_newest=read.is_newest,
        targets=targets(frame, mailbox),
    )


def _whole(mailbox: MailboxView | None, more: str | None) -> str | None:
    """What says that all of a list is meant, where that is more than what is shown."""
    if not more:
        return None
    if mailbox is None:
        return _("Select all that have a star")
    return ngettext(
        "Select all %(num)d message in %(folder)s",
        "Select all %(num)d messages in %(folder)s",
        mailbox.total,
        folder=mailbox.label,
    )


def targets(frame: Frame, here: MailboxView | None) -> list[MailboxView]:
    """The folders that mail can be moved to from `here`."""
    return [
        box for box in frame.mailboxes if (box.role is None or box.role in TARGETS) and box != here
    ]


def _shown(letter: Letter, read: Read, frame: Frame, today: date) -> dict[str, Any]:
    """A message as the template shows it: open, or as a line."""
    shown = letter._asdict() | {
        "back": _after_deleting(letter, read, frame),
        "called": _("me") if letter.from_address == frame.account.address else letter.from_name,
        "folder": frame.folder(letter.mailbox),
        "when_iso": letter.when.isoformat(),
        "when_short": dates.short(letter.when, today),
    }
    if letter.is_open:
        shown |= {
            "recipients": _recipients(letter),
            "when_text": dates.full(letter.when),
            "files": _files(letter),
        }
    return shown


def _files(letter: Letter) -> list[files.Line]:
    """The files of a message but for the images that are seen in its text."""
    listed = files.lines(letter.entry, letter.attachments)
    return [
        line
        for line, item in zip(listed, letter.attachments, strict=True)
        if not letter.has_html or item["disposition"] != "inline"
    ]


def _after_deleting(letter: Letter, read: Read, frame: Frame) -> str:
    """Where to go on once it is deleted: with the rest of its conversation, or to its folder."""
    rest = [one for one in read.letters if one != letter and one.mailbox == read.mailbox]
    mailbox = frame.folder(read.mailbox)
    if rest:
        return f"/mail/{rest[-1].entry}"
    return mailbox.path if mailbox else "/"


def _recipients(letter: Letter) -> list[tuple[str, list[dict[str, str]]]]:
    return [
        (label, people)
        for label, people in (
            (_("To"), _people(header(letter.headers, "To"))),
            (_("Cc"), _people(header(letter.headers, "Cc"))),
            (_("Bcc"), _people(", ".join(letter.bcc))),
        )
        if people
    ]


@bp.get("/mail/<number:entry_id>/original")
def original(entry_id: int) -> Response:
    """The message as RFC 5322 text: what came from outside as it came, what was sent here as it is
    written now, with Bcc only in the sender's own copy."""
    frame = auth.signed_in(entry_id)
    received = _RECEIVED.read(entry_id=entry_id, account_id=frame.account.id)
    if received:
        try:
            stream = store().open(received[0].key)
        except FileNotFoundError:
            raise errors.not_there() from None
        return _as_text(stream, [stream])
    opened = services.read_whole(_opened(frame))
    blobs = _blobs([item["blob"] for item in opened.attachments])
    headers = list(opened.headers)
    if opened.bcc:
        headers.insert(_after_recipients(headers), ["Bcc", ", ".join(opened.bcc)])
    kept = store()
    # Opened before the answer begins, where a store that is away can still be told as 503.
    try:
        first = [kept.open(blobs[item["blob"]]) for item in opened.attachments[:1]]
    except FileNotFoundError:
        raise errors.not_there() from None

    def open_blob(item: dict[str, Any]) -> Iterator[bytes]:
        opened_already = first and item is opened.attachments[0]
        with first.pop() if opened_already else kept.open(blobs[item["blob"]]) as stream:
            yield from stream

    return _as_text(
        originals.text(headers, opened.text_body, opened.attachments, open_blob, opened.html_body),
        first,
    )


def _as_text(chunks: Iterable[bytes], opened: Sequence[ObjectStream]) -> Response:
    """Plain text that a browser shows and never interprets; `opened` is closed after it."""
    response = Response(chunks, content_type="text/plain; charset=utf-8")
    for stream in opened:
        response.call_on_close(stream.close)
    response.headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
    return response


def _opened(frame: Frame) -> Any:
    if frame.opened is None:
        raise errors.not_there()
    return frame.opened


def _blobs(ids: list[int]) -> dict[int, str]:
    """{blob id: the object's key}."""
    return {row.id: row.key for row in _BLOBS.read(ids=ids)} if ids else {}


def _after_recipients(headers: list[list[str]]) -> int:
    return max(
        (place for place, (name, _) in enumerate(headers, 1) if name in {"From", "To", "Cc"}),
        default=0,
    )


@lru_cache(maxsize=512)
def _people(text: str) -> list[dict[str, str]]:
    """Who stands in a header, for the page; a header never changes, so it is read once."""
    if not text or text.endswith(":;"):
        return []
    try:
        found = addresses.parse_list(text)
    except AddressError:
        return [{"name": "", "address": text}]
    return [{"name": address.name, "address": address.spec} for address in found]
