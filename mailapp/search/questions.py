"""What is wanted, as a question to a full-text index: in PostgreSQL's words and in FTS5's.

The words are those of index.py and words.py, letters, digits and a few signs, so that in both
languages nothing has to be escaped but by quotation marks.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

from mailapp.search.index import FILE, SIGNS, account_sign, size_sign
from mailapp.search.language import Text, Wanted

# Binary digits of the largest size that there can be.
_MOST_DIGITS = 63

# Words one after the other, and whether the last is but the beginning of one.
_Phrase = tuple[Sequence[str], bool]


def has_words(wanted: Wanted) -> bool:
    """Whether anything in it is a question to the index."""
    return bool(wanted.texts or wanted.files)


def has_any(wanted: Wanted) -> bool:
    """Whether the index has a list of what may match: not where all words are ones to be without.

    A size from so much on is one of a few words, too.
    """
    return (
        any(not text.negated for text in wanted.texts)
        or True in wanted.files
        or wanted.least is not None
    )


def tsquery(account_id: int, wanted: Wanted) -> str:
    """For PostgreSQL, as the text of a tsquery."""

    def phrase(words: Sequence[str], is_open: bool) -> str:
        return " <-> ".join(f"'{word}'" for word in words) + (":*" if is_open else "")

    required, forbidden = _terms(account_id, wanted, phrase, " | ")
    return " & ".join([*required, *(f"!{term}" for term in forbidden)])


def fts5(account_id: int, wanted: Wanted) -> str:
    """For SQLite, as what FTS5's MATCH takes."""

    def phrase(words: Sequence[str], is_open: bool) -> str:
        return f'"{" ".join(words)}"' + (" *" if is_open else "")

    required, forbidden = _terms(account_id, wanted, phrase, " OR ")
    return " NOT ".join([f"({' AND '.join(required)})", *forbidden])


def _terms(
    account_id: int, wanted: Wanted, phrase: Callable[[Sequence[str], bool], str], either: str
) -> tuple[list[str], list[str]]:
    """(all that must be there, what must not), each in parentheses."""

    def term(phrases: Sequence[_Phrase]) -> str:
        return f"({either.join(phrase(words, is_open) for words, is_open in phrases)})"

    required = [term([([account_sign(account_id)], False)])]
    forbidden: list[str] = []
    for text in wanted.texts:
        (forbidden if text.negated else required).append(term(_ways(text)))
    for has_file in wanted.files:
        (required if has_file else forbidden).append(term([([FILE], False)]))
    if wanted.least:
        digits = range(wanted.least.bit_length(), _MOST_DIGITS + 1)
        required.append(term([([size_sign(2**count - 1)], False) for count in digits]))
    return required, forbidden


def _ways(text: Text) -> list[_Phrase]:
    """The words of a text, or the end of one that begins so."""
    sign = SIGNS.get(text.field, "")
    ways: list[_Phrase] = [([sign + word for word in text.words], text.open)]
    if text.inside:
        ways.append(([f"{sign}~{text.words[0]}"], True))
    return ways
