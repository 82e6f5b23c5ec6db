"""Who writes a draft: by their session, or by the draft's key alone (see keys.py)."""

from __future__ import annotations

import uuid
from collections.abc import Mapping
from dataclasses import dataclass

from flask import request

from mailapp import csrf, errors
from mailapp.accounts import auth
from mailapp.compose.keys import DraftKey, read_key
from mailapp.errors import Problem
from mailapp.i18n import gettext as _
from mailapp.mailbox.services import AccountView, load_frame


@dataclass(frozen=True)
class Writer:
    """Who writes. Only who is `signed_in`, with a fresh form, may do more than save."""

    account: AccountView
    key: DraftKey | None
    signed_in: bool
    fresh: bool

    @property
    def account_id(self) -> int:
        """Whose draft it is."""
        return self.account.id


def writer_of(draft_id: uuid.UUID, fields: Mapping[str, str]) -> Writer:
    """Who sent this form; answers who is neither signed in nor has the draft's key.

    The token and the key are in its fields, or in headers, where the body is no form.
    """
    key = read_key(fields.get("draft_key") or request.headers.get("X-Draft-Key", ""), draft_id)
    token = fields.get("csrf_token") or request.headers.get("X-CSRFToken")
    account = _live_account()
    if account is not None:
        fresh = csrf.valid(token)
        if fresh or (key is not None and key.account_id == account.id):
            return Writer(account, key, True, fresh)
        raise Problem(
            400,
            _("This page was out of date"),
            _(
                "The form carried no valid security token, so nothing was done. What you wrote is "
                "below: copy it into a new message."
            ),
        )
    if key is not None and (account := _account_of(key)) is not None:
        return Writer(account, key, False, False)
    if errors.wants_json():
        raise auth.NotSignedIn
    raise Problem(
        401,
        _("You are logged out"),
        _(
            "Nothing was saved or sent. What you wrote is below: log in and copy it to a new "
            "message."
        ),
    )


def _live_account() -> AccountView | None:
    """The account this session is good for, or None."""
    try:
        return auth.signed_in().account
    except auth.NotSignedIn:
        return None


def _account_of(key: DraftKey) -> AccountView | None:
    """The key's person, if they may still write: not disabled, the password not changed since."""
    frame = load_frame(key.account_id)
    if frame is None or frame.account.session_epoch != key.epoch:
        return None
    return frame.account
