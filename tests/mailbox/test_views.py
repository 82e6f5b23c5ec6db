"""Everybody's own view: what one person does with a message changes nobody else's."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from datetime import timedelta

from flask import Flask

from mailapp.attachments.collector import collect
from mailapp.database import now
from tests.checks import alike, submit
from tests.people import Attached, Person

TO_BOTH = "bob@mail.example, charlie@mail.example"


def unread(reader: Person) -> list[str]:
    """The subjects in bold in the inbox."""
    reader.visit("/mail/inbox")
    return [link.text for link in reader.page.select("main li.new a")]


def test_reading_and_marking_unread_are_one_s_own(
    alice: Person, bob: Person, charlie: Person
) -> None:
    alice.send(TO_BOTH, "News")
    assert unread(bob) == unread(charlie) == ["News"]
    assert "1 unread" in bob.text
    bob.open("News")
    assert unread(bob) == []
    assert "1 unread" not in bob.text
    assert unread(charlie) == ["News"]
    bob.open("News")
    bob.press("Mark unread")
    assert unread(bob) == ["News"]


def test_who_opens_a_message_is_not_told_of_having_read_it(alice: Person, bob: Person) -> None:
    alice.send("bob@mail.example", "News")

    bob.open("News")

    head = bob.page.select_one("[data-modseq]")
    assert head is not None
    assert head["data-modseq"] == str(bob.client.get("/live/state").json()["modseq"])


def test_deleting_moves_to_trash_and_there_it_is_final_for_that_person(
    alice: Person, bob: Person, charlie: Person
) -> None:
    alice.send(TO_BOTH, "News", "x", [Attached("a.txt", b"a")])
    bob.open("News")
    bob.press("Delete")
    assert bob.subjects() == []
    assert bob.subjects("Trash") == ["News"]
    bob.open("News", "Trash")
    bob.press("Restore")
    assert bob.subjects() == ["News"]
    bob.open("News")
    message = str(bob.response.url.path)
    file = str(bob.link("a.txt")["href"])
    bob.press("Delete")
    bob.press("Undo")
    bob.open("News")
    bob.press("Delete")
    bob.open("News", "Trash")
    bob.press("Delete")
    assert bob.subjects() == bob.subjects("Trash") == []
    for gone in (message, f"{message}/original", file, f"/compose?forward={message[6:]}"):
        assert bob.client.get(gone).status_code == 404
    assert charlie.subjects() == ["News"]
    charlie.open("News")
    assert charlie.download("a.txt") == b"a"
    assert alice.subjects("Sent") == ["News"]
    alice.open("News", "Sent")
    alice.press("Delete")
    alice.open("News", "Trash")
    alice.press("Restore")
    assert alice.subjects("Sent") == ["News"]


def test_a_forwarded_file_outlives_the_message_it_came_with(
    alice: Person, bob: Person, charlie: Person, instances: list[Flask]
) -> None:
    alice.send("bob@mail.example", "Files", "x", [Attached("a.txt", b"kept")])
    bob.open("Files")
    bob.follow("Forward")
    bob.press("Send", {"To": "charlie@mail.example"})
    for holder, folders in ((alice, ("Sent",)), (bob, ("Inbox", "Sent"))):
        for folder in folders:
            subject = "Fwd: Files" if holder is bob and folder == "Sent" else "Files"
            for place in (folder, "Trash"):
                holder.open(subject, place)
                holder.press("Delete")
    with instances[0].app_context():
        report = collect(now() + timedelta(seconds=1), timedelta(0))
    assert report.messages == 1
    assert report.blobs == 0
    charlie.open("Fwd: Files")
    assert charlie.download("a.txt") == b"kept"
    for place in ("Inbox", "Trash"):
        charlie.open("Fwd: Files", place)
        charlie.press("Delete")
    with instances[0].app_context():
        report = collect(now() + timedelta(seconds=1), timedelta(0))
    assert (report.messages, report.blobs, report.size) == (1, 1, 4)


def test_what_is_somebody_else_s_answers_as_what_never_was(alice: Person, bob: Person) -> None:
    alice.send("alice@mail.example", "Hers", "x", [Attached("a.txt", b"a")])
    alice.open("Hers")
    entry = str(alice.response.url.path)
    alice.visit("/compose")
    alice.press("Save draft", {"Subject": "Her draft"}, [Attached("a.txt", b"a")])
    hers = str(alice.response.url.path)
    file = alice.page.select_one("button[name=remove]")
    assert file is not None
    alice.visit("/compose")
    action = alice.page.select_one("#compose")
    assert action is not None
    sent = str(action["action"])
    alice.press("Send", {"To": "alice@mail.example", "Subject": "Sent"})
    bob.visit("/compose")
    token = bob.page.select_one("#compose input[name=csrf_token]")
    assert token is not None
    csrf = {"csrf_token": str(token["value"])}
    nobody, never = "/mail/999999", f"/drafts/{uuid.uuid4()}"
    pairs = [
        *(
            (f"{entry}{rest}", f"{nobody}{rest}")
            for rest in (
                "",
                "/original",
                "/attachments/1/a.txt",
            )
        ),
        *(
            (f"/compose?{name}={entry[6:]}", f"/compose?{name}={nobody[6:]}")
            for name in ("reply", "reply_all", "forward")
        ),
        *(
            (f"{draft}{rest}", f"{never}{rest}")
            for draft in (hers, sent)
            for rest in (
                "",
                "/undo-discard",
                f"/inline/{file['value']}",
            )
        ),
    ]
    for theirs, none in pairs:
        for method in ("GET", "HEAD", "POST", "PUT", "DELETE", "OPTIONS"):
            answers = [
                bob.client.request(
                    method,
                    path,
                    data=csrf if method == "POST" else None,
                    files={"file": ("a.txt", b"a")} if method == "POST" else None,
                )
                for path in (theirs, none)
            ]
            assert answers[0].status_code in {404, 405} or method == "OPTIONS", (method, theirs)
            assert alike(*answers), (method, theirs)
    for draft in (hers, sent):
        answers = [submit(bob, {"action": "send"}, to=path) for path in (draft, never)]
        assert answers[0].status_code == 404
        assert alike(*answers)
    assert sorted(alice.subjects()) == ["Hers", "Sent"]
    assert "a.txt" in alice.visit(hers).text


def test_what_people_write_is_text_in_every_list_and_never_markup(
    visitor: Callable[[], Person], bob: Person
) -> None:
    nasty = "<script>alert(1)</script>\"'><b>&amp;"
    mallory = visitor()
    mallory.sign_up(nasty, "mallory@mail.example", "correct horse battery staple")
    mallory.send("bob@mail.example", nasty, nasty)
    mallory.visit("/compose")
    mallory.press("Save draft", {"To": nasty, "Subject": nasty, "Message": nasty})
    for reader, folder in ((bob, "Inbox"), (mallory, "Sent"), (mallory, "Drafts")):
        reader.visit("/")
        reader.follow(folder)
        assert "alert" not in "".join(script.text for script in reader.page.find_all("script"))
        assert "<script>alert" not in reader.response.text
        assert "<b>&" not in reader.response.text
        reader.follow(nasty)
        assert "<script>alert" not in reader.response.text


def test_a_list_that_is_kept_changes_with_the_mail_on_every_instance(
    alice: Person, bob: Person
) -> None:
    for number in range(3):
        for _ in range(4):  # twice on each instance: made, then kept
            bob.visit("/mail/inbox")
            assert len(bob.page.select("ol.rows li")) == number
        alice.send("bob@mail.example", f"Mail {number}")


def test_a_message_that_is_kept_changes_with_the_mail_on_every_instance(
    alice: Person, bob: Person
) -> None:
    alice.send("bob@mail.example", "Kept", "Hello")
    bob.open("Kept")
    page = str(bob.response.url)
    for number in range(3):
        for _ in range(4):  # twice on each instance: made, then kept
            bob.visit(page)
            assert bob.response.status_code == 200
            assert f"{number} unread" in bob.text or not number
            assert bob.page.find("button", string="Restore") is None
        alice.send("bob@mail.example", f"Mail {number}")
    bob.press("Delete")
    for _ in range(4):
        bob.visit(page)
        assert "This message is in the trash." in bob.text
    bob.press("Delete")
    for _ in range(4):
        bob.visit(page)
        assert bob.response.status_code == 404
