"""Every page in a language made up for it: what stands in no brackets came past the catalogue."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from typing import Any
from urllib.parse import urlsplit

import pytest
from babel.support import NullTranslations
from bs4 import BeautifulSoup
from bs4.element import NavigableString, Tag
from flask import Flask

from mailapp.accounts import services as accounts
from tests.conftest import PASSWORD
from tests.people import Attached, Person

# What is nobody's text: addresses, names of things, of languages, of places on a clock, of files,
# types and browsers, sizes, and what is called so everywhere.
OTHER = re.compile(
    r"\S+@\S+|\b(Re|Fwd): |Mailapp|English|web-\d|https?:\S+|\S+/[\w.+-]+|\S+\.(txt|png|eml)\b"
    r"|UTC\S*|\b[KMG]?B\b|CPU|\bv?\d+\.\d+\.\d+\S*|\w+ on \w+|\bCSS\b|[A-Z][A-Z0-9_]{3,}"
)
LETTERS = re.compile(r"[A-Za-z]{2,}")
BRACKETED = re.compile(r"⟦[^⟦⟧]*⟧")

# Where letters are data: the choices of zones, what an instance says of its parts, somebody's mail.
NOT_OURS = "#time_zone option, .parts li, code, kbd, script, style, template, pre"
READ_OUT = ("title", "aria-label", "placeholder", "alt")

# Pages end here: at what is downloaded, ends the session, or is no page.
ELSEWHERE = re.compile(r"/original|/attachments/|/logout|/static/|\.zip|/livez|/healthz")


class Bracketing(NullTranslations):
    """Translates every text into itself, in brackets."""

    def gettext(self, message: str) -> str:
        return f"⟦{message}⟧"

    def ngettext(self, msgid1: str, msgid2: str, n: int) -> str:
        return f"⟦{msgid1 if n == 1 else msgid2}⟧"

    ugettext: Any = gettext
    ungettext: Any = ngettext


@pytest.fixture
def reader(instances: list[Flask], visitor: Callable[[], Person]) -> Person:
    """An operator who reads the made-up language and has mail without a Latin letter in it."""
    with instances[0].app_context():
        accounts.create("reader", "읽는이", PASSWORD)
        accounts.set_admin("reader", is_admin=True)
    person = visitor()
    person.log_in("reader@mail.example", PASSWORD)
    for number in range(2):
        person.send(
            "reader@mail.example",
            f"제목 {number}",
            "내용",
            [Attached("가.txt", b"1", "text/plain")],
        )
    person.open("제목 0")
    person.press("Delete")
    person.visit("/compose")
    person.press("Save draft", {"To": "reader@mail.example", "Subject": "쓰는 중"})
    for app in instances:
        app.extensions["catalogues"].own["ko"] = Bracketing()
    person.client.headers["Accept-Language"] = "ko"
    return person


@pytest.mark.parametrize("parts", ["embedded"], indirect=True)
def test_every_text_of_every_page_is_the_catalogues(
    reader: Person, visitor: Callable[[], Person]
) -> None:
    stranger = visitor()
    stranger.client.headers["Accept-Language"] = "ko"
    said: dict[str, list[str]] = {}
    for person, first in ((stranger, ["/login", "/signup", "/nothing/here"]), (reader, ["/"])):
        for path, page in _pages(person, first):
            if texts := _unasked(page):
                said[path] = texts
    assert said == {}


@pytest.mark.parametrize("parts", ["embedded"], indirect=True)
def test_so_is_what_is_said_of_mistakes(reader: Person) -> None:
    token = str(_tag(reader.visit("/settings").find("meta", {"name": "csrf-token"}))["content"])
    for path, form in [
        ("/settings", {"name": "", "language": "xx", "time_zone": "x", "theme": "x"}),
        ("/settings/password", {"current_password": "x", "new_password": "y"}),
        ("/login", {"email": "reader", "password": "wrong"}),
        ("/signup", {"email": "@", "name": "", "password": "short"}),
        ("/settings/sessions/none/end", {}),
        ("/logout", {"csrf_token": "stale"}),
    ]:
        answer = reader.client.post(path, data={"csrf_token": token, **form})
        assert answer.status_code >= 400, path
        page = BeautifulSoup(answer.content, "html.parser")
        assert _unasked(page) == [], path


def _pages(person: Person, first: list[str]) -> Iterator[tuple[str, BeautifulSoup]]:
    """Each page that links lead to, once for every kind of address."""
    left, seen = list(first), set[str]()
    while left:
        path = left.pop()
        kind = re.sub(r"\d+|[0-9a-f-]{36}", "N", path)
        if kind in seen or ELSEWHERE.search(path):
            continue
        seen.add(kind)
        page = person.visit(path)
        if not person.response.headers["Content-Type"].startswith("text/html"):
            continue
        yield path, page
        for link in page.find_all("a", href=True):
            target = urlsplit(str(link["href"]))
            if not target.netloc and target.path:
                left.append(f"{target.path}?{target.query}" if target.query else target.path)
    assert len(seen) >= len(first)


def _unasked(page: BeautifulSoup) -> list[str]:
    """What is shown or read out in Latin letters, and in no brackets."""
    for element in page.select(NOT_OURS):
        element.decompose()
    shown = "\n".join(
        str(node) for node in page.find_all(string=True) if type(node) is NavigableString
    )
    read_out = [
        str(element[name])
        for element in page.find_all(True)
        for name in READ_OUT
        if element.has_attr(name)
    ]
    # All of it at once: a text may have an element in it.
    texts = "\n".join([shown, *read_out])
    before = ""
    while before != texts:
        before, texts = texts, BRACKETED.sub("", texts)
    return [line for line in texts.split("\n") if LETTERS.search(OTHER.sub("", line))]


def _tag(found: object) -> Tag:
    assert isinstance(found, Tag)
    return found
