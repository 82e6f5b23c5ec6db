"""Conversations, folders and selecting in a real browser, wide and on a phone."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.browser.window import PHONE, WIDE, Someone

SIZES = pytest.mark.parametrize("viewport", [WIDE, PHONE], ids=["wide", "phone"])


@pytest.fixture
def reader(someone: Callable[..., Someone], viewport: dict[str, int], bob: Someone) -> Someone:
    """Rita, to whom Bob has written five times."""
    rita = someone("Rita", viewport=viewport)
    for number in range(1, 6):
        bob.plain.send(rita.address, f"Letter {number}")
    rita.window.go("/mail/inbox")
    return rita


def box(reader: Someone, subject: str) -> None:
    """Tick the box of a row."""
    reader.window.page.get_by_role("checkbox", name=f"Select {subject}", exact=True).click()


@SIZES
def test_a_range_is_selected_with_shift_archived_and_brought_back(reader: Someone) -> None:
    browser = reader.window
    box(reader, "Letter 4")
    with_shift = browser.page.get_by_role("checkbox", name="Select Letter 2", exact=True)
    with_shift.click(modifiers=["Shift"])
    expect(browser.page.locator("#list input[name=entry]:checked")).to_have_count(3)
    browser.page.locator("#list").get_by_role("button", name="Archive", exact=True).click()
    browser.sees("3 messages moved to Archive.")
    expect(browser.link("Letter 3")).to_have_count(0)
    assert browser.subjects == ["Letter 5", "Letter 1"]
    browser.press("Undo")
    browser.sees("Undone.")
    expect(browser.link("Letter 3")).to_be_visible()


@SIZES
def test_all_are_selected_and_one_of_them_is_left_out_again(reader: Someone) -> None:
    browser = reader.window
    every = browser.page.get_by_label("Select all", exact=True)
    every.check()
    expect(browser.page.locator("#list input[name=entry]:checked")).to_have_count(5)
    box(reader, "Letter 3")
    expect(every).not_to_be_checked()
    browser.page.locator("#list").get_by_role("button", name="Mark read", exact=True).click()
    browser.sees("4 messages marked read.")
    expect(browser.link("Letter 3")).to_have_css("font-weight", "700")
    expect(browser.link("Letter 2")).to_have_css("font-weight", "400")


@SIZES
def test_a_folder_is_made_and_messages_are_moved_to_it(reader: Someone) -> None:
    browser = reader.window
    if browser.page.viewport_size == PHONE:
        browser.follow("Folders")
        browser.page.locator("main").get_by_role("link", name="New folder").click()
    else:
        browser.follow("New folder")
    expect(browser.field("Name")).to_be_focused()
    browser.page.keyboard.type("Projects")
    browser.press("Create")
    browser.sees("This folder is empty")
    browser.go("/mail/inbox")
    box(reader, "Letter 5")
    browser.field("Move to").select_option(label="Projects")
    browser.page.locator("#list").get_by_role("button", name="Move to", exact=True).click()
    browser.sees("Moved to Projects.")
    browser.go("/folders")
    browser.page.locator("main").get_by_role("link", name="Projects", exact=True).click()
    expect(browser.link("Letter 5")).to_be_visible()


@SIZES
def test_a_conversation_opens_at_what_is_unread(
    reader: Someone, bob: Someone, viewport: dict[str, int]
) -> None:
    bob.plain.open("Letter 5", "Sent")
    for _ in range(3):
        bob.plain.follow("Reply")
        bob.plain.press("Send", {"To": reader.address, "Message": "Line\n" * 40})
        bob.plain.open("Re: Letter 5", "Sent")
    browser = reader.window
    browser.open("Re: Letter 5")
    expect(browser.page.locator(".conversation .letter")).to_have_count(4)
    reader.plain.visit("/mail/inbox")
    bob.plain.follow("Reply")
    bob.plain.press("Send", {"To": reader.address, "Message": "The end"})
    browser.open("Re: Letter 5")
    expect(browser.page.locator(".conversation .line")).to_have_count(4)
    expect(browser.page.locator(".conversation .letter")).to_have_count(1)
    expect(browser.page.get_by_text("The end", exact=True)).to_be_in_viewport()
    browser.page.locator(".conversation .line a").first.click()
    expect(browser.page.locator(".conversation .letter")).to_have_count(2)


@SIZES
def test_a_star_is_one_click_and_listed(reader: Someone) -> None:
    browser = reader.window
    browser.page.get_by_role("button", name="Star Letter 2", exact=True).click()
    expect(browser.page.get_by_role("button", name=re.compile("Unstar Letter 2"))).to_be_visible()
    browser.go("/mail/starred")
    assert browser.subjects == ["Letter 2"]
    browser.follow("Letter 2")
    browser.press("Unstar")
    expect(browser.button("Star").last).to_be_visible()
    browser.go("/mail/starred")
    browser.sees("Nothing has a star")
