"""Whether HTML can be read in bearable time: of some a parser's work grows with the square.

`<div>` a hundred thousand times takes the parser twenty seconds, and a paragraph in which two
thousand `<b>` are left open, before two thousand others, becomes four million elements: HTML says
that each paragraph opens all of them again. A mail of 35 KB would take a gigabyte.
"""

from __future__ import annotations

import re

MAX_CHARACTERS = 5_000_000

# About a second, and a few hundred megabytes, where each tag meets each element that is left open.
_MAX_MEETINGS = 3_000_000
# The time of this very question: how many characters it may look at, again and again.
_MAX_LOOKED_AT = 20_000_000
# Nobody else gets the processor while the parser works: a mail of this many tags takes a second.
_MAX_TAGS = 250_000

# nh3's parser moves all that follows an & which begins nothing: bytes it may move in a second.
_MAX_MOVED = 50_000_000_000
_BARE = re.compile(r"&(?!#?\w{1,31};)")

# nh3's parser compares each attribute of a tag with all before it: that many pairs in a second.
_MAX_COMPARED = 4_000_000_000
# Each of these adds its attributes to the first one's, however many there are by then.
_MAX_ROOTS = 20
_ROOT = re.compile(r"<(?:html|body)\b", re.IGNORECASE)

_TAG = re.compile(r"</?[a-z]", re.IGNORECASE)
_TAG_NAME = re.compile(r"</?[a-z][^\t\n\f\r />]*+", re.IGNORECASE)
# As HTML has it, and no other way: what only looks alike would end a tag too early.
_ATTRIBUTE = re.compile(
    r"""[\t\n\f\r /]*+(?:=[^\t\n\f\r />=]*+|[^\t\n\f\r />=]++)"""
    r"""(?:[\t\n\f\r ]*+=[\t\n\f\r ]*+(?:"[^"]*+"|'[^']*+'|[^\t\n\f\r >"'][^\t\n\f\r >]*+)?+)?+"""
)
# One of these ends the one before it, unless another element stands between them.
_OPENED = re.compile(
    r"<(?!(?:p|li|dd|dt|td|th|tr|tbody|thead|tfoot|colgroup)[\s>])[a-z]", re.IGNORECASE
)
_VALUE = r"""(?:"[^"<>]*"|'[^'<>]*'|[^\s"'`=<>]+)"""
_ATTRIBUTES = rf"(?:\s+[\w:.-]+(?:={_VALUE})?)*\s*"
_VOID = re.compile(rf"<(?:area|br|col|hr|img|wbr){_ATTRIBUTES}/?>", re.IGNORECASE)
# An element with nothing but text in it, plainly written: it is closed, however what is around it
# is read. What is left in an attribute by an earlier round has no bracket in it either.
_CLOSED = re.compile(rf"<([a-z][a-z0-9]*){_ATTRIBUTES}>[^<]*</\1\s*>", re.IGNORECASE)


def is_light(html: str) -> bool:
    """Whether a parser reads this in about a second at most."""
    if len(html) > MAX_CHARACTERS:
        return False
    tags = len(_TAG.findall(html))
    if tags > _MAX_TAGS:
        return False
    if len(_BARE.findall(html)) * len(html) > _MAX_MOVED:
        return False
    if len(_ROOT.findall(html)) > _MAX_ROOTS or not _has_light_tags(html):
        return False
    left = _VOID.sub("", html)
    looked_at = 0
    while looked_at <= _MAX_LOOKED_AT:
        # Elements that may be open beside all the tags there are. No more than their product can
        # there be of one meeting the other.
        if len(_OPENED.findall(left)) * tags <= _MAX_MEETINGS:
            return True
        before = len(left)
        looked_at += before
        left = _CLOSED.sub("", left)
        if len(left) == before:
            return False
    return False


def _has_light_tags(html: str) -> bool:
    """Whether no tag has more attributes than can be compared with each other."""
    # One at least is before each attribute but a tag's first.
    if sum(map(html.count, "\t\n\f\r /\"'")) ** 2 <= _MAX_COMPARED:
        return True
    compared = looked_at = 0
    # Each place where a tag may begin, also inside another: which of them does only a parser knows.
    for tag in _TAG_NAME.finditer(html):
        end, attributes = tag.end(), 0
        while found := _ATTRIBUTE.match(html, end):
            end = found.end()
            attributes += 1
        compared += attributes**2
        looked_at += end - tag.end()
        if compared > _MAX_COMPARED or looked_at > _MAX_LOOKED_AT:
            return False
    return True
