"""The HTML of what is written here: a short allowlist, and images that are files of the draft.

Stored, an image is named by its Content-ID (`cid:`, RFC 2392); in the editor, by an address of the
draft's own, which says the same.
"""

from __future__ import annotations

import re
import uuid
from collections.abc import Callable
from html import unescape
from urllib.parse import quote, unquote

import nh3
from markupsafe import escape

from mailapp.html.weight import is_light
from mailapp.mail.plain import without_tags

_TAG_NAMES = (
    "a b blockquote br code del div em h1 h2 h3 hr i img ins li ol p pre s span strike strong sub "
    "sup table tbody td tfoot th thead tr u ul"
)
_TAGS = set(_TAG_NAMES.split())
_ATTRIBUTES = {
    "a": {"href"},
    "img": {"src", "alt", "width", "height"},
    "ol": {"start"},
    "td": {"colspan", "rowspan"},
    "th": {"colspan", "rowspan"},
}
_UNSEEN = {"head", "noscript", "object", "script", "style", "svg", "math", "template", "title"}
_SCHEMES = {"http", "https", "mailto", "cid"}

# What makes a text no more than its plain text says: its lines, and addresses that are links.
_LINES = re.compile(r"</?(?:div|p|span)>|<br>")
_BARE_LINK = re.compile(r'<a href="(?:mailto:)?([^"]*)">([^<]*)</a>')


def written(html: str, draft_id: uuid.UUID) -> str:
    """What the editor of a draft sent, as it is stored."""
    ours = _place(draft_id)

    def name(source: str) -> str | None:
        if source.startswith(ours):
            return "cid:" + unquote(source.removeprefix(ours).partition("?")[0])
        return source if source.startswith("cid:") else None

    return _clean(html, name)


def quoted(html: str) -> str:
    """What is quoted of anybody's HTML: no image but the ones that came with it."""
    return _clean(html, lambda source: source if source.startswith("cid:") else None)


def for_editor(html: str, draft_id: uuid.UUID, query: str = "") -> str:
    """Stored HTML as the editor shows it; `query` is added to the addresses of its images."""

    def image(source: str) -> str | None:
        content_id = source.removeprefix("cid:")
        return None if content_id == source else address(draft_id, content_id, query)

    return _clean(html, image)


def images(html: str) -> set[str]:
    """The Content-IDs of the images in stored HTML."""
    found = set()

    def find(source: str) -> str:
        found.add(source.removeprefix("cid:"))
        return source

    _clean(html, find)
    return found


def is_formatted(html: str) -> bool:
    """Whether stored HTML says more than its plain text would."""

    def bare(link: re.Match[str]) -> str:
        address, shown = (text.rstrip("/") for text in link.groups())
        return shown if shown in {address, address.partition("//")[2]} else link.group()

    return "<" in _LINES.sub("", _BARE_LINK.sub(bare, html))


def address(draft_id: uuid.UUID, content_id: str, query: str = "") -> str:
    """Where the editor of a draft has one of its images from."""
    return f"{_place(draft_id)}{quote(content_id, safe='')}{query}"


def _place(draft_id: uuid.UUID) -> str:
    return f"/drafts/{draft_id}/inline/"


def _clean(html: str, image: Callable[[str], str | None]) -> str:
    if not is_light(html):
        return str(escape(unescape(without_tags(html)).strip()))

    def attribute(tag: str, name: str, value: str) -> str | None:
        return image(value) if tag == "img" and name == "src" else value

    return nh3.clean(
        html,
        tags=_TAGS,
        clean_content_tags=_UNSEEN,
        attributes=_ATTRIBUTES,
        attribute_filter=attribute,
        url_schemes=_SCHEMES,
        link_rel=None,
    )
