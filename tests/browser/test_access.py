"""For everybody: by keyboard, without JavaScript, in the dark, on a phone, by screen reader."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.browser.axe import what_axe_finds
from tests.browser.window import Someone, Window, payload
from tests.cluster.conftest import cluster  # noqa: F401
from tests.cluster.parts import Cluster
from tests.people import Attached

LONG = "분기 보고서 초안 — please-read-this-before-the-meeting-" + "and-then-again-" * 8

FORMATTED = """\
From: Shop <shop@shop.example>
Subject: Formatted
MIME-Version: 1.0
Content-Type: text/html; charset=utf-8

<table width="900"><tr><td><h1>Wide</h1><img src="https://shop.example/a.png" alt="A shoe">
<p>Very <a href="https://shop.example/">cheap</a>.</p></td></tr></table>
"""

LANGUAGES = {"en": "en-US", "ko": "ko-KR"}

Furnished = tuple[Someone, dict[str, str]]


@pytest.fixture
def furnished(
    someone: Callable[..., Someone],
    cluster: Cluster,  # noqa: F811
) -> Furnished:
    """An operator with mail that is hard to lay out, and the addresses of every kind of page."""
    alice, bob = someone("Alice"), someone("Bob")
    cluster.command("user", "admin", alice.address)
    hard = [Attached("x" * 120 + ".txt", b"1", "text/plain"), Attached("보고서.pdf", b"2")]
    bob.plain.send(alice.address, "Short")
    crowd = ", ".join(f"{'Somebody ' * 5}{n} <{alice.address}>" for n in range(8))
    bob.plain.send(crowd, LONG, "https://mail.example/" + "x" * 300, hard)
    alice.plain.send(bob.address, LONG, "Hello.", hard)
    for subject in ("Old", "Deleted"):
        alice.plain.send(alice.address, subject)
    alice.plain.open("Deleted")
    alice.plain.press("Delete")
    alice.plain.visit("/compose")
    alice.plain.press("Save draft", {"To": crowd, "Subject": LONG}, hard)
    draft = str(alice.plain.response.url.path)
    alice.plain.open(LONG)
    message = str(alice.plain.response.url.path)
    alice.plain.open("Deleted", "Trash")
    in_trash = str(alice.plain.response.url.path)
    alice.plain.open("Short")
    alice.plain.follow("Reply")
    alice.plain.press("Send")
    alice.plain.open("Short")
    conversation = str(alice.plain.response.url.path)
    alice.plain.visit("/compose")
    alice.plain.press("Schedule", {"To": bob.address, "Subject": LONG, "Or at": "2099-01-01T08:00"})
    alice.plain.visit("/folders/new")
    alice.plain.press("Create", {"Name": "초대장 " * 5})
    cluster.command("deliver", alice.address, said=FORMATTED)
    alice.plain.open("Formatted")
    return alice, {
        "inbox": "/mail/inbox",
        "starred": "/mail/starred",
        "archive": "/mail/archive",
        "sent": "/mail/sent",
        "drafts": "/mail/drafts",
        "scheduled": "/mail/scheduled",
        "trash": "/mail/trash",
        "empty trash": "/mail/trash/empty",
        "folders": "/folders",
        "new folder": "/folders/new",
        "message": message,
        "conversation": conversation,
        "formatted message": str(alice.plain.response.url.path),
        "message in trash": in_trash,
        "preview": f"{message}/preview/1",
        "found": "/search?q=short",
        "search that can't be read": "/search?q=larger:much",
        "new message": "/compose",
        "reply to a formatted message": f"/compose?reply={alice.plain.response.url.path[6:]}",
        "draft": draft,
        "settings": "/settings",
        "keys": "/keys",
        "cluster": "/admin/cluster",
        "not there": "/nothing/here",
    }


def test_the_main_job_is_done_by_keyboard_alone(alice: Someone, bob: Someone) -> None:
    browser = alice.window
    browser.go("/login")
    browser.press("Log out")
    keys, focus = browser.page.keyboard, browser.page.locator("*:focus")
    browser.field("Email").focus()
    keys.type(alice.address)
    keys.press("Tab")
    keys.type(alice.password)
    keys.press("Enter")
    browser.sees("Your inbox is empty")

    keys.press("Tab")
    expect(focus).to_have_text("Skip to content")
    expect(focus).to_be_in_viewport()
    keys.press("Enter")
    expect(browser.page.get_by_role("main")).to_be_focused()

    browser.link("Compose").focus()
    keys.press("Enter")
    expect(browser.field("To")).to_be_focused()
    keys.type(bob.address)
    for label in ("Cc", "Bcc", "Subject"):
        keys.press("Tab")
        expect(browser.field(label)).to_be_focused()
    keys.type("No mouse")
    keys.press("Enter")
    expect(browser.field("Message")).to_be_focused()
    keys.type("Only keys.")
    keys.press("Tab")
    expect(browser.field("Attach files")).to_be_focused()
    keys.press("Shift+Tab")
    keys.press("Control+Enter")
    browser.sees("Your message has been sent.")
    assert browser.subjects == ["No mouse"], "Enter in a field sends nothing; Ctrl+Enter does"

    bob.window.open("No mouse")
    bob.window.sees("Only keys.")


def test_all_of_it_works_without_javascript(someone: Callable[..., Someone]) -> None:
    alice = someone("Alice", java_script_enabled=False)
    bob = someone("Bob", java_script_enabled=False)
    writer, reader = alice.window, bob.window
    writer.compose(bob.address, "Plain", "No script ran.")
    writer.attach(payload("a.txt", b"first"), payload("b.txt", b"second"))
    writer.press("Save draft")
    writer.press("Remove b.txt")
    writer.attach(payload("c.txt", b"third"))
    writer.press("Send")
    writer.sees("Your message has been sent.")

    reader.open("Plain")
    reader.sees("2 attachments")
    assert (reader.download("a.txt"), reader.download("c.txt")) == (b"first", b"third")
    reader.follow("Reply")
    reader.press("Send")
    reader.sees("Your message has been sent.")
    reader.open("Plain")
    reader.follow("Forward")
    reader.field("To").fill(alice.address)
    reader.press("Send")
    reader.open("Plain")
    reader.press("Delete")
    reader.press("Undo")
    reader.follow("Plain")

    writer.go("/mail/inbox")
    assert writer.subjects == ["Fwd: Plain"], "one conversation"
    writer.go("/settings")
    writer.press("Log out")
    expect(writer.button("Log in")).to_be_visible()


def test_no_page_is_wider_than_a_phone(furnished: Furnished) -> None:
    alice, pages = furnished
    wider = []
    for name, path in pages.items():
        for width in (390, 320):
            alice.window.page.set_viewport_size({"width": width, "height": 844})
            alice.window.go(path)
            if alice.window.page.evaluate("document.documentElement.scrollWidth") > width:
                wider.append((name, width))
    assert wider == []


@pytest.mark.parametrize("language", LANGUAGES)
def test_axe_finds_no_fault_in_any_page(
    furnished: Furnished, window: Callable[..., Window], language: str
) -> None:
    alice, pages = furnished
    # axe measures with styles of its own, which the pages' policy would forbid.
    options = {"bypass_csp": True, "locale": LANGUAGES[language]}
    reader, visitor = window(**options), window(**options)
    reader.take_cookies(alice.plain.client.cookies)
    faults: list[str] = []
    for browser, name, path in [
        (visitor, "log-in", "/login"),
        (visitor, "sign-up", "/signup"),
        *((reader, name, path) for name, path in pages.items()),
    ]:
        browser.go(path)
        assert browser.page.locator("html").get_attribute("lang") == language
        faults += [f"{name}: {fault}" for fault in what_axe_finds(browser)]
    assert faults == []


def test_axe_finds_no_fault_in_a_page_that_says_what_is_wrong(
    alice: Someone, window: Callable[..., Window]
) -> None:
    reader, visitor = window(bypass_csp=True), window(bypass_csp=True)
    reader.take_cookies(alice.plain.client.cookies)
    visitor.go("/signup")
    visitor.field("Name").fill("A")
    visitor.field("Email").fill("wrong@address@here")
    visitor.field("Password").fill("short")
    visitor.press("Sign up")
    reader.compose("nobody-at-all", "Wrong")
    reader.press("Send")
    reader.sees("This message was not sent:")
    faults = [f"refused sign-up: {fault}" for fault in what_axe_finds(visitor)]
    faults += [f"refused message: {fault}" for fault in what_axe_finds(reader)]
    reader.go("/settings")
    reader.field("Signature").fill("x" * 3000)
    reader.press("Save settings")
    reader.sees("Please look at what is marked below.")
    assert faults + [f"refused settings: {fault}" for fault in what_axe_finds(reader)] == []
