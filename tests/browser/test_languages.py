"""One's language and one's clock, chosen once and kept on every instance."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from tests.browser.window import PHONE, WIDE, Someone, Window

SIZES = pytest.mark.parametrize("size", [WIDE, PHONE], ids=["1440x900", "390x844"])


@SIZES
def test_a_language_that_is_chosen_is_every_pages_until_another_is(
    someone: Callable[..., Someone], size: dict[str, int]
) -> None:
    alice = someone("Alice", viewport=size)
    browser = alice.window
    browser.go("/settings")
    browser.field("Language").select_option("한국어")
    browser.press("Save settings")
    browser.sees("설정을 저장했습니다.")
    for path, text in [
        ("/mail/inbox", "받은편지함이 비어 있습니다"),
        ("/search?q=from:", "“from:” 뒤에 이름이나 주소가 없습니다."),
        ("/nothing/here", "여기에는 아무것도 없습니다"),
    ]:
        browser.go(path)
        browser.sees(text)
    assert len(browser.served_by) > 1, "whichever instance answered"
    browser.go("/compose")
    expect(browser.button("보내기")).to_be_visible()
    browser.go("/settings")
    browser.field("언어").select_option("English")
    browser.press("설정 저장")
    browser.sees("Your settings are saved.")


@SIZES
def test_the_browsers_language_is_spoken_to_who_has_chosen_none(
    window: Callable[..., Window], size: dict[str, int]
) -> None:
    visitor = window(viewport=size, locale="ko-KR")
    visitor.go("/login")
    expect(visitor.button("로그인")).to_be_visible()
    visitor.field("이메일").fill("nobody")
    visitor.field("비밀번호").fill("nothing at all")
    visitor.press("로그인")
    visitor.sees("이메일이나 비밀번호가 맞지 않습니다.")


@SIZES
def test_times_are_the_browsers_until_a_zone_is_chosen(
    someone: Callable[..., Someone], size: dict[str, int]
) -> None:
    alice = someone("Alice", viewport=size, timezone_id="Asia/Seoul")
    browser = alice.window
    browser.go("/settings")
    time = browser.page.locator("main time").first
    here = _clock(browser, "Asia/Seoul")
    expect(time).to_contain_text(here)
    browser.field("Time zone").select_option("America/New_York")
    browser.press("Save settings")
    browser.sees("Your settings are saved.")
    there = _clock(browser, "America/New_York")
    assert there != here
    expect(time).to_contain_text(there)


def _clock(browser: Window, zone: str) -> str:
    """When the first time of the page is in a zone."""
    moment = browser.page.locator("main time").first.get_attribute("datetime")
    said: str = browser.page.evaluate(
        """([moment, timeZone]) => new Intl.DateTimeFormat("en-GB", {
            timeZone, hour: "2-digit", minute: "2-digit" }).format(new Date(moment))""",
        [moment, zone],
    )
    return said
