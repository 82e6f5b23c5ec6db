"""The page of writing, in each of the states it can be in."""

from __future__ import annotations

import uuid
from collections.abc import Sequence
from dataclasses import replace
from typing import Any

from flask import Response, make_response, render_template, request

from mailapp import errors
from mailapp.accounts import auth
from mailapp.compose import drafts, markup
from mailapp.compose.drafts import Written
from mailapp.compose.forms import Submitted
from mailapp.compose.keys import DraftKey
from mailapp.compose.letter import Mistake
from mailapp.compose.state import NotYours
from mailapp.compose.typed import Typed
from mailapp.mailbox.services import Frame
from mailapp.templating import filesize

# The cookie in which the editor remembers that somebody writes plain text.
MODE_COOKIE = "compose"


def page(
    frame: Frame,
    key: DraftKey,
    written: Written,
    mistakes: Sequence[Mistake] = (),
    *,
    question: str | None = None,
    other: Typed | None = None,
) -> Response:
    """The form. `question` is the moment ("" for now) at which to send without an attachment that
    the text speaks of; `other` what another window has written meanwhile."""
    typed = written.typed
    problems: dict[str, str] = {}
    for mistake in mistakes:
        before = problems.get(mistake.field)
        problems[mistake.field] = f"{before} {mistake.message}" if before else mistake.message
    query = "" if written.updated_at else f"?key={key.sign()}"
    shown: dict[str, Any] = {
        "id": key.draft_id,
        "key": key.sign(),
        "form_id": uuid.uuid4().hex,
        "version": written.version,
        "to": typed.to,
        "cc": typed.cc,
        "bcc": typed.bcc,
        "subject": typed.subject,
        "body": typed.body,
        "html": markup.for_editor(typed.html, key.draft_id, query) if typed.html else "",
        "mode": _mode(written, key),
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
                if file.disposition != "inline"
            ],
            errors=mistakes,
            problems=problems,
            question=question,
            other=other,
            send_error=written.send_error,
            saved_at=written.updated_at,
        )
    )
    # Kept for the Back button: after a failure it brings the form back as it was typed.
    response.headers["Cache-Control"] = "private, no-cache"
    return response


def again(
    submitted: Submitted,
    mistakes: Sequence[Mistake],
    status: int,
    *,
    question: str | None = None,
) -> Response:
    """The form once more, as it was saved, with what has to be put right."""
    response = _once_more(submitted, mistakes, question=question)
    response.status_code = status
    if status == 503:
        response.headers["Retry-After"] = str(errors.RETRY_AFTER)
    return response


def both(submitted: Submitted) -> Response:
    """The form as it was typed, beside what another window has written: one of them is to stay.

    It has seen the other's now, so whatever is pressed in it next is meant.
    """
    response = _once_more(submitted, [], is_changed=True)
    response.status_code = 409
    return response


def _once_more(
    submitted: Submitted,
    mistakes: Sequence[Mistake],
    *,
    question: str | None = None,
    is_changed: bool = False,
) -> Response:
    frame = auth.signed_in()
    written = drafts.load(frame.account.id, submitted.draft_id)
    if written is None:
        raise NotYours
    key = DraftKey(frame.account.id, frame.account.session_epoch, submitted.draft_id)
    return page(
        frame,
        key,
        replace(written, typed=submitted.typed),
        mistakes,
        question=question,
        other=written.typed if is_changed else None,
    )


def _mode(written: Written, key: DraftKey) -> str:
    """How the editor begins: as the text is, and with a new one as the person likes it."""
    if written.typed.html is not None:
        return "formatted"
    if written.updated_at is not None or key.mode:
        return "plain"
    return "plain" if request.cookies.get(MODE_COOKIE) == "plain" else "formatted"
