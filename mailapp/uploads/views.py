"""The files of a draft as a script sends them: the tus protocol 1.0 (https://tus.io), in which an
upload that was cut goes on where it stopped.

Who uploads makes the file's id, which is in the address: to create it twice, as a browser or a
balancer does whose answer was lost, creates it once. A file that comes whole with its creation is
one request, and never a row of its own.
"""

from __future__ import annotations

import base64
import binascii
import uuid

from flask import Blueprint, Response, jsonify, make_response, request
from werkzeug.exceptions import LengthRequired, PreconditionFailed, UnsupportedMediaType

from mailapp import csrf, sessions
from mailapp.attachments.body import Body, patience
from mailapp.attachments.store import PIECE, store
from mailapp.compose import drafts, files
from mailapp.compose.forms import too_large_text
from mailapp.compose.state import AlreadySent, Discarded, NotYours, OnItsWay
from mailapp.compose.writer import Writer, writer_of
from mailapp.errors import Problem
from mailapp.i18n import gettext as _
from mailapp.quota import QuotaReached, must_seem_to_have_room
from mailapp.settings import current_settings
from mailapp.telemetry.metrics import metrics
from mailapp.templating import filesize
from mailapp.uploads import services
from mailapp.uploads.services import NotThere, Place, Progress, Removed, WrongOffset

bp = Blueprint("uploads", __name__)

_VERSION = "1.0.0"
_PATH = "/drafts/<uuid:draft_id>/uploads/<uuid:attachment_id>"
_BYTES = "application/offset+octet-stream"


@bp.route(_PATH, methods=["OPTIONS"], provide_automatic_options=False)
@sessions.optional
def abilities(draft_id: uuid.UUID, attachment_id: uuid.UUID) -> Response:
    """What this service can do, and how large a file may be."""
    response = make_response("", 204)
    response.headers["Tus-Extension"] = "creation,creation-with-upload,termination"
    response.headers["Tus-Max-Size"] = str(current_settings().max_attachment_bytes)
    return response


@bp.post(_PATH)
@csrf.exempt
@sessions.optional
def create(draft_id: uuid.UUID, attachment_id: uuid.UUID) -> Response:
    """Begin a file, with its first bytes or all of them."""
    size, length = _number("Upload-Length"), request.content_length or 0
    if size > current_settings().max_attachment_bytes or length > size:
        raise Problem(413, _("This is too large"), too_large_text(_("This file")))
    writer = _writer(draft_id)
    must_seem_to_have_room(writer.account, size)
    place = _in_draft(writer, draft_id, attachment_id)
    told = _metadata()
    name, kind = told.get("filename", ""), told.get("filetype", "")
    if length == size:
        progress = _take_whole(place, name, kind, size)
    else:
        progress = services.begin(place, name, kind, size)
        if length and not progress.received:
            progress = _take(place, 0, length)
    response = _answer(progress, 201)
    response.headers["Location"] = request.path
    return response


@bp.route(_PATH, methods=["HEAD"])
@sessions.optional
def ask(draft_id: uuid.UUID, attachment_id: uuid.UUID) -> Response:
    """How much of the file is here."""
    return _answer(
        services.progress(Place(_writer(draft_id).account_id, draft_id, attachment_id)), 200
    )


@bp.patch(_PATH)
@csrf.exempt
@sessions.optional
def go_on(draft_id: uuid.UUID, attachment_id: uuid.UUID) -> Response:
    """The next bytes: as many pieces as are whole, of PIECE bytes, or the rest of the file."""
    if request.mimetype != _BYTES:
        raise UnsupportedMediaType
    length = request.content_length
    if length is None:
        raise LengthRequired
    place = Place(_writer(draft_id).account_id, draft_id, attachment_id)
    offset = _number("Upload-Offset")
    progress = _take(place, offset, length)
    if progress.received == offset and length:
        raise Problem(
            400,
            _("This piece is too small"),
            _("A piece of a file has at least %(size)s, but for the last.", size=filesize(PIECE)),
        )
    return _answer(progress, 204)


@bp.delete(_PATH)
@csrf.exempt
@sessions.optional
def take_away(draft_id: uuid.UUID, attachment_id: uuid.UUID) -> Response:
    """Take a file away from the draft, also one that is still coming."""
    services.remove(_in_draft(_writer(draft_id), draft_id, attachment_id))
    return make_response("", 204)


@bp.after_request
def _say_version(response: Response) -> Response:
    response.headers["Tus-Resumable"] = response.headers["Tus-Version"] = _VERSION
    return response


@bp.errorhandler(WrongOffset)
def _wrong_offset(error: WrongOffset) -> Response:
    response = make_response(jsonify(), 409)
    response.headers["Upload-Offset"] = str(error.received)
    return response


@bp.errorhandler(NotThere)
def _not_there(_error: NotThere) -> Response:
    return _refusal(404, _("Nothing has come of this file yet."))


@bp.errorhandler(NotYours)
def _not_yours(_error: NotYours) -> Response:
    return _refusal(404, _("This draft is not there."))


@bp.errorhandler(Removed)
def _removed(_error: Removed) -> Response:
    return _refusal(410, _("This file was removed."))


@bp.errorhandler(AlreadySent)
def _already_sent(_error: AlreadySent) -> Response:
    return _refusal(409, _("This message has already been sent."))


@bp.errorhandler(OnItsWay)
def _on_its_way(_error: OnItsWay) -> Response:
    return _refusal(409, _("This message is on its way. Undo that to write on."))


@bp.errorhandler(Discarded)
def _discarded(_error: Discarded) -> Response:
    return _refusal(409, _("This draft was deleted. Press “Save draft” to keep it."))


@bp.errorhandler(QuotaReached)
def _quota_reached(error: QuotaReached) -> Response:
    return _refusal(413, str(error))


def _writer(draft_id: uuid.UUID) -> Writer:
    """Who may write there, and speaks our version of the protocol."""
    if request.headers.get("Tus-Resumable") != _VERSION:
        raise PreconditionFailed
    return writer_of(draft_id, {})


def _in_draft(writer: Writer, draft_id: uuid.UUID, attachment_id: uuid.UUID) -> Place:
    """The file's place in a draft that may not have been saved yet: now it is."""
    drafts.save(writer.account_id, draft_id, None, writer.key, by_itself=True)
    return Place(writer.account_id, draft_id, attachment_id)


def _take_whole(place: Place, name: str, kind: str, size: int) -> Progress:
    """The file as it comes, hashed on the way."""
    body = Body(request, size)
    with patience(request):
        stored = store().put(body, size)
    metrics().bytes_up.inc(stored.size)
    file = files.attach(place.account_id, place.draft_id, place.upload_id, stored, name, kind)
    if file is None:
        raise Removed
    return Progress(size, size)


def _take(place: Place, offset: int, length: int) -> Progress:
    body = Body(request, length)
    with patience(request):
        progress = services.receive(place, offset, body, length)
    body.end()
    return progress


def _answer(progress: Progress, status: int) -> Response:
    response = make_response("", status)
    response.headers["Upload-Offset"] = str(progress.received)
    response.headers["Upload-Length"] = str(progress.size)
    return response


def _number(header: str) -> int:
    text = request.headers.get(header, "")
    if not text.isascii() or not text.isdigit() or len(text) > 15:
        raise Problem(
            400,
            _("This request can't be understood"),
            _("Its header %(name)s is no number.", name=header),
        )
    return int(text)


def _metadata() -> dict[str, str]:
    """What the uploader tells of the file: names with values in Base64."""
    told = {}
    for pair in request.headers.get("Upload-Metadata", "").split(","):
        name, _space, value = pair.strip().partition(" ")
        try:
            told[name] = base64.b64decode(value, validate=True).decode("utf-8", "replace")
        except binascii.Error:
            raise Problem(
                400,
                _("This request can't be understood"),
                _("Its header %(name)s can't be read.", name="Upload-Metadata"),
            ) from None
    return told


def _refusal(status: int, text: str) -> Response:
    return make_response(jsonify(error=text), status)
