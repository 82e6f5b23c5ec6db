"""Reading and keeping house in a real browser."""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

from playwright.sync_api import expect

from tests.browser.window import Someone


def test_a_deleted_message_comes_back_by_undo_and_goes_for_good_from_trash(
    alice: Someone, bob: Someone
) -> None:
    bob.plain.send(alice.address, "Old news")
    browser = alice.window
    browser.open("Old news")
    browser.press("Delete")
    browser.sees("Moved to Trash.")
    browser.sees("Your inbox is empty")
    browser.press("Undo")
    browser.sees("Undone.")
    assert browser.subjects == ["Old news"]

    browser.follow("Old news")
    browser.press("Delete")
    browser.follow("Trash")
    browser.follow("Old news")
    expect(browser.button("Delete")).to_have_accessible_description(
        re.compile("Deleting it here is final")
    )
    browser.press("Delete")
    browser.sees("The message is deleted for good.")
    browser.sees("The trash is empty")
    bob.window.open("Old news", "Sent")


def test_what_is_unread_is_bold_and_counted_until_it_is_read(alice: Someone, bob: Someone) -> None:
    bob.plain.send(alice.address, "First")
    bob.plain.send(alice.address, "Second")
    browser = alice.window
    browser.go("/mail/inbox")
    expect(browser.page).to_have_title("Inbox (2) – Mailapp")
    expect(browser.link("Inbox 2 unread")).to_be_visible()
    expect(browser.link("Second")).to_have_css("font-weight", "700")
    browser.follow("Second")
    expect(browser.link("Inbox 1 unread")).to_be_visible()
    browser.follow("Back")
    expect(browser.link("Second")).to_have_css("font-weight", "400")
    expect(browser.link("First")).to_have_css("font-weight", "700")
    browser.follow("Second")
    browser.press("Mark unread")
    expect(browser.link("Second")).to_have_css("font-weight", "700")
    expect(browser.page).to_have_title("Inbox (2) – Mailapp")


def test_next_leads_through_a_folder_to_its_end(alice: Someone, bob: Someone) -> None:
    for number in range(1, 53):
        bob.plain.visit("/compose")
        bob.plain.press("Send", {"To": alice.address, "Subject": f"Number {number}"})
    browser = alice.window
    browser.go("/mail/inbox")
    browser.sees("52 messages, 52 unread")
    seen = browser.subjects
    assert len(seen) == 50
    browser.follow("Next")
    expect(browser.link("Number 1")).to_be_visible()
    expect(browser.link("Next")).to_have_count(0)
    assert seen + browser.subjects == [f"Number {number}" for number in range(52, 0, -1)]
    browser.follow("Newest")
    expect(browser.link("Number 52")).to_be_visible()


def test_times_are_the_readers_own(someone: Callable[..., Someone]) -> None:
    before = datetime.now(UTC)
    seoul = someone("Minji", timezone_id="Asia/Seoul")
    seoul.plain.send(seoul.address, "To myself")
    browser = seoul.window
    browser.open("To myself")
    after = datetime.now(UTC)
    zone = ZoneInfo("Asia/Seoul")
    minutes = {f"{moment.astimezone(zone):%H:%M}" for moment in (before, after)}
    shown = browser.page.locator("article time").inner_text()
    assert shown[-5:] in minutes, shown
    browser.go("/mail/inbox")
    assert browser.page.locator(".rows time").inner_text() in minutes
    browser.compose("", "A draft")
    browser.has_saved()
    browser.page.reload()
    saved = browser.page.locator("#saved").inner_text()
    assert re.fullmatch(r"Saved \d\d:\d\d", saved)
    after = datetime.now(UTC)
    minutes.add(f"{after.astimezone(zone):%H:%M}")
    assert saved[-5:] in minutes


def test_a_long_list_of_recipients_is_folded_and_opens(
    alice: Someone, someone: Callable[..., Someone]
) -> None:
    others = [someone(name) for name in ("Ben", "Cleo", "Dora", "Emil", "Fay", "Gus", "Hana")]
    alice.plain.send(", ".join(other.address for other in others), "To the whole house")
    browser = alice.window
    browser.open("To the whole house", "Sent")
    expect(browser.page.get_by_text(others[0].address)).to_be_visible()
    expect(browser.page.get_by_text(others[-1].address)).to_be_hidden()
    browser.page.get_by_text("and 3 more").click()
    expect(browser.page.get_by_text(others[-1].address)).to_be_visible()
