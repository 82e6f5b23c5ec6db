"""Showing what was found: hits marked, and of a long text the place where the first one is.

A mark is a pair of control characters until the text around it has been escaped: `as_html` then
makes elements of them. What people wrote can't have any, they are taken out first.
"""

from __future__ import annotations

import re
from collections.abc import Sequence

from mailapp.search.language import Wanted
from mailapp.search.words import BETWEEN, LETTER, fold, runs

_BEGIN, _END = "\x02", "\x03"
_ELEMENTS = {ord(_BEGIN): "<mark>", ord(_END): "</mark>"}
_CONTROL = re.compile("[\x02\x03]")

# Characters of a text that are shown, and how many of them stand before the first hit.
_SHOWN = 160
_BEFORE = 40


class Marker:
    """Marks the hits of one search."""

    def __init__(self, wanted: Wanted) -> None:
        self._patterns = {
            field: _pattern(wanted, field) for field in ("", "subject", "from", "to", "filename")
        }

    def mark(self, text: str, field: str = "") -> str:
        """`text` of one line, with every hit in that field of the message marked."""
        text = _CONTROL.sub("", text)
        pieces, end = [], 0
        for start, stop in self._hits(text, field):
            pieces += [text[end:start], _BEGIN, text[start:stop], _END]
            end = stop
        return "".join([*pieces, text[end:]])

    def has_hit(self, text: str, field: str) -> bool:
        """Whether there is anything to mark."""
        return bool(self._hits(text, field))

    def excerpt(self, text: str, preview: str) -> str:
        """The line of `text` around its first hit, marked; `preview` where it has none."""
        hits = self._hits(text, "")
        if not hits:
            return self.mark(preview)
        begin = max(0, hits[0][0] - _BEFORE)
        if begin:  # at a word, if one begins near
            space = re.compile(r"\s").search(text, begin, hits[0][0])
            begin = space.end() if space else begin
        line = " ".join(text[begin : begin + _SHOWN].split())
        return self.mark(f"… {line}" if begin else line)

    def _hits(self, text: str, field: str) -> list[tuple[int, int]]:
        pattern = self._patterns[field]
        if pattern is None:
            return []
        folded, places = _folded(text)
        if places is None:
            return [found.span() for found in pattern.finditer(folded)]
        return [
            (places[found.start()], places[found.end() - 1] + 1)
            for found in pattern.finditer(folded)
        ]


def as_html(escaped: str) -> str:
    """The marks of a text that has been escaped, as elements."""
    return escaped.translate(_ELEMENTS)


def _pattern(wanted: Wanted, field: str) -> re.Pattern[str] | None:
    """What is to be marked in a field (in the text where it is ""), as it stands there folded."""
    ways = [
        _as_pattern(text.typed, is_open=text.open, inside=text.inside and bool(field))
        for text in wanted.texts
        if not text.negated and text.field in {"", field}
    ]
    # Of those that begin at the same place the longest.
    return re.compile("|".join(sorted(ways, key=len, reverse=True))) if ways else None


def _as_pattern(typed: str, *, is_open: bool, inside: bool) -> str:
    found: Sequence[tuple[str, bool]] = list(runs(fold(typed)))
    pattern = BETWEEN.join(re.escape(run) for run, _ in found)
    if not found[0][1] and not inside:
        pattern = f"(?<!{LETTER}){pattern}"
    if not found[-1][1] and not is_open:
        pattern = f"{pattern}(?!{LETTER})"
    return pattern


def _folded(text: str) -> tuple[str, list[int] | None]:
    """`text` folded, and for each of its characters where it came from; None where from its own."""
    folded = fold(text)
    if len(folded) == len(text):
        return folded, None
    pieces, places = [], []
    for place, character in enumerate(text):
        piece = fold(character)
        pieces.append(piece)
        places += [place] * len(piece)
    return "".join(pieces), places
