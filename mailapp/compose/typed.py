"""What somebody has typed into the form of a message, before anybody checks it."""

from __future__ import annotations

import re
import uuid
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from mailapp.compose import markup
from mailapp.mail.plain import plain_text

FIELDS = ("to", "cc", "bcc", "subject", "body", "html")


@dataclass(frozen=True)
class Typed:
    """The text of a draft, as typed. `html` is a formatted one, and `body` its plain text."""

    to: str = ""
    cc: str = ""
    bcc: str = ""
    subject: str = ""
    body: str = ""
    html: str | None = None

    @classmethod
    def from_form(cls, fields: Mapping[str, str], draft_id: uuid.UUID) -> Typed:
        """The form's text: line breaks are \\n, and NUL, which PostgreSQL can't store, is seen.

        A page without its script sends a formatted text back as it came, and beside it the plain
        text, in which people write: where the two still say the same, it stays formatted.
        """
        text = {name: fields.get(name, "").replace("\x00", "\ufffd") for name in FIELDS}
        html = text.pop("html")
        text["body"] = _lines(text["body"])
        if not html.strip():
            return cls(**text)
        html = markup.written(html, draft_id)
        body = plain_text(html)
        if "body" in fields and _lines(body) != text["body"]:
            return cls(**text)
        return cls(**{**text, "body": body}, html=html)

    def values(self) -> dict[str, Any]:
        """As columns of the draft."""
        return {name: getattr(self, name) for name in FIELDS}


def typed_of(row: Any) -> Typed:
    """The text of a draft's row."""
    return Typed(**{name: getattr(row, name) for name in FIELDS})


def _lines(text: str) -> str:
    return re.sub(r"\r\n?", "\n", text)
