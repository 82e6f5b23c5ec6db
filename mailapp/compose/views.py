"""The pages of writing: a form that is saved, sent at once or later, and what can be undone."""

from __future__ import annotations

import uuid
from datetime import datetime, timedelta

from flask import (
    Blueprint,
    Response,
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
from mailapp.attachments.serving import download
from mailapp.attachments.store import TooLarge
from mailapp.compose import drafts, files, later, markup, outbox, pages, sending
from mailapp.compose.drafts import Written
from mailapp.compose.forms import Submitted, keep, receive, too_large_text
from mailapp.compose.keys import DraftKey, Mode, read_key
from mailapp.compose.later import NoSuchTime
from mailapp.compose.letter import Mistake, Unsendable
from mailapp.compose.reminder import speaks_of_attachment
from mailapp.compose.state import AlreadySent, Discarded, NotYours, OnItsWay
from mailapp.compose.typed import Typed
from mailapp.compose.writer import writer_of
from mailapp.database import now
from mailapp.errors import Problem
from mailapp.i18n import gettext as _
from mailapp.i18n import lazy_gettext
from mailapp.mail.plain import plain_text
from mailapp.mailbox.services import AccountView
from mailapp.sessions import is_visit
from mailapp.settings import current_settings

bp = Blueprint("compose", __name__)

_MODES: dict[str, Mode] = {"reply": "reply", "reply_all": "reply_all", "forward": "forward"}

_STALE = lazy_gettext(
    "This page was out of date, so nothing was sent. What you wrote is saved. "
    "Look through it and press Send again."
)
_LOGGED_OUT = lazy_gettext(
    "You are logged out, so nothing was sent. What you wrote is saved: log in to go on."
)
_SENT = lazy_gettext("Your message has been sent.")
_SENT_BEFORE = lazy_gettext("This message has already been sent.")
_ON_ITS_WAY = lazy_gettext("This message is on its way. Undo that to write on.")
_DELETED = lazy_gettext("This draft was deleted. Press “Save draft” to keep it.")
_CHANGED = lazy_gettext("This draft was changed in another window. Nothing was saved over it.")
_NOT_THERE = lazy_gettext("This draft is not there.")


@bp.get("/compose")
def new() -> Response:
    """An empty message, a reply or a forward. Nothing is stored before something is saved."""
    mode, entry_id = _asked_source()
    frame = auth.signed_in(entry_id)
    if mode and frame.opened is None:
        raise errors.not_there()
    key = DraftKey(
        frame.account.id,
        frame.account.session_epoch,
        uuid.uuid4(),
        mode,
        frame.opened.message_id if mode else None,
    )
    written = drafts.prepare(key, frame.account.address, frame.account.signature)
    if not mode and request.args.get("to"):
        written = Written(Typed(to=request.args["to"], body=written.typed.body), written.files)
    return pages.page(frame, key, written)


@bp.get("/drafts/<uuid:draft_id>")
def draft(draft_id: uuid.UUID) -> AnyResponse:
    """A draft, opened again; the message, where it has been sent."""
    frame = auth.signed_in()
    written = drafts.load(frame.account.id, draft_id)
    if written is None:
        entry_id = sending.sent_copy(frame.account.id, draft_id)
        if entry_id is None:
            raise Problem(404, str(_NOT_THERE), _("It may have been sent or deleted."))
        if is_visit(request):
            # Not for the page of writing itself, which looks at what has changed as it is left.
            flash(str(_SENT_BEFORE), "success")
        return redirect(url_for("mailbox.message", entry_id=entry_id), 303)
    if written.send_at is not None:
        return make_response(
            render_template(
                "compose/held.html",
                frame=frame,
                active="scheduled",
                draft_id=draft_id,
                typed=written.typed,
                send_at=written.send_at,
                files=[file for file in written.files if file.disposition != "inline"],
            )
        )
    key = DraftKey(frame.account.id, frame.account.session_epoch, draft_id)
    return pages.page(frame, key, written)


@bp.get("/mail/scheduled")
def scheduled() -> str:
    """The drafts that are on their way, the next first."""
    frame = auth.signed_in()
    return render_template(
        "compose/scheduled.html",
        frame=frame,
        active="scheduled",
        held=outbox.held(frame.account.id),
    )


@bp.post("/drafts/<uuid:draft_id>")
@csrf.exempt
@sessions.optional
def save_or_send(draft_id: uuid.UUID) -> AnyResponse:
    """Everything the compose form can ask for, after its text and files have been stored."""
    try:
        return _act(receive(draft_id))
    except AlreadySent as sent:
        return _sent_already(draft_id, sent.message_id)
    except OnItsWay as held:
        return _held_already(draft_id, held.send_at)
    except NotYours:
        raise Problem(404, str(_NOT_THERE), _("It may have been deleted.")) from None
    except Discarded:
        return _refused(_DELETED)


@bp.post("/drafts/<uuid:draft_id>/inline/<uuid:attachment_id>")
@csrf.exempt
@sessions.optional
def upload_image(draft_id: uuid.UUID, attachment_id: uuid.UUID) -> Response:
    """An image for the text of a draft, sent by a script, which made the id: sent twice, it is one.

    Other files come in pieces (see uploads/views.py).
    """
    content_id = f"{attachment_id.hex}@{current_settings().mail_domain}"
    came: list[files.File | None] = []

    def on_file(part: FilePart) -> None:
        writer = writer_of(draft_id, part.fields)
        drafts.save(writer.account_id, draft_id, None, writer.key, by_itself=True)
        came.append(keep(writer, draft_id, lambda _: attachment_id, part, content_id=content_id))

    try:
        fields = read_form(request, limit=current_settings().max_request_bytes, on_file=on_file)
        if not came:
            writer_of(draft_id, fields)  # who is nobody here is told that first
            return _refused(_("The request carried no file."), 400)
    except TooLarge:
        return _refused(too_large_text(_("This file")), 413)
    except AlreadySent:
        return _refused(_SENT_BEFORE)
    except OnItsWay:
        return _refused(_ON_ITS_WAY)
    except NotYours:
        return _refused(_NOT_THERE, 404)
    except Discarded:
        return _refused(_DELETED)
    if came[0] is None:
        return _refused(_("This file was removed."))
    return make_response(jsonify(url=markup.address(draft_id, content_id)))


@bp.get("/drafts/<uuid:draft_id>/inline/<path:content_id>")
def inline(draft_id: uuid.UUID, content_id: str) -> Response:
    """An image of a draft's text, for its editor; before the first save, of what it quotes."""
    frame = auth.signed_in()
    key = read_key(request.args.get("key", ""), draft_id)
    if key is not None and key.account_id != frame.account.id:
        key = None
    image = files.image(frame.account.id, draft_id, content_id, key)
    if image is None:
        raise Problem(404, _("There is nothing here"), _("The image is no longer in this draft."))
    return download(image.sha256, image.size, image.key, image.filename, image.content_type)


@bp.post("/drafts/<uuid:draft_id>/undo-discard")
def undo_discard(draft_id: uuid.UUID) -> AnyResponse:
    """Bring back a draft that was discarded."""
    frame = auth.signed_in()
    try:
        back = drafts.undo_discard(frame.account.id, draft_id)
    except (AlreadySent, NotYours):
        back = False
    if not back:
        raise Problem(404, str(_NOT_THERE), _("It may have been deleted for good."))
    return redirect(url_for("compose.draft", draft_id=draft_id), 303)


@bp.post("/drafts/<uuid:draft_id>/undo-send")
def undo_send(draft_id: uuid.UUID) -> AnyResponse:
    """Do not send a draft that is on its way: it is written on."""
    frame = auth.signed_in()
    try:
        sending.release(frame.account.id, draft_id)
    except AlreadySent:
        flash(_("It is too late to undo this: the message has been sent."), "error")
        return redirect(url_for("mailbox.folder", role="sent"), 303)
    except NotYours:
        raise Problem(404, str(_NOT_THERE), _("It may have been deleted for good.")) from None
    flash(_("Your message was not sent. Here it is."), "success")
    return redirect(url_for("compose.draft", draft_id=draft_id), 303)


@bp.post("/drafts/<uuid:draft_id>/send-now")
def send_now(draft_id: uuid.UUID) -> AnyResponse:
    """Send a draft that is on its way at once."""
    frame = auth.signed_in()
    try:
        sending.send(frame.account.id, draft_id, only_held=True)
    except NotYours:
        raise Problem(404, str(_NOT_THERE), _("It may have been deleted for good.")) from None
    except Unsendable as error:
        text = " ".join(mistake.message for mistake in error.mistakes)
        sending.release(frame.account.id, draft_id, text)
        return redirect(url_for("compose.draft", draft_id=draft_id), 303)
    return _sent(frame.account.id, draft_id)


@bp.post("/compose/plain")
@csrf.exempt
def plain() -> Response:
    """The plain text of what the editor has, for who goes on in plain text."""
    auth.signed_in()
    limit = current_settings().max_request_bytes
    fields = read_form(request, limit=limit, on_file=lambda _part: None)
    return make_response(jsonify(text=plain_text(fields.get("html", ""))))


# Acting ------------------------------------------------------------------------------------------


def _act(submitted: Submitted) -> AnyResponse:
    """Do what the pressed button says, as far as this writer may."""
    writer, draft_id = submitted.save(submitted.fields), submitted.draft_id
    if not writer.signed_in:
        if submitted.changed:
            draft_id = drafts.save_apart(writer.account_id, draft_id, submitted.typed)
        if sessions.failed():
            return _saved_without_session(submitted)
        return auth.login_answer(url_for("compose.draft", draft_id=draft_id), str(_LOGGED_OUT))
    removed = submitted.fields.get("remove")
    action = "save" if removed else submitted.fields.get("action", "send")
    if submitted.changed and action != "discard":
        if errors.wants_json():
            return make_response(jsonify(error=str(_CHANGED), changed=True), 409)
        return pages.both(submitted)
    if not writer.fresh:
        if errors.wants_json():
            return _saved(submitted)  # which is all that a script asks this view for
        return pages.again(submitted, [Mistake("", str(_STALE))], 400)
    if removed:
        try:
            files.remove(writer.account_id, draft_id, uuid.UUID(removed))
        except ValueError:
            raise Problem(
                400, _("No such file"), _("The file to remove is not one of this draft.")
            ) from None
    if action == "discard":
        drafts.discard(writer.account_id, draft_id)
        undo = url_for("compose.undo_discard", draft_id=draft_id)
        _flash_with_undo(_("Draft deleted."), undo)
        return redirect(url_for("mailbox.folder", role="drafts"), 303)
    if submitted.mistakes:
        return pages.again(submitted, submitted.mistakes, submitted.status)
    if action == "save":
        if errors.wants_json():
            return _saved(submitted)
        return redirect(url_for("compose.draft", draft_id=draft_id), 303)
    return _dispatch(submitted, writer.account)


def _dispatch(submitted: Submitted, account: AccountView) -> AnyResponse:
    """Send now, or hold until the moment in which it is no longer to be undone, or was chosen."""
    fields, draft_id, typed = submitted.fields, submitted.draft_id, submitted.typed
    try:
        until = _moment(fields, account)
    except NoSuchTime as error:
        return pages.again(submitted, [Mistake("send_at", str(error))], 422)
    if (
        "anyway" not in fields
        and speaks_of_attachment(typed.body)
        and all(file.disposition == "inline" for file in files.of_draft(draft_id))
    ):
        return pages.again(submitted, [], 422, question=until.isoformat() if until else "")
    seconds = account.undo_seconds
    if seconds is None:
        seconds = current_settings().undo_send_seconds
    try:
        if until is not None:
            return _held(draft_id, sending.hold(account.id, draft_id, typed, until))
        if seconds:
            until = now() + timedelta(seconds=seconds)
            return _sent(account.id, draft_id, sending.hold(account.id, draft_id, typed, until))
        sending.send(account.id, draft_id, typed)
    except Unsendable as error:
        return pages.again(submitted, error.mistakes, 422)
    return _sent(account.id, draft_id)


def _moment(fields: FormFields, account: AccountView) -> datetime | None:
    """When it is to be sent; None for now."""
    if anyway := fields.get("anyway"):
        return later.said(anyway)
    if fields.get("preset") or fields.get("action") == "later":
        zone = later.zone_of(account.time_zone, fields.get("time_zone"))
        return later.chosen(fields, zone, now())
    return None


# Answering ---------------------------------------------------------------------------------------


def _refused(text: object, status: int = 409) -> Response:
    return make_response(jsonify(error=str(text)), status)


def _saved(submitted: Submitted) -> Response:
    """To the script that saves while somebody types."""
    saved = submitted.saved
    if saved is None:
        return make_response(jsonify(ok=True, saved_at=None))
    return make_response(jsonify(ok=True, saved_at=saved.at.isoformat(), version=saved.version))


def _saved_without_session(submitted: Submitted) -> Response:
    """Redis does not answer: saving took nothing but the draft's key, anything else must wait."""
    if errors.wants_json():
        return _saved(submitted)
    text = _("What you wrote is saved in your drafts. Open the draft in a moment and send it.")
    return errors.page(
        503,
        _("Saved, but not sent"),
        f"{errors.away_text('redis')} {text}",
        retry_after=errors.RETRY_AFTER,
        typed=errors.typed(),
    )


def _sent(account_id: int | None, draft_id: uuid.UUID, held: datetime | None = None) -> AnyResponse:
    """The answer to a send, the first time and every time the same one comes again."""
    if account_id is None:
        return auth.login_answer(url_for("compose.draft", draft_id=draft_id), str(_SENT_BEFORE))
    if held is None:
        flash(str(_SENT), "success")
    else:
        _flash_with_undo(str(_SENT), url_for("compose.undo_send", draft_id=draft_id))
    return redirect(url_for("mailbox.folder", role="sent"), 303)


def _held(draft_id: uuid.UUID, until: datetime) -> AnyResponse:
    """The answer to who chose when to send."""
    text = _("Your message will be sent at the time you chose.")
    _flash_with_undo(text, url_for("compose.undo_send", draft_id=draft_id))
    return redirect(url_for("compose.scheduled"), 303)


def _sent_already(draft_id: uuid.UUID, message_id: int) -> AnyResponse:
    """The answer to a form of a draft that has been sent: perhaps by another window, as it was."""
    if errors.wants_json():
        return _refused(_SENT_BEFORE)
    if sending.is_text_of(message_id, Typed.from_form(g.typed, draft_id)):
        return _sent(session.get("account"), draft_id)
    # Nothing stores this text any more: the person has to have it back.
    title = _("This page was out of date")
    return errors.page(409, title, str(_SENT_BEFORE), typed=errors.typed())


def _held_already(draft_id: uuid.UUID, until: datetime) -> AnyResponse:
    """The answer to a form of a draft that is on its way: perhaps the same press made twice."""
    if errors.wants_json():
        return _refused(_ON_ITS_WAY)
    frame = auth.signed_in()
    written = drafts.load(frame.account.id, draft_id)
    # What was read of it; a form with a file was not read to its end.
    fields = g.typed
    if written is not None and written.typed == Typed.from_form(fields, draft_id):
        if "remove" not in fields:
            action = fields.get("action", "send")
            if "anyway" in fields or "preset" in fields or action == "later":
                return _held(draft_id, until)
            if action == "send":
                return _sent(frame.account.id, draft_id, until)
        return redirect(url_for("compose.draft", draft_id=draft_id), 303)
    return errors.page(409, _("This message is on its way"), str(_ON_ITS_WAY), typed=errors.typed())


def _flash_with_undo(text: str, url: str) -> None:
    undo = {"text": text, "url": url, "button": _("Undo")}
    flash(undo, "undo")  # type: ignore[arg-type]  # the template knows what to do with it


def _asked_source() -> tuple[Mode, int | None]:
    for name, mode in _MODES.items():
        if name in request.args:
            entry_id = request.args.get(name, 0, type=int)
            return mode, entry_id if 0 < entry_id < 10**18 else 0
    return "", None
