"""What changes elsewhere, in pages that are open."""

from __future__ import annotations

import re
from collections.abc import Callable

import pytest
from playwright.sync_api import expect

from deploy.topology import Web
from tests.browser.window import PHONE, WIDE, Someone
from tests.cluster.conftest import cluster  # noqa: F401
from tests.cluster.parts import Cluster

SIZES = pytest.mark.parametrize("size", [WIDE, PHONE], ids=["1440x900", "390x844"])


@SIZES
def test_new_mail_and_what_is_read_appear_in_every_open_page(
    someone: Callable[..., Someone], size: dict[str, int]
) -> None:
    alice, bob = someone("Alice", viewport=size), someone("Bob")
    browser = alice.window
    browser.go("/mail/inbox")
    second = browser.context.new_page()
    second.goto("/settings")
    expect(browser.page).to_have_title("Inbox – Mailapp")
    for number, subject in enumerate(("One", "Two", "Three"), 1):
        bob.plain.send(alice.address, subject)
        expect(browser.link(subject)).to_be_visible()
        expect(browser.page).to_have_title(f"Inbox ({number}) – Mailapp")
        expect(second.locator("nav.side .count.unread")).to_contain_text(str(number))
    assert len(browser.served_by) > 1

    alice.plain.open("Two")  # in another browser
    expect(browser.link("Two")).to_have_css("font-weight", "400")
    expect(browser.link("Three")).to_have_css("font-weight", "700")
    expect(second.locator("nav.side .count.unread")).to_contain_text("2")


def test_what_one_is_doing_is_not_disturbed(alice: Someone, bob: Someone) -> None:
    for number in range(30):
        bob.plain.send(alice.address, f"Earlier {number}")
    browser = alice.window
    browser.go("/mail/inbox")
    link = browser.link("Earlier 4")
    link.scroll_into_view_if_needed()
    link.focus()
    box = browser.page.locator("li", has=link).get_by_role("checkbox")
    box.check()
    link.focus()
    browser.page.evaluate(
        """() => {
          const text = document.activeElement.firstChild;
          getSelection().setBaseAndExtent(text, 0, text, 7);
        }"""
    )
    top = link.bounding_box()
    bob.plain.send(alice.address, "Now")
    expect(browser.link("Now")).to_be_attached()

    expect(link).to_be_focused()
    expect(box).to_be_checked()
    assert browser.page.evaluate("getSelection().toString()") == "Earlier"
    after = link.bounding_box()
    assert top is not None
    assert after is not None
    assert abs(after["y"] - top["y"]) < 3


def test_what_is_being_written_stays_while_mail_comes(alice: Someone, bob: Someone) -> None:
    browser = alice.window
    browser.compose(bob.address, "Half", "a sente")
    browser.field("Subject").focus()
    bob.plain.send(alice.address, "Meanwhile")
    expect(browser.link("Inbox 1 unread")).to_be_attached()

    expect(browser.field("Subject")).to_be_focused()
    expect(browser.field("Subject")).to_have_value("Half")


def test_an_open_message_stays_unread_when_somebody_marks_it_so(
    alice: Someone, bob: Someone
) -> None:
    bob.plain.send(alice.address, "Once more")
    browser = alice.window
    browser.open("Once more")
    expect(browser.page).to_have_title("Once more – Mailapp")
    alice.plain.open("Once more")
    alice.plain.press("Mark unread")

    expect(browser.link("Inbox 1 unread")).to_be_visible()
    bob.plain.send(alice.address, "Another")
    expect(browser.link("Inbox 2 unread")).to_be_visible()  # nothing read it on its own


def test_a_stopped_instance_hands_its_pages_to_another(
    alice: Someone,
    bob: Someone,
    cluster: Cluster,  # noqa: F811
) -> None:
    browser = alice.window
    browser.go("/mail/inbox")
    for number, web in enumerate(cluster.webs):
        _restart(web)
        bob.plain.send(alice.address, f"After {number}")
        expect(browser.link(f"After {number}")).to_be_visible()


def test_where_events_do_not_come_through_the_page_asks(alice: Someone, bob: Someone) -> None:
    browser = alice.window
    browser.page.route(re.compile("/live\\?"), lambda route: route.abort())
    browser.go("/mail/inbox")
    bob.plain.send(alice.address, "All the same")

    expect(browser.link("All the same")).to_be_visible(timeout=15_000)


def test_a_page_left_open_says_that_its_session_has_ended(alice: Someone) -> None:
    browser = alice.window
    browser.go("/mail/inbox")
    browser.page.wait_for_timeout(500)  # until it listens
    alice.plain.visit("/")
    alice.plain.press("Log out")

    expect(browser.page.get_by_role("alert")).to_contain_text("You are logged out.")


def _restart(web: Web) -> None:
    web.stop()
    web.start()
