"""Two windows on one draft: neither writes over the other without saying so."""

from __future__ import annotations

import uuid
from collections.abc import Callable

import httpx
import pytest
from bs4 import BeautifulSoup

from tests.checks import submit
from tests.compose.test_drafts import upload
from tests.conftest import PASSWORD
from tests.people import Attached, Person

Window = tuple[BeautifulSoup, httpx.Response]


def open_windows(writer: Person) -> tuple[Window, Window]:
    """The same draft, opened twice."""
    writer.visit("/compose")
    writer.press("Save draft", {"Subject": "Shared", "Message": "As it was"})
    writer.open("Shared", "Drafts")
    first = writer.page, writer.response
    writer.open("Shared", "Drafts")
    return first, (writer.page, writer.response)


def message(writer: Person) -> str:
    """The text in the form that is open."""
    form = writer.page.find("form", id="compose")
    assert form is not None
    return writer.control(form, "Message").text.removeprefix("\n")


def test_a_save_over_another_window_s_shows_both_and_loses_neither(alice: Person) -> None:
    first, second = open_windows(alice)
    alice.page, alice.response = first
    alice.press("Save draft", {"Message": "By the first"})
    alice.page, alice.response = second
    alice.press("Save draft", {"Message": "By the second"}, [Attached("kept.txt", b"kept")])
    assert alice.response.status_code == 409
    assert message(alice) == "By the second"
    assert "By the first" in alice.text
    assert "kept.txt" in alice.text
    conflict = alice.page, alice.response
    alice.follow("Take the other")
    assert message(alice) == "By the first"
    alice.page, alice.response = conflict
    alice.press("Keep mine")
    assert alice.response.status_code == 200
    assert message(alice) == "By the second"


def test_a_send_over_another_window_s_change_is_not_sent(alice: Person, bob: Person) -> None:
    first, second = open_windows(alice)
    alice.page, alice.response = first
    alice.press("Save draft", {"To": "bob@mail.example", "Message": "By the first"})
    alice.page, alice.response = second
    alice.press("Send", {"To": "bob@mail.example", "Message": "By the second"})
    assert alice.response.status_code == 409
    assert bob.subjects() == []
    alice.press("Send")
    bob.open("Shared")
    assert "By the second" in bob.text


@pytest.mark.parametrize("button", ["Send", "Save draft"])
def test_another_text_than_the_one_that_was_sent_is_given_back(
    button: str, alice: Person, bob: Person
) -> None:
    first, second = open_windows(alice)
    alice.page, alice.response = first
    alice.press("Send", {"To": "bob@mail.example", "Message": "By the first"})
    for _ in range(2):  # which is answered the same, however often it comes
        alice.page, alice.response = first
        alice.press("Send", {"To": "bob@mail.example", "Message": "By the first"})
        assert "Your message has been sent." in alice.text
    alice.page, alice.response = second
    alice.press(button, {"Message": "By the second"}, [Attached("a.txt", b"a")])
    assert alice.response.status_code == 409
    assert "This message has already been sent." in alice.text
    assert "By the second" in alice.text
    assert bob.subjects() == ["Shared"]


def test_a_script_is_refused_and_told_the_version_of_what_it_saved(alice: Person) -> None:
    first, second = open_windows(alice)
    alice.page, alice.response = first
    answer = submit(alice, {"body": "One", "action": "save"}, by_script=True).json()
    # The same window once more: also where that answer was lost, and so the new version.
    again = submit(alice, {"body": "Two", "action": "save"}, by_script=True).json()
    assert again["version"] == answer["version"] + 1
    alice.page, alice.response = second
    refused = submit(alice, {"body": "Other", "action": "save"}, by_script=True)
    assert refused.status_code == 409
    assert refused.json()["changed"] is True
    same = submit(alice, {"body": "Two", "action": "save"}, by_script=True)
    assert same.status_code == 200, "what says the same is no other"


def test_without_a_session_the_other_text_becomes_a_draft_of_its_own(
    alice: Person, visitor: Callable[[], Person]
) -> None:
    first, second = open_windows(alice)
    alice.page, alice.response = first
    alice.press("Save draft", {"Message": "By the first"})
    alice.page, alice.response = second
    alice.client.cookies.clear()
    for _ in range(2):
        alice.page, alice.response = second
        alice.press("Send", {"Subject": "Apart", "Message": "By the second"})
        assert "What you wrote is saved" in alice.text
    other = visitor()
    other.log_in("alice@mail.example", PASSWORD)
    assert sorted(other.subjects("Drafts")) == ["Apart", "Shared"]


def test_a_file_that_came_before_the_first_save_is_no_other_window(alice: Person) -> None:
    alice.visit("/compose")
    assert upload(alice, uuid.uuid4(), "a.txt", b"a").status_code == 201
    alice.press("Save draft", {"Subject": "First"})
    assert alice.response.status_code == 200
    assert "a.txt" in alice.text
