"""A send that waits outlives the instance that took it, and is sent once by another's companion."""

from __future__ import annotations

from collections.abc import Iterator

import pytest

from tests.people import Attached, Person
from tests.scraping import within
from tests.services.house import House


@pytest.fixture
def alice(house: House) -> Iterator[Person]:
    """Alice at the first instance, whose messages wait five seconds."""
    alice = house.person("alice")
    alice.visit("/settings")
    alice.press("Save settings", {"Undo Send": "5"})
    yield alice
    again = house.person("alice", at=house.webs[1])
    again.visit("/settings")
    again.press("Save settings", {"Undo Send": "0"})


def test_an_instance_killed_while_a_send_waits_costs_nothing(house: House, alice: Person) -> None:
    bob = house.person("bob", at=house.webs[1])
    subject = "waits while an instance dies"
    alice.send("bob@mail.example", subject, "", [Attached("one.bin", b"one")])
    assert "Your message has been sent." in alice.text
    assert alice.sees_button("Undo")

    house.webs[0].kill()
    try:
        assert within(40, lambda: subject in bob.subjects())
        assert bob.subjects().count(subject) == 1
        bob.open(subject)
        assert bob.download("one.bin") == b"one"
    finally:
        house.webs[0].start()


def test_a_send_that_is_undone_on_another_instance_is_not_sent(house: House, alice: Person) -> None:
    bob = house.person("bob", at=house.webs[1])
    alice.send("bob@mail.example", "undone elsewhere")
    elsewhere = house.person("alice", at=house.webs[1])
    elsewhere.visit("/mail/scheduled")
    elsewhere.press("Cancel undone elsewhere")

    alice.send("bob@mail.example", "sent after it")

    assert within(40, lambda: "sent after it" in bob.subjects())
    assert "undone elsewhere" not in bob.subjects()
    assert "undone elsewhere" in elsewhere.subjects("Drafts")
