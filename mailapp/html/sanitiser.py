"""Makes of HTML that anybody wrote HTML that can be shown: nothing in it runs or loads.

nh3 reads it as a browser would and leaves only the elements and attributes that are allowed. What
it writes has one form only, which is then taken apart here and written anew, with every value
checked; what would not be of that form would become text. Nothing is changed after that.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from html import escape, unescape

import nh3

from mailapp.html import css, links
from mailapp.html.allowed import ELEMENTS, EVERYWHERE, PER_ELEMENT, VOID, WITHOUT_CONTENT
from mailapp.html.weight import is_light

# The address under which a part with this Content-ID is shown; None if there is no such part.
Inline = Callable[[str], str | None]

_SCHEMES = {"http", "https", "mailto", "cid", "data"}
_READER = nh3.Cleaner(
    tags=ELEMENTS,
    clean_content_tags=WITHOUT_CONTENT,
    attributes={name: {*attributes, "style"} for name, attributes in PER_ELEMENT.items()}
    | {"*": {*EVERYWHERE, "style"}},
    link_rel=None,
    url_schemes=_SCHEMES,
)
# Text is escaped in what it writes, and no element has an attribute: a <style> is what it says.
_STYLES = nh3.Cleaner(tags={"style"}, clean_content_tags={"script"}, attributes={}, link_rel=None)
_STYLE = re.compile(r"<style>(.*?)</style>", re.DOTALL)

# nh3 reads a piece of a page, in which there is no <body>, and its colours would be lost.
_BODY = re.compile(r"<(/?)body(?=[\s/>])", re.IGNORECASE)

_TOKEN = re.compile(r'<(/?)([a-z][a-z0-9]*)((?: [a-z-]+="[^"]*")*)>|([^<]+)|<')
_ATTRIBUTE = re.compile(r' ([a-z-]+)="([^"]*)"')

# Images whose bytes are the address. SVG is a document, and stays out.
_DATA_IMAGE = re.compile(
    r"data:image/(?:png|gif|jpe?g|webp);base64,[A-Za-z0-9+/=\s]*", re.IGNORECASE
)
_REMOTE = re.compile(r"https?://[^\s\x00-\x1f\x7f\\]+", re.IGNORECASE)


class TooHeavy(ValueError):
    """HTML that would take a parser too long, or too much memory; it can be shown as text."""


@dataclass(frozen=True)
class Shown:
    """HTML that can be shown as it is, the style sheet that belongs to it, and what was left out.

    `blocked` is the number of images on other hosts that are there to be asked for.
    """

    html: str
    sheet: str
    blocked: int


def for_showing(html: str, inline: Inline, *, remote: bool = False) -> Shown:
    """What can be shown of a mail's HTML.

    `inline` gives the addresses of its own images; those on other hosts are left in only if
    `remote` says so. Links open in a new tab, say in full where they go, and beside those whose
    text names another host stands the true one. Raises TooHeavy.
    """
    html = _readable(html)
    images = _Images(inline, remote=remote)
    written = _Writer(images.address).write(_READER.clean(_BODY.sub(r"<\1div", html)))
    sheet = css.sheet(_style_elements(html), images.address)
    return Shown(written, sheet, images.blocked)


def _readable(html: str) -> str:
    if not is_light(html):
        raise TooHeavy
    # Half of a pair of surrogates is no character, and nothing that is read could be written.
    return html.encode("utf-8", "replace").decode()


def text_as_html(text: str) -> str:
    """Plain text as HTML that looks alike, its addresses links."""
    return _linked(text.encode("utf-8", "replace").decode())


def _style_elements(html: str) -> list[str]:
    if "<style" not in html.lower():
        return []
    return _STYLE.findall(_STYLES.clean(html))


class _Images:
    """Which images of a mail are loaded, and how many were not."""

    def __init__(self, inline: Inline, *, remote: bool) -> None:
        self._inline = inline
        self._remote = remote
        self.blocked = 0

    def address(self, raw: str) -> str | None:
        address = raw.strip()
        if address[:4].lower() == "cid:":
            return self._inline(address[4:].strip("<>"))
        if _DATA_IMAGE.fullmatch(address):
            return address
        if address.startswith("//"):
            address = f"https:{address}"
        address = address.replace(" ", "%20")
        if not _REMOTE.fullmatch(address):
            return None
        if self._remote:
            return address
        self.blocked += 1
        return None


class _Writer:
    """Writes nh3's output anew, each attribute as `_attribute` says, links so that they say where
    they go."""

    def __init__(self, image: Inline) -> None:
        self._image = image
        # The links that are open: where each goes, and the text in it so far.
        self._open: list[tuple[str, list[str]]] = []

    def write(self, html: str) -> str:
        parts: list[str] = []
        for end, tag, attributes, text in _TOKEN.findall(html):
            if text:
                parts.append(self._text(text))
            elif tag not in ELEMENTS:
                parts.append("" if tag else "&lt;")
            elif end:
                parts.append("" if tag in VOID else self._end(tag))
            else:
                parts.append(self._start(tag, self._attributes(tag, attributes)))
        return "".join(parts)

    def _text(self, text: str) -> str:
        for _, inside in self._open:
            inside.append(text)
        return text if self._open or "://" not in text else _linked(unescape(text))

    def _start(self, tag: str, attributes: dict[str, str]) -> str:
        if tag in {"a", "area"}:
            attributes.pop("title", None)
            href = attributes.get("href", "")
            if href and not href.startswith("#"):
                attributes |= _goes_to(href)
            if tag == "a":
                self._open.append((href, []))
        elif tag == "img" and attributes.get("src", "")[:4].lower() == "http":
            attributes["referrerpolicy"] = "no-referrer"
        return f"<{tag}{_written(attributes)}>"

    def _end(self, tag: str) -> str:
        if tag != "a" or not self._open:
            return f"</{tag}>"
        href, inside = self._open.pop()
        true = links.hidden(unescape("".join(inside)), href)
        marked = f'<span class="{css.OWN_PREFIX}host"> [{escape(true)}]</span>' if true else ""
        return f"</a>{marked}"

    def _attributes(self, tag: str, written: str) -> dict[str, str]:
        own = PER_ELEMENT.get(tag, {})
        kept = {}
        for name, raw in _ATTRIBUTE.findall(written):
            value = self._attribute(name, unescape(raw), own.get(name) or EVERYWHERE.get(name))
            if value is not None:
                kept[name] = value
        return kept

    def _attribute(self, name: str, value: str, pattern: re.Pattern[str] | None) -> str | None:
        if name == "style":
            return css.attribute(value, self._image) or None
        if name == "class":
            # What looks like ours would be taken for ours.
            names = (part for part in value.split() if not part.lower().startswith(css.OWN_PREFIX))
            value = " ".join(names)
        elif name == "id" and value.lower().startswith(css.OWN_PREFIX):
            return None
        if pattern is None or not pattern.fullmatch(value):
            return None
        if name in {"src", "background"}:
            return self._image(value)
        return links.allowed(value) if name == "href" else value


def _written(attributes: dict[str, str]) -> str:
    return "".join(f' {name}="{escape(value)}"' for name, value in attributes.items())


def _goes_to(href: str) -> dict[str, str]:
    return {"title": href, "target": "_blank", "rel": "noopener noreferrer nofollow"}


def _linked(text: str) -> str:
    """Text, not HTML, as HTML with its addresses made links."""
    parts: list[str] = []
    done = 0
    for start, end in links.in_text(text):
        href = links.allowed(text[start:end])
        if href is None:
            continue
        opening = f"<a{_written({'href': href} | _goes_to(href))}>"
        parts += [escape(text[done:start]), opening, escape(text[start:end]), "</a>"]
        done = end
    return "".join([*parts, escape(text[done:])])
