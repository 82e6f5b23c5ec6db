"""The main job in a real browser: sign up, write, attach, send, read, download, answer."""

from __future__ import annotations

import re
from collections.abc import Callable

from playwright.sync_api import expect

from tests.browser.window import Someone, Window, payload
from tests.people import Attached

PICTURE = bytes(range(256)) * 2000
KOREAN = "분기 보고서 “초안” 100%.txt"


def test_who_signs_up_is_in_an_empty_inbox_and_can_log_in_again(
    window: Callable[..., Window],
) -> None:
    browser = window()
    browser.go("/")
    browser.follow("Sign up")
    browser.field("Name").fill("Dana")
    browser.field("Email").fill("dana@mail.example")
    browser.field("Password").fill("a kettle, two cups and rain")
    browser.press("Sign up")
    browser.sees("Your inbox is empty")
    expect(browser.page).to_have_title("Inbox – Mailapp")
    browser.press("Log out")
    browser.log_in("dana@mail.example", "a kettle, two cups and rain")
    browser.sees("Your inbox is empty")


def test_a_sign_up_that_is_refused_says_why_at_the_field_and_keeps_what_was_typed(
    window: Callable[..., Window],
) -> None:
    browser = window()
    browser.go("/signup")
    browser.field("Name").fill("Dana")
    browser.field("Email").fill("dana@another.example")
    browser.field("Password").fill("a kettle, two cups and rain")
    browser.press("Sign up")
    email = browser.field("Email")
    expect(email).to_have_value("dana@another.example")
    expect(email).to_have_attribute("aria-invalid", "true")
    expect(email).to_have_accessible_description(re.compile("mail.example"))
    expect(browser.field("Name")).to_have_value("Dana")
    expect(browser.page.locator(".flash.error")).to_be_focused()


def test_two_attachments_reach_the_other_person_byte_for_byte_and_the_reply_comes_back(
    window: Callable[..., Window], someone: Callable[..., Someone]
) -> None:
    alice, bob = someone("Alice"), someone("Bob")
    writer, reader = window(), window()

    writer.go("/login")
    writer.log_in(alice.address, alice.password)
    writer.follow("Compose")
    writer.field("To").fill(f"Bob <{bob.address}>")
    writer.field("Subject").fill("Two files")
    writer.field("Message").fill("Here they are.\n\nhttps://mail.example/plan")
    writer.attach(payload("picture.png", PICTURE, "image/png"), payload(KOREAN, b"", "text/plain"))
    expect(writer.page.locator("#attached li")).to_have_count(2)
    expect(writer.file("picture.png")).to_contain_text("500 KB")
    expect(writer.page.get_by_role("progressbar")).to_have_count(0)
    assert len(writer.uploads()) == 2, "each file is on its way before anything is sent"
    writer.press("Send")
    writer.sees("Your message has been sent.")
    assert len(writer.uploads()) == 2, "Send carries no file again"

    reader.go("/login")
    reader.log_in(bob.address, bob.password)
    reader.follow("Two files")
    expect(reader.page).to_have_title("Two files – Mailapp")
    reader.sees("2 attachments")
    assert reader.download("picture.png") == PICTURE
    assert reader.download(KOREAN) == b""
    expect(reader.link("https://mail.example/plan")).to_be_visible()

    reader.follow("Reply")
    expect(reader.field("To")).to_have_value(f"Alice <{alice.address}>")
    expect(reader.field("Subject")).to_have_value("Re: Two files")
    expect(reader.field("Message")).to_be_focused()
    reader.page.keyboard.type("Thank you.")
    reader.press("Send")
    reader.sees("Your message has been sent.")

    writer.open("Re: Two files")
    writer.sees("Thank you.")
    assert set(writer.served_by) == set(reader.served_by) == {"web-1", "web-2"}


def test_a_progress_bar_shows_how_far_an_upload_is(alice: Someone) -> None:
    browser = alice.window
    browser.compose(subject="Slowly")
    network = browser.context.new_cdp_session(browser.page)
    network.send(
        "Network.emulateNetworkConditions",
        {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 400_000},
    )
    browser.attach(payload("big.bin", b"." * 600_000))
    bar = browser.page.get_by_role("progressbar", name="big.bin")
    browser.page.wait_for_function(
        "() => { const bar = document.querySelector('progress');"
        " return bar && bar.value > 0.1 && bar.value < 0.9; }"
    )
    expect(browser.file("big.bin")).to_contain_text("% of 585.9 KB")
    expect(bar).to_have_count(0)
    expect(browser.page.get_by_role("status").filter(has_text="attached")).to_have_text(
        "big.bin is attached."
    )


def test_a_forward_carries_the_attachments_without_uploading_them(
    alice: Someone, bob: Someone, someone: Callable[..., Someone]
) -> None:
    carol = someone("Carol")
    alice.plain.send(bob.address, "The plan", "Read it.", [Attached("plan.txt", b"step one")])
    browser = bob.window
    browser.open("The plan")
    browser.follow("Forward")
    expect(browser.field("Subject")).to_have_value("Fwd: The plan")
    expect(browser.field("To")).to_be_focused()
    expect(browser.file("plan.txt")).to_be_visible()
    browser.field("To").fill(carol.address)
    browser.press("Send")
    browser.sees("Your message has been sent.")
    assert browser.uploads() == []
    carol.window.open("Fwd: The plan")
    assert carol.window.download("plan.txt") == b"step one"


def test_a_reply_to_all_goes_to_everybody_but_oneself(
    alice: Someone, bob: Someone, someone: Callable[..., Someone]
) -> None:
    carol = someone("Carol")
    alice.plain.send(f"{bob.address}, {carol.address}", "Dinner")
    browser = bob.window
    browser.open("Dinner")
    browser.follow("Reply all")
    expect(browser.field("To")).to_have_value(f"Alice <{alice.address}>")
    expect(browser.field("Cc")).to_have_value(carol.address)
    browser.press("Send")
    browser.sees("Your message has been sent.")
    carol.window.open("Re: Dinner")
    carol.window.sees("Bob")
