"""The pages of writing. A form is read as it arrives, its files going to the store as they come.

The text of a form is saved before any of its files is stored, and both before anything is sent: a
file that is too large, a store that is away or a mistake in an address costs none of the rest. So
does a session that has ended: the draft's key lets the same form still be saved (see keys.py).
"""

from __future__ import annotations

import uuid
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime
from typing import Any

from flask import (
    Blueprint,
    Response,
    current_app,
    flash,
    g,
    jsonify,
    make_response,
    redirect,
    render_template,
    request,
    session,
    url_for,
)
from werkzeug.wrappers import Response as AnyResponse

from mailapp import csrf, errors, sessions
from mailapp.accounts import auth
from mailapp.attachments.multipart import FilePart, FormFields, read_form
from mailapp.attachments.store import Stored, TooLarge, store
from mailapp.compose import services
from mailapp.compose.keys import DraftKey, Mode, read_key
from mailapp.compose.services import (
    AlreadySent,
    Discarded,
    Mistake,
    NotYours,
    Typed,
    Unsendable,
    Written,
)
from mailapp.errors import Problem, Unavailable
from mailapp.mailbox.services import Frame, load_frame, read_whole
from mailapp.settings import current_settings
from mailapp.telemetry.metrics import metrics
from mailapp.templating import filesize

bp = Blueprint("compose", __name__)

_MODES: dict[str, Mode] = {"reply": "reply", "reply_all": "reply_all", "forward": "forward"}

_STALE = (
    "This page was out of date, so nothing was sent. What you wrote is saved. "
    "Look through it and press Send again."
)
_LOGGED_OUT = "You are logged out, so nothing was sent. What you wrote is saved: log in to go on."
_SENT_BEFORE = "This message has already been sent."
_DELETED = "This draft was deleted. Press “Save draft” to keep it."


@dataclass(frozen=True)
class _Writer:
    """Who writes. Only who is `signed_in`, with a fresh form, may do more than save."""

    account_id: int
    key: DraftKey | None
    signed_in: bool
    fresh: bool


@dataclass
class _Submitted:
    """A compose form being read: who wrote it, its text, and what went wrong with its files.

    `saved_at` is None until the text is in the draft; `status` is the answer's when `mistakes`
    has something to say.
    """

    draft_id: uuid.UUID
    fields: FormFields = field(default_factory=FormFields)
    writer: _Writer | None = None
    typed: Typed = field(default_factory=Typed)
    saved_at: datetime | None = None
    files: int = 0
    store_away: bool = False
    mistakes: list[Mistake] = field(default_factory=list)
    status: int = 413

    def save(self, fields: FormFields) -> _Writer:
        """Find out who writes, and store the text; again only where a file came before some."""
        self.fields = fields
        typed = Typed.from_form(fields)
        if self.writer is None:
            g.typed = fields  # an error page gives it back
            self.writer = _writer(self.draft_id, fields)
        elif typed == self.typed:
            return self.writer
        self.saved_at = services.save(
            self.writer.account_id,
            self.draft_id,
            typed,
            self.writer.key,
            by_itself=errors.wants_json(),
        )
        self.typed = typed
        return self.writer

    def keep(self, part: FilePart) -> None:
        """Attach a file of the form; what goes wrong with it is told with the page."""
        writer = self.save(part.fields)
        name = f"“{part.filename[:100]}”" if part.filename else "The file"
        self.files += 1
        if self.store_away:
            return
        # The same form sent again carries the same file at the same place: it stays one file.
        place = f"form:{self.fields.get('form_id', '')}:{self.files}:{part.filename}"
        try:
            _store(
                writer,
                self.draft_id,
                # Not the same where it was edited in between.
                lambda stored: uuid.uuid5(self.draft_id, f"{place}:{stored.sha256}"),
                part,
            )
        except TooLarge:
            self.mistakes.append(Mistake("files", _too_large_text(name)))
        except Unavailable:
            current_app.logger.warning("an attachment could not be stored", exc_info=True)
            self.store_away, self.status = True, 503
            text = "could not be stored: the store for attachments does not answer at the moment."
            self.mistakes.append(
                Mistake("files", f"{name} {text} Your text is saved. Attach it again in a moment.")
            )


@bp.get("/compose")
def new() -> Response:
    """An empty message, a reply or a forward. Nothing is stored before something is saved."""
    mode, entry_id = _asked_source()
    frame = auth.signed_in(entry_id)
    if mode and frame.opened is None:
        raise Problem(
            404, "There is nothing here", "The address is wrong, or what was here is gone."
        )
    source = read_whole(frame.opened) if frame.opened else None
    key = DraftKey(
        frame.account.id,
        frame.account.session_epoch,
        uuid.uuid4(),
        mode,
        source.message_id if source else None,
    )
    written = services.prepare(source, key, frame.account.address)
    if not mode and request.args.get("to"):
        written = Written(Typed(to=request.args["to"]), written.files, None)
    return _page(frame, key, written)


@bp.get("/drafts/<uuid:draft_id>")
def draft(draft_id: uuid.UUID) -> AnyResponse:
    """A draft, opened again; the message, where it has been sent."""
    frame = auth.signed_in()
    written = services.load(frame.account.id, draft_id)
    if written is None:
        entry_id = services.sent_copy(frame.account.id, draft_id)
        if entry_id is None:
            raise Problem(404, "This draft is not there", "It may have been sent or deleted.")
        flash(_SENT_BEFORE, "success")
        return redirect(url_for("mailbox.message", entry_id=entry_id), 303)
    key = DraftKey(frame.account.id, frame.account.session_epoch, draft_id)
    return _page(frame, key, written)


@bp.post("/drafts/<uuid:draft_id>")
@csrf.exempt
@sessions.optional
def save_or_send(draft_id: uuid.UUID) -> AnyResponse:
    """Everything the compose form can ask for, after its text and files have been stored."""
    try:
        submitted = _receive(draft_id)
        return _act(submitted)
    except AlreadySent:
        if errors.wants_json():
            return make_response(jsonify(error=_SENT_BEFORE), 409)
        return _sent(session.get("account"), draft_id, None)
    except NotYours:
        raise Problem(404, "This draft is not there", "It may have been deleted.") from None
    except Discarded:
        return make_response(jsonify(error=_DELETED), 409)


@bp.post("/drafts/<uuid:draft_id>/attachments/<uuid:attachment_id>")
@csrf.exempt
@sessions.optional
def upload(draft_id: uuid.UUID, attachment_id: uuid.UUID) -> AnyResponse:
    """One file of a draft, sent by a script, which made the id: sent twice, it is one file."""
    attached: list[services.File | None] = []
    too_large = False

    def on_file(part: FilePart) -> None:
        nonlocal too_large
        writer = _writer(draft_id, part.fields)
        services.save(writer.account_id, draft_id, None, writer.key, by_itself=True)
        try:
            attached.append(_store(writer, draft_id, lambda _: attachment_id, part))
        except TooLarge:
            too_large = True

    try:
        fields = read_form(request, limit=current_settings().max_request_bytes, on_file=on_file)
        _writer(draft_id, fields)
    except AlreadySent:
        return make_response(jsonify(error=_SENT_BEFORE), 409)
    except NotYours:
        return make_response(jsonify(error="This draft is not there."), 404)
    except Discarded:
        return make_response(jsonify(error=_DELETED), 409)
    if too_large:
        return make_response(jsonify(error=_too_large_text("This file")), 413)
    if not attached:
        return make_response(jsonify(error="The request carried no file."), 400)
    file = attached[0]
    if file is None:
        return make_response(jsonify(error="This file was removed."), 409)
    return make_response(
        jsonify(
            id=str(file.id),
            filename=file.filename,
            size=file.size,
            size_text=filesize(file.size),
        )
    )


@bp.post("/drafts/<uuid:draft_id>/attachments/<uuid:attachment_id>/remove")
@csrf.exempt
@sessions.optional
def remove_attachment(draft_id: uuid.UUID, attachment_id: uuid.UUID) -> AnyResponse:
    """Take one file away, asked for by a script."""
    writer = _writer(draft_id, FormFields(request.form))
    try:
        services.save(writer.account_id, draft_id, None, writer.key, by_itself=True)
        services.remove(writer.account_id, draft_id, attachment_id)
    except AlreadySent:
        return make_response(jsonify(error=_SENT_BEFORE), 409)
    except NotYours:
        return make_response(jsonify(error="This draft is not there."), 404)
    except Discarded:
        return make_response(jsonify(error=_DELETED), 409)
    return make_response(jsonify(ok=True))


@bp.post("/drafts/<uuid:draft_id>/undo-discard")
def undo_discard(draft_id: uuid.UUID) -> AnyResponse:
    """Bring back a draft that was discarded."""
    frame = auth.signed_in()
    try:
        back = services.undo_discard(frame.account.id, draft_id)
    except (AlreadySent, NotYours):
        back = False
    if not back:
        raise Problem(404, "This draft is not there", "It may have been deleted for good.")
    return redirect(url_for("compose.draft", draft_id=draft_id), 303)


# Reading the form --------------------------------------------------------------------------------


def _receive(draft_id: uuid.UUID) -> _Submitted:
    """Read the form, saving its text before its first file; files are kept as they come."""
    submitted = _Submitted(draft_id)
    try:
        fields = read_form(
            request, limit=current_settings().max_request_bytes, on_file=submitted.keep
        )
    except Problem as problem:
        if submitted.saved_at is None or errors.wants_json():
            raise
        # Too large as a whole, or broken off: what had come by then is in the draft.
        submitted.mistakes.append(Mistake("files", problem.text))
        submitted.status = problem.status
        return submitted
    submitted.save(fields)
    return submitted


def _writer(draft_id: uuid.UUID, fields: FormFields) -> _Writer:
    """Who sent this form: by their session, or by the draft's key alone; answers who is neither."""
    key = read_key(fields.get("draft_key", ""), draft_id)
    token = fields.get("csrf_token") or request.headers.get("X-CSRFToken")
    account_id = _live_account()
    if account_id is not None:
        fresh = csrf.valid(token)
        if fresh or (key is not None and key.account_id == account_id):
            return _Writer(account_id, key, True, fresh)
        raise Problem(
            400,
            "This page was out of date",
            "The form carried no valid security token, so nothing was done. What you wrote is "
            "below: copy it into a new message.",
        )
    if key is not None and _is_current(key):
        return _Writer(key.account_id, key, False, False)
    if errors.wants_json():
        raise auth.NotSignedIn
    raise Problem(
        401,
        "You are logged out",
        "Nothing was saved or sent. What you wrote is below: log in and copy it to a new message.",
    )


def _live_account() -> int | None:
    """The account this session is good for, or None."""
    try:
        return auth.signed_in().account.id
    except auth.NotSignedIn:
        return None


def _is_current(key: DraftKey) -> bool:
    """Whether the key's person may still write: not disabled, the password not changed since."""
    frame = load_frame(key.account_id)
    return frame is not None and frame.account.session_epoch == key.epoch


def _store(
    writer: _Writer,
    draft_id: uuid.UUID,
    attachment_id: Callable[[Stored], uuid.UUID],
    part: FilePart,
) -> services.File | None:
    """The file into the store first, then into the draft, under the id it is to have there."""
    stored = store().put(part, current_settings().max_attachment_bytes)
    metrics().bytes_up.inc(stored.size)
    return services.attach(
        writer.account_id,
        draft_id,
        attachment_id(stored),
        stored,
        part.filename,
        part.content_type,
    )


def _too_large_text(name: str) -> str:
    most = filesize(current_settings().max_attachment_bytes)
    return f"{name} is too large: a file can have at most {most}. It was not attached."


# Answering ---------------------------------------------------------------------------------------


def _act(submitted: _Submitted) -> AnyResponse:
    """Do what the pressed button says, as far as this writer may."""
    writer, draft_id = submitted.save(submitted.fields), submitted.draft_id
    if not writer.signed_in:
        if sessions.failed():
            return _saved_without_session(submitted)
        return auth.login_answer(url_for("compose.draft", draft_id=draft_id), _LOGGED_OUT)
    if not writer.fresh:
        if errors.wants_json():
            return _saved(submitted)  # which is all that a script asks this view for
        return _again(submitted, [Mistake("", _STALE)], 400)

    removed = submitted.fields.get("remove")
    action = "save" if removed else submitted.fields.get("action", "send")
    if removed:
        try:
            services.remove(writer.account_id, draft_id, uuid.UUID(removed))
        except ValueError:
            raise Problem(
                400, "No such file", "The file to remove is not one of this draft."
            ) from None
    if action == "discard":
        services.discard(writer.account_id, draft_id)
        undo = {
            "text": "Draft deleted.",
            "url": url_for("compose.undo_discard", draft_id=draft_id),
            "button": "Undo",
        }
        flash(undo, "undo")  # type: ignore[arg-type]  # the template knows what to do with it
        return redirect(url_for("mailbox.folder", role="drafts"), 303)
    if submitted.mistakes:
        return _again(submitted, submitted.mistakes, submitted.status)
    if action == "save":
        if errors.wants_json():
            return _saved(submitted)
        return redirect(url_for("compose.draft", draft_id=draft_id), 303)
    try:
        entry_id = services.send(writer.account_id, draft_id, submitted.typed)
    except Unsendable as error:
        return _again(submitted, error.mistakes, 422)
    return _sent(writer.account_id, draft_id, entry_id)


def _saved(submitted: _Submitted) -> Response:
    """To the script that saves while somebody types."""
    saved_at = submitted.saved_at
    return make_response(jsonify(ok=True, saved_at=saved_at.isoformat() if saved_at else None))


def _saved_without_session(submitted: _Submitted) -> Response:
    """Redis does not answer: saving took nothing but the draft's key, anything else must wait."""
    if errors.wants_json():
        return _saved(submitted)
    return errors.page(
        503,
        "Saved, but not sent",
        f"{errors.away_text('redis')} What you wrote is saved in your drafts. "
        "Open the draft in a moment and send it.",
        retry_after=errors.RETRY_AFTER,
        typed=errors.typed(),
    )


def _sent(account_id: int | None, draft_id: uuid.UUID, entry_id: int | None) -> AnyResponse:
    """The answer to a send, the first time and every time the same one comes again."""
    if account_id is None:
        return auth.login_answer(url_for("compose.draft", draft_id=draft_id), _SENT_BEFORE)
    flash("Your message has been sent.", "success")
    return redirect(url_for("mailbox.folder", role="sent"), 303)


def _again(submitted: _Submitted, mistakes: list[Mistake], status: int) -> Response:
    """The form once more, as it was saved, with what has to be put right."""
    frame = auth.signed_in()
    written = services.load(frame.account.id, submitted.draft_id)
    if written is None:
        raise NotYours
    key = DraftKey(frame.account.id, frame.account.session_epoch, submitted.draft_id)
    response = _page(frame, key, replace(written, typed=submitted.typed), mistakes)
    response.status_code = status
    if status == 503:
        response.headers["Retry-After"] = str(errors.RETRY_AFTER)
    return response


def _page(
    frame: Frame, key: DraftKey, written: Written, mistakes: Sequence[Mistake] = ()
) -> Response:
    typed = written.typed
    problems: dict[str, str] = {}
    for mistake in mistakes:
        before = problems.get(mistake.field)
        problems[mistake.field] = f"{before} {mistake.message}" if before else mistake.message
    shown: dict[str, Any] = {
        "id": key.draft_id,
        "key": key.sign(),
        "form_id": uuid.uuid4().hex,
        "to": typed.to,
        "cc": typed.cc,
        "bcc": typed.bcc,
        "subject": typed.subject,
        "body": typed.body,
        "source_mode": key.mode,
    }
    response = make_response(
        render_template(
            "compose/compose.html",
            frame=frame,
            active="compose" if written.updated_at is None else "drafts",
            draft=shown,
            attachments=[
                {
                    "id": file.id,
                    "filename": file.filename,
                    "content_type": file.content_type,
                    "size_text": filesize(file.size),
                }
                for file in written.files
            ],
            errors=mistakes,
            problems=problems,
            saved_at=written.updated_at,
        )
    )
    # Kept for the Back button: after a failure it brings the form back as it was typed.
    response.headers["Cache-Control"] = "private, no-cache"
    return response


def _asked_source() -> tuple[Mode, int | None]:
    for name, mode in _MODES.items():
        if name in request.args:
            entry_id = request.args.get(name, 0, type=int)
            return mode, entry_id if 0 < entry_id < 10**18 else 0
    return "", None
