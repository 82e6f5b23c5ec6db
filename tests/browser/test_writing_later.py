"""Undo Send, Send later, and two windows on one draft, in the browser."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.browser.window import PHONE, WIDE, Someone


@pytest.mark.parametrize("viewport", [WIDE, PHONE], ids=["wide", "phone"])
def test_a_send_is_undone_and_comes_back_into_the_editor(
    viewport: dict[str, int], someone: Callable[..., Someone], bob: Someone
) -> None:
    alice = someone("Alice", viewport=viewport)
    alice.plain.visit("/settings")
    alice.plain.press("Save settings", {"Undo Send": "30"})
    browser = alice.window
    browser.compose(bob.address, "Too soon", "Not yet finis")
    browser.press("Send")
    browser.sees("Your message has been sent.")
    browser.press("Undo")
    browser.has_written("Not yet finis")
    bob.window.go("/mail/inbox")
    assert "Too soon" not in bob.window.subjects


def test_a_send_is_made_by_the_service_though_the_page_is_closed(
    someone: Callable[..., Someone], bob: Someone
) -> None:
    alice = someone("Alice")
    alice.plain.visit("/settings")
    alice.plain.press("Save settings", {"Undo Send": "5"})
    alice.window.compose(bob.address, "Sent by whom?", "By any instance.")
    alice.window.press("Send")
    alice.window.sees("Your message has been sent.")
    alice.window.close()
    for _ in range(40):
        bob.window.go("/mail/inbox")
        if "Sent by whom?" in bob.window.subjects:
            break
        bob.window.page.wait_for_timeout(500)
    bob.window.open("Sent by whom?")


@pytest.mark.parametrize("viewport", [WIDE, PHONE], ids=["wide", "phone"])
def test_send_later_is_chosen_listed_and_cancelled(
    viewport: dict[str, int], someone: Callable[..., Someone], bob: Someone
) -> None:
    browser = someone("Alice", viewport=viewport).window
    browser.compose(bob.address, "Tomorrow", "In good time.")
    browser.press("Send later")
    browser.press("Tomorrow morning, 8:00")
    browser.sees("at the time you chose")
    if viewport == PHONE:
        bar = browser.page.get_by_role("navigation", name="Folders").get_by_role("link")
        tops = {box["y"] for link in bar.all() if (box := link.bounding_box())}
        assert len(tops) == 1, "the bar at the thumb is one row"
        browser.follow("Folders")
    browser.page.get_by_role("link", name=re.compile("^Scheduled")).click()
    browser.follow("Tomorrow")
    browser.sees("on its way")
    browser.press("Don’t send yet, edit")
    browser.has_written("In good time.")
    browser.press("Send later")
    browser.field("Or at").fill("2001-01-01T08:00")
    browser.press("Schedule")
    browser.sees("has passed already")


def test_two_windows_on_one_draft_say_so_and_lose_nothing(alice: Someone) -> None:
    first = alice.window
    first.compose(subject="Shared", message="As it was")
    first.has_saved()
    address = first.page.url
    second = first.context.new_page()
    second.goto(address)
    message = second.get_by_label("Message", exact=True)
    message.fill("By the second")
    expect(second.locator("#saved")).to_contain_text("Saved")
    second.wait_for_timeout(1500)  # until it has saved itself
    first.field("Message").fill("By the first")
    first.sees("changed in another window")
    first.press("See both")
    first.sees("By the second")
    first.has_written("By the first")
    first.press("Keep mine")
    first.has_written("By the first")
    second.goto(address)
    expect(message).to_have_text("By the first")


def test_a_forgotten_attachment_is_asked_about(alice: Someone, bob: Someone) -> None:
    browser = alice.window
    browser.compose(bob.address, "The plan", "See the attached plan.")
    browser.press("Send")
    browser.sees("no file is attached")
    expect(browser.page.locator("#problems")).to_be_visible()
    browser.press("Send anyway")
    browser.sees("Your message has been sent.")
