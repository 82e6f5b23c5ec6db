"""A person at a browser without JavaScript: reads pages by their labels and presses what they see.

Knows no URL but the ones a person would type, and no field's name: what it can do, anyone can do
who reads the page.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from functools import cache, partial
from typing import NamedTuple, cast
from urllib.parse import urljoin

import httpx
from bs4 import BeautifulSoup, Tag
from werkzeug.local import LocalProxy


class Attached(NamedTuple):
    """A file a person has chosen."""

    filename: str
    content: bytes
    content_type: str = "application/octet-stream"


class Person:
    """One browser with its cookies and the page it shows.

    `served_by` counts the instances that answered; `answers` keeps every status, so that a test can
    say that none of them was an error.
    """

    def __init__(self, client: httpx.Client) -> None:
        self.client = client
        self.served_by: Counter[str] = Counter()
        self.statuses: list[int] = []
        self.response: httpx.Response
        self.page = read_when_asked(b"")

    # Going somewhere -----------------------------------------------------------------------------

    def visit(self, path: str) -> BeautifulSoup:
        """Type an address."""
        return self._show(self.client.get(path, follow_redirects=True))

    def follow(self, text: str) -> BeautifulSoup:
        """Click on the link with this text; a count after it (Inbox 3) does not matter."""
        return self.visit(self._target(self.link(text)["href"]))

    def download(self, filename: str) -> bytes:
        """Click on an attachment; the page stays as it is."""
        response = self.client.get(self._target(self.link(filename)["href"]))
        self._note(response)
        response.raise_for_status()
        return response.content

    def press(
        self,
        button: str,
        fields: Mapping[str, str] | None = None,
        files: Sequence[Attached] = (),
    ) -> BeautifulSoup:
        """Fill in fields by their labels, choose files, and press a button."""
        pressed = self.button(button)
        form = pressed.find_parent("form")
        assert form is not None, f"the button {button!r} is in no form"
        typed = {self.control(form, label)["name"]: text for label, text in (fields or {}).items()}
        parts: list[tuple[str, str | Attached]] = []
        for control in form.select("input, textarea, select, button"):
            name = control.get("name")
            if not name:
                continue
            if control.name == "button" or control.get("type") in {"submit", "image"}:
                if control is pressed:
                    parts.append((str(name), str(control.get("value", ""))))
            elif control.get("type") == "file":
                parts += [(str(name), file) for file in files or (Attached("", b""),)]
            elif control.get("type") in {"checkbox", "radio"} and not control.has_attr("checked"):
                continue
            else:
                parts.append((str(name), typed.get(name, _value(control))))
        target = self._target(pressed.get("formaction") or form.get("action") or "")
        if form.get("enctype") == "multipart/form-data":
            response = self.client.post(
                target, files=[_part(name, value) for name, value in parts], follow_redirects=True
            )
        else:
            data: dict[str, list[str]] = {}
            for name, value in parts:
                assert isinstance(value, str)
                data.setdefault(name, []).append(value)
            response = self.client.post(target, data=data, follow_redirects=True)
        return self._show(response)

    def select(self, *subjects: str) -> None:
        """Tick the boxes of the rows with these subjects."""
        for subject in subjects:
            row = self.link(subject).find_parent("li")
            assert row is not None, f"{subject!r} is in no row"
            box = row.select_one("input[type=checkbox]")
            assert box is not None, f"the row of {subject!r} has no box"
            box["checked"] = ""

    def tick(self, label: str) -> None:
        """Tick the box with this label."""
        self.control(self.page, label)["checked"] = ""

    # What is done every day ----------------------------------------------------------------------

    def sign_up(self, name: str, email: str, password: str) -> BeautifulSoup:
        """Make an account."""
        self.visit("/login")
        self.follow("Sign up")
        return self.press("Sign up", {"Name": name, "Email": email, "Password": password})

    def log_in(self, email: str, password: str) -> BeautifulSoup:
        """Log in and arrive in the inbox."""
        self.visit("/login")
        return self.press("Log in", {"Email": email, "Password": password})

    def send(
        self, to: str, subject: str, message: str = "", files: Sequence[Attached] = ()
    ) -> BeautifulSoup:
        """Write a message and send it in one go."""
        self.visit("/")
        self.follow("Compose")
        return self.press("Send", {"To": to, "Subject": subject, "Message": message}, files)

    def open(self, subject: str, folder: str = "Inbox") -> BeautifulSoup:
        """Open the newest message with this subject."""
        self.visit("/")
        self.follow(folder)
        return self.follow(subject)

    def subjects(self, folder: str = "Inbox") -> list[str]:
        """The subjects in a folder, newest first, through all its pages."""
        self.visit("/")
        self.follow(folder)
        found = [_text(link) for link in self.page.select("main li a")]
        while self.sees_link("Next"):
            self.follow("Next")
            found += [_text(link) for link in self.page.select("main li a")]
        return found

    # What the page shows -------------------------------------------------------------------------

    @property
    def text(self) -> str:
        """The page as read aloud."""
        return _text(self.page)

    @property
    def logged_in(self) -> bool:
        """Whether the page offers to log out."""
        return any(_text(button) == "Log out" for button in self.page.find_all("button"))

    def link(self, text: str) -> Tag:
        """The first link with this text, or else the first that begins with it."""
        links = [link for link in self.page.find_all("a") if link.has_attr("href")]
        exact = [link for link in links if _text(link) == text]
        counted = [link for link in links if _text(link).startswith(f"{text} ")]
        for link in exact + counted:
            return link
        raise AssertionError(
            f"no link {text!r} on {self._where()}: {[_text(link) for link in links]}"
        )

    def sees_link(self, text: str) -> bool:
        """Whether there is a link with this text."""
        return any(_text(link) == text for link in self.page.find_all("a"))

    def sees_button(self, text: str) -> bool:
        """Whether there is a button with this text."""
        return any(_text(button) == text for button in self.page.find_all("button"))

    def button(self, text: str) -> Tag:
        """The first button with this text."""
        buttons = self.page.select("button, input[type=submit]")
        for button in buttons:
            if (_text(button) or button.get("value")) == text:
                return button
        raise AssertionError(
            f"no button {text!r} on {self._where()}: {[_text(b) for b in buttons]}"
        )

    def control(self, form: Tag, label: str) -> Tag:
        """The form control that a label is for."""
        for element in form.find_all("label"):
            if _text(element) != label:
                continue
            if element.has_attr("for"):
                control = form.find(id=str(element["for"]))
            else:
                control = element.find(["input", "textarea", "select"])
            assert isinstance(control, Tag), f"the label {label!r} is for nothing"
            return control
        raise AssertionError(f"no field {label!r} on {self._where()}")

    def _show(self, response: httpx.Response) -> BeautifulSoup:
        for answer in (*response.history, response):
            self._note(answer)
        self.response = response
        self.page = read_when_asked(response.content)
        return self.page

    def _note(self, response: httpx.Response) -> None:
        self.statuses.append(response.status_code)
        self.served_by[response.headers.get("X-Served-By", "")] += 1

    def _target(self, href: object) -> str:
        return urljoin(str(self.response.url), str(href))

    def _where(self) -> str:
        return f"{self.response.request.method} {self.response.url} ({self.response.status_code})"


def read_when_asked(content: bytes) -> BeautifulSoup:
    """The page, read when something is first looked for on it: that takes longer than all else
    that a person here does, and most pages are only passed through."""
    return cast(BeautifulSoup, LocalProxy(cache(partial(BeautifulSoup, content, "lxml"))))


def _value(control: Tag) -> str:
    if control.name == "textarea":
        return control.text.removeprefix("\n")
    if control.name == "select":
        chosen = control.select_one("option[selected]") or control.select_one("option")
        return str(chosen["value"]) if chosen else ""
    return str(control.get("value", ""))


def _part(name: str, value: str | Attached) -> tuple[str, tuple[str | None, bytes, str | None]]:
    if isinstance(value, Attached):
        return name, (value.filename, value.content, value.content_type)
    return name, (None, value.encode(), None)


def _text(element: Tag) -> str:
    return " ".join(element.text.split())
