"""Reads a form's body as it arrives, so that files go to the store without being kept in between.

multipart/form-data is RFC 7578, its framing RFC 2046 section 5.1. Werkzeug's decoder is not used:
fed piece by piece it adds a byte to a file whose closing boundary is cut between its two last
hyphens (3.1.9), and it copies the content five times.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import parse_qsl

from flask import Request
from werkzeug.datastructures import ImmutableMultiDict, MultiDict
from werkzeug.http import parse_options_header

from mailapp.attachments.body import Body, broken_off, patience, too_large
from mailapp.attachments.store import CHUNK
from mailapp.errors import Problem
from mailapp.i18n import gettext as _
from mailapp.settings import FORM_ROOM, current_settings

# Far above any form of ours, far below what would cost memory or time.
MAX_PARTS = 1000
MAX_HEADER_BYTES = 16 * 1024

# The most that is kept of one piece until the next: an unfinished heading, or the beginning of what
# may be a delimiter, which is shorter.
_KEPT = MAX_HEADER_BYTES

# The heading of a field that is neither a file nor named with anything but plain letters.
_PLAIN_FIELD = re.compile(rb'Content-Disposition: form-data; name="([A-Za-z0-9_]+)"\r\n\r\n')
_BOUNDARY = re.compile(r"[0-9A-Za-z'()+_,./:=? -]{0,69}[0-9A-Za-z'()+_,./:=?-]")

FormFields = MultiDict[str, str]
OnFile = Callable[["FilePart"], None]


@dataclass(frozen=True)
class FilePart:
    """A file of the form, to be read while it arrives; what is left unread is skipped.

    `fields` are the text fields that came before it, `filename` is as the browser sent it;
    `readinto` fills the beginning of a buffer and says how much of it, 0 at the end.
    """

    field: str
    filename: str
    content_type: str
    fields: FormFields
    readinto: Callable[[memoryview], int]


def read_form(request: Request, *, limit: int, on_file: OnFile) -> FormFields:
    """The text fields of a form; each of its files is given to `on_file` when it comes.

    Raises Problem: 413 for a body over `limit` bytes (at once where its length is announced) or
    too much text, 400 for one that breaks off or is malformed. What `on_file` raises passes
    through. A form without files may be urlencoded.
    """
    announced = request.content_length
    if announced is not None and announced > limit:
        raise too_large()
    if request.mimetype == "application/x-www-form-urlencoded":
        with patience(request):
            fields = _urlencoded(request, limit)
        request.__dict__["form"] = ImmutableMultiDict(fields)
        return fields
    if request.mimetype != "multipart/form-data":
        raise _malformed(_("It is not the content of a form."))
    boundary = request.mimetype_params.get("boundary", "")
    if not _BOUNDARY.fullmatch(boundary):
        raise _malformed(_("Its parts can't be told apart."))
    with patience(request):
        form = _Form(Body(request, limit), boundary.encode("ascii"))
        fields = form.read(on_file)
    # Who asks request.form later (an error page that gives back what was typed) finds it read.
    request.__dict__["form"] = ImmutableMultiDict(fields)
    return fields


class _Form:
    """The parts of a multipart body, pulled from it one after the other."""

    def __init__(self, body: Body, boundary: bytes) -> None:
        self._body = body
        self._delimiter = b"\r\n--" + boundary
        # One buffer for all of it, with room for a piece behind what must be kept of the last one:
        # fresh memory for each would cost more than all that is done with the bytes. What has come
        # and was not taken yet is from `start` to `end`.
        self._buffer = bytearray(_KEPT + body.largest_piece)
        self._view = memoryview(self._buffer)
        # The first delimiter may stand at the very beginning, without its line break.
        self._buffer[:2] = b"\r\n"
        self._start, self._end = 0, 2
        self._in_part = False
        self._fields: FormFields = MultiDict()
        self._text_left = _text_room()

    def read(self, on_file: OnFile) -> FormFields:
        """All fields, when the last part has been read."""
        self._skip_to_delimiter()
        parts = 0
        while self._next_part():
            parts += 1
            if parts > MAX_PARTS:
                raise _too_many_fields()
            name, filename, content_type = self._headers()
            self._in_part = True
            if filename is None:
                self._fields.add(name, self._text())
            else:
                self._file(name, filename, content_type, on_file)
            self._skip_to_delimiter()
        return self._fields

    def _file(self, name: str, filename: str, content_type: str, on_file: OnFile) -> None:
        if not filename and not self._peek():
            return  # what a browser sends for a file input that nothing was chosen in
        on_file(FilePart(name, filename, content_type, self._fields, self._readinto))

    def _readinto(self, buffer: memoryview) -> int:
        piece = self._content(len(buffer))
        buffer[: len(piece)] = piece
        return len(piece)

    def _text(self) -> str:
        text = bytearray()
        while piece := self._content(CHUNK):
            self._count(len(piece))
            text += piece
        return text.decode("utf-8", "replace")

    def _count(self, size: int) -> None:
        """Take from the room for text, which fields share with all headings."""
        self._text_left -= size
        if self._text_left < 0:
            raise _too_much_text()

    def _content(self, size: int) -> memoryview:
        """At most `size` bytes of the part's content, none at its end; good until the next call."""
        while self._in_part and size > 0:
            found = self._buffer.find(self._delimiter, self._start, self._end)
            # Where the delimiter is not, its beginning may be: as many bytes are held back.
            end = found if found >= 0 else self._end - len(self._delimiter) + 1
            if end > self._start:
                start, self._start = self._start, min(end, self._start + size)
                return self._view[start : self._start]
            if found >= 0:
                self._in_part = False
            else:
                self._fill()
        return self._view[:0]

    def _peek(self) -> memoryview:
        piece = self._content(1)
        self._start -= len(piece)
        return piece

    def _skip_to_delimiter(self) -> None:
        self._in_part = True
        while self._content(CHUNK):
            pass
        self._start += len(self._delimiter)

    def _next_part(self) -> bool:
        """Go past the end of a delimiter's line; False if it was the last."""
        self._need(2)
        if self._buffer.startswith(b"--", self._start):
            while self._body.readinto(self._view):  # the epilogue, which means nothing
                pass
            return False
        line = self._upto(b"\r\n", MAX_HEADER_BYTES)
        if line.strip(b" \t"):
            raise _malformed(_("A boundary within it is damaged."))
        return True

    def _headers(self) -> tuple[str, str | None, str]:
        """A part's name, its file name if it is a file, and its type."""
        headers: dict[str, str] = {}
        total = MAX_HEADER_BYTES
        plain = _PLAIN_FIELD.match(self._buffer, self._start, self._end)
        if plain:  # what nearly all are, for a tenth of what reading them costs
            self._count(plain.end() - self._start)
            self._start = plain.end()
            return plain[1].decode("ascii"), None, ""
        while line := self._upto(b"\r\n", total):
            total -= len(line)
            name, _colon, value = line.decode("utf-8", "replace").partition(":")
            headers.setdefault(name.strip().lower(), value.strip())
        self._count(MAX_HEADER_BYTES - total)
        disposition, options = parse_options_header(headers.get("content-disposition"))
        if disposition != "form-data" or "name" not in options:
            raise _malformed(_("A field in it has no name."))
        filename = options.get("filename")
        if filename is not None:
            # Browsers write a line break in a name so (HTML, "multipart/form-data encoding
            # algorithm"); the quote, escaped the same way, Werkzeug has undone.
            filename = re.sub("%0[Dd]", "\r", re.sub("%0[Aa]", "\n", filename))
        return options["name"], filename, headers.get("content-type", "")

    def _upto(self, mark: bytes, most: int) -> bytes:
        """What comes before `mark`, which is passed too; Problem if that is not near."""
        while (found := self._buffer.find(mark, self._start, self._end)) < 0:
            if self._end - self._start > most:
                raise _malformed(_("A field in it has too long a heading."))
            self._fill()
        if found - self._start > most:
            raise _malformed(_("A field in it has too long a heading."))
        start, self._start = self._start, found + len(mark)
        return bytes(self._view[start:found])

    def _need(self, count: int) -> None:
        while self._end - self._start < count:
            self._fill()

    def _fill(self) -> None:
        """Receive more behind what is kept, which is at most _KEPT bytes; Problem if none comes."""
        kept = self._view[self._start : self._end]
        self._view[: len(kept)] = kept
        self._start, self._end = 0, len(kept)
        size = self._body.readinto(self._view[self._end :])
        if not size:
            raise broken_off()
        self._end += size


def _urlencoded(request: Request, limit: int) -> FormFields:
    # Not request.form, which makes a pair of each of any number of fields: 50 MB of "a&" would
    # take 2 GB. Encoded, a byte of text takes three at most.
    most = min(limit, 3 * _text_room())
    if (request.content_length or 0) > most:
        raise _too_much_text()
    body = Body(request, most)
    text, buffer = bytearray(), memoryview(bytearray(body.largest_piece))
    while size := body.readinto(buffer):
        text += buffer[:size]
    try:
        pairs = parse_qsl(
            text.decode("utf-8", "replace"),
            keep_blank_values=True,
            errors="replace",
            max_num_fields=MAX_PARTS,
        )
    except ValueError:
        raise _too_many_fields() from None
    return MultiDict(pairs)


def _text_room() -> int:
    """How much text a form may have: what a person can write, and as much for the rest."""
    return current_settings().max_message_bytes + FORM_ROOM


def _too_many_fields() -> Problem:
    return Problem(413, _("This is too large"), _("The form has too many fields."))


def _too_much_text() -> Problem:
    return Problem(413, _("This is too large"), _("The form has too much text."))


def _malformed(text: str) -> Problem:
    return Problem(
        400,
        _("This form can't be read"),
        " ".join([text, _("Nothing was done. Please try again.")]),
    )
