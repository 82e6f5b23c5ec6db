"""The pages of mailboxes: a folder, a message, its original text, its attachments."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import date, datetime
from functools import lru_cache
from typing import Any, NamedTuple

from flask import (
    Blueprint,
    Response,
    flash,
    redirect,
    render_template,
    request,
    session,
    url_for,
)
from sqlalchemy import Connection, Row, select
from werkzeug.routing import IntegerConverter
from werkzeug.wrappers import Response as AnyResponse

from mailapp.accounts import auth
from mailapp.attachments.models import Blob
from mailapp.attachments.serving import download
from mailapp.attachments.store import store
from mailapp.compose import services as drafts
from mailapp.database import now, write
from mailapp.errors import Problem
from mailapp.mail import addresses
from mailapp.mail import original as originals
from mailapp.mail.addresses import AddressError
from mailapp.mail.services import header
from mailapp.mailbox import kept, services
from mailapp.mailbox.services import DRAFTS, INBOX, LABELS, SENT, TRASH, Frame
from mailapp.queries import Query, among, transaction
from mailapp.templating import escaped, filesize

bp = Blueprint("mailbox", __name__)

_BLOBS = Query(select(Blob.id, Blob.key).where(among(Blob.id, "ids")))

_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")


class _Number(IntegerConverter):
    """A number in a path that no database is too small for: a longer one is no address here."""

    regex = r"\d{1,18}"


bp.record_once(lambda state: state.app.url_map.converters.update(number=_Number))


class _Line(NamedTuple):
    """A row of a folder, every text ready: the template unpacks it and writes it down."""

    who: str
    subject: str
    preview: str
    url: str
    when_iso: str
    when_text: str
    seen: bool
    attachments: int


@bp.get("/")
def home() -> AnyResponse:
    """To the inbox; who is not logged in is sent on to the log-in page from there."""
    return redirect(url_for("mailbox.folder", role=INBOX), 303)


@bp.get("/mail/<any(inbox, sent, drafts, trash):role>")
def folder(role: str) -> str:
    """One page of a folder."""
    frame = auth.signed_in()
    before, today = request.args.get("before"), now().date()
    try:
        return _kept(frame, (role, before, today), lambda: _folder_page(frame, role, before, today))
    except ValueError:
        raise Problem(
            400, "There is no such page", "The address is wrong. Begin at the newest."
        ) from None


def _kept(frame: Frame, page: tuple[object, ...], make: Callable[[], str]) -> str:
    """What `make` makes, or made before; not kept with a notice on it, which is said once."""
    return make() if "_flashes" in session else kept.kept(frame, page, make)


def _folder_page(frame: Frame, role: str, before: str | None, today: date) -> str:
    """A folder's page; ValueError where `before` is no key of a page."""
    if role == DRAFTS:
        page = drafts.page(frame.account.id, before)
    else:
        page = services.page(frame.mailbox(role).id, before)
    line = {DRAFTS: _draft_line, SENT: _sent_line}.get(role, _line)
    return render_template(
        "mailbox/folder.html",
        frame=frame,
        active=role,
        role=role,
        label=LABELS[role],
        rows=_as_html([line(row, today) for row in page.rows]),
        next_key=page.next_key,
        newest_url=url_for("mailbox.folder", role=role) if before else None,
    )


@bp.get("/mail/<number:entry_id>")
def message(entry_id: int) -> str:
    """A message; opening it marks it read, which takes two statements beside the one that loads."""
    frame = auth.signed_in(entry_id)
    opened = _opened(frame)
    if opened.seen:
        return _kept(frame, (entry_id,), lambda: _message_page(frame))
    if request.method == "GET":
        with transaction() as inside:
            services.mark(inside, frame.account.id, entry_id, seen=True)
        frame = frame.with_one_read(opened.role)
    return _message_page(frame)


def _message_page(frame: Frame) -> str:
    opened = services.read_whole(frame.opened)
    entry_id = opened.entry_id
    return render_template(
        "mailbox/message.html",
        frame=frame,
        active=opened.role,
        entry_id=entry_id,
        role=opened.role,
        subject=opened.subject or "(no subject)",
        from_name=opened.from_name,
        from_address=opened.from_address,
        recipients=[
            (label, people)
            for label, people in (
                ("To", _people(header(opened.headers, "To"))),
                ("Cc", _people(header(opened.headers, "Cc"))),
                ("Bcc", _people(", ".join(opened.bcc))),
            )
            if people
        ],
        when_iso=opened.created_at.isoformat(),
        when_text=f"{opened.created_at:%A, %d %B %Y, %H:%M} UTC",
        text_body=opened.text_body,
        attachments=[
            {
                "filename": attachment["filename"],
                "content_type": attachment["content_type"],
                "size_text": filesize(attachment["size"]),
                "url": url_for(
                    "mailbox.attachment",
                    entry_id=entry_id,
                    n=number,
                    # Only for people to see: the header has the name. In Hangul each letter takes
                    # nine characters, and gunicorn reads no line of more than 4094.
                    filename=attachment["filename"][-100:],
                ),
            }
            for number, attachment in enumerate(opened.attachments, 1)
        ],
    )


@bp.get("/mail/<number:entry_id>/original")
def original(entry_id: int) -> Response:
    """The message as RFC 5322 text; Bcc only in the sender's own copy."""
    opened = services.read_whole(_opened(auth.signed_in(entry_id)))
    blobs = _blobs([item["blob"] for item in opened.attachments])
    headers = list(opened.headers)
    if opened.bcc:
        headers.insert(_after_recipients(headers), ["Bcc", ", ".join(opened.bcc)])
    kept = store()
    # Opened before the answer begins, where a store that is away can still be told as 503.
    try:
        first = [kept.open(blobs[item["blob"]]) for item in opened.attachments[:1]]
    except FileNotFoundError:
        raise _not_there() from None

    def open_blob(item: dict[str, Any]) -> Iterator[bytes]:
        with first.pop() if first else kept.open(blobs[item["blob"]]) as stream:
            yield from stream

    response = Response(
        originals.text(headers, opened.text_body, opened.attachments, open_blob),
        # Plain text that a browser shows and never interprets.
        content_type="text/plain; charset=utf-8",
    )
    for stream in first:
        response.call_on_close(stream.close)
    response.headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
    return response


@bp.get("/mail/<number:entry_id>/attachments/<number:n>/<path:filename>")
def attachment(entry_id: int, n: int, filename: str) -> Response:
    """The n-th attachment of a message, to who holds a copy of it; the name is for people."""
    opened = services.read_whole(_opened(auth.signed_in(entry_id)))
    if not 1 <= n <= len(opened.attachments):
        raise _not_there()
    item = opened.attachments[n - 1]
    key = _blobs([item["blob"]])[item["blob"]]
    return download(item["sha256"], item["size"], key, item["filename"], item["content_type"])


@bp.post("/mail/<number:entry_id>/delete")
def delete(entry_id: int) -> AnyResponse:
    """Move a message to Trash; from there, delete one's own copy for good."""
    role = _change(lambda connection, me: services.remove(connection, me, entry_id))
    if role == TRASH:
        flash("The message is deleted for good.", "success")
    else:
        undo = {
            "text": "Moved to Trash.",
            "url": url_for("mailbox.restore", entry_id=entry_id),
            "button": "Undo",
        }
        flash(undo, "undo")  # type: ignore[arg-type]  # the template knows what to do with it
    return redirect(url_for("mailbox.folder", role=role), 303)


@bp.post("/mail/<number:entry_id>/restore")
def restore(entry_id: int) -> AnyResponse:
    """Move a message from Trash back to where it was."""
    role = _change(lambda connection, me: services.restore(connection, me, entry_id))
    flash(f"Moved back to {LABELS[role]}.", "success")
    return redirect(url_for("mailbox.folder", role=role), 303)


@bp.post("/mail/<number:entry_id>/unread")
def mark_unread(entry_id: int) -> AnyResponse:
    """Mark a message unread, and go back to its folder."""
    frame = auth.signed_in(entry_id)
    role = _opened(frame).role
    with transaction() as inside:
        if not services.mark(inside, frame.account.id, entry_id, seen=False):
            raise _not_there()
    return redirect(url_for("mailbox.folder", role=role), 303)


def _change(act: Callable[[Connection, int], str | None]) -> str:
    """Do something to the signed-in person's mail; 404 where it answers None."""
    frame = auth.signed_in()
    with write() as connection:
        role = act(connection, frame.account.id)
    if role is None:
        raise _not_there()
    return role


def _opened(frame: Frame) -> Any:
    if frame.opened is None:
        raise _not_there()
    return frame.opened


def _not_there() -> Problem:
    return Problem(404, "There is nothing here", "The address is wrong, or what was here is gone.")


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


def _line(row: Row[Any], today: date) -> _Line:
    return _entry_line(row, today, row.from_name or row.from_address)


def _sent_line(row: Row[Any], today: date) -> _Line:
    return _entry_line(row, today, f"To: {row.to_preview}" if row.to_preview else "To: (Bcc only)")


def _entry_line(row: Row[Any], today: date, who: str) -> _Line:
    return _Line(
        who,
        row.subject or "(no subject)",
        row.preview,
        f"/mail/{row.id}",  # not url_for: nothing is opened more often than a folder
        row.sort_at.isoformat(),
        _short(row.sort_at, today),
        row.seen,
        row.attachment_count,
    )


def _as_html(lines: list[_Line]) -> list[_Line]:
    """The lines with what people wrote escaped; the rest of a line is made here."""
    texts = iter(escaped([text for line in lines for text in line[:3]]))
    return [
        _Line(who, subject, preview, *line[3:])
        for line, who, subject, preview in zip(lines, texts, texts, texts, strict=True)
    ]


def _draft_line(row: Row[Any], today: date) -> _Line:
    return _Line(
        f"To: {row.to}" if row.to.strip() else "(nobody yet)",
        row.subject.strip() or "(no subject)",
        " ".join(row.body.split())[:140],
        f"/drafts/{row.id}",
        row.updated_at.isoformat(),
        _short(row.updated_at, today),
        True,
        int(row.has_files),
    )


def _short(moment: datetime, today: date) -> str:
    """When, as briefly as it can be said, in UTC as the database gives it."""
    if moment.year != today.year:
        return f"{moment.year}-{moment.month:02}-{moment.day:02}"
    if moment.month == today.month and moment.day == today.day:
        return f"{moment.hour:02}:{moment.minute:02}"
    return f"{moment.day} {_MONTHS[moment.month - 1]}"
