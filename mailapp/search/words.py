"""Text as words: made here and not by the databases, so that both of them find the same.

Chinese, Japanese and Korean are written without spaces, or bend words by their ends, so whoever
looks for 예산 means 내년예산안을 too. A run of such characters is therefore cut into pairs, one at
each character: 예산안 is 예산, 산안, 안. Two characters are then found by their pair, more of them
by pairs that follow one another, one alone as the beginning of a pair, always inside words.
"""

from __future__ import annotations

import re
import unicodedata
from collections.abc import Iterator

# Characters of a word that count; what is longer is no word but data.
LONGEST = 64

# What stands in an address beside letters and digits, and how long one may be (RFC 5321).
_LONGEST_ADDRESS = 254
_NOT_IN_ADDRESSES = re.compile(r"[^\w.@+-]")

# Characters by which the words are found that begin with them; fewer are a word by themselves.
INSIDE = 3

# Written without spaces between words: kana, Han, Hangul; Thai, Lao, Burmese and Khmer.
_DENSE = (
    "\u0e00-\u0eff\u1000-\u109f\u1100-\u11ff\u1780-\u17ff\u3005-\u3007\u3031-\u3035\u303b"
    "\u3041-\u3096\u309d-\u309f\u30a1-\u30fa\u30fc-\u30ff\u3105-\u312f\u31f0-\u31ff"
    "\u3400-\u4dbf\u4e00-\u9fff\ua960-\ua97c\uac00-\ud7fb\uf900-\ufaff\U00020000-\U0003ffff"
)
# What Python's \w leaves out of words: the vowel signs of Hebrew, Arabic and the scripts of India.
_SIGNS = "\u0591-\u05c7\u064b-\u065f\u0670\u0900-\u0963\u0966-\u0dff"

# A character of any other word, as a regular expression.
LETTER = f"(?:(?![_{_DENSE}])[\\w{_SIGNS}])"

# What may stand between two runs; nothing that a run itself is made of, though to \\W some of it
# belongs: what is both could be shared out in more ways than can ever be tried.
BETWEEN = f"(?:(?![{_DENSE}{_SIGNS}])[\\W_])*+"

_RUN = re.compile(f"(?P<dense>[{_DENSE}]+)|{LETTER}+")
_ACCENTS = re.compile("[\u0300-\u036f]+")


def fold(text: str) -> str:
    """`text` without what people do not look for: case, width, accents of Latin and the like."""
    if text.isascii():
        return text.lower()
    folded = unicodedata.normalize("NFKC", text).casefold()
    bare = _ACCENTS.sub("", unicodedata.normalize("NFD", folded))
    return unicodedata.normalize("NFKC", bare)


def runs(text: str) -> Iterator[tuple[str, bool]]:
    """The runs of letters and digits of a folded text, and whether each is one of pairs."""
    for found in _RUN.finditer(text):
        yield found.group(), found.lastgroup == "dense"


def words(text: str) -> list[str]:
    """The words of a text, one for each place in it."""
    found: list[str] = []
    for run, dense in runs(fold(text)):
        if dense:
            found += [run[place : place + 2] for place in range(len(run))]
        else:
            found.append(run[:LONGEST])
    return found


def address_word(address: str) -> str:
    """The word that stands for a whole address, or for how one begins."""
    return _NOT_IN_ADDRESSES.sub("_", fold(address))[:_LONGEST_ADDRESS]
