"""Which parts of a message are read and which are files, as JMAP says (RFC 8621, 4.1.4)."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from html import escape

from mailapp.delivery.charsets import decoded
from mailapp.delivery.parts import Part
from mailapp.mail.plain import plain_text

# A text that is longer is a file: nobody reads it on a page.
MAX_TEXT = 2_000_000

_SHOWN = frozenset({"text/plain", "text/html"})
_QUOTES = re.compile(r">*")


@dataclass
class Bodies:
    """The parts of a message that say it as text, those that say it as HTML, and its files.

    While they are found, `text` or `html` is None inside of what exists in the other form only.
    """

    text: list[Part] | None = field(default_factory=list)
    html: list[Part] | None = field(default_factory=list)
    files: list[Part] = field(default_factory=list)


def find(message: Part) -> Bodies:
    """The bodies of a message."""
    found = Bodies()
    _sort([message], "mixed", found, in_alternative=False)
    return found


def _sort(parts: list[Part], kind: str, found: Bodies, *, in_alternative: bool) -> None:
    """Follows RFC 8621's own algorithm, name for name."""
    texts = None if found.text is None else len(found.text)
    htmls = None if found.html is None else len(found.html)
    for place, part in enumerate(parts):
        is_media = part.type.partition("/")[0] in {"image", "audio", "video"}
        is_inline = (
            part.disposition != "attachment"
            and (part.type in _SHOWN or is_media)
            and part.size <= MAX_TEXT * 2
            and (place == 0 or (kind != "related" and (is_media or not part.name)))
        )
        if part.children:
            inner = part.type.partition("/")[2]
            _sort(
                part.children,
                inner,
                found,
                in_alternative=in_alternative or inner == "alternative",
            )
        elif not is_inline:
            found.files.append(part)
        elif kind == "alternative":
            if part.type == "text/plain" and found.text is not None:
                found.text.append(part)
            elif part.type == "text/html" and found.html is not None:
                found.html.append(part)
            elif is_media:
                found.files.append(part)
        else:
            _sort_inline(part, found, is_media=is_media, in_alternative=in_alternative)
    if kind != "alternative" or found.text is None or found.html is None:
        return
    if texts == len(found.text) and htmls != len(found.html):  # only HTML was found
        found.text += found.html[htmls:]
    if htmls == len(found.html) and texts != len(found.text):  # only text was found
        found.html += found.text[texts:]


def _sort_inline(part: Part, found: Bodies, *, is_media: bool, in_alternative: bool) -> None:
    if is_media:
        # Shown where the HTML names it, listed with the files where it does not.
        found.files.append(part)
        return
    text, html = found.text, found.html
    if in_alternative:
        if part.type == "text/plain":
            html = None
        else:
            text = None
    if text is not None:
        text.append(part)
    if html is not None:
        html.append(part)


def as_text(parts: list[Part], hint: str) -> str:
    """What these parts say, as plain text."""
    said: list[str] = []
    left = MAX_TEXT
    for part in parts:
        if left <= 0:  # of five hundred large parts each takes a second
            break
        text = plain_text(_text(part, hint)) if part.type == "text/html" else _plain(part, hint)
        if text.strip():
            said.append(text)
            left -= len(text)
    return "\n\n".join(said)[:MAX_TEXT]


def as_html(parts: list[Part], hint: str) -> str | None:
    """What these parts say, as HTML; None where none of them is."""
    if not any(part.type == "text/html" for part in parts):
        return None
    return "<hr>".join(
        _text(part, hint)
        if part.type == "text/html"
        else f'<div style="white-space:pre-wrap">{escape(_plain(part, hint))}</div>'
        for part in parts
    )[:MAX_TEXT]


def _text(part: Part, hint: str) -> str:
    text = decoded(part.content(), part.charset, hint)
    return text.encode("utf-8", "replace").decode()


def _plain(part: Part, hint: str) -> str:
    text = _text(part, hint).replace("\r\n", "\n").replace("\r", "\n")
    if part.parameters.get("format", "").lower() == "flowed":
        text = unflowed(text, joined=part.parameters.get("delsp", "").lower() == "yes")
    return text.rstrip("\n")


def unflowed(text: str, *, joined: bool) -> str:
    """`format=flowed` (RFC 3676) as text with a line for each paragraph.

    `joined` is its DelSp: the space that marks a line which goes on is not part of it.
    """
    lines: list[list[str]] = []
    goes_on_in: int | None = None
    for line in text.split("\n"):
        found = _QUOTES.match(line)
        depth = found.end() if found else 0
        said = line[depth:].removeprefix(" ")
        is_signature = said == "-- "
        flows = said.endswith(" ") and not is_signature
        said = said[:-1] if flows and joined else said
        if goes_on_in == depth and not is_signature:
            lines[-1].append(said)
        else:
            lines.append([">" * depth, " " if depth else "", said])
        goes_on_in = depth if flows else None
    return "\n".join("".join(pieces) for pieces in lines)
