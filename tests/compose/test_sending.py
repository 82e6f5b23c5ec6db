"""Sending: who gets a message, once, and who sees what of it."""

from __future__ import annotations

from tests.people import Attached, Person


def test_a_message_arrives_with_its_attachments(alice: Person, bob: Person) -> None:
    files = [Attached("one.txt", b"first", "text/plain"), Attached("둘.bin", bytes(range(256)))]
    alice.send("bob@mail.example", "The plan", "Hello Bob", files)
    bob.open("The plan")
    assert "Hello Bob" in bob.text
    assert bob.download("one.txt") == b"first"
    assert bob.download("둘.bin") == bytes(range(256))
    assert set(bob.served_by) == {"web-1", "web-2"}


def test_bcc_is_seen_by_nobody_but_the_sender(alice: Person, bob: Person, charlie: Person) -> None:
    alice.visit("/compose")
    alice.press("Send", {"To": "bob@mail.example", "Bcc": "charlie@mail.example", "Subject": "Hi"})
    for reader in (bob, charlie):
        reader.open("Hi")
        shown = reader.page.find("main")
        assert shown is not None
        assert "charlie@mail.example" not in shown.text
        reader.follow("Show original")
        assert "charlie" not in reader.response.text.lower()
    alice.open("Hi", "Sent")
    assert "charlie@mail.example" in alice.text


def test_the_same_send_pressed_twice_is_one_message(alice: Person, bob: Person) -> None:
    alice.visit("/compose")
    form = alice.page, alice.response
    for _ in range(2):
        alice.page, alice.response = form
        alice.press("Send", {"To": "bob@mail.example", "Subject": "Once"}, [Attached("a", b"a")])
        assert alice.response.status_code == 200
    assert bob.subjects() == ["Once"]
    assert alice.subjects("Sent") == ["Once"]
    assert alice.subjects("Drafts") == []
