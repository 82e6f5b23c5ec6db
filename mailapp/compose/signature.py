"""The signature: under a new text, and in an answer above what it quotes."""

from __future__ import annotations

from dataclasses import replace

from markupsafe import escape

from mailapp.compose.typed import Typed
from mailapp.mail.plain import plain_text

# What programs know a signature by (RFC 3676, section 4.3), with its space.
_MARK = "-- "


def signed(typed: Typed, signature: str) -> Typed:
    """What somebody begins with, their signature below the place where they write.

    Of a formatted one only `html` is asked for: its plain text is made here.
    """
    lines = signature.strip("\n").split("\n")
    is_empty = lines == [""]
    if typed.html is not None:
        html = typed.html
        if not is_empty:
            block = "".join(f"<div>{escape(line) or '<br>'}</div>" for line in (_MARK, *lines))
            html = f"<div><br></div><div><br></div>{block}{html}"
        return replace(typed, html=html, body=plain_text(html))
    if is_empty:
        return typed
    text = "\n".join([_MARK, *lines])
    # What is quoted begins with the empty lines that are there to be written in.
    return replace(typed, body=f"\n\n{text}\n{typed.body}")
