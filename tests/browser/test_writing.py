"""Writing: drafts that save themselves, files that upload at once, and what can go wrong."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

import pytest
import redis
from playwright.sync_api import Route, expect

from tests.browser.window import Someone, Window, payload
from tests.cluster.parts import Cluster


def test_a_draft_survives_the_closing_of_the_browser(
    alice: Someone, window: Callable[..., Window]
) -> None:
    first = alice.window
    first.compose("bob", "Half a thought", "It begins")
    first.attach(payload("notes.txt", b"one two three"))
    expect(first.page.get_by_role("progressbar")).to_have_count(0)
    first.has_saved()
    first.close()

    second = window()
    second.go("/login")
    second.log_in(alice.address, alice.password)
    second.link("Drafts 1 saved").click()
    second.follow("Half a thought")
    expect(second.field("To")).to_have_value("bob")
    second.has_written("It begins")
    expect(second.file("notes.txt")).to_contain_text("13 bytes")


def test_what_is_typed_is_saved_by_itself_and_said_to_be(alice: Someone) -> None:
    browser = alice.window
    browser.compose()
    expect(browser.page.locator("#saved")).to_be_empty()
    browser.field("Message").press_sequentially("A thought")
    browser.has_saved()
    browser.page.reload()
    browser.has_written("A thought")
    browser.go("/mail/drafts")
    browser.sees("A thought")


def test_a_long_text_is_saved_as_its_page_is_hidden(alice: Someone) -> None:
    browser = alice.window
    browser.compose(message="long " * 15_000)
    browser.page.evaluate(
        """() => {
          Object.defineProperty(document, "visibilityState", { value: "hidden" });
          document.dispatchEvent(new Event("visibilitychange"));
        }"""
    )
    saved = browser.page.locator("#saved")
    expect(saved).not_to_be_empty()
    assert saved.inner_text().startswith("Saved"), "at the first try"


def test_a_file_removed_while_it_uploads_is_not_sent(alice: Someone, bob: Someone) -> None:
    browser = alice.window
    browser.compose(bob.address, "One of two")
    network = browser.context.new_cdp_session(browser.page)
    slow = {"offline": False, "latency": 0, "downloadThroughput": -1, "uploadThroughput": 200_000}
    network.send("Network.emulateNetworkConditions", slow)
    browser.attach(payload("unwanted.bin", b"." * 2_000_000))
    expect(browser.file("unwanted.bin")).to_contain_text("%")
    browser.press("Remove unwanted.bin")
    expect(browser.page.locator("#attached li")).to_have_count(0)
    network.send("Network.emulateNetworkConditions", {**slow, "uploadThroughput": -1})
    browser.attach(payload("wanted.txt", b"yes"))
    browser.press("Send")
    browser.sees("Your message has been sent.")
    bob.window.open("One of two")
    bob.window.sees("1 attachment")
    assert bob.window.download("wanted.txt") == b"yes"


def test_a_file_that_is_too_large_is_refused_before_it_is_uploaded(
    alice: Someone, bob: Someone, tmp_path: Path
) -> None:
    large = tmp_path / "film.mkv"
    with large.open("wb") as file:
        file.truncate(50 * 1024 * 1024 + 1)
    browser = alice.window
    browser.compose(bob.address, "A film")
    browser.field("Attach files").set_input_files(large)
    expect(browser.file("film.mkv")).to_contain_text("A file can have at most 50 MB.")
    browser.press("Send")
    browser.sees("A file is not attached.")
    expect(browser.button("Remove film.mkv")).to_be_focused()
    browser.press("Remove film.mkv")
    assert browser.uploads() == []
    browser.press("Send")
    browser.sees("Your message has been sent.")


def test_send_waits_for_the_files_on_their_way(alice: Someone, bob: Someone) -> None:
    browser = alice.window
    browser.compose(bob.address, "Patience")
    held: list[Route] = []
    browser.page.route("**/uploads/*", lambda route: held.append(route))
    browser.attach(payload("late.txt", b"at last"))
    browser.page.wait_for_timeout(0)
    browser.press("Send")
    expect(browser.button("Sending when uploads finish…")).to_be_visible()
    while not held:
        browser.page.wait_for_timeout(20)
    held[0].continue_()
    browser.sees("Your message has been sent.")
    bob.window.open("Patience")
    assert bob.window.download("late.txt") == b"at last"


def test_an_upload_that_breaks_off_is_tried_again(alice: Someone) -> None:
    browser = alice.window
    browser.compose(subject="Broken line")
    tries: list[str] = []

    def break_once(route: Route) -> None:
        tries.append(route.request.url)
        if len(tries) == 1:
            route.abort("connectionreset")
        else:
            route.continue_()

    browser.page.route("**/uploads/*", break_once)
    browser.attach(payload("again.txt", b"again"))
    expect(browser.file("again.txt")).to_contain_text("trying again")
    expect(browser.file("again.txt")).to_contain_text("5 bytes")
    assert tries[0] == tries[1], "the same file under the same id"


@pytest.mark.parametrize("lost", ["the cookie", "every session"])
def test_a_session_lost_at_send_costs_a_log_in_and_nothing_else(
    lost: str, alice: Someone, bob: Someone, cluster: Cluster
) -> None:
    browser = alice.window
    browser.compose(bob.address, "Before lunch", "Long and careful.")
    browser.attach(payload("careful.txt", b"words"))
    expect(browser.page.get_by_role("progressbar")).to_have_count(0)
    if lost == "the cookie":
        browser.context.clear_cookies()
    else:
        with redis.Redis.from_url(cluster.valkey.url) as connection:
            connection.flushall()
    browser.field("Message").fill("Long and careful. And longer.")
    browser.press("Send")
    browser.sees("You are logged out, so nothing was sent.")

    browser.log_in(alice.address, alice.password)
    expect(browser.field("To")).to_have_value(bob.address)
    browser.has_written("Long and careful. And longer.")
    expect(browser.file("careful.txt")).to_be_visible()
    browser.press("Send")
    browser.sees("Your message has been sent.")

    reader = bob.window
    if lost == "every session":
        reader.go("/login")
        reader.log_in(bob.address, bob.password)
    reader.open("Before lunch")
    reader.sees("And longer.")
    assert reader.download("careful.txt") == b"words"


def test_an_unknown_recipient_is_named_and_the_draft_stays(alice: Someone) -> None:
    browser = alice.window
    browser.compose("nobody-at-all@mail.example", "To whom?", "Somebody.")
    browser.attach(payload("kept.txt", b"kept"))
    browser.press("Send")
    expect(browser.page.locator("#problems")).to_contain_text("nobody-at-all@mail.example")
    expect(browser.page.locator("#problems")).to_be_focused()
    expect(browser.field("To")).to_have_accessible_description(re.compile("nobody-at-all"))
    browser.has_written("Somebody.")
    expect(browser.file("kept.txt")).to_be_visible()
    browser.go("/mail/sent")
    browser.sees("Nothing sent yet")


def test_a_deleted_draft_can_be_brought_back(alice: Someone) -> None:
    browser = alice.window
    browser.compose("", "On second thoughts", "No.")
    browser.press("Delete draft")
    browser.sees("Draft deleted.")
    browser.sees("No drafts")
    browser.press("Undo")
    expect(browser.field("Subject")).to_have_value("On second thoughts")


def test_without_redis_send_says_what_happened_and_gives_back_what_was_typed(
    alice: Someone, bob: Someone, cluster: Cluster
) -> None:
    browser = alice.window
    browser.compose(bob.address, "At a bad moment", "Still here.")
    browser.has_saved()
    cluster.valkey.pause()
    try:
        browser.press("Send")
        browser.sees("Saved, but not sent")
        browser.has_written("Still here.")
    finally:
        cluster.valkey.resume()
    browser.open("At a bad moment", "Drafts")
    browser.press("Send")
    browser.sees("Your message has been sent.")
