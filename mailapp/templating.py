"""What the templates can say: addresses of static files, icons, sizes, links in plain text."""

import hashlib
import re
import secrets
import shutil
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from flask import Flask
from markupsafe import Markup, escape

_UNITS = ("KB", "MB", "GB", "TB")

# Characters that RFC 3986 (section 2) never allows bare in an address, and the two that plain text
# puts around one; everything else may belong to it, also letters of any script.
_LINK = re.compile(r"https?://[^\s<>\"\x00-\x1f\x7f]+", re.IGNORECASE)
_CLOSING = {")": "(", "]": "[", "}": "{"}

_SYSTEMS = (
    ("iPhone", "iPhone"),
    ("iPad", "iPad"),
    ("Android", "Android"),
    ("Windows", "Windows"),
    ("CrOS", "ChromeOS"),
    ("Mac OS X", "macOS"),
    ("Linux", "Linux"),
)
# In this order, because nearly every browser also claims to be the ones after it.
_BROWSERS = (
    ("Edg/", "Edge"),
    ("OPR/", "Opera"),
    ("SamsungBrowser/", "Samsung Internet"),
    ("Firefox/", "Firefox"),
    ("FxiOS/", "Firefox"),
    ("Chrome/", "Chrome"),
    ("CriOS/", "Chrome"),
    ("Safari/", "Safari"),
)


def filesize(size: int) -> str:
    """Return a size in bytes as a person says it: `1 byte`, `1.5 KB`, `50 MB` (1 KB = 1024)."""
    if size < 1024:
        return "1 byte" if size == 1 else f"{size} bytes"
    amount = size / 1024
    units = iter(_UNITS)
    unit = next(units)
    # 1023.95 would be written as 1024.0 of this unit, so it is already 1.0 of the next.
    while amount >= 1023.95 and unit != _UNITS[-1]:
        amount /= 1024
        unit = next(units)
    return f"{amount:.1f}".removesuffix(".0") + f" {unit}"


def linkify(text: str) -> Markup:
    """Return plain text as HTML with its http and https addresses made links, all else escaped."""
    parts: list[str] = []
    end = 0
    for match in _LINK.finditer(text):
        address = _without_sentence_end(match.group())
        if len(address) <= address.index("//") + 2:
            continue
        parts.append(str(escape(text[end : match.start()])))
        shown = escape(address)
        parts.append(f'<a href="{shown}" rel="noopener noreferrer nofollow">{shown}</a>')
        end = match.start() + len(address)
    parts.append(str(escape(text[end:])))
    return Markup("".join(parts))  # noqa: S704 - every part is escaped above


def _without_sentence_end(address: str) -> str:
    """Drop the punctuation that belongs to the sentence around an address, not to the address."""
    end = len(address)
    # Counted once: a message may be a megabyte of closing brackets.
    count = {bracket: address.count(bracket) for bracket in "()[]{}"}
    while True:
        last = address[end - 1]
        if last in _CLOSING and count[last] > count[_CLOSING[last]]:
            count[last] -= 1
        elif last not in ".,;:!?'*_…、。":
            return address[:end]
        end -= 1


def escaped(texts: Sequence[str]) -> list[str]:
    """Return texts as HTML, all at once: a call for each costs a page of fifty rows dearly."""
    pieces = str(escape("\0".join(texts))).split("\0")
    if len(pieces) != len(texts):  # there was a NUL in one of them, or there are none
        return [str(escape(text)) for text in texts]
    return pieces


def agent_name(agent: str) -> str:
    """Return a short name for a User-Agent text, as `Firefox on Windows`; unknown ones as sent."""
    browser = next((name for mark, name in _BROWSERS if mark in agent), "")
    system = next((name for mark, name in _SYSTEMS if mark in agent), "")
    if browser and system:
        return f"{browser} on {system}"
    return browser or agent[:60] or "Unknown program"


class StaticFiles:
    """Addresses of the static files, each with a hash of its content so that it can be cached.

    A file is read once per process, at its first use.
    """

    def __init__(self, folder: Path, prefix: str) -> None:
        """Serve the files of `folder` under the path `prefix`, such as `/static`."""
        self._folder = folder
        self._prefix = prefix.rstrip("/")
        self._urls: dict[str, str] = {}
        self._icons: dict[str, Markup] = {}

    def url(self, filename: str) -> str:
        """Return the path of a static file with `?v=` its content; FileNotFoundError if missing."""
        url = self._urls.get(filename)
        if url is None:
            digest = hashlib.sha256((self._folder / filename).read_bytes()).hexdigest()
            url = self._urls[filename] = f"{self._prefix}/{quote(filename)}?v={digest[:12]}"
        return url

    def publish(self, folder: Path) -> None:
        """Copy every file to `folder`/its hash/its path, for a web server that serves them itself.

        What lies there stays: pages of versions before and after this one name it.
        """
        for file in self._folder.rglob("*"):
            filename = file.relative_to(self._folder)
            if not file.is_file() or filename.parts[0] == "errors":  # pages of nginx's own
                continue
            version = self.url(filename.as_posix()).rpartition("?v=")[2]
            published = folder / version / self._prefix.strip("/") / filename
            if published.exists():
                continue
            published.parent.mkdir(parents=True, exist_ok=True)
            fresh = published.with_name(f".{published.name}.{secrets.token_hex(4)}")
            shutil.copyfile(file, fresh)
            fresh.rename(published)  # nobody sees half a file

    def icon(self, name: str) -> Markup:
        """Return the SVG element that shows an icon of `icons.svg`, hidden from screen readers."""
        icon = self._icons.get(name)
        if icon is None:
            icon = self._icons[name] = Markup(
                '<svg class="icon" aria-hidden="true"><use href="{}#{}"/></svg>'
            ).format(self.url("icons.svg"), name)
        return icon


def init_app(app: Flask) -> None:
    """Give the templates of `app` their filters and globals."""
    static = StaticFiles(Path(app.static_folder or ""), app.static_url_path or "")
    environment = app.jinja_env
    # A folder page has fifty rows: the indentation of the templates is not worth sending.
    environment.trim_blocks = True
    environment.lstrip_blocks = True
    # Filters, not functions: Jinja applies a filter to a constant when it compiles the template, so
    # that an icon costs a page nothing.
    environment.filters.update(
        filesize=filesize,
        linkify=linkify,
        agent_name=agent_name,
        static_url=static.url,
        icon=static.icon,
    )
