"""Conversations: a row each in the lists, and a page that is read from the first unread message."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta

import pytest
from bs4 import Tag
from flask import Flask
from sqlalchemy import func, insert, select, text

from mailapp.database import connect, write
from mailapp.mail.models import Message
from mailapp.mailbox import conversations, listing
from mailapp.mailbox.models import Entry, Mailbox, Thread
from mailapp.mailbox.services import Frame, load_frame
from tests.checks import account
from tests.mailbox.test_pages import explained, fill, statements
from tests.people import Person

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)
ALICE, BOB, CHARLIE = "alice@mail.example", "bob@mail.example", "charlie@mail.example"


def row(person: Person, subject: str, folder: str = "Inbox") -> Tag:
    """The row of a conversation."""
    person.visit("/")
    person.follow(folder)
    found = person.link(subject).find_parent("li")
    assert isinstance(found, Tag)
    return found


def who(found: Tag) -> str:
    """Who a row names, with how many messages there are."""
    named = found.select_one(".w")
    assert named is not None
    return " ".join(named.text.replace("messages:", "").split())


def answer(person: Person, subject: str, message: str, link: str = "Reply all") -> None:
    """Answer the newest message with this subject."""
    person.open(subject)
    person.follow(link)
    person.press("Send", {"Message": message})


def shown(person: Person) -> list[str]:
    """The messages of the page, oldest first: an open one's text, a line's preview in brackets."""
    return [
        f"[{' '.join(line.text.split())}]"
        if (line := article.select_one("a")) and "line" in (article.get("class") or [])
        else " ".join(part.text.split())
        for article in person.page.select("article")
        if (part := article.select_one(".text") or article)
    ]


@pytest.fixture
def lunch(alice: Person, bob: Person, charlie: Person) -> None:
    """Alice asks, Bob and Charlie answer, Alice has read neither."""
    alice.send(f"{BOB}, {CHARLIE}", "Lunch?", "Where?")
    answer(bob, "Lunch?", "Here.")
    answer(charlie, "Re: Lunch?", "There.")


@pytest.mark.usefixtures("lunch")
def test_a_conversation_is_one_row_with_its_people_and_how_many_it_has(
    alice: Person, bob: Person
) -> None:
    assert alice.subjects() == ["Re: Lunch?"]
    found = row(alice, "Re: Lunch?")
    assert who(found) == "Unread me, Bob, Charlie 3"
    assert [name.text for name in found.select("strong")] == ["Bob", "Charlie"]
    assert "There." in found.text
    alice.open("Re: Lunch?")
    found = row(alice, "Re: Lunch?")
    assert who(found) == "me, Bob, Charlie 3"
    assert found.select("strong") == []
    assert who(row(bob, "Re: Lunch?")) == "Unread Alice, me, Charlie 3"
    assert who(row(alice, "Lunch?", "Sent")) == "To: bob@mail.example, charlie@mail.example 3"


@pytest.mark.usefixtures("lunch")
def test_it_is_read_from_the_first_unread_message(alice: Person, charlie: Person) -> None:
    assert str(row(alice, "Re: Lunch?").select_one("a[href$='#unread']"))
    alice.follow("Re: Lunch?")
    assert shown(alice) == ["[Where?]", "Here.", "There."]
    marked = alice.page.select_one("#unread")
    assert marked is not None
    following = marked.find_next("article")
    assert following is not None
    assert "Here." in following.text
    assert "unread" not in str(alice.page.title)
    alice.open("Re: Lunch?")
    assert shown(alice) == ["[Where?]", "[Here.]", "There."]
    alice.follow("Here.")
    assert shown(alice) == ["[Where?]", "Here.", "There."]
    answer(charlie, "Re: Lunch?", "Or elsewhere.")
    alice.open("Re: Lunch?")
    assert shown(alice)[:3] == ["[Where?]", "[Here.]", "[There.]"]


@pytest.mark.usefixtures("lunch")
def test_only_what_can_be_done_with_the_message_that_was_opened_has_the_plain_names(
    alice: Person,
) -> None:
    alice.open("Re: Lunch?")
    for name in ("Reply", "Reply all", "Forward", "Show original"):
        assert len([link for link in alice.page.find_all("a") if name == link.text.strip()]) == 1
    alice.follow("Reply")
    form = alice.page.find("form", id="compose")
    assert isinstance(form, Tag)
    assert "charlie@" in str(alice.control(form, "To")["value"])
    alice.open("Re: Lunch?")
    alice.follow("Here.")
    alice.follow("Reply")
    form = alice.page.find("form", id="compose")
    assert isinstance(form, Tag)
    assert "bob@" in str(alice.control(form, "To")["value"])


@pytest.mark.usefixtures("lunch")
def test_marking_unread_from_here_leaves_what_is_before(alice: Person) -> None:
    alice.open("Re: Lunch?")
    alice.open("Re: Lunch?")
    alice.follow("Here.")
    alice.press("Mark unread from here")
    assert "2 messages marked unread." in alice.text
    assert [name.text for name in row(alice, "Re: Lunch?").select("strong")] == ["Bob", "Charlie"]
    alice.open("Re: Lunch?")
    assert shown(alice) == ["[Where?]", "Here.", "There."]
    alice.press("Mark unread")
    assert [name.text for name in row(alice, "Re: Lunch?").select("strong")] == ["Charlie"]


@pytest.mark.usefixtures("lunch")
def test_one_message_is_deleted_and_the_rest_stays_and_trash_shows_it_alone(alice: Person) -> None:
    alice.open("Re: Lunch?")
    alice.press("Delete this message")
    assert "Moved to Trash." in alice.text
    assert shown(alice) == ["[Where?]", "Here."]
    alice.open("Re: Lunch?", "Trash")
    assert shown(alice) == ["There."]
    alice.visit("/mail/inbox")
    assert who(row(alice, "Re: Lunch?")) == "me, Bob 2"
    alice.open("Re: Lunch?", "Trash")
    alice.press("Restore")
    assert who(row(alice, "Re: Lunch?")) == "me, Bob, Charlie 3"


@pytest.mark.usefixtures("lunch")
def test_a_conversation_goes_with_what_of_it_lies_in_the_folder(alice: Person) -> None:
    alice.open("Re: Lunch?")
    alice.press("Archive")
    assert "2 messages moved to Archive." in alice.text
    assert alice.subjects() == []
    assert alice.subjects("Sent") == ["Lunch?"]
    alice.open("Re: Lunch?", "Archive")
    assert shown(alice) == ["[Where?]", "[Here.]", "There."]
    alice.press("Spam")
    assert alice.subjects("Archive") == []
    alice.open("Re: Lunch?", "Spam")
    assert shown(alice) == ["[Here.]", "There."]
    alice.press("Not spam")
    assert alice.subjects() == ["Re: Lunch?"]


def test_what_one_sends_to_oneself_is_there_once(alice: Person) -> None:
    alice.send(ALICE, "Note", "To self")
    assert who(row(alice, "Note")) == "Unread me"
    alice.open("Note")
    assert shown(alice) == ["To self"]
    assert row(alice, "Note").get("class") is None


def test_the_same_subject_makes_no_conversation(alice: Person, bob: Person) -> None:
    for number in range(2):
        alice.send(BOB, "Minutes", f"Number {number}")
    assert bob.subjects() == ["Minutes", "Minutes"]


def thread_of(app: Flask, name: str, size: int, *, seen: bool) -> list[int]:
    """One conversation of so many messages in an inbox, a minute apart; the entries' ids."""
    me = account(app, name)
    with app.app_context(), write() as connection:
        box = connection.execute(
            select(Mailbox.id).where(Mailbox.account_id == me, Mailbox.role == "inbox")
        ).scalar_one()
        thread = connection.execute(
            insert(Thread).values(account_id=me).returning(Thread.id)
        ).scalar_one()
        first = (connection.execute(select(func.max(Message.id))).scalar() or 0) + 1
        moments = [NOON + timedelta(minutes=number) for number in range(size)]
        connection.execute(
            insert(Message).returning(Message.id),
            [
                {
                    "id": first + number,
                    "message_id": f"<{number}@deep>",
                    "created_at": moment,
                    "headers": [["From", "x@mail.example"]],
                    "subject": "Deep",
                    "from_name": f"Person {number}",
                    "from_address": f"p{number}@mail.example",
                    "to_preview": "",
                    "text_body": f"Text {number}",
                    "preview": f"Text {number}",
                    "attachments": [],
                    "attachment_count": 0,
                }
                for number, moment in enumerate(moments)
            ],
        )
        connection.execute(
            # RETURNING has the driver send many rows a statement, which triggers follow at once.
            insert(Entry).returning(Entry.id),
            [
                {
                    "account_id": me,
                    "mailbox_id": box,
                    "message_id": first + number,
                    "thread_id": thread,
                    "seen": seen,
                    "sort_at": moment,
                    "modseq": 0,
                }
                for number, moment in enumerate(moments)
            ],
        )
        rows = connection.execute(
            select(Entry.id).where(Entry.thread_id == thread).order_by(Entry.sort_at)
        )
        return [row.id for row in rows]


def test_a_long_conversation_is_read_a_window_at_a_time(
    alice: Person, instances: list[Flask], monkeypatch: pytest.MonkeyPatch
) -> None:
    ids = thread_of(instances[0], "alice", 250, seen=True)
    found = row(alice, "Deep")
    assert who(found) == "Person … Person, Person 250"
    alice.follow("Deep")
    assert [text.strip("[]") for text in shown(alice)] == [f"Text {n}" for n in range(150, 250)]
    alice.follow("Earlier messages")
    assert [text.strip("[]") for text in shown(alice)] == [f"Text {n}" for n in range(50, 150)]
    alice.follow("Earlier messages")
    assert [text.strip("[]") for text in shown(alice)] == [f"Text {n}" for n in range(50)]
    alice.follow("Later messages")
    assert shown(alice)[-1] == "Text 249"
    # One that lies further back is shown with what is around it.
    alice.visit(f"/mail/{ids[20]}")
    assert shown(alice)[-1] == "Text 20"
    assert alice.sees_link("Later messages")
    for key in ("x", "1-x", "9" * 40, ""):
        assert alice.client.get(f"/mail/{ids[0]}?until={key}").status_code == 404


def test_of_many_unread_messages_the_first_are_opened_and_read(
    alice: Person, instances: list[Flask]
) -> None:
    thread_of(instances[0], "alice", 60, seen=False)
    opened = conversations.OPENED
    alice.open("Deep")
    texts = shown(alice)
    assert texts[:opened] == [f"Text {n}" for n in range(opened)]
    assert all(text.startswith("[") for text in texts[opened:-1])
    assert texts[-1] == "Text 59"
    alice.visit("/mail/inbox")
    assert f"{60 - opened - 1} unread" in alice.text
    alice.follow("Deep")
    assert shown(alice)[:opened] == [f"[Text {n}]" for n in range(opened)]
    assert shown(alice)[opened] == f"Text {opened}"


@pytest.mark.parametrize("parts", ["servers"], indirect=True)
@pytest.mark.usefixtures("bob")
def test_no_page_reads_more_of_a_thread_of_ten_thousand(
    alice: Person, instances: list[Flask]
) -> None:
    fill(instances[0], "alice", [NOON] * 60)
    ids = thread_of(instances[0], "alice", 10_000, seen=True)
    me = account(instances[0], "alice")
    made = connect(instances[0].extensions["settings"], timeout=None)
    with made.engine.begin() as connection:
        # Among others that are short, as threads are: where one is all there is, sorting is quick.
        for statement in SHORT_THREADS:
            connection.execute(text(statement), {"bob": account(instances[0], "bob")})
        connection.execute(text("ANALYZE"))
    made.engine.dispose()
    with instances[0].app_context():
        frame = load_frame(me)
        assert isinstance(frame, Frame)
        with explained() as plans:
            listing.folder(frame, frame.mailbox("inbox"), None)
        assert most_rows(plans) <= 12 * 61
        with explained() as plans:
            assert conversations.read(frame, ids[-1]) is not None
        assert most_rows(plans) <= conversations.WINDOW + 1


SHORT_THREADS = (
    "INSERT INTO threads (account_id) SELECT :bob FROM generate_series(1, 20000)",
    """
    INSERT INTO entries (account_id, mailbox_id, message_id, thread_id, seen, sort_at, modseq)
    SELECT :bob, b.id, m.id, t.id, true, m.created_at, 0
    FROM threads t JOIN messages m ON m.id = 1 + t.id % 10000
    JOIN mailboxes b ON b.account_id = :bob AND b.role = 'inbox'
    WHERE t.account_id = :bob
    """,
)


def most_rows(plans: list[str]) -> int:
    """The most rows that any step of the plans gave, all its turns together."""
    steps = re.findall(r"rows=(\d+)(?:\.\d+)? loops=(\d+)\)", "\n".join(plans))
    return max(int(rows) * int(loops) for rows, loops in steps)


def test_pages_of_a_conversation_that_are_kept_ask_one_question(
    alice: Person, instances: list[Flask], parts: str
) -> None:
    ids = thread_of(instances[0], "alice", 5, seen=True)
    for _ in instances:
        alice.visit(f"/mail/{ids[-1]}")
    for _ in instances:
        with statements(instances) as asked:
            alice.visit(f"/mail/{ids[-1]}")
        own = [one for one in asked if " sessions" not in one and not one.startswith("COMMIT")]
        assert parts == "embedded" or len(own) == 1
