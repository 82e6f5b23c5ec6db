"""Sends an attachment to a browser: as a file to keep, or as an image; never as a page to run."""

from __future__ import annotations

import re
import unicodedata
from urllib.parse import quote

from flask import Response, request
from werkzeug.datastructures import ContentRange, Range
from werkzeug.exceptions import NotFound

from mailapp.attachments.store import Address, store
from mailapp.proxies import came_by_proxy
from mailapp.settings import current_settings
from mailapp.telemetry.metrics import metrics

# Reorder what follows them, so that "gpj.exe" reads as "exe.jpg" (Unicode TR 36 section 3.6.1).
_BIDI_CONTROLS = frozenset(
    "\u061c\u200e\u200f\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069"
)

# Beyond what any file system takes; written as RFC 8187 has it, it still fits into the 8 KB that
# proxies allow a header.
MAX_NAME = 500
_MAX_ENDING = 20

_BYTES = "application/octet-stream"
# Not at the end only: text/javascript1.5 is a script as well (WHATWG MIME Sniffing, section 4.6).
_PROGRAM = re.compile(r"script|/css$|htm$|html|svg|[/+]xml|xsl|wasm")
_MEDIA_TYPE = re.compile(r"[a-z0-9][a-z0-9!#$&^_.+-]{0,126}/[a-z0-9][a-z0-9!#$&^_.+-]{0,126}")

# RFC 8187 section 3.2.1, attr-char, beside letters and digits.
_ATTR_CHARS = "!#$&+-.^_`|~"


def download(
    sha256: str, size: int, key: str, filename: str, content_type: str, *, inline: bool = False
) -> Response:
    """The answer to a GET or HEAD of an attachment; the caller has checked who asks.

    `sha256` in hex names the content, `size` is in bytes, `key` is the object's in the store.
    Sent `inline` it is shown: only for a `content_type` that was found in the content, of an image.
    One range is answered as RFC 9110 section 14 says, several are answered with the whole.
    Where a balancer fetches attachments itself (ACCEL_LOCATION) it is told where, and sends this
    answer with the object as its body. Raises NotFound when the object is missing and Unavailable
    when the store does not answer, both before anything is sent; or the balancer says so.
    """
    response = Response(status=200)
    kind = safe_type(content_type)
    # A page of ours runs what comes from here as a script or style; an attachment is never either.
    response.headers["Content-Type"] = _BYTES if _PROGRAM.search(kind) else kind
    response.headers["Content-Disposition"] = disposition(filename, inline=inline)
    response.headers["X-Content-Type-Options"] = "nosniff"
    response.headers["Content-Security-Policy"] = "default-src 'none'; sandbox"
    # A shared cache keeps nothing of it; a browser may, and asks again before it shows it.
    response.headers["Cache-Control"] = "private, no-cache"
    response.headers["Accept-Ranges"] = "bytes"
    response.set_etag(sha256)

    if request.if_none_match.contains(sha256):
        response.status_code = 304
        del response.headers["Content-Type"]
        return response

    start, stop = 0, size
    asked = _range(sha256)
    if asked is not None:
        start, stop = _span(asked, size)
        if start >= stop:
            response.status_code = 416
            response.headers["Content-Range"] = f"bytes */{size}"
            response.headers["Content-Type"] = "text/plain; charset=utf-8"
            del response.headers["Content-Disposition"]
            response.content_length = 0
            return response
        response.status_code = 206
        response.content_range = ContentRange("bytes", start, stop, size)

    response.content_length = stop - start
    if request.method == "HEAD":
        return response
    if _may_be_handed_over(asked) and (address := store().address(key)) is not None:
        return _handed_over(response, address, start, stop)
    try:
        stream = store().open(key, start, None if stop == size else stop - start)
    except FileNotFoundError:
        raise NotFound from None
    response.response = stream
    response.call_on_close(stream.close)
    response.direct_passthrough = True
    metrics().bytes_down.inc(stop - start)
    return response


def _may_be_handed_over(asked: Range | None) -> bool:
    """Whether the balancer may answer in our place: it would do so as we do.

    From a folder nginx sends what it itself reads out of these headers. So it does not get a
    request with a range that we pay no heed to, nor one with a condition that we don't know.
    """
    if not current_settings().accel_location or not came_by_proxy(request.environ):
        return False
    if "If-Match" in request.headers or "If-Unmodified-Since" in request.headers:
        return False
    return asked is not None or "Range" not in request.headers


def _handed_over(response: Response, address: Address, start: int, stop: int) -> Response:
    """The same answer without its body, for nginx: nginx/store.conf reads these headers."""
    headers = response.headers
    headers["X-Accel-Redirect"] = f"{current_settings().accel_location}{address.path}"
    headers["X-Accel-Host"] = address.host
    # nginx keeps these two also for the page that says that the store is away, so it gets the first
    # under another name and makes the second itself.
    headers["X-Accel-Disposition"] = headers.pop("Content-Disposition")
    del headers["Accept-Ranges"]
    if response.status_code == 206:
        del headers["Content-Range"]
        headers["X-Accel-Range"] = f"bytes={start}-{stop - 1}"
    response.content_length = 0
    metrics().bytes_down.inc(stop - start)
    return response


def disposition(filename: str, *, inline: bool = False) -> str:
    """A Content-Disposition (RFC 6266): a plain name for old clients, the exact one for others."""
    name = clean_filename(filename)
    plain = unicodedata.normalize("NFKD", name).encode("ascii", "ignore").decode()
    # A percent sign would be decoded by some browsers, a quote or backslash end the string.
    plain = re.sub(r'[%"\\]', "_", plain).strip()
    if not plain or plain.startswith("."):
        plain = f"attachment{plain}"
    value = f'{"inline" if inline else "attachment"}; filename="{plain}"'
    if plain != name:
        value += f"; filename*=UTF-8''{quote(name, safe=_ATTR_CHARS)}"
    return value


def clean_filename(raw: str) -> str:
    """The name a file is kept under: no folders, no controls, nothing that disguises its ending.

    Whatever else it holds, of whatever script, is kept, up to MAX_NAME characters; a name of which
    nothing is left becomes "attachment".
    """
    name = re.split(r"[/\\]", raw)[-1]
    name = "".join(
        character
        for character in name
        if unicodedata.category(character) not in {"Cc", "Cs", "Zl", "Zp"}
        and character not in _BIDI_CONTROLS
    ).strip()
    if name in {"", ".", ".."}:
        return "attachment"
    if len(name) > MAX_NAME:
        stem, dot, ending = name.rpartition(".")
        ending = dot + ending if stem and len(ending) <= _MAX_ENDING else ""
        name = name[: MAX_NAME - len(ending)] + ending
    return name


def safe_type(content_type: str) -> str:
    """A media type that can go into a header, without parameters; else the one for any bytes."""
    kind = content_type.partition(";")[0].strip().lower()
    return kind if _MEDIA_TYPE.fullmatch(kind) else _BYTES


def _range(sha256: str) -> Range | None:
    """The one range that is asked for, unless If-Range names a content that this is not."""
    asked = request.range
    if request.method != "GET" or asked is None or asked.units != "bytes":
        return None
    if len(asked.ranges) != 1:
        return None
    if "If-Range" in request.headers:
        # RFC 9110 section 13.1.5: compared strongly, so a weak tag never matches.
        weak = request.headers["If-Range"].startswith("W/")
        if weak or request.if_range.etag != sha256:
            return None
    return asked


def _span(asked: Range, size: int) -> tuple[int, int]:
    """Where the range starts and stops in `size` bytes; nothing between them if beyond the end.

    Not Werkzeug's range_for_length (3.1): it refuses a suffix longer than the whole, which
    RFC 9110 section 14.1.2 says is the whole.
    """
    start, stop = asked.ranges[0]
    if start < 0:
        return max(0, size + start), size
    return start, size if stop is None else min(stop, size)
