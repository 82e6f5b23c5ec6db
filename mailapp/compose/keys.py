"""The key in a draft's form: who writes this draft, provable after the session is gone.

It can do two things. With a live session it lets a draft be made under an id that this service gave
out to this person. Without one it lets text and files be saved into that draft, or a file be taken
away, and nothing else: reading it or sending it takes a log-in. A password change ends it like a
session.
"""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from functools import lru_cache
from typing import Literal

from itsdangerous import BadSignature, URLSafeTimedSerializer

from mailapp.settings import current_settings

Mode = Literal["", "reply", "reply_all", "forward"]

# How long a page may stay open and still save what was typed into it, in seconds.
_GOOD_FOR = 30 * 86400


@dataclass(frozen=True)
class DraftKey:
    """What a key says: whose draft, in which session epoch, made from which message of theirs.

    `source_id` is the message's, not their entry's: who was shown what they forward has it in the
    draft, also when they delete their copy before they save.
    """

    account_id: int
    epoch: int
    draft_id: uuid.UUID
    mode: Mode = ""
    source_id: int | None = None

    def sign(self) -> str:
        """The key as text for a form."""
        return _serializer(current_settings().secret_key).dumps(
            [self.account_id, self.epoch, self.draft_id.hex, self.mode, self.source_id]
        )


def read_key(text: str, draft_id: uuid.UUID) -> DraftKey | None:
    """The key in `text`, if this service signed it for that draft and it is not too old."""
    try:
        account_id, epoch, draft, mode, source_id = _serializer(
            current_settings().secret_key
        ).loads(text, max_age=_GOOD_FOR)
    except BadSignature:
        return None
    key = DraftKey(account_id, epoch, uuid.UUID(draft), mode, source_id)
    return key if key.draft_id == draft_id else None


@lru_cache(maxsize=1)
def _serializer(secret_key: str) -> URLSafeTimedSerializer:
    return URLSafeTimedSerializer(secret_key, salt="draft")
