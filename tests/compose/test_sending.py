"""Sending: who gets a message, once, and who sees what of it."""

from __future__ import annotations

import uuid
from collections.abc import Callable
from contextlib import suppress

from flask import Flask
from sqlalchemy import func, insert, select

from mailapp import create_app
from mailapp.accounts import services as accounts
from mailapp.accounts.models import Account
from mailapp.compose import drafts, sending
from mailapp.compose.keys import DraftKey
from mailapp.compose.state import AlreadySent
from mailapp.compose.typed import Typed
from mailapp.database import now, read, write
from mailapp.mail.models import Message
from mailapp.mailbox.models import Mailbox
from mailapp.mailbox.services import create_mailboxes
from mailapp.settings import Settings
from tests.checks import account, at_once, counts_are_right, draft, original, stored_objects, submit
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
        for action in ("Show original", "Reply all", "Forward"):
            reader.open("Hi")
            assert "charlie" not in str(reader.page.find("article")).lower()
            reader.follow(action)
            shown = reader.page.find("form", id="compose") or reader.response.text
            assert "charlie" not in str(shown).lower()
    alice.open("Hi", "Sent")
    assert "charlie@mail.example" in alice.text
    assert original(alice)["Bcc"] == "charlie@mail.example"


def test_only_bcc_leaves_no_trace_of_anybody(alice: Person, bob: Person, charlie: Person) -> None:
    alice.visit("/compose")
    alice.press("Send", {"Bcc": "bob@mail.example, charlie@mail.example", "Subject": "Quiet"})
    bob.open("Quiet")
    message = original(bob)
    assert message["To"] == "undisclosed-recipients:;"
    assert "bob" not in str(message)
    assert "charlie" not in str(message)
    assert charlie.subjects() == ["Quiet"]


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


def test_a_person_named_three_times_gets_one_copy(alice: Person, bob: Person) -> None:
    alice.visit("/compose")
    fields = {
        "To": 'bob@mail.example, "Bob, again" <BOB@Mail.Example>,',
        "Cc": "bob@mail.example; alice@mail.example",
        "Bcc": "Bob <bob@mail.example>",
        "Subject": "Folded",
    }
    alice.press("Send", fields)
    assert alice.response.status_code == 200
    assert bob.subjects() == ["Folded"]
    assert alice.subjects() == ["Folded"]
    message = original(alice, "Folded", "Sent")
    assert message["To"] == "bob@mail.example"
    assert message["Cc"] == "alice@mail.example"
    assert message["Bcc"] is None


def test_what_can_not_be_sent_is_told_at_its_field_and_stays_a_draft(
    alice: Person, bob: Person, instances: list[Flask]
) -> None:
    with instances[0].app_context():
        accounts.create("gone", "Gone", "correct horse battery staple")
        accounts.disable("gone@mail.example")
    many = ", ".join(f"p{number}@mail.example" for number in range(101))
    cases = [
        (
            {"To": "nobody@mail.example, bob@mail.example"},
            "nobody@mail.example",
            "Nothing was sent",
        ),
        (
            {"To": "bob@mail.example", "Cc": "gone@mail.example"},
            "gone@mail.example",
            "Cc: there is",
        ),
        ({"To": "bob@mail.example", "Bcc": "x@elsewhere.example"}, "x@elsewhere.example", "Bcc: "),
        ({"To": "bob@mail.example, Kim, Al <x@>, y"}, "“Kim”, “Al <x@>”, “y”", "are not addresses"),
        ({"To": "bob@mail.example", "Bcc": "bob@@x"}, "“bob@@x”", "is not an address"),
        ({"To": many}, "101 people", "at most 100"),
        ({}, "Say who gets this message", ""),
        ({"To": "bob@mail.example", "Subject": "x" * 501}, "501 characters", "at most 500"),
        ({"To": "bob@mail.example", "Message": "x" * (2**20 + 1)}, "bytes", "Attach it as a file"),
    ]
    for number, (fields, named, why) in enumerate(cases):
        subject = fields.get("Subject", f"Case {number}")
        alice.visit("/compose")
        alice.press("Send", {**fields, "Subject": subject}, [Attached("kept.txt", b"kept")])
        assert alice.response.status_code == 422, fields
        problems = alice.page.find(id="problems")
        assert problems is not None
        assert named in problems.text
        assert why in problems.text
        alice.visit(str(alice.response.url))
        form = alice.page.find("form", id="compose")
        assert form is not None
        assert alice.control(form, "Subject")["value"] == subject
        if "To" in fields:
            assert alice.control(form, "To")["value"] == fields["To"]
        assert "kept.txt" in form.text
    assert len(alice.subjects("Drafts")) == len(cases)
    assert bob.subjects() == []
    assert alice.subjects("Sent") == []


def test_no_field_lets_another_header_in(
    bob: Person, person: Callable[[str], Person], instances: list[Flask]
) -> None:
    eve = person("Eve")
    signs = ["\r\n", "\n", "\r", "\u2028", "\x85", "\x0b", "\0"]
    for sign in signs:
        smuggled = f"x{sign}Bcc: bob@mail.example{sign}X-Evil: 1"
        for field in ("To", "Cc", "Bcc", "Subject"):
            eve.visit("/compose")
            fields = {"To": "bob@mail.example", "Subject": "Clean"}
            fields[field] = smuggled if field == "Subject" else f'"{smuggled}" <bob@mail.example>'
            eve.press("Send", fields)
            # PostgreSQL can't store NUL: it is another sign before it gets anywhere.
            assert eve.response.status_code == (200 if sign == "\0" else 422), (sign, field)
        eve.visit("/compose")
        # Neither a file's name, nor its type, nor the body.
        changes = {"to": "bob@mail.example", "subject": "Files", "body": smuggled, "action": "send"}
        file = (f"a.txt{sign}X-Evil: 1", f"text/plain{sign}X-Evil: 1", b"x")
        assert submit(eve, changes, [file]).status_code in {303, 400}, sign
    with instances[0].app_context():
        # Nor the sender's own name.
        me = accounts.create("mal", "Mal\r\nX-Evil: 1\u2028Bcc: x", "correct horse battery staple")
        sending.send(me, draft(instances[0], me, Typed(to="bob@mail.example", subject="Name")))
    links = bob.visit("/mail/inbox").select("main li a")
    assert len(links) >= len(signs)
    for link in links:
        bob.visit(str(link["href"]))
        message = original(bob)
        assert message["Bcc"] is None
        assert all("X-Evil" not in part for part in message.walk())


def test_a_reply_belongs_to_its_thread(alice: Person, bob: Person, charlie: Person) -> None:
    alice.visit("/compose")
    alice.press(
        "Send",
        {
            "To": "Bob <bob@mail.example>",
            "Cc": "charlie@mail.example",
            "Subject": "Lunch",
            "Message": "Where?\n\nAlice",
        },
    )
    first = original(alice, "Lunch", "Sent")
    assert first["Message-ID"].endswith("@mail.example>")
    assert first["In-Reply-To"] is None
    bob.open("Lunch")
    bob.follow("Reply")
    form = bob.page.find("form", id="compose")
    assert form is not None
    assert bob.control(form, "To")["value"] == "Alice <alice@mail.example>"
    assert bob.control(form, "Cc")["value"] == ""
    assert bob.control(form, "Subject")["value"] == "Re: Lunch"
    assert "wrote:\n> Where?\n> \n> Alice\n" in bob.control(form, "Message").text
    bob.open("Lunch")
    bob.follow("Reply all")
    form = bob.page.find("form", id="compose")
    assert form is not None
    assert bob.control(form, "To")["value"] == "Alice <alice@mail.example>"
    assert bob.control(form, "Cc")["value"] == "charlie@mail.example"
    bob.press("Send")
    second = original(bob, "Re: Lunch", "Sent")
    assert second["In-Reply-To"] == first["Message-ID"]
    assert second["References"] == first["Message-ID"]
    charlie.open("Re: Lunch")
    charlie.follow("Reply")
    charlie.press("Send")
    third = original(charlie, "Re: Lunch", "Sent")
    assert third["In-Reply-To"] == second["Message-ID"]
    assert third["References"] == f"{first['Message-ID']} {second['Message-ID']}"
    assert len({message["Message-ID"] for message in (first, second, third)}) == 3
    # To answer one's own message is to write to the same people again.
    alice.open("Lunch", "Sent")
    alice.follow("Reply all")
    form = alice.page.find("form", id="compose")
    assert form is not None
    assert alice.control(form, "To")["value"] == "Bob <bob@mail.example>"
    assert alice.control(form, "Cc")["value"] == "charlie@mail.example"


def test_a_forward_takes_its_files_along_without_storing_them_again(
    alice: Person, bob: Person, charlie: Person, instances: list[Flask]
) -> None:
    files = [Attached("keep.txt", b"keep me"), Attached("drop.txt", b"drop me")]
    alice.send("bob@mail.example", "Files", "Here", files)
    before = stored_objects(instances[0])
    bob.open("Files")
    bob.follow("Forward")
    form = bob.page.find("form", id="compose")
    assert form is not None
    assert bob.control(form, "Subject")["value"] == "Fwd: Files"
    assert "From: Alice <alice@mail.example>" in bob.control(form, "Message").text
    assert bob.subjects("Drafts") == []
    bob.open("Files")
    bob.follow("Forward")
    bob.press("Remove drop.txt")
    assert "drop.txt" not in bob.text
    bob.press("Send", {"To": "charlie@mail.example"})
    charlie.open("Fwd: Files")
    assert charlie.download("keep.txt") == b"keep me"
    assert not charlie.sees_link("drop.txt")
    assert stored_objects(instances[0]) == before


def test_the_original_of_a_sent_message_reads_back_to_what_was_written(
    alice: Person, bob: Person
) -> None:
    body = "안녕 😀\n.\nFrom here\n" + "long " * 1000 + "\nno line break at the end"
    files = [
        Attached("가" * 300 + ".txt", "한글\r\n".encode(), "text/plain"),
        Attached("empty", b""),
        Attached("big.bin", bytes(range(256)) * 10_000),
        Attached("mail.eml", b"Subject: inner\r\n\r\nx\r\n", "message/rfc822"),
    ]
    alice.visit("/compose")
    subject = "=?utf-8?q?Not_encoded?= 제목 " + "words " * 40 + "end"
    fields = {
        "To": '"Bob \\"B\\" Lee, 둘" <bob@mail.example>',
        "Subject": subject,
        "Message": body,
    }
    alice.press("Send", fields, files)
    assert alice.response.status_code == 200
    bob.visit(str(bob.visit("/mail/inbox").select("main li a")[0]["href"]))
    message = original(bob)
    assert message["Subject"] == subject
    (to,) = message["To"].addresses
    assert (to.display_name, to.addr_spec) == ('Bob "B" Lee, 둘', "bob@mail.example")
    assert message["From"] == "Alice <alice@mail.example>"
    text = message.get_body(("plain",))
    assert text is not None
    assert text.get_content().replace("\r\n", "\n") == body
    parts = list(message.iter_attachments())
    assert [part.get_filename() for part in parts] == [file.filename for file in files]
    assert [part.get_payload(decode=True) for part in parts] == [file.content for file in files]


def test_a_message_to_a_hundred_people_is_one_message_and_one_file(
    alice: Person, instances: list[Flask]
) -> None:
    with instances[0].app_context():
        before = stored_objects(instances[0])
        with write() as connection:
            for number in range(100):
                values = {"name": "", "password_hash": "", "created_at": now()}
                account_id = connection.execute(
                    insert(Account)
                    .values(address=f"p{number}@mail.example", **values)
                    .returning(Account.id)
                ).scalar_one()
                create_mailboxes(connection, account_id)
    everybody = ", ".join(f"p{number}@mail.example" for number in range(100))
    alice.send(everybody, "All of you", "Hi", [Attached("a.txt", b"for a hundred")])
    assert alice.response.status_code == 200
    with instances[0].app_context(), read() as connection:
        assert connection.execute(select(func.count()).select_from(Message)).scalar() == 1
        inboxes = select(func.sum(Mailbox.total)).where(Mailbox.role == "inbox")
        assert connection.execute(inboxes).scalar() == 100
    assert len(stored_objects(instances[0]) - before) == 1
    counts_are_right(instances[0])


# At once --------------------------------------------------------------------------------------


def test_send_pressed_at_once_on_two_instances_is_one_message(
    alice: Person, bob: Person, instances: list[Flask]
) -> None:
    me = account(instances[0], "alice")
    for round_ in range(5):
        draft_id = draft(
            instances[0], me, Typed(to="bob@mail.example", subject=f"At once {round_}")
        )

        def press(app: Flask, draft_id: uuid.UUID = draft_id) -> int | None:
            with app.app_context():
                return sending.send(me, draft_id)

        def autosave(app: Flask, draft_id: uuid.UUID = draft_id) -> None:
            with app.app_context():
                key = DraftKey(me, 0, draft_id)
                with suppress(AlreadySent):
                    drafts.save(me, draft_id, None, key, by_itself=True)

        sent = at_once([press, press, autosave, press, autosave, press], instances)
        assert len({entry for entry in sent if entry is not None}) == 1
    wanted = [f"At once {number}" for number in reversed(range(5))]
    assert bob.subjects() == wanted
    assert alice.subjects("Sent") == wanted
    assert alice.subjects("Drafts") == []
    counts_are_right(instances[0])


def test_a_form_posted_at_once_to_two_instances_is_sent_once_with_its_files_once(
    alice: Person, bob: Person, instances: list[Flask]
) -> None:
    alice.visit("/compose")
    fields = {"to": "bob@mail.example", "subject": "Pressed", "action": "send"}
    files = [(name, "text/plain", name.encode() * 1000) for name in ("a.txt", "b.txt")]

    def press(_app: Flask) -> int:
        return submit(alice, fields, files).status_code

    assert at_once([press] * 4, instances) == [303] * 4
    assert bob.subjects() == ["Pressed"]
    assert alice.subjects("Sent") == ["Pressed"]
    assert alice.subjects("Drafts") == []
    bob.open("Pressed")
    assert [link.text for link in bob.page.select("article li a[download]")] == [
        "a.txt",
        "b.txt",
    ]


def test_a_domain_of_any_script_is_one_domain_in_each_of_its_spellings(
    environment: dict[str, str],
) -> None:
    app = create_app(Settings.from_env({**environment, "MAIL_DOMAIN": "bücher.example"}))
    with app.app_context():
        ann = accounts.create("ann@BÜCHER.example", "Ann", "correct horse battery staple")
        to = "ann@bücher.example, Ann <ann@xn--bcher-kva.example>, ann@Bu\u0308cher.example"
        sending.send(ann, draft(app, ann, Typed(to=to)))
        with read() as connection:
            (headers,) = connection.scalars(select(Message.headers)).all()
            totals = connection.execute(select(Mailbox.role, Mailbox.total)).all()
    assert ["To", "ann@xn--bcher-kva.example"] in headers
    assert {(role, total) for role, total in totals if total} == {("inbox", 1), ("sent", 1)}
    app.extensions["database"].engine.dispose()
    if app.extensions["redis-client"] is not None:
        app.extensions["redis-client"].close()


def test_many_who_write_to_each_other_at_once_lose_nothing_and_never_lock_up(
    instances: list[Flask],
) -> None:
    names = ["ann", "ben", "cat", "dan", "eve"]
    with instances[0].app_context():
        ids = [accounts.create(name, name, "correct horse battery staple") for name in names]
    everybody = ", ".join(f"{name}@mail.example" for name in names)
    letters = [
        (me, draft(instances[0], me, Typed(to=everybody, subject=f"{me} {number}")))
        for number in range(4)
        for me in ids
    ]

    def send(me: int, draft_id: uuid.UUID) -> Callable[[Flask], int | None]:
        def press(app: Flask) -> int | None:
            with app.app_context():
                return sending.send(me, draft_id)

        return press

    entries = at_once([send(me, draft_id) for me, draft_id in letters], instances)
    assert len(set(entries)) == len(letters)
    counts_are_right(instances[0])
    with instances[0].app_context(), read() as connection:
        totals = connection.execute(
            select(Mailbox.role, Mailbox.total).where(Mailbox.role.in_(["inbox", "sent"]))
        ).all()
        assert connection.execute(select(func.count()).select_from(Message)).scalar() == 20
    assert sorted(totals) == [("inbox", 20)] * 5 + [("sent", 4)] * 5


def test_the_longest_name_of_a_file_still_makes_a_link_that_works(
    alice: Person, bob: Person
) -> None:
    alice.send("bob@mail.example", "Long", files=[Attached("가" * 496 + ".txt", b"long")])
    bob.open("Long")
    address = str(bob.link("가" * 496 + ".txt")["href"])
    assert len(address) < 2000
    assert bob.download("가" * 496 + ".txt") == b"long"
