"""Keys, list and message side by side, light and dark, paper, and what a first look costs."""

from __future__ import annotations

import re
from collections.abc import Callable
from typing import Any

import pytest
from playwright.sync_api import Locator, Response, Route, expect

from tests.browser.axe import what_axe_finds
from tests.browser.window import PHONE, WIDE, Someone, Window

SIZES = pytest.mark.parametrize("size", [WIDE, PHONE], ids=["1440x900", "390x844"])


def reading(browser: Window) -> Locator:
    """What is open beside the list."""
    return browser.page.get_by_label("Reading pane")


def row(browser: Window, subject: str) -> Locator:
    """The row of the conversation with this subject."""
    return browser.page.locator(".rows li", has=browser.link(subject))


def send_all(sender: Someone, to: Someone, *subjects: str) -> None:
    """Send messages, so that the last of them stands first."""
    for subject in subjects:
        sender.plain.send(to.address, subject, f"The text of {subject}.")


# Side by side ------------------------------------------------------------------------------------


def test_on_a_wide_screen_a_message_opens_beside_its_list(
    someone: Callable[..., Someone], bob: Someone
) -> None:
    alice = someone("Alice", panes=True)
    send_all(bob, alice, "One", "Two", "Three")
    browser = alice.window
    browser.go("/mail/inbox")
    list_url = browser.page.url
    browser.follow("Two")
    expect(reading(browser).get_by_role("heading", name="Two")).to_be_visible()
    expect(reading(browser).get_by_text("The text of Two.")).to_be_visible()
    expect(browser.link("Three")).to_be_visible()
    expect(browser.page).to_have_title("Two – Mailapp")
    expect(browser.link("Two")).to_have_attribute("aria-current", "true")
    expect(browser.link("Two")).to_have_css("font-weight", "400")  # it is read, here too
    expect(browser.button("Delete")).to_have_count(1)  # one toolbar at a time
    message_url = browser.page.url
    assert re.search(r"/mail/\d+$", message_url)

    browser.follow("One")
    expect(reading(browser).get_by_role("heading", name="One")).to_be_visible()
    browser.page.go_back()
    expect(reading(browser).get_by_role("heading", name="Two")).to_be_visible()
    browser.page.go_back()
    expect(reading(browser)).to_be_hidden()
    assert browser.page.url == list_url
    browser.page.go_forward()
    expect(reading(browser).get_by_role("heading", name="Two")).to_be_visible()
    browser.page.reload()
    expect(reading(browser).get_by_role("heading", name="Two")).to_be_visible()
    expect(browser.link("Three")).to_be_visible()
    assert browser.page.url == message_url


def test_back_shows_a_message_again_that_was_opened_within_its_conversation(
    someone: Callable[..., Someone], bob: Someone
) -> None:
    alice = someone("Alice", panes=True)
    send_all(bob, alice, "Talk")
    bob.plain.open("Talk", "Sent")
    bob.plain.follow("Reply all")
    bob.plain.press("Send", {"To": alice.address, "Message": "And another thing"})
    send_all(bob, alice, "Aside")
    alice.plain.open("Re: Talk")  # what has been read is a line of the conversation
    browser = alice.window
    browser.go("/mail/inbox")
    browser.follow("Re: Talk")
    reading(browser).locator(".line a").first.click()
    expect(browser.page).to_have_url(re.compile(r"/mail/\d+#m\d+$"))
    expect(reading(browser).get_by_text("The text of Talk.")).to_be_visible()
    browser.follow("Aside")
    expect(reading(browser).get_by_text("The text of Aside.")).to_be_visible()
    browser.page.go_back()
    expect(reading(browser).get_by_text("The text of Talk.")).to_be_visible()
    # A jump within what is shown loads nothing anew, but what the page asks for by itself.
    made = len(browser.requests)
    browser.page.evaluate("location.hash = 'main'")
    expect(browser.page).to_have_url(re.compile("#main$"))
    browser.page.wait_for_timeout(200)
    opened = [one for one in browser.requests[made:] if "x-by-itself" not in one.headers]
    assert [one.url for one in opened if "/mail/" in one.url] == []


def test_a_message_beside_its_list_is_archived_and_comes_back(
    someone: Callable[..., Someone], bob: Someone
) -> None:
    alice = someone("Alice", panes=True)
    send_all(bob, alice, "Stays", "Goes")
    browser = alice.window
    browser.go("/mail/inbox")
    browser.follow("Goes")
    browser.press("Archive")
    expect(browser.link("Goes")).to_have_count(0)
    expect(reading(browser)).to_be_hidden()
    browser.press("Undo")
    expect(browser.link("Goes")).to_be_visible()
    expect(browser.link("Stays")).to_be_visible()


def test_mail_that_comes_joins_both_sides(someone: Callable[..., Someone], bob: Someone) -> None:
    alice = someone("Alice", panes=True)
    send_all(bob, alice, "Talk")
    browser = alice.window
    browser.go("/mail/inbox")
    browser.follow("Talk")
    expect(reading(browser).get_by_text("The text of Talk.")).to_be_visible()
    bob.plain.open("Talk", "Sent")
    bob.plain.follow("Reply all")
    bob.plain.press("Send", {"To": alice.address, "Message": "And another thing"})
    send_all(bob, alice, "Aside")

    expect(browser.link("Aside")).to_be_visible()
    expect(reading(browser).get_by_text("And another thing")).to_be_visible()


def test_a_list_that_comes_beside_a_message_stays_when_something_changes_meanwhile(
    someone: Callable[..., Someone], bob: Someone
) -> None:
    alice = someone("Alice", panes=True)
    send_all(bob, alice, "Talk", "Goes", "Stays")
    browser = alice.window
    alice.plain.visit("/mail/inbox")
    address = str(alice.plain.link("Talk")["href"])
    held: list[Route] = []

    def hold_first(pattern: str) -> None:
        first = len(held)
        browser.page.route(
            pattern, lambda route: route.continue_() if held[first:] else held.append(route)
        )

    hold_first("**/mail/inbox")
    with browser.page.expect_request("**/mail/inbox"):
        browser.go(address)
    hold_first("**/vendor/idiomorph/**")

    def looks(response: Response) -> bool:
        return response.url == browser.page.url and "x-by-itself" in response.request.headers

    with browser.page.expect_response(looks), browser.page.expect_request("**/idiomorph/**"):
        alice.plain.select("Goes")
        alice.plain.press("Archive")
    held[0].continue_()
    expect(browser.link("Stays")).to_be_visible()
    browser.page.evaluate(
        """document.querySelector("main").addEventListener("shown", ({ target, currentTarget }) => {
          if (target === currentTarget) target.classList.add("shown-anew");
        })"""
    )
    held[1].continue_()
    expect(browser.page.locator("main.shown-anew")).to_be_visible()
    expect(browser.link("Stays")).to_be_visible()
    expect(browser.link("Goes")).to_have_count(0)
    expect(reading(browser).get_by_text("The text of Talk.")).to_be_visible()


def test_side_by_side_can_be_turned_off_for_good(
    someone: Callable[..., Someone], bob: Someone
) -> None:
    alice = someone("Alice", panes=True)
    send_all(bob, alice, "Alone")
    browser = alice.window
    browser.go("/mail/inbox")
    browser.press("List and message side by side")
    browser.page.reload()
    browser.follow("Alone")
    expect(browser.page.locator("body.page-message")).to_be_visible()
    expect(browser.page.locator(".rows")).to_have_count(0)


def test_on_a_phone_it_is_one_after_the_other(
    someone: Callable[..., Someone], bob: Someone
) -> None:
    alice = someone("Alice", panes=True, viewport=PHONE)
    send_all(bob, alice, "Small")
    browser = alice.window
    browser.go("/mail/inbox")
    browser.follow("Small")
    expect(browser.page.get_by_text("The text of Small.")).to_be_visible()
    expect(browser.page.locator(".rows")).to_have_count(0)
    browser.follow("Back")
    expect(browser.link("Small")).to_be_visible()
    width = browser.page.evaluate("document.documentElement.scrollWidth")
    assert width <= PHONE["width"]


# Keys --------------------------------------------------------------------------------------------


@pytest.mark.parametrize("panes", [False, True], ids=["one after the other", "side by side"])
def test_a_whole_morning_by_keyboard(
    someone: Callable[..., Someone], bob: Someone, panes: bool
) -> None:
    alice = someone("Alice", panes=panes)
    send_all(bob, alice, "Four", "Three", "Two", "One")
    browser, keys = alice.window, alice.window.page.keyboard
    browser.go("/mail/inbox")
    for key in "jjk":
        keys.press(key)
    expect(browser.link("One")).to_be_focused()
    keys.press("j")
    keys.press("x")
    expect(row(browser, "Two").get_by_role("checkbox")).to_be_checked()
    keys.press("s")
    expect(row(browser, "Two").locator("[name=unstar]")).to_be_visible()
    keys.press("*")
    keys.press("n")
    expect(row(browser, "Two").get_by_role("checkbox")).not_to_be_checked()
    browser.link("Two").focus()
    keys.press("e")
    browser.sees("Moved to Archive.")
    expect(browser.link("Two")).to_have_count(0)
    expect(browser.link("Three")).to_be_focused()
    keys.press("z")
    expect(browser.link("Two")).to_be_visible()
    browser.link("One").focus()
    keys.press("#")
    expect(browser.link("One")).to_have_count(0)
    browser.link("Three").focus()
    keys.press("Enter")
    browser.sees("The text of Three.")
    expect(browser.page).to_have_title("Three – Mailapp")
    keys.press("u")
    expect(browser.link("Three")).to_be_visible()
    expect(browser.page).to_have_title(re.compile("^Inbox"))
    browser.link("Three").focus()
    keys.press("Shift+U")
    expect(row(browser, "Three")).to_have_class(re.compile("new"))
    browser.link("Three").focus()
    keys.press("o")
    expect(browser.page).to_have_title("Three – Mailapp")
    browser.sees("The text of Three.")
    keys.press("r")
    expect(browser.field("To")).to_have_value(re.compile(re.escape(bob.address)))


def test_keys_go_places_and_are_listed(alice: Someone) -> None:
    browser, keys = alice.window, alice.window.page.keyboard
    browser.go("/mail/inbox")
    for letter, title in {
        "d": "Drafts",
        "t": "Sent",
        "s": "Starred",
        "a": "Archive",
        "i": "Inbox",
    }.items():
        keys.press("g")
        keys.press(letter)
        expect(browser.page).to_have_title(re.compile(f"^{title}"))
    keys.press("?")
    dialog = browser.page.get_by_role("dialog", name="Keyboard")
    expect(dialog.get_by_text("Next row")).to_be_visible()
    keys.press("g")
    keys.press("d")
    expect(browser.page).to_have_title(re.compile("^Inbox"))  # not under a dialogue
    keys.press("Escape")
    expect(dialog).to_have_count(0)
    keys.press("c")
    expect(browser.field("Subject")).to_be_visible()


def test_letters_that_are_typed_are_only_typed(alice: Someone) -> None:
    browser = alice.window
    browser.compose()
    browser.field("Subject").press_sequentially("gi #e!?")
    expect(browser.field("Subject")).to_have_value("gi #e!?")


def test_keys_can_be_turned_off(alice: Someone) -> None:
    browser, keys = alice.window, alice.window.page.keyboard
    browser.go("/keys")
    browser.field("Use these keys in this browser").uncheck()
    browser.go("/mail/inbox")
    keys.press("c")
    keys.press("?")
    browser.page.wait_for_timeout(300)
    expect(browser.page).to_have_title("Inbox – Mailapp")
    expect(browser.page.get_by_role("dialog")).to_have_count(0)


# Looks -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("system", ["light", "dark"])
def test_a_chosen_theme_is_that_of_the_first_paint(
    someone: Callable[..., Someone], system: str
) -> None:
    alice = someone("Alice", color_scheme=system, java_script_enabled=False)
    browser = alice.window

    def background() -> str:
        style: str = browser.page.evaluate(
            "getComputedStyle(document.documentElement).backgroundColor"
        )
        return style

    shades = {}
    for theme in ("light", "dark", "system"):
        browser.go("/settings")
        browser.field("Theme").select_option(theme)
        browser.press("Save settings")
        browser.go("/mail/inbox")
        shades[theme] = background()
    assert shades["light"] != shades["dark"]
    assert shades["system"] == shades[system]


def test_on_paper_there_is_the_message_and_nothing_to_press(
    someone: Callable[..., Someone], bob: Someone
) -> None:
    alice = someone("Alice", panes=True)
    send_all(bob, alice, "On paper")
    browser = alice.window
    browser.go("/mail/inbox")
    browser.follow("On paper")
    browser.sees("The text of On paper.")
    browser.page.emulate_media(media="print")
    expect(reading(browser).get_by_text("The text of On paper.")).to_be_visible()
    expect(reading(browser).get_by_text(bob.address)).to_be_visible()
    for gone in ("nav.side", "header.top", ".rows", "#reading .toolbar", "article footer"):
        expect(browser.page.locator(gone).first).to_be_hidden()


def test_axe_finds_no_fault_side_by_side_nor_in_the_list_of_keys(
    someone: Callable[..., Someone], bob: Someone
) -> None:
    alice = someone("Alice", panes=True, bypass_csp=True)
    send_all(bob, alice, "One", "Two")
    browser = alice.window
    browser.go("/mail/inbox")
    browser.follow("Two")
    browser.sees("The text of Two.")
    found = [f"side by side: {fault}" for fault in what_axe_finds(browser, [WIDE])]
    row(browser, "One").get_by_role("checkbox").check()
    found += [f"with a row selected: {fault}" for fault in what_axe_finds(browser, [WIDE])]
    browser.page.keyboard.press("?")
    expect(browser.page.get_by_role("dialog")).to_be_visible()
    found += [f"keys: {fault}" for fault in what_axe_finds(browser, [WIDE])]
    assert found == []


# What a first look costs -------------------------------------------------------------------------


@SIZES
def test_a_first_look_at_the_inbox_is_light_and_nothing_moves(
    someone: Callable[..., Someone], bob: Someone, size: dict[str, int]
) -> None:
    alice = someone("Alice", panes=True, viewport=size)
    send_all(bob, alice, *(f"Number {number}" for number in range(12)))
    browser = alice.window
    received = _bytes_received(browser)
    browser.page.add_init_script(
        """
        window.shifts = [];
        new PerformanceObserver((list) => {
          for (const { value } of list.getEntries()) window.shifts.push(value);
        }).observe({ type: "layout-shift", buffered: true });
        """
    )
    # As on a slow telephone, which reads a page part by part.
    tools = browser.context.new_cdp_session(browser.page)
    tools.send("Emulation.setCPUThrottlingRate", {"rate": 6})
    browser.go("/mail/inbox")
    expect(browser.link("Number 11")).to_be_visible()
    browser.page.wait_for_timeout(1000)

    assert browser.page.evaluate("window.shifts") == []
    assert 0 < sum(received) < 150 * 1024


def _bytes_received(browser: Window) -> list[int]:
    """The bytes over the wire of each answer, heads and compression included, as they come."""
    received: list[int] = []
    session = browser.context.new_cdp_session(browser.page)
    session.send("Network.enable")
    session.send("Network.setCacheDisabled", {"cacheDisabled": True})

    def note(event: dict[str, Any]) -> None:
        received.append(int(event["encodedDataLength"]))

    session.on("Network.loadingFinished", note)
    return received
