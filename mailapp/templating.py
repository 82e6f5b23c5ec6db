"""What the templates can say: addresses of static files, icons, sizes, links in plain text."""

import hashlib
import posixpath
import re
import secrets
from collections.abc import Sequence
from pathlib import Path
from urllib.parse import quote

from flask import Flask, Response, request
from markupsafe import Markup, escape

from mailapp.html.links import in_text
from mailapp.i18n import dates, ngettext

_UNITS = ("KB", "MB", "GB", "TB")

# What a module imports by a path relative to its own: `from "./form.js"`, `import("./form.js")`.
_IMPORT = re.compile(
    r'(?<=\bfrom ")\.{1,2}/[^"]+(?=")|(?<=\bimport ")\.{1,2}/[^"]+(?=")'
    r'|(?<=\bimport\(")\.{1,2}/[^"]+(?="\))'
)

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
        return ngettext("%(num)s byte", "%(num)s bytes", size)
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
    for begins, ends in in_text(text):
        parts.append(str(escape(text[end:begins])))
        shown = escape(text[begins:ends])
        parts.append(f'<a href="{shown}" rel="noopener noreferrer nofollow">{shown}</a>')
        end = ends
    parts.append(str(escape(text[end:])))
    return Markup("".join(parts))  # noqa: S704 - every part is escaped above


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

    In a script of ours each import gets the hash of what it imports, so that a page's modules are
    all of one version and none is asked for twice; so they can't import in a circle. A file is read
    once per process, at its first use.
    """

    def __init__(self, folder: Path, prefix: str) -> None:
        """Serve the files of `folder` under the path `prefix`, such as `/static`."""
        self._folder = folder
        self._prefix = prefix.rstrip("/")
        files = (file.relative_to(folder) for file in folder.rglob("*.js"))
        # Scripts of others are served as they were published.
        self.modules = frozenset(file.as_posix() for file in files if file.parts[0] != "vendor")
        self._contents: dict[str, bytes] = {}
        self._urls: dict[str, str] = {}
        self._icons: dict[str, Markup] = {}

    def url(self, filename: str) -> str:
        """Return the path of a static file with `?v=` its content; FileNotFoundError if missing."""
        url = self._urls.get(filename)
        if url is None:
            digest = hashlib.sha256(self.content(filename)).hexdigest()
            url = self._urls[filename] = f"{self._prefix}/{quote(filename)}?v={digest[:12]}"
        return url

    def content(self, filename: str) -> bytes:
        """Return a static file as it is served; FileNotFoundError if missing."""
        content = self._contents.get(filename)
        if content is None:
            content = (self._folder / filename).read_bytes()
            if filename in self.modules:
                folder = posixpath.dirname(filename)

                def address(imported: re.Match[str]) -> str:
                    return self.url(posixpath.normpath(posixpath.join(folder, imported.group())))

                content = _IMPORT.sub(address, content.decode()).encode()
            self._contents[filename] = content
        return content

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
            fresh.write_bytes(self.content(filename.as_posix()))
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

    def serve(filename: str) -> Response:
        if filename not in static.modules:
            return app.send_static_file(filename)
        response = Response(static.content(filename), mimetype="text/javascript")
        response.add_etag()
        response.make_conditional(request)
        return response

    app.view_functions["static"] = serve
    environment = app.jinja_env
    # A folder page has fifty rows: the indentation of the templates is not worth sending.
    environment.trim_blocks = True
    environment.lstrip_blocks = True
    # Filters, not functions: Jinja applies a filter to a constant when it compiles the template, so
    # that an icon costs a page nothing.
    environment.filters.update(
        filesize=filesize,
        full_time=dates.full,
        linkify=linkify,
        agent_name=agent_name,
        static_url=static.url,
        icon=static.icon,
    )
