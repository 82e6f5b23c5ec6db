"""The reminder of a forgotten attachment: whether a text speaks of one."""

from __future__ import annotations

import re

from mailapp.compose.replies import forwarded_marks
from mailapp.mail.plain import without_quotes

# English, and Korean, which writes its endings onto the word.
_SPEAKS_OF_ONE = re.compile(
    r"\b(?:attach(?:ed|ing|ments?)?|enclos(?:ed|ing|ures?))\b|첨부|동봉|붙임", re.IGNORECASE
)


def speaks_of_attachment(body: str) -> bool:
    """Whether somebody says in words of their own, not in what they quote, that there is a file."""
    return _SPEAKS_OF_ONE.search(without_quotes(body, forwarded_marks())) is not None
