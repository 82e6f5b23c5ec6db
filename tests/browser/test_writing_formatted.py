"""Writing formatted mail: the editor, its toolbar, images; addresses that complete themselves."""

from __future__ import annotations

import base64
from collections.abc import Callable

import pytest
from playwright.sync_api import Locator, Route, expect

from tests.browser.window import PHONE, WIDE, Someone, Window, payload
from tests.compose.test_formatted import PNG

DROP = """([kind, name, data]) => {
  const bytes = Uint8Array.from(atob(data), (sign) => sign.charCodeAt(0));
  const transfer = new DataTransfer();
  transfer.items.add(new File([bytes], name, { type: kind }));
  return transfer;
}"""


def carrying(browser: Window, kind: str, name: str, content: bytes) -> object:
    """A file as it is dragged or pasted."""
    data = base64.b64encode(content).decode()
    return browser.page.evaluate_handle(DROP, [kind, name, data])


def drop(browser: Window, target: Locator, kind: str, name: str, content: bytes) -> None:
    """Drop a file on something."""
    options = {"dataTransfer": carrying(browser, kind, name, content)}
    target.dispatch_event("dragover", options)
    target.dispatch_event("drop", options)


def paste(browser: Window, kind: str, text: str) -> None:
    """Paste text of this kind into the editor."""
    browser.field("Message").evaluate(
        """(editor, [kind, text]) => {
          const clipboardData = new DataTransfer();
          clipboardData.setData(kind, text);
          const options = { clipboardData, bubbles: true, cancelable: true };
          editor.dispatchEvent(new ClipboardEvent("paste", options));
        }""",
        [kind, text],
    )


def original(browser: Window) -> str:
    """The original of the message that is open."""
    link = browser.link("Show original").first.get_attribute("href")
    assert link is not None
    return browser.page.request.get(link).text()


@pytest.mark.parametrize("viewport", [WIDE, PHONE], ids=["wide", "phone"])
def test_a_text_is_formatted_by_keyboard_and_toolbar(
    viewport: dict[str, int], someone: Callable[..., Someone], bob: Someone
) -> None:
    browser = someone("Alice", viewport=viewport).window
    browser.compose(bob.address, "Formatted")
    message = browser.field("Message")
    message.focus()
    keyboard = browser.page.keyboard
    keyboard.press("Control+b")
    keyboard.type("Bold")
    keyboard.press("Control+b")
    keyboard.type(" and not")
    keyboard.press("Enter")
    browser.press("Bulleted list")
    expect(browser.button("Bulleted list")).to_have_attribute("aria-pressed", "true")
    keyboard.type("one")
    keyboard.press("Enter")
    keyboard.type("two")
    browser.has_saved()
    browser.page.reload()
    expect(message.locator("b")).to_have_text("Bold")
    expect(message.locator("li")).to_have_text(["one", "two"])
    browser.press("Send")
    browser.sees("Your message has been sent.")

    bob.window.open("Formatted")
    text = original(bob.window)
    assert "multipart/alternative" in text
    assert "<b>Bold</b>" in text
    assert "- one" in text


def test_the_toolbar_is_one_stop_of_the_tab_key_with_arrows_within(alice: Someone) -> None:
    browser = alice.window
    browser.compose()
    browser.field("Subject").focus()
    browser.page.keyboard.press("Tab")
    expect(browser.button("Bold")).to_be_focused()
    browser.page.keyboard.press("ArrowRight")
    expect(browser.button("Italic")).to_be_focused()
    browser.page.keyboard.press("End")
    expect(browser.button("Plain text")).to_be_focused()
    browser.page.keyboard.press("Home")
    expect(browser.button("Bold")).to_be_focused()
    browser.page.keyboard.press("Tab")
    expect(browser.field("Message")).to_be_focused()
    assert browser.field("Message").count() == 1


def test_a_link_is_made_of_what_is_selected(alice: Someone) -> None:
    browser = alice.window
    browser.compose(message="our plan")
    browser.field("Message").press("Control+a")
    browser.press("Link")
    browser.field("Link address").fill("a.example/plan")
    browser.press("Insert link")
    link = browser.field("Message").locator("a")
    expect(link).to_have_attribute("href", "https://a.example/plan")
    expect(link).to_have_text("our plan")


def test_plain_text_is_remembered_and_keeps_what_was_written(alice: Someone, bob: Someone) -> None:
    browser = alice.window
    browser.compose(bob.address, "Plain")
    browser.field("Message").press("Control+b")
    browser.page.keyboard.type("Bold")
    browser.press("Plain text")
    expect(browser.field("Message")).to_have_js_property("tagName", "TEXTAREA")
    browser.has_written("Bold")
    browser.press("Plain text")
    expect(browser.field("Message").locator("b")).to_have_text("Bold")
    browser.press("Plain text")
    expect(browser.field("Message")).to_have_js_property("tagName", "TEXTAREA")
    browser.press("Send")
    browser.sees("Your message has been sent.")
    browser.compose()
    expect(browser.field("Message")).to_have_js_property("tagName", "TEXTAREA")
    bob.window.open("Plain")
    assert "multipart" not in original(bob.window)


def test_what_is_pasted_keeps_its_form_and_nothing_else(alice: Someone) -> None:
    browser = alice.window
    browser.compose()
    browser.field("Message").focus()
    paste(
        browser,
        "text/html",
        '<p style="color:red" onclick="x()"><span style="font-weight:bold">fat</span>'
        '<img src="https://tracker.example/p.png"><script>x()</script></p>',
    )
    message = browser.field("Message")
    expect(message.locator("b")).to_have_text("fat")
    expect(message.locator("[style], [onclick], img, script")).to_have_count(0)


def test_a_dropped_image_stands_in_the_text_and_other_files_are_attached(
    alice: Someone, bob: Someone
) -> None:
    browser = alice.window
    browser.compose(bob.address, "A cat", "Look: ")
    message = browser.field("Message")
    drop(browser, message, "image/png", "cat.png", PNG)
    image = message.locator("img")
    expect(image).to_have_js_property("naturalWidth", 1)
    # Anywhere on the page, also beside the form.
    drop(browser, browser.page.locator("footer"), "text/plain", "notes.txt", b"notes")
    expect(browser.file("notes.txt")).to_contain_text("5 bytes")
    expect(browser.page.locator("#attached li")).to_have_count(1)
    browser.has_saved()
    browser.page.reload()
    expect(image).to_have_js_property("naturalWidth", 1)
    browser.press("Send")
    browser.sees("Your message has been sent.")
    bob.window.open("A cat")
    text = original(bob.window)
    assert "multipart/related" in text
    assert "Content-Disposition: inline" in text
    assert bob.window.download("notes.txt") == b"notes"


def test_what_is_wrong_with_the_text_leads_to_the_editor(alice: Someone) -> None:
    browser = alice.window
    browser.compose(alice.address, "Endless")
    message = browser.field("Message")
    message.evaluate(
        """(editor) => { editor.innerHTML = `<div><b>${"word ".repeat(220_000)}</b></div>`; }"""
    )
    browser.press("Send")
    browser.page.get_by_role("alert").get_by_role("link").click()
    expect(browser.field("Message")).to_be_focused()


def test_an_image_is_pasted_into_the_text(alice: Someone) -> None:
    browser = alice.window
    browser.compose()
    message = browser.field("Message")
    message.focus()
    transfer = carrying(browser, "image/png", "image.png", PNG)
    message.evaluate(
        """(editor, clipboardData) => editor.dispatchEvent(
          new ClipboardEvent("paste", { clipboardData, bubbles: true, cancelable: true }))""",
        transfer,
    )
    expect(message.locator("img")).to_have_js_property("naturalWidth", 1)
    message.locator("img").click()  # which would show handles that our policy forbids


def test_send_waits_for_all_images_that_were_dropped(alice: Someone, bob: Someone) -> None:
    browser = alice.window
    browser.compose(bob.address, "Two cats", "Look: ")
    held: list[Route] = []
    browser.page.route(
        "**/inline/*",
        lambda route: route.continue_() if held else held.append(route),
    )
    both = carrying(browser, "image/png", "cat.png", PNG)
    browser.page.evaluate(
        "([one, other]) => one.items.add(other.files[0])",
        [both, carrying(browser, "image/png", "other.png", PNG)],
    )
    browser.field("Message").dispatch_event("drop", {"dataTransfer": both})
    browser.press("Send")
    expect(browser.button("Sending when uploads finish…")).to_be_visible()
    while not held:
        browser.page.wait_for_timeout(20)
    held[0].continue_()
    browser.sees("Your message has been sent.")
    bob.window.open("Two cats")
    assert original(bob.window).count("Content-Disposition: inline") == 2


def test_an_image_that_arrives_in_plain_text_is_attached(alice: Someone) -> None:
    browser = alice.window
    browser.compose(message="Look: ")
    held: list[Route] = []
    browser.page.route("**/inline/*", lambda route: held.append(route))
    drop(browser, browser.field("Message"), "image/png", "cat.png", PNG)
    while not held:
        browser.page.wait_for_timeout(20)
    browser.press("Plain text")
    expect(browser.field("Message")).to_have_js_property("tagName", "TEXTAREA")
    held[0].continue_()
    expect(browser.file("cat.png")).to_contain_text("bytes")


@pytest.mark.parametrize(
    ("viewport", "begin"), [(WIDE, "Qui"), (PHONE, "Xav")], ids=["wide", "phone"]
)
def test_addresses_complete_themselves_by_keyboard_and_by_a_click(
    viewport: dict[str, int], begin: str, someone: Callable[..., Someone]
) -> None:
    someone(f"{begin}entin")
    someone(f"{begin}rin")
    browser = someone("Alice", viewport=viewport).window
    browser.compose()
    to = browser.field("To")
    to.press_sequentially(f"{begin}en")
    options = browser.page.get_by_role("option")
    expect(options).to_have_count(1)
    expect(to).to_have_attribute("aria-expanded", "true")
    to.press("Enter")
    expect(options).to_have_count(0)
    to.press_sequentially(f"{begin}r".upper())
    expect(options.first).to_contain_text(f"{begin}rin")
    options.first.click()
    value = to.input_value()
    assert value.startswith(f"{begin}entin <{begin.lower()}entin-")
    assert f">, {begin}rin <" in value
    to.press_sequentially(begin.lower())
    expect(options).to_have_count(2)
    to.press("ArrowDown")
    expect(options.nth(1)).to_have_attribute("aria-selected", "true")
    to.press("Escape")
    expect(options).to_have_count(0)
    expect(to).to_have_attribute("aria-expanded", "false")


def test_a_reply_to_plain_mail_is_plain_and_to_formatted_mail_formatted(
    alice: Someone, bob: Someone
) -> None:
    alice.plain.send(bob.address, "Plainly", "Said plainly")
    bob.window.open("Plainly")
    bob.window.follow("Reply")
    expect(bob.window.field("Message")).to_have_js_property("tagName", "TEXTAREA")
    alice.window.compose(bob.address, "Boldly")
    alice.window.field("Message").press("Control+b")
    alice.window.page.keyboard.type("Said boldly")
    alice.window.press("Send")
    alice.window.sees("Your message has been sent.")
    bob.window.open("Boldly")
    bob.window.follow("Reply")
    expect(bob.window.field("Message").locator("blockquote b")).to_have_text("Said boldly")


@pytest.mark.parametrize("link", ["Compose", "Reply"])
def test_what_is_typed_before_the_editor_is_there_stays(
    link: str, alice: Someone, bob: Someone
) -> None:
    alice.window.compose(bob.address, "Slow line")
    alice.window.field("Message").press("Control+b")
    alice.window.page.keyboard.type("Said boldly")
    alice.window.press("Send")
    alice.window.sees("Your message has been sent.")
    browser = bob.window
    browser.open("Slow line")
    held: list[Route] = []
    browser.page.route("**/squire.mjs*", lambda route: held.append(route))
    with browser.page.expect_request("**/squire.mjs*"):
        browser.link(link).click(no_wait_after=True)
    textarea = browser.page.locator("textarea#body")
    textarea.press_sequentially("First line\nSecond")
    held.pop().continue_()

    editor = browser.page.locator("#editor")
    expect(editor).to_be_focused()
    browser.page.keyboard.type(" line")
    expect(editor.get_by_text("First line", exact=True)).to_be_visible()
    expect(editor.get_by_text("Second line", exact=True)).to_be_visible()
    expect(editor.locator("blockquote b")).to_have_count(1 if link == "Reply" else 0)
    browser.has_saved()
    browser.page.unroute("**/squire.mjs*")
    browser.page.reload()
    expect(editor.get_by_text("Second line", exact=True)).to_be_visible()


def test_a_file_that_fails_to_be_a_picture_is_attached(alice: Someone) -> None:
    browser = alice.window
    browser.compose()
    drop(browser, browser.field("Message"), "image/svg+xml", "x.svg", b"<svg/>")
    expect(browser.file("x.svg")).to_contain_text("6 bytes")
    expect(browser.field("Message").locator("img")).to_have_count(0)
    browser.attach(payload("y.txt", b"y"))
    expect(browser.page.locator("#attached li")).to_have_count(2)
