"""The plain text of formatted mail: what is quoted, searched, and shown where HTML is not."""

from __future__ import annotations

import re
from collections.abc import Sequence
from html import unescape
from html.parser import HTMLParser

import nh3

from mailapp.html.weight import is_light

_BLOCK_NAMES = (
    "address article aside blockquote center dd details div dl dt fieldset figcaption figure "
    "footer form h1 h2 h3 h4 h5 h6 header hr li main nav ol p pre section summary table tr ul"
)
_BLOCKS = frozenset(_BLOCK_NAMES.split())
# What stands apart by an empty line.
_APART = frozenset(("p", "h1", "h2", "h3", "h4", "h5", "h6", "table"))
_UNSEEN = frozenset(("head", "noscript", "object", "script", "style", "template", "title"))
_SPACE = re.compile(r"[ \t\r\n\f]+")

# How deep quotes and lists are shown; beyond it the text would only get narrower.
_DEEPEST = 20


def plain_text(html: str) -> str:
    """The text of `html`: quotes with "> ", lists with "- " and numbers, links as text <address>.

    Takes any text, read as a browser would. Ends without a line break.
    """
    if not is_light(html):
        return unescape(without_tags(html)).strip()
    reader = _Reader()
    # What this gives is well formed: the reader has to know nothing of what may be left out.
    reader.feed(
        nh3.clean(
            html,
            tags={*_BLOCKS, "a", "br", "img", "td", "th"},
            clean_content_tags=set(_UNSEEN),
            attributes={"a": {"href"}, "img": {"alt"}, "ol": {"start"}},
            url_schemes={"http", "https", "mailto"},
            link_rel=None,
        )
    )
    reader.close()
    return reader.text()


def without_tags(html: str) -> str:
    """The text of HTML that nobody should parse, with a space for each tag."""
    return re.sub(r"<[^<>]*>?", " ", html)


def without_quotes(text: str, marks: Sequence[str] = ()) -> str:
    """What somebody wrote themselves: no line of `text` with ">", nothing after `marks`."""
    own: list[str] = []
    for line in text.split("\n"):
        if line in marks:
            break
        if not line.startswith(">"):
            own.append(line)
    return "\n".join(own)


class _Block:
    """A quote, a list (with the `number` of its next item) or an item, which has a mark once."""

    def __init__(self, quote: str = "", *, number: int | None = None, mark: str = "") -> None:
        self.number = number
        self._quote = quote
        self._mark = mark

    def next_mark(self) -> str:
        """What the next item of this list begins with."""
        if self.number is None:
            return "- "
        self.number += 1
        return f"{self.number - 1}. "

    def prefix(self, *, begins: bool) -> str:
        """What a line in it begins with; a mark only where an item `begins`, room for it after."""
        prefix = self._quote + (self._mark if begins else " " * len(self._mark))
        if begins:
            self._mark = " " * len(self._mark)
        return prefix


class _Reader(HTMLParser):
    """Makes lines of well-formed HTML as it comes.

    `_inside` are the open blocks that give each line its beginning, `_line` is what has come of the
    line. `_apart` says that an empty line is due, as deep as so many blocks;
    `_is_first` that nothing stands yet in the innermost of them.
    """

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self._lines: list[str] = []
        self._line: list[str] = []
        self._ends_in_space = True
        self._inside: list[_Block] = []
        self._apart: int | None = None
        self._is_first = True
        self._preformatted = 0
        self._link: tuple[str, int] = ("", 0)

    def text(self) -> str:
        """What has been read, without the empty lines at its beginning and end."""
        self._end_line()
        return "\n".join(self._lines).strip("\n")

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        given = {name: value or "" for name, value in attrs}
        if tag in _BLOCKS:
            self._end_line()
        if tag in _APART and self._apart is None and not self._is_first:
            self._apart = len(self._inside)
        match tag:
            case "a":
                self._link = (given.get("href", ""), len(self._line))
            case "blockquote":
                self._begin(_Block("> "))
            case "br":
                self._break()
            case "hr":
                self._write("----")
                self._end_line()
            case "img":
                if alt := _SPACE.sub(" ", given.get("alt", "")).strip():
                    self._write(f"[{alt}]")
            case "li":
                around = self._inside[-1] if self._inside else _Block()
                self._begin(_Block(mark=around.next_mark()))
            case "ol":
                start = given.get("start", "")
                first = int(start) if re.fullmatch(r"[0-9]{1,6}", start) else 1
                self._begin(_Block(number=first))
            case "pre":
                self._preformatted += 1
            case "td" | "th":
                if self._line:
                    self._write(" ")
            case "ul":
                self._begin(_Block())

    def handle_endtag(self, tag: str) -> None:
        if tag == "a":
            self._end_link()
        if tag not in _BLOCKS:
            return
        self._end_line()
        if tag == "pre":
            self._preformatted -= 1
        if tag in {"blockquote", "li", "ol", "ul"}:
            self._inside.pop()
        if tag in _APART:
            self._apart = len(self._inside)
        elif self._apart is not None:
            self._apart = min(self._apart, len(self._inside))

    def handle_data(self, data: str) -> None:
        if self._preformatted:
            first, *others = data.split("\n")
            self._write(first)
            for line in others:
                self._break()
                self._write(line)
            return
        text = _SPACE.sub(" ", data)
        self._write(text.removeprefix(" ") if self._ends_in_space else text)

    def _begin(self, block: _Block) -> None:
        self._inside.append(block)
        self._is_first = True

    def _end_link(self) -> None:
        (href, start), self._link = self._link, ("", 0)
        shown = "".join(self._line[start:]).strip()
        address = href.removeprefix("mailto:")
        bare = address.rstrip("/")
        if shown and href and shown.rstrip("/") not in {href, bare, bare.partition("//")[2]}:
            self._write(f" <{address}>")

    def _write(self, text: str) -> None:
        if text:
            self._line.append(text)
            self._ends_in_space = text[-1] == " "

    def _end_line(self) -> None:
        """End the line, if anything stands in it."""
        if any(piece.strip() for piece in self._line):
            self._break()
        self._line.clear()
        self._ends_in_space = True

    def _break(self) -> None:
        """End the line, also an empty one."""
        line = "".join(self._line)
        line = line.rstrip() if self._preformatted else line.strip()
        if self._apart is not None and line:
            empty = self._prefix(self._apart, begins=False).rstrip()
            if self._lines and self._lines[-1] != empty:
                self._lines.append(empty)
        self._apart = None
        self._is_first = False
        self._lines.append(f"{self._prefix(_DEEPEST, begins=bool(line))}{line}".rstrip())
        self._line.clear()
        # A link over two lines has its address after the last.
        self._link = (self._link[0], 0)
        self._ends_in_space = True

    def _prefix(self, deep: int, *, begins: bool) -> str:
        inside = self._inside[: min(deep, _DEEPEST)]
        return "".join(block.prefix(begins=begins) for block in inside)
