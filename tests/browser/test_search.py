"""Finding mail in a real browser, wide and narrow, on instances that take turns."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.browser.window import Someone

WIDE, NARROW = {"width": 1440, "height": 900}, {"width": 390, "height": 844}


@pytest.fixture(params=[WIDE, NARROW], ids=["wide", "narrow"])
def reader(
    request: pytest.FixtureRequest, someone: Callable[..., Someone], bob: Someone
) -> Someone:
    """Somebody to whom Bob has written a few times."""
    reader = someone("Reader", viewport=request.param)
    bob.plain.send(reader.address, "The Budget of spring", "All of it is in the 내년예산안.")
    bob.plain.send(reader.address, "Lunch", "At noon, with the budget.")
    bob.plain.send(reader.address, "회의록", "東京タワーで会いましょう")
    return reader


def search(person: Someone, query: str) -> None:
    field = person.window.field("Search")
    field.fill(query)
    field.press("Enter")
    expect(person.window.page.locator("main")).to_contain_text(query)
    expect(field).to_have_value(query)


def test_from_any_page_one_finds_and_opens_a_message_by_what_is_in_it(reader: Someone) -> None:
    browser = reader.window
    browser.go("/settings")
    search(reader, "budget")
    assert browser.subjects == ["Lunch", "The Budget of spring"]
    marks = browser.page.locator("main mark")
    assert marks.all_text_contents() == ["budget", "Budget"]
    expect(browser.page.locator("main .rows .folder").first).to_have_text("Inbox")
    for query, subject in (
        ("예산", "The Budget of spring"),
        ("의록", "회의록"),
        ("タワー", "회의록"),
        ('"in the 내년"', "The Budget of spring"),
        ("budget -lunch", "The Budget of spring"),
        ("subject:budget from:bob is:unread in:inbox", "The Budget of spring"),
    ):
        search(reader, query)
        assert browser.subjects == [subject], query
    browser.follow("The Budget of spring")
    browser.sees("내년예산안")
    width = browser.page.evaluate("document.documentElement.scrollWidth - innerWidth")
    assert width <= 0


def test_what_cannot_be_read_is_said_and_can_be_mended(reader: Someone) -> None:
    browser = reader.window
    browser.go("/mail/inbox")
    search(reader, "is:purple before:")
    browser.sees("not “purple”")
    browser.sees("After “before:” a date is missing")
    browser.sees("How to search")
    search(reader, "is:unread before:2099")
    assert len(browser.subjects) == 3


def test_all_that_match_are_archived_and_brought_back(reader: Someone) -> None:
    browser = reader.window
    browser.go("/mail/inbox")
    search(reader, "budget")
    browser.field("Select all").check()
    browser.press("Archive")
    browser.sees("2 messages moved to Archive.")
    expect(browser.page.locator("main .rows .folder").first).to_have_text("Archive")
    browser.press("Undo")
    browser.sees("Undone.")
    expect(browser.page.locator("main .rows .folder").first).to_have_text("Inbox")
