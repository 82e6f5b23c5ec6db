"""One's sessions and password, from two browsers."""

from __future__ import annotations

from collections.abc import Callable

from playwright.sync_api import expect

from tests.browser.window import Someone, Window


def test_a_session_is_listed_and_ended_from_another_browser(
    someone: Callable[..., Someone], window: Callable[..., Window]
) -> None:
    alice = someone("Alice")
    other = window(
        user_agent="Mozilla/5.0 (Windows NT 10.0; rv:140.0) Gecko/20100101 Firefox/140.0"
    )
    other.go("/login")
    other.log_in(alice.address, alice.password)

    browser = alice.window
    browser.go("/settings")
    line = browser.page.get_by_role("listitem").filter(has_text="Firefox on Windows")
    expect(line).to_contain_text("From 127.0.0.1")
    expect(browser.page.get_by_text("This session", exact=True)).to_have_count(1)
    line.get_by_role("button", name="End this session").click()
    browser.sees("The session has been ended.")
    browser.sees("You are logged in nowhere else.")

    other.go("/mail/inbox")
    expect(other.button("Log in")).to_be_visible()


def test_a_new_password_ends_every_other_session_and_is_the_one_that_counts(
    alice: Someone, window: Callable[..., Window]
) -> None:
    other = window()
    other.go("/login")
    other.log_in(alice.address, alice.password)
    other.sees("Your inbox is empty")

    browser = alice.window
    browser.go("/settings")
    browser.field("Current password").fill("not this one")
    browser.field("New password").fill("seven geese over the harbour")
    browser.press("Change password")
    browser.sees("This is not your current password.")
    browser.field("Current password").fill(alice.password)
    browser.field("New password").fill("seven geese over the harbour")
    browser.press("Change password")
    browser.sees("The password is changed. Every other session has been ended.")

    other.page.reload()
    other.log_in(alice.address, alice.password)
    other.sees("The email or the password is wrong.")
    other.log_in(alice.address, "seven geese over the harbour")
    other.sees("Your inbox is empty")
