"""HTML mail in the whole product: put in by `mailapp deliver`, read in a real browser."""

from __future__ import annotations

import base64
import os
import subprocess
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from threading import Thread

import pytest
from playwright.sync_api import FrameLocator, expect

from deploy.topology import script
from tests.browser.window import PHONE, WIDE, Someone, Window
from tests.cluster.parts import Cluster
from tests.html.corpus import CORPUS

PNG = base64.b64decode(
    "iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg=="
)


class Elsewhere:
    """Another host, with a picture for everybody; `asked` is what it was asked for, and by whom."""

    def __init__(self) -> None:
        self.asked: list[tuple[str, str | None]] = []
        asked = self.asked

        class _Answer(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                asked.append((self.path, self.headers["Referer"]))
                self.send_response(200)
                self.send_header("Content-Type", "image/png")
                self.end_headers()
                self.wfile.write(PNG)

            def log_message(self, *_: object) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), _Answer)
        self.url = f"http://127.0.0.1:{self.server.server_port}"
        Thread(target=self.server.serve_forever, daemon=True).start()


@pytest.fixture
def elsewhere() -> Iterator[Elsewhere]:
    """Another host."""
    host = Elsewhere()
    yield host
    host.server.shutdown()
    host.server.server_close()


def deliver(cluster: Cluster, someone: Someone, subject: str, html: str, number: int = 0) -> None:
    """Put an HTML mail from news@shop.example, with a logo in it, into somebody's mailbox."""
    head = (
        f"From: The Shop <news@shop.example>\r\nTo: {someone.address}\r\nSubject: {subject}\r\n"
        f"Message-ID: <{abs(hash((subject, number)))}@shop.example>\r\n"
        "Date: Mon, 2 Mar 2026 10:00:00 +0900\r\nMIME-Version: 1.0\r\n"
        "Content-Type: multipart/related; boundary=b\r\n\r\n--b\r\n"
        "Content-Type: text/html; charset=utf-8\r\nContent-Transfer-Encoding: base64\r\n\r\n"
    )
    logo = "\r\n--b\r\nContent-Type: image/png; name=logo.png\r\nContent-ID: <logo>\r\n"
    logo += "Content-Transfer-Encoding: base64\r\n\r\n" + base64.encodebytes(PNG).decode()
    body = base64.encodebytes(html.encode("utf-8", "replace")).decode()
    ran = subprocess.run(
        [script("mailapp"), "deliver", someone.address],
        env={**os.environ, **cluster.settings},
        input=f"{head}{body}{logo}--b--\r\n".encode(),
        capture_output=True,
        check=False,
    )
    assert (ran.returncode, ran.stderr) == (0, b"")


def shown(window: Window) -> FrameLocator:
    """What is in the frame of the message."""
    return window.page.frame_locator("iframe.formatted")


def loaded(window: Window, selector: str = "img") -> bool:
    """Whether an image in the frame has come."""
    image = shown(window).locator(selector)
    return bool(image.evaluate("image => image.complete && image.naturalWidth > 0"))


@pytest.mark.parametrize("size", [WIDE, PHONE], ids=["wide", "phone"])
def test_formatted_mail_is_shown_in_a_frame_as_high_as_it_is(
    someone: object, cluster: Cluster, size: dict[str, int]
) -> None:
    alice: Someone = someone("Alice", viewport=size)  # type: ignore[operator]
    paragraphs = "<p>Long text.</p>" * 80
    deliver(
        cluster,
        alice,
        "Sale",
        "<html><head><style>.x{color:#ff0000}</style></head><body><h1 class=x>Everything</h1>"
        f'<img src="cid:logo" width=20 height=20>{paragraphs}<p id=last>The end.</p></body></html>',
    )
    window = alice.window
    window.open("Sale")
    expect(shown(window).get_by_role("heading", name="Everything")).to_have_css(
        "color", "rgb(255, 0, 0)"
    )
    frame = window.page.locator("iframe.formatted")
    assert "allow-scripts" not in str(frame.get_attribute("sandbox"))
    expect(shown(window).locator("img")).to_be_visible()
    window.page.wait_for_function(
        "() => { const f = document.querySelector('iframe.formatted');"
        " return f.contentDocument.documentElement.scrollHeight <= f.clientHeight; }"
    )
    shown(window).get_by_text("The end.").scroll_into_view_if_needed()
    expect(shown(window).get_by_text("The end.")).to_be_in_viewport()
    assert loaded(window)
    # Nothing makes the page wider than the window.
    assert window.page.evaluate("document.documentElement.scrollWidth") <= size["width"]
    expect(window.page.get_by_text("logo.png")).to_have_count(0)


def test_images_from_elsewhere_come_when_they_are_asked_for_this_once(
    alice: Someone, cluster: Cluster, elsewhere: Elsewhere
) -> None:
    deliver(cluster, alice, "News", f'<p>Hello</p><img src="{elsewhere.url}/seen.png" alt="a cat">')
    window = alice.window
    window.open("News")
    expect(shown(window).get_by_text("Hello")).to_be_visible()
    window.page.wait_for_timeout(500)
    assert elsewhere.asked == []
    window.press("Show images")
    window.page.wait_for_function(
        "() => document.querySelector('iframe.formatted').contentDocument.images[0]?.naturalWidth"
    )
    assert elsewhere.asked == [("/seen.png", None)]  # and not from which page
    expect(window.button("Show images")).to_have_count(0)
    window.page.reload()
    expect(shown(window).get_by_text("Hello")).to_be_visible()
    expect(window.button("Show images")).to_be_visible()
    assert len(elsewhere.asked) == 1
    _forgive(window, elsewhere)


def test_a_sender_s_images_come_always_until_it_is_taken_back(
    alice: Someone, cluster: Cluster, elsewhere: Elsewhere
) -> None:
    for number in (1, 2):
        html = f'<p>Hello</p><img src="{elsewhere.url}/{number}.png">'
        deliver(cluster, alice, f"News {number}", html, number)
    window = alice.window
    window.open("News 1")
    window.press("Always show from this sender")
    window.sees("Images from news@shop.example are always shown.")
    window.open("News 2")
    window.page.wait_for_function(
        "() => document.querySelector('iframe.formatted').contentDocument.images[0]?.naturalWidth"
    )
    assert "/2.png" in [path for path, _ in elsewhere.asked]
    window.press("Ask again")
    expect(window.button("Show images")).to_be_visible()
    elsewhere.asked.clear()
    window.open("News 1")
    expect(shown(window).get_by_text("Hello")).to_be_visible()
    expect(window.button("Show images")).to_be_visible()
    assert elsewhere.asked == []
    _forgive(window, elsewhere)


def test_links_open_a_tab_and_say_where_they_go(
    alice: Someone, cluster: Cluster, elsewhere: Elsewhere
) -> None:
    deliver(
        cluster,
        alice,
        "Your account",
        f'<p><a href="{elsewhere.url}/login">https://bank.example/login</a></p>'
        "<p>See https://plain.example/ too.</p>",
    )
    window = alice.window
    window.open("Your account")
    link = shown(window).get_by_role("link", name="https://bank.example/login")
    expect(link).to_have_attribute("title", f"{elsewhere.url}/login")
    expect(shown(window).get_by_text("[127.0.0.1]")).to_be_visible()
    expect(shown(window).get_by_role("link", name="https://plain.example/")).to_be_visible()
    before = window.page.url
    with window.context.expect_page() as opened:
        link.click()
    opened.value.wait_for_load_state()
    assert opened.value.url == f"{elsewhere.url}/login"
    assert opened.value.evaluate("window.opener") is None
    assert elsewhere.asked[0] == ("/login", None)
    assert window.page.url == before
    _forgive(window, elsewhere)


def test_the_text_of_a_formatted_mail_can_be_looked_at(alice: Someone, cluster: Cluster) -> None:
    deliver(cluster, alice, "Both", "<h1>Title</h1><p>One <b>two</b></p>")
    window = alice.window
    window.open("Both")
    window.press("Show as text")
    expect(shown(window).get_by_text("One two")).to_be_visible()
    expect(shown(window).get_by_role("heading", name="Title")).to_have_count(0)
    shown(window).get_by_role("link", name="Show formatted").click()
    expect(shown(window).get_by_role("heading", name="Title")).to_be_visible()


def test_it_all_works_without_scripts(
    someone: object, cluster: Cluster, elsewhere: Elsewhere
) -> None:
    alice: Someone = someone("Alice", java_script_enabled=False)  # type: ignore[operator]
    deliver(cluster, alice, "News", f'<p>Hello</p><img src="{elsewhere.url}/seen.png" alt="a cat">')
    window = alice.window
    window.open("News")
    expect(shown(window).get_by_text("Hello")).to_be_visible()
    assert elsewhere.asked == []
    with window.page.expect_response(lambda response: response.url.endswith("/seen.png")):
        window.press("Show images")
    window.press("Show as text")
    expect(shown(window).get_by_role("link", name="Show formatted")).to_be_visible()
    _forgive(window, elsewhere)


def test_every_attack_at_once_does_nothing(alice: Someone, cluster: Cluster) -> None:
    for number, part in enumerate(_in_parts(list(CORPUS.values()), 40)):
        deliver(cluster, alice, f"Attack {number}", "\n<hr>\n".join(part), number)
    window = alice.window
    dialogs: list[str] = []
    window.page.on("dialog", lambda dialog: dialogs.append(dialog.message))
    for number in range(len(list(_in_parts(list(CORPUS.values()), 40)))):
        window.open(f"Attack {number}")
        expect(window.page.locator("iframe.formatted")).to_be_visible()
        window.page.wait_for_timeout(300)
        # What is around the frame is there and can be used: nothing lies over it.
        expect(window.page.get_by_role("heading", name=f"Attack {number}")).to_be_visible()
        window.follow("Back")
        expect(window.page).to_have_url(window.page.url.partition("/mail/")[0] + "/mail/inbox")
    assert dialogs == []  # and at the end: no request to another host, no complaint


def _in_parts(cases: list[str], size: int) -> Iterator[list[str]]:
    for start in range(0, len(cases), size):
        yield cases[start : start + size]


def _forgive(window: Window, elsewhere: Elsewhere) -> None:
    """The requests to this host were asked for."""
    window.complaints[:] = [one for one in window.complaints if elsewhere.url not in one]
