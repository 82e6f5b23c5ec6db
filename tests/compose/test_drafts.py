"""Drafts: there from the first word or file, and never lost, brought back or anybody else's."""

from __future__ import annotations

import base64
import uuid
from collections.abc import Callable
from contextlib import suppress
from urllib.parse import unquote

import httpx
from bs4 import Tag
from flask import Flask
from sqlalchemy import func, select

from mailapp.compose import drafts, sending
from mailapp.compose.keys import DraftKey
from mailapp.compose.models import Draft, DraftAttachment
from mailapp.compose.state import AlreadySent, Discarded, NotYours
from mailapp.compose.typed import Typed
from mailapp.database import read
from tests.checks import account, alike, at_once, draft, original, submit
from tests.conftest import PASSWORD
from tests.people import Attached, Person

BOB = "bob@mail.example"


def test_looking_at_an_empty_form_stores_nothing(alice: Person, instances: list[Flask]) -> None:
    alice.visit("/compose")
    alice.visit("/compose?to=bob@mail.example")
    with instances[0].app_context(), read() as connection:
        assert connection.execute(select(func.count()).select_from(Draft)).scalar() == 0


def test_the_first_save_by_itself_makes_the_draft(alice: Person) -> None:
    alice.visit("/compose")
    answer = submit(alice, {"body": "First wor", "action": "save"}, by_script=True)
    assert answer.json()["ok"] is True
    form = reopened(alice, "(no subject)")
    assert alice.control(form, "Message").text.strip() == "First wor"


def test_the_first_file_makes_the_draft_and_sent_again_is_the_same_file(alice: Person) -> None:
    alice.visit("/compose")
    file = uuid.uuid4()
    for _ in range(2):
        assert upload(alice, file, "plan.txt", b"plan").status_code == 201
    form = reopened(alice, "(no subject)")
    assert form.text.count("Remove plan.txt") == 1


def test_a_file_removed_while_it_uploads_stays_removed(alice: Person) -> None:
    alice.visit("/compose")
    early, late = uuid.uuid4(), uuid.uuid4()
    assert remove(alice, early).status_code == 204
    assert upload(alice, early, "early.txt", b"x").status_code == 410
    assert upload(alice, late, "late.txt", b"x").status_code == 201
    assert remove(alice, late).status_code == 204
    assert upload(alice, late, "late.txt", b"x").status_code == 410
    assert [item.text for item in reopened(alice, "(no subject)").select("#attached li")] == []


def test_the_order_of_a_form_s_fields_does_not_matter(alice: Person, bob: Person) -> None:
    alice.visit("/compose")
    fields = {"to": BOB, "subject": "Mixed", "body": "After the file", "action": "send"}
    assert submit(alice, fields, [("a.txt", "text/plain", b"a")], files_first=True).is_redirect
    bob.open("Mixed")
    assert "After the file" in bob.text
    assert bob.download("a.txt") == b"a"


def test_a_file_edited_under_its_name_and_sent_with_the_same_form_is_not_dropped(
    alice: Person,
) -> None:
    alice.visit("/compose")
    for content in (b"old", b"new", b"new"):
        assert submit(alice, {"action": "save"}, [("a.txt", "text/plain", content)]).is_redirect
    assert reopened(alice, "(no subject)").text.count("Remove a.txt") == 2


def test_a_session_that_ended_before_send_costs_neither_text_nor_files(
    alice: Person, bob: Person
) -> None:
    fields = {"To": BOB, "Subject": "Long letter", "Message": "All of it"}
    alice.visit("/compose")
    alice.client.cookies.clear()
    assert upload(alice, uuid.uuid4(), "earlier.txt", b"earlier").status_code == 201
    alice.press("Send", fields, [Attached("kept.txt", b"kept")])
    assert not alice.logged_in
    assert "What you wrote is saved" in alice.text
    alice.press("Log in", {"Email": "alice@mail.example", "Password": PASSWORD})
    form = alice.page.find("form", id="compose")
    assert isinstance(form, Tag)
    for label, text in fields.items():
        control = alice.control(form, label)
        assert (control.get("value") or control.text.strip()) == text
    assert "kept.txt" in form.text
    assert bob.subjects() == []
    alice.visit(str(alice.response.url))
    alice.press("Send")
    bob.open("Long letter")
    assert bob.download("kept.txt") == b"kept"
    assert bob.download("earlier.txt") == b"earlier"


def test_a_form_whose_token_is_stale_is_saved_and_not_sent(alice: Person, bob: Person) -> None:
    alice.visit("/compose")
    for field in alice.page.select("input[name=csrf_token]"):
        field["value"] = "stale"
    alice.press("Send", {"To": BOB, "Subject": "Stale"}, [Attached("kept.txt", b"kept")])
    assert alice.response.status_code == 400
    assert "kept.txt" in alice.text
    assert alice.subjects("Drafts") == ["Stale"]
    assert bob.subjects() == []
    alice.follow("Drafts")
    alice.follow("Stale")
    for field in alice.page.select("input[name=csrf_token]"):
        field["value"] = "stale"
    alice.press("Send")
    assert alice.response.status_code == 400
    alice.press("Send")
    assert bob.subjects() == ["Stale"]


def test_a_key_opens_its_own_draft_to_its_own_person_only(
    alice: Person, bob: Person, instances: list[Flask]
) -> None:
    alice.visit("/compose")
    submit(alice, {"subject": "Hers", "action": "save"})
    hers = action(alice)
    bob.visit("/compose")
    # Bob with his own key, with hers, and with a damaged one, at her draft.
    her_key, his_key = key_of(alice), key_of(bob)
    nowhere = f"/drafts/{uuid.uuid4()}"
    for changes in (
        {},
        {"draft_key": her_key},
        {"draft_key": f"{her_key[:-2]}xx"},
        {"draft_key": ""},
    ):
        for button in ("send", "save", "discard"):
            answers = [
                submit(bob, {**changes, "subject": "His", "action": button}, to=address)
                for address in (hers, nowhere)
            ]
            assert [answer.status_code for answer in answers] == [404, 404]
            assert alike(*answers)
    # A key is for one draft, and worth nothing when it has been changed.
    bob.client.cookies.clear()
    for key in (his_key, f"{her_key[:-2]}xx", "", "a.b.c"):
        answer = submit(bob, {"draft_key": key, "subject": "His"}, to=hers)
        assert answer.status_code == 401
        assert "His" in answer.text
    assert alice.subjects("Drafts") == ["Hers"]
    with instances[0].app_context(), read() as connection:
        assert connection.execute(select(func.count()).select_from(Draft)).scalar() == 1


def test_a_key_outlives_the_session_but_not_the_password(
    alice: Person, visitor: Callable[[], Person]
) -> None:
    alice.visit("/compose")
    page, response = alice.page, alice.response
    alice.press("Log out")
    alice.page, alice.response = page, response
    answer = submit(
        alice, {"subject": "Saved after", "body": "x", "action": "save"}, by_script=True
    )
    assert answer.status_code == 401
    assert "saved" in answer.json()["error"]
    for button in ("discard", "send"):
        assert submit(alice, {"subject": "Saved after", "action": button}).is_redirect
    other = visitor()
    other.log_in("alice@mail.example", PASSWORD)
    assert other.subjects("Drafts") == ["Saved after"]
    assert other.subjects("Sent") == []
    other.visit("/settings")
    other.press("Change password", {"Current password": PASSWORD, "New password": PASSWORD * 2})
    answer = submit(alice, {"subject": "Too late", "body": "My text", "action": "save"})
    assert answer.status_code == 401
    assert "My text" in answer.text
    assert other.subjects("Drafts") == ["Saved after"]


def test_nothing_that_saves_by_itself_brings_back_what_was_sent_or_discarded(
    alice: Person, bob: Person
) -> None:
    for button in ("send", "discard"):
        alice.visit("/compose")
        submit(alice, {"to": BOB, "subject": f"By {button}", "action": "save"})
        assert upload(alice, uuid.uuid4(), "first.txt", b"x").status_code == 201
        assert submit(alice, {"to": BOB, "subject": f"By {button}", "action": button}).is_redirect
        for answer in (
            submit(alice, {"body": "late", "action": "save"}, by_script=True),
            upload(alice, uuid.uuid4(), "late.txt", b"x"),
            remove(alice, uuid.uuid4()),
        ):
            assert answer.status_code == 409
            assert answer.json()["error"]
    assert bob.subjects() == ["By send"]
    assert alice.subjects("Drafts") == []


def test_a_discarded_draft_comes_back_whole_by_undo(alice: Person) -> None:
    alice.visit("/compose")
    alice.press("Save draft", {"Subject": "Second thoughts"}, [Attached("kept.txt", b"kept")])
    alice.press("Delete draft")
    assert "Draft deleted" in alice.text
    assert alice.subjects("Drafts") == []
    alice.visit("/compose")
    alice.press("Save draft", {"Subject": "Second thoughts"}, [Attached("kept.txt", b"kept")])
    alice.press("Delete draft")
    alice.press("Undo")
    assert "kept.txt" in alice.text
    assert alice.subjects("Drafts") == ["Second thoughts"]


def test_saving_discarding_and_sending_at_once_leave_one_of_them(
    alice: Person, bob: Person, instances: list[Flask]
) -> None:
    me = account(instances[0], "alice")
    for round_ in range(4):
        draft_id = draft(instances[0], me, Typed(to=BOB, subject=f"Round {round_}"))

        def act(
            what: Callable[[uuid.UUID], object], draft_id: uuid.UUID = draft_id
        ) -> Callable[[Flask], None]:
            def run(app: Flask) -> None:
                with app.app_context(), suppress(*FINE):
                    what(draft_id)

            return run

        save, send, discard = (
            act(lambda d: autosave(me, d)),
            act(lambda d: sending.send(me, d)),
            (act(lambda d: drafts.discard(me, d))),
        )
        at_once([save, send if round_ % 2 else discard, save, save, send, save], instances)
        at_once([save], instances)
    assert alice.subjects("Drafts") == []
    assert len(alice.subjects("Sent")) == len(bob.subjects()) == 4


def test_send_sends_the_text_it_was_pressed_with(alice: Person, instances: list[Flask]) -> None:
    me = account(instances[0], "alice")
    draft_id = draft(instances[0], me, Typed(to="alice@mail.example", subject="Old, saved late"))
    with instances[0].app_context():
        sending.send(me, draft_id, Typed(to="alice@mail.example", subject="New"))
    assert alice.subjects() == ["New"]


def test_a_file_may_have_any_name_or_none_and_be_empty(alice: Person, bob: Person) -> None:
    names = {
        "../../etc/passwd": "passwd",
        "C:\\\\Users\\\\me\\\\plan.txt": "plan.txt",
        "a%22b'c.txt": "a\"b'c.txt",
        "line%0D%0AX-Evil: 1.txt": "lineX-Evil: 1.txt",
        "가" * 300 + ".txt": "가" * 300 + ".txt",
        "": "attachment",
        "..": "attachment",
        "가" * 600: "가" * 500,
        "100%25?#&;.txt": "100%25?#&;.txt",
        "empty.txt": "empty.txt",
    }
    files = [
        (name, "text/plain", b"" if name == "empty.txt" else f"content of {number}".encode())
        for number, name in enumerate(names)
    ]
    alice.visit("/compose")
    fields = {"to": BOB, "subject": "Names", "action": "send"}
    assert submit(alice, fields, files).is_redirect
    bob.open("Names")
    links = bob.page.select("article li a[download]")
    assert [link.text for link in links] == list(names.values())
    for link, (_, _, content) in zip(links, files, strict=True):
        answer = bob.client.get(str(link["href"]))
        assert answer.status_code == 200
        assert answer.content == content
        assert answer.headers["X-Content-Type-Options"] == "nosniff"
        assert "sandbox" in answer.headers["Content-Security-Policy"]
        disposition = answer.headers["Content-Disposition"]
        assert disposition.startswith("attachment;")
        assert "X-Evil" not in answer.headers
        encoded = disposition.partition("filename*=UTF-8''")[2]
        plain = disposition.partition('filename="')[2].partition('"')[0]
        assert (unquote(encoded) if encoded else plain) == link.text
    parts = original(bob).iter_attachments()
    assert [part.get_filename() for part in parts] == list(names.values())


def test_the_same_content_twice_is_stored_once(alice: Person, instances: list[Flask]) -> None:
    alice.visit("/compose")
    same = [(name, "text/plain", b"the same") for name in ("a.txt", "b.txt")]
    assert submit(alice, {"action": "save"}, same).is_redirect
    with instances[0].app_context(), read() as connection:
        rows = connection.execute(select(DraftAttachment.blob_id)).scalars().all()
    assert len(rows) == 2
    assert len(set(rows)) == 1


# How these tests do what a script in the page does ---------------------------------------------

FINE = (AlreadySent, Discarded, NotYours)


def autosave(me: int, draft_id: uuid.UUID) -> None:
    """What a page saves while somebody types."""
    drafts.save(me, draft_id, None, DraftKey(me, 0, draft_id), by_itself=True)


def action(writer: Person) -> str:
    """The address of the form that is open."""
    form = writer.page.find("form", id="compose")
    assert isinstance(form, Tag)
    return str(form["action"])


def key_of(writer: Person) -> str:
    """The draft's key in the form that is open."""
    field = writer.page.select_one("input[name=draft_key]")
    assert field is not None
    return str(field["value"])


def upload(writer: Person, file: uuid.UUID, name: str, content: bytes) -> httpx.Response:
    """One file, sent whole by the page's script."""
    headers = {
        "Upload-Length": str(len(content)),
        "Upload-Metadata": f"filename {base64.b64encode(name.encode()).decode()}",
        "Content-Type": "application/offset+octet-stream",
    }
    return writer.client.post(
        f"{action(writer)}/uploads/{file}", content=content, headers=headers | by_script(writer)
    )


def remove(writer: Person, file: uuid.UUID) -> httpx.Response:
    """A file taken away by the page's script."""
    return writer.client.delete(f"{action(writer)}/uploads/{file}", headers=by_script(writer))


def by_script(writer: Person) -> dict[str, str]:
    """What the script of the form that is open says with each request for a file."""
    return {
        "Accept": "application/json",
        "Tus-Resumable": "1.0.0",
        "X-CSRFToken": token(writer),
        "X-Draft-Key": key_of(writer),
    }


def token(writer: Person) -> str:
    """The token of the form that is open."""
    field = writer.page.select_one("#compose input[name=csrf_token]")
    assert field is not None
    return str(field["value"])


def reopened(writer: Person, subject: str) -> Tag:
    """The draft's form, opened from the folder."""
    writer.open(subject, "Drafts")
    form = writer.page.find("form", id="compose")
    assert isinstance(form, Tag)
    return form


def test_a_forward_keeps_its_files_when_its_source_is_deleted_before_the_first_save(
    alice: Person, bob: Person, charlie: Person
) -> None:
    alice.send("bob@mail.example", "Here", files=[Attached("kept.txt", b"kept")])
    bob.open("Here")
    bob.follow("Forward")
    form = bob.page, bob.response
    bob.open("Here")
    bob.press("Delete")
    bob.open("Here", "Trash")
    bob.press("Delete")
    bob.page, bob.response = form
    bob.press("Send", {"To": "charlie@mail.example"})
    charlie.open("Fwd: Here")
    assert charlie.download("kept.txt") == b"kept"
