"""The pages of a message's files: each, a preview of it that runs nothing, all of them as a zip."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict

from flask import Blueprint, Response, render_template, request, url_for
from prometheus_client import Counter

from mailapp import errors
from mailapp.accounts import auth
from mailapp.attachments import kinds
from mailapp.attachments.bundle import Member, zipped
from mailapp.attachments.held import File, Held, held
from mailapp.attachments.listing import lines
from mailapp.attachments.serving import disposition, download
from mailapp.attachments.store import ObjectStream, store
from mailapp.i18n import gettext as _
from mailapp.mailbox.services import Frame
from mailapp.telemetry.metrics import metrics
from mailapp.templating import filesize

bp = Blueprint("attachments", __name__)


@bp.get("/mail/<number:entry_id>/preview/<number:n>")
def preview(entry_id: int, n: int) -> str:
    """What is in a file, as far as that can be shown without running anything of it."""
    frame, message, file = _asked(entry_id, n)
    try:
        found = file.kind()
        text = None
        if found and found.kind == "text":
            text = kinds.read_text(file.beginning(kinds.SHOWN))
    except FileNotFoundError:
        raise errors.not_there() from None
    listed = lines(entry_id, [asdict(one) for one in message.files])
    return render_template(
        "attachments/preview.html",
        frame=frame,
        active=None,
        entry_id=entry_id,
        subject=message.subject or _("(no subject)"),
        file=listed[n - 1],
        n=n,
        total=len(listed),
        before=listed[n - 2].preview if n > 1 else None,
        after=listed[n].preview if n < len(listed) else None,
        kind=found.kind if found else None,
        shown=url_for("attachments.shown", entry_id=entry_id, n=n),
        text=text,
        cut_to=filesize(kinds.SHOWN) if file.size > kinds.SHOWN else None,
    )


@bp.get("/mail/<number:entry_id>/shown/<number:n>")
def shown(entry_id: int, n: int) -> Response:
    """An image as an image, by the type that its content has; 404 for anything else."""
    _frame, _message, file = _asked(entry_id, n)
    try:
        found = file.kind()
    except FileNotFoundError:
        raise errors.not_there() from None
    if found is None or found.kind != "image":
        raise errors.not_there()
    return download(file.sha256, file.size, file.key, file.filename, found.media_type, inline=True)


@bp.get("/mail/<number:entry_id>/attachments/<number:n>/<path:filename>")
def whole(entry_id: int, n: int, filename: str) -> Response:
    """The n-th file of a message, to who holds a copy of it; the name is for people."""
    _frame, _message, file = _asked(entry_id, n)
    return download(file.sha256, file.size, file.key, file.filename, file.content_type)


@bp.get("/mail/<number:entry_id>/attachments.zip")
def bundle(entry_id: int) -> Response:
    """All files of a message as one zip."""
    _frame, message = _held(entry_id)
    if not message.files:
        raise errors.not_there()
    kept = store()  # while there is a request: the answer's body is made after it
    # Opened before the answer begins, where a store that is away can still be told as 503.
    first = [] if request.method == "HEAD" else [_opened(message.files[0])]

    def member(file: File) -> Member:
        return Member(
            file.filename, file.size, lambda: first.pop() if first else kept.open(file.key)
        )

    size, parts = zipped([member(file) for file in message.files])
    response = Response(_counted(parts, metrics().bytes_down), content_type="application/zip")
    for stream in first:
        response.call_on_close(stream.close)
    response.content_length = size
    response.headers["Content-Disposition"] = disposition(f"{message.subject or 'attachments'}.zip")
    response.headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
    return response


def _asked(entry_id: int, n: int) -> tuple[Frame, Held, File]:
    frame, message = _held(entry_id)
    file = message.file(n)
    if file is None:
        raise errors.not_there()
    return frame, message, file


def _held(entry_id: int) -> tuple[Frame, Held]:
    frame = auth.signed_in()
    message = held(frame.account.id, entry_id)
    if message is None:
        raise errors.not_there()
    return frame, message


def _opened(file: File) -> ObjectStream:
    try:
        return file.open()
    except FileNotFoundError:
        raise errors.not_there() from None


def _counted(parts: Iterator[bytes], counter: Counter) -> Iterator[bytes]:
    for part in parts:
        counter.inc(len(part))
        yield part
