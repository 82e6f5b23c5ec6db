"""The form of a message, read as it arrives: its text into the draft, its files into the store.

The text of a form is saved before any of its files is stored, and both before anything is sent: a
file that is too large, a store that is away or a mistake in an address costs none of the rest. So
does a session that has ended: the draft's key lets the same form still be saved (see keys.py).
"""

from __future__ import annotations

import uuid
from collections.abc import Callable
from dataclasses import dataclass, field

from flask import current_app, g, request
from werkzeug.datastructures import MultiDict

from mailapp import errors
from mailapp.attachments.multipart import FilePart, FormFields, read_form
from mailapp.attachments.store import Stored, TooLarge, store
from mailapp.compose import drafts, files
from mailapp.compose.drafts import Saved, Seen
from mailapp.compose.letter import Mistake
from mailapp.compose.state import Changed
from mailapp.compose.typed import FIELDS, Typed
from mailapp.compose.writer import Writer, writer_of
from mailapp.errors import Problem, Unavailable
from mailapp.i18n import gettext as _
from mailapp.quota import QuotaReached
from mailapp.settings import current_settings
from mailapp.telemetry.metrics import metrics
from mailapp.templating import filesize


@dataclass
class Submitted:
    """A form being read: who wrote it, its text, and what went wrong.

    `saved` is None until the text is in the draft. It never gets there where another window has
    `changed` the draft; the files do. `status` is the answer's when `mistakes` says something.
    """

    draft_id: uuid.UUID
    fields: FormFields = field(default_factory=FormFields)
    writer: Writer | None = None
    typed: Typed = field(default_factory=Typed)
    saved: Saved | None = None
    changed: bool = False
    files: int = 0
    store_away: bool = False
    mistakes: list[Mistake] = field(default_factory=list)
    status: int = 413
    _text: tuple[str | None, ...] = ()

    def save(self, fields: FormFields) -> Writer:
        """Find out who writes, and store the text; again only where a file came before some."""
        self.fields = fields
        text = tuple(fields.get(name) for name in FIELDS)
        if self.writer is None:
            g.typed = fields  # an error page gives it back
            self.writer = writer_of(self.draft_id, fields)
        elif text == self._text:
            return self.writer
        self._text = text
        self.typed = Typed.from_form(fields, self.draft_id)
        if self.typed.html is not None:
            g.typed = MultiDict(fields)
            g.typed["body"] = self.typed.body
        # A form saves itself twice only while it arrives: it has seen what it wrote.
        seen = self._seen() if self.saved is None else None
        try:
            self.saved = drafts.save(
                self.writer.account_id,
                self.draft_id,
                self.typed,
                self.writer.key,
                seen=seen,
                by_itself=errors.wants_json(),
            )
        except Changed:
            self.changed = True
        return self.writer

    def keep(self, part: FilePart) -> None:
        """Attach a file of the form; what goes wrong with it is told with the page."""
        writer = self.save(part.fields)
        name = f"“{part.filename[:100]}”" if part.filename else _("The file")
        self.files += 1
        if self.store_away:
            return
        # The same form sent again carries the same file at the same place: it stays one file.
        place = f"form:{self.fields.get('form_id', '')}:{self.files}:{part.filename}"
        try:
            keep(
                writer,
                self.draft_id,
                # Not the same where it was edited in between.
                lambda stored: uuid.uuid5(self.draft_id, f"{place}:{stored.sha256}"),
                part,
            )
        except TooLarge:
            self.mistakes.append(Mistake("files", too_large_text(name)))
        except QuotaReached as error:
            self.mistakes.append(Mistake("files", str(error)))
        except Unavailable:
            current_app.logger.warning("an attachment could not be stored", exc_info=True)
            self.store_away, self.status = True, 503
            text = _(
                "%(name)s could not be stored: the store for attachments does not answer at the "
                "moment. Your text is saved. Attach it again in a moment.",
                name=name,
            )
            self.mistakes.append(Mistake("files", text))

    def _seen(self) -> Seen | None:
        """What the form says that it has seen; None for one of a version that did not say it."""
        try:
            return Seen(int(self.fields["version"]), uuid.UUID(self.fields["form_id"]))
        except (KeyError, ValueError):
            return None


def receive(draft_id: uuid.UUID) -> Submitted:
    """Read the form, saving its text before its first file; files are kept as they come."""
    submitted = Submitted(draft_id)
    try:
        fields = read_form(
            request, limit=current_settings().max_request_bytes, on_file=submitted.keep
        )
    except Problem as problem:
        if submitted.saved is None or errors.wants_json():
            raise
        # Too large as a whole, or broken off: what had come by then is in the draft.
        submitted.mistakes.append(Mistake("files", problem.text))
        submitted.status = problem.status
        return submitted
    submitted.save(fields)
    return submitted


def keep(
    writer: Writer,
    draft_id: uuid.UUID,
    attachment_id: Callable[[Stored], uuid.UUID],
    part: FilePart,
    *,
    content_id: str | None = None,
) -> files.File | None:
    """The file into the store first, then into the draft, under the id it is to have there."""
    stored = store().put(part, current_settings().max_attachment_bytes)
    metrics().bytes_up.inc(stored.size)
    return files.attach(
        writer.account_id,
        draft_id,
        attachment_id(stored),
        stored,
        part.filename,
        part.content_type,
        content_id=content_id,
    )


def too_large_text(name: str) -> str:
    """That a file is too large."""
    most = filesize(current_settings().max_attachment_bytes)
    return _(
        "%(name)s is too large: a file can have at most %(most)s. It was not attached.",
        name=name,
        most=most,
    )
