"""A person's browser: what they do all day, by the labels they see, and what it complained of."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from http.cookiejar import CookieJar
from typing import Any
from urllib.parse import urlsplit

import httpx
from playwright.sync_api import Browser, ConsoleMessage, FilePayload, Locator, Page, Request, expect

from tests.people import Person

WIDE = {"width": 1440, "height": 900}
PHONE = {"width": 390, "height": 844}


def payload(
    name: str, content: bytes, content_type: str = "application/octet-stream"
) -> FilePayload:
    """A file to choose in a file dialogue."""
    return {"name": name, "mimeType": content_type, "buffer": content}


class Window:
    """One browser of its own, with its cookies.

    `requests` are all that its pages made, `served_by` counts the instances that answered, and
    `complaints` must be empty in the end.
    """

    def __init__(self, browser: Browser, url: str, *, panes: bool = False, **options: Any) -> None:
        """`panes`: list and message side by side, as it is unless somebody turns it off. Most tests
        do, since what a list says of a message would be on the page a second time."""
        self.context = browser.new_context(
            **{
                "base_url": url,
                "storage_state": {"origins": [] if panes else [_without_panes(url)]},
                "viewport": WIDE,
                # Colours that are on their way to other colours can't be measured.
                "reduced_motion": "reduce",
                **options,
            }
        )
        # Everything here is a matter of milliseconds; 30 s would only make a failure slow.
        self.context.set_default_timeout(10_000)
        self.requests: list[Request] = []
        self.served_by: Counter[str] = Counter()
        self.complaints: list[str] = []
        self._url = url
        self.context.on("request", self._note_request)
        self.context.on("console", self._note_console)
        self.context.on("weberror", lambda error: self.complaints.append(str(error.error)))
        self.context.on("response", self._note_response)
        self.page: Page = self.context.new_page()
        # A draft that is not saved yet asks before it is left.
        self.page.on("dialog", lambda dialog: dialog.accept())

    def close(self) -> None:
        """Close all of it, as somebody does who is done for the day."""
        self.context.close()

    def take_cookies(self, jar: httpx.Cookies) -> None:
        """Go on with the session of another client."""
        cookies: CookieJar = jar.jar
        self.context.add_cookies(
            [{"name": one.name, "value": one.value or "", "url": self._url} for one in cookies]
        )

    def go(self, path: str) -> None:
        """Type an address."""
        self.page.goto(path)

    def log_in(self, email: str, password: str) -> None:
        """Log in on the log-in page that is shown."""
        self.field("Email").fill(email)
        self.field("Password").fill(password)
        self.press("Log in")

    def compose(self, to: str = "", subject: str = "", message: str = "") -> None:
        """Begin a message."""
        self.go("/mail/inbox")
        self.follow("Compose")
        self.page.wait_for_load_state()  # which the editor is a part of
        self.field("To").fill(to)
        self.field("Subject").fill(subject)
        self.field("Message").fill(message)

    def attach(self, *files: FilePayload) -> None:
        """Choose files."""
        self.field("Attach files").set_input_files(list(files))

    def open(self, subject: str, folder: str = "Inbox") -> None:
        """Open the message with this subject."""
        self.go(f"/mail/{folder.lower()}")
        self.follow(subject)

    def download(self, filename: str) -> bytes:
        """Click on an attachment and read what was saved."""
        with self.page.expect_download() as download:
            self.follow(filename)
        assert download.value.suggested_filename == filename
        return download.value.path().read_bytes()

    # What is on the page -------------------------------------------------------------------------

    def field(self, label: str) -> Locator:
        """The control with this label."""
        return self.page.get_by_label(label, exact=True)

    def button(self, text: str) -> Locator:
        """The button with this text."""
        return self.page.get_by_role("button", name=text, exact=True)

    def link(self, text: str) -> Locator:
        """The link with this text."""
        return self.page.get_by_role("link", name=text, exact=True)

    def press(self, text: str) -> None:
        """Click on a button."""
        self.button(text).click()

    def follow(self, text: str) -> None:
        """Click on a link."""
        self.link(text).click()

    def has_written(self, text: str) -> None:
        """Wait until the message says this, in the editor or in the field of plain text."""
        self.page.wait_for_load_state()  # until then it is not said which of the two
        field = self.field("Message")
        if field.evaluate("element => element.isContentEditable"):
            expect(field).to_have_text(text)
        else:
            expect(field).to_have_value(text)

    def file(self, name: str) -> Locator:
        """The line of an attached file on the page of writing."""
        return self.page.locator("#attached li").filter(has_text=name)

    def sees(self, text: str) -> None:
        """Wait until a text is on the page."""
        expect(self.page.get_by_text(text).first).to_be_visible()

    def has_saved(self) -> None:
        """Wait until the draft is said to be saved."""
        expect(self.page.locator("#saved")).to_contain_text("Saved")

    @property
    def subjects(self) -> list[str]:
        """The subjects on this page of a folder, from the newest."""
        return self.page.locator(".rows a").all_inner_texts()

    def uploads(self) -> list[Request]:
        """The requests that carried a file, or were to."""
        return [
            request
            for request in self.requests
            if request.method in {"POST", "PATCH"} and "/uploads/" in request.url
        ]

    def _note_request(self, request: Request) -> None:
        self.requests.append(request)
        if urlsplit(request.url)[:2] != urlsplit(self._url)[:2] and request.url[:5] != "data:":
            self.complaints.append(f"a request to another host: {request.url}")

    def _note_response(self, response: Any) -> None:
        if "/static/" not in response.url:  # the balancer's own
            self.served_by[response.headers.get("x-served-by", "")] += 1

    def _note_console(self, message: ConsoleMessage) -> None:
        # Chromium also logs every answer that is no success; tests make some on purpose.
        if message.type == "error" and not message.text.startswith("Failed to load resource"):
            self.complaints.append(message.text)


def _without_panes(url: str) -> dict[str, Any]:
    """What the browser keeps of somebody who has turned them off."""
    return {"origin": url, "localStorage": [{"name": "panes", "value": "off"}]}


@dataclass
class Someone:
    """Somebody with an account: their browser, and a plain client for what only prepares a test."""

    name: str
    address: str
    password: str
    window: Window
    plain: Person
