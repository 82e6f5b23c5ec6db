"""Folders page by page: nothing skipped or twice, few statements, and an index for each."""

from __future__ import annotations

import re
import uuid
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest
from flask import Flask
from sqlalchemy import event, insert, select, text

from mailapp.compose import drafts
from mailapp.compose.models import Draft
from mailapp.compose.typed import Typed
from mailapp.database import engine, read, write
from mailapp.mail.models import Message
from mailapp.mailbox import bulk, listing, selections
from mailapp.mailbox.changes import MOVE
from mailapp.mailbox.models import Entry, Mailbox, Thread
from mailapp.mailbox.services import load_frame
from mailapp.sessions import BY_ITSELF
from tests.checks import account, draft
from tests.compose.test_formatted import write_formatted
from tests.people import Attached, Person

NOON = datetime(2026, 1, 1, 12, tzinfo=UTC)


def fill(app: Flask, name: str, moments: list[datetime], role: str = "inbox") -> list[int]:
    """Messages of these moments, in this order, in a folder of the account; the entries' ids."""
    me = account(app, name)
    with app.app_context(), write() as connection:
        box = select(Mailbox.id).where(Mailbox.account_id == me, Mailbox.role == role)
        mailbox_id = connection.execute(box).scalar_one()
        ids = []
        for number, moment in enumerate(moments):
            thread = insert(Thread).values(account_id=me).returning(Thread.id)
            message_id = connection.execute(
                insert(Message)
                .values(
                    message_id=f"<{moment.timestamp()}.{number}.{role}@test>",
                    created_at=moment,
                    headers=[["From", "x@mail.example"]],
                    subject=f"{role} {number}",
                    from_name="",
                    from_address="x@mail.example",
                    to_preview="",
                    text_body="",
                    preview="",
                    attachments=[],
                    attachment_count=0,
                )
                .returning(Message.id)
            ).scalar_one()
            ids.append(
                connection.execute(
                    insert(Entry)
                    .values(
                        account_id=me,
                        mailbox_id=mailbox_id,
                        message_id=message_id,
                        thread_id=connection.execute(thread).scalar_one(),
                        seen=False,
                        sort_at=moment,
                        modseq=0,
                    )
                    .returning(Entry.id)
                ).scalar_one()
            )
    return ids


def shown(reader: Person) -> list[str]:
    """Where the rows of the folder that is open lead."""
    return [str(link["href"]) for link in reader.page.select("main li a")]


def test_messages_of_one_moment_come_once_each(alice: Person, instances: list[Flask]) -> None:
    ids = fill(instances[0], "alice", [NOON] * 120)
    found = []
    alice.visit("/mail/inbox")
    for size in (50, 50, 20):
        assert len(shown(alice)) == size
        found += shown(alice)
        if alice.sees_link("Next"):
            alice.follow("Next")
    assert found == [f"/mail/{entry}" for entry in reversed(ids)]
    assert not alice.sees_link("Next")


def test_mail_that_comes_and_goes_moves_no_other_page(
    alice: Person, instances: list[Flask]
) -> None:
    ids = fill(instances[0], "alice", [NOON + timedelta(seconds=n // 3) for n in range(100)])
    alice.visit("/mail/inbox")
    first = shown(alice)
    later = fill(instances[0], "alice", [NOON + timedelta(hours=1)] * 3)
    # The first page's last row, at which the next begins, among them.
    gone = selections.messages([ids[-1], ids[-20], ids[50], ids[10]])
    with instances[0].app_context():
        bulk.perform(account(instances[0], "alice"), MOVE, gone, "trash")
    alice.follow("Next")
    expected = [f"/mail/{entry}" for entry in reversed(ids[:50]) if entry != ids[10]]
    assert shown(alice) == expected
    assert first == [f"/mail/{entry}" for entry in reversed(ids[50:])]
    alice.follow("Newest")
    assert shown(alice)[:3] == [f"/mail/{entry}" for entry in reversed(later)]


def test_drafts_have_pages_too(alice: Person, instances: list[Flask]) -> None:
    me = account(instances[0], "alice")
    ids = [draft(instances[0], me, Typed(subject=f"Draft {number}")) for number in range(51)]
    alice.visit("/mail/drafts")
    found = shown(alice)
    alice.follow("Next")
    assert found + shown(alice) == [f"/drafts/{draft_id}" for draft_id in reversed(ids)]


def test_keys_and_numbers_out_of_range_are_no_failure(alice: Person) -> None:
    huge = "9" * 30
    micros = "1" * 17
    for key in ("", "x", "1", "1-x", "-1", f"{huge}-1", "9" * 5000 + "-1", "١-1", "1-1-1", "%00-1"):
        for role in ("inbox", "drafts"):
            assert alice.client.get(f"/mail/{role}?before={key}").status_code == 400, key
    assert alice.client.get(f"/mail/inbox?before={micros}-{huge}").status_code == 200
    assert alice.client.get(f"/mail/drafts?before={micros}-{'0' * 32}").status_code == 200
    for number in ("0", "1", str(2**31), str(2**63 - 1), str(2**63), huge, "9" * 5000):
        for path in ("", "/original", "/attachments/1/x", f"/attachments/{huge}/x"):
            assert alice.client.get(f"/mail/{number}{path}").status_code == 404
        for name in ("reply", "reply_all", "forward"):
            assert alice.client.get(f"/compose?{name}={number}").status_code == 404
    for wrong in ("x", "-1", "", "1.5", "%00"):
        assert alice.client.get(f"/compose?reply={wrong}").status_code == 404
        assert alice.client.get(f"/mail/-1{wrong}").status_code == 404
    alice.visit("/compose")
    alice.press("Save draft", {"Subject": "x"})
    assert alice.client.get("/compose?to=%00").status_code == 200
    assert 500 not in alice.statuses


@contextmanager
def statements(instances: list[Flask]) -> Iterator[list[str]]:
    """What the instances ask the database for."""
    asked: list[str] = []

    def note(_connection: object, _cursor: object, statement: str, *_: object) -> None:
        asked.append(statement)

    engines = [app.extensions["database"].engine for app in instances]
    for listened in engines:
        event.listen(listened, "before_cursor_execute", note)
    yield asked
    for listened in engines:
        event.remove(listened, "before_cursor_execute", note)


def own_statements(asked: list[str]) -> list[str]:
    """What a page itself asks. On the embedded default sessions are in the database too."""
    return [
        one
        for one in asked
        if not one.startswith(("BEGIN", "COMMIT"))
        and " sessions" not in one
        and "try_counts" not in one
    ]


def test_no_page_costs_more_than_three_statements(
    alice: Person, bob: Person, instances: list[Flask], parts: str
) -> None:
    fill(instances[0], "bob", [NOON] * 60)
    files = [Attached("a.txt", b"a", "text/plain"), Attached("b.txt", b"b", "text/plain")]
    alice.send("bob@mail.example", "Opened", "Hi", files)
    bob.send("alice@mail.example", "Sent", "Hi")
    bob.visit("/compose")
    bob.press("Save draft", {"Subject": "Draft"}, files)
    draft_page = str(bob.response.url.path)
    bob.visit("/compose")
    form = bob.page.find("form", id="compose")
    assert form is not None
    bob.press("Send", {"To": "alice@mail.example", "Subject": "Sent too"})
    sent_draft = str(form["action"])
    bob.visit("/mail/inbox")
    entry = str(bob.link("Opened")["href"])
    number = entry.rpartition("/")[2]
    pages = [
        entry,  # its first opening, which marks it read and so takes one more
        entry,
        f"{entry}/original",
        f"{entry}/attachments/1/a.txt",
        str(bob.link("Next")["href"]),
        *(f"/mail/{role}" for role in ("inbox", "sent", "drafts", "trash")),
        "/compose",
        *(f"/compose?{name}={number}" for name in ("reply", "reply_all", "forward")),
        draft_page,
        sent_draft,
        "/settings",
        "/mail/999999999",
        "/drafts/00000000-0000-0000-0000-000000000000",
    ]
    for place, page in enumerate(pages):
        with statements(instances) as asked:
            answer = bob.client.get(page)
        assert answer.status_code in {200, 303, 404}
        own = own_statements(asked)
        assert 1 <= len(own) <= (4 if place == 0 else 3), (page, own)
        # SQLAlchemy writes every LIMIT for SQLite with an OFFSET, of nothing.
        assert parts == "embedded" or not any("OFFSET" in one.upper() for one in own)


def test_formatted_letters_are_read_in_one_statement_for_all_of_a_page(
    alice: Person, bob: Person, instances: list[Flask]
) -> None:
    alice.visit("/compose")
    write_formatted(alice, "<b>One</b>", subject="Fat")
    alice.open("Fat", "Sent")
    alice.follow("Reply")
    write_formatted(alice, "<b>Two</b>")
    bob.visit("/mail/inbox")
    entry = str(bob.link("Re: Fat")["href"])
    with statements(instances) as asked:
        # Not a person's visit, after which what is read would be no more than a line.
        answer = bob.client.get(entry, headers={BY_ITSELF: "1"})
    assert answer.text.count("<iframe") == 2
    assert len(own_statements(asked)) == 3


@pytest.mark.parametrize("parts", ["servers"], indirect=True)
def test_postgresql_reads_a_page_from_an_index(alice: Person, instances: list[Flask]) -> None:
    """Both the first page and the next, without sorting or reading the rest of the folder."""
    fill(instances[0], "alice", [NOON + timedelta(seconds=n) for n in range(300)])
    me = account(instances[0], "alice")
    fields = dict.fromkeys(("to", "cc", "bcc", "subject", "body", "in_reply_to", "references"), "")
    with instances[0].app_context():
        with write() as connection:
            connection.execute(
                insert(Draft),
                [
                    {"id": uuid.uuid4(), "account_id": me, **fields}
                    | dict.fromkeys(("created_at", "updated_at"), NOON + timedelta(seconds=number))
                    for number in range(2000)
                ],
            )
            connection.execute(text("ANALYZE"))
        frame = load_frame(me)
        assert frame is not None
        box = frame.mailbox("inbox")
        key: str | None = None
        for _ in range(2):
            with explained() as plans:
                key = listing.folder(frame, box, key).next_key
            from_index("ix_conversations_newest", plans)
        key = None
        for _ in range(2):
            with explained() as plans:
                key = drafts.page(me, key).next_key
            from_index("ix_drafts_newest", plans)


@contextmanager
def explained() -> Iterator[list[str]]:
    """What PostgreSQL does for each statement asked meanwhile, told afterwards."""
    asked: list[tuple[str, list[Any]]] = []
    plans: list[str] = []

    def note(_asking: object, _cursor: object, statement: str, values: Any, *_: object) -> None:
        asked.append((statement, values))

    event.listen(engine(), "before_cursor_execute", note)
    yield plans
    event.remove(engine(), "before_cursor_execute", note)
    with read() as connection:
        for statement, values in asked:
            numbered = re.sub(r"\$(\d+)", r"%(value_\1)s", statement)
            named = {f"value_{number}": value for number, value in enumerate(values, 1)}
            rows = connection.exec_driver_sql(f"EXPLAIN (ANALYZE) {numbered}", named)
            plans.append("\n".join(row[0] for row in rows))


def from_index(name: str, plans: list[str]) -> None:
    """One statement, which read no more than a page, in the order of the index."""
    (plan,) = plans
    assert f"Index Scan Backward using {name}" in plan, plan
    assert "Sort" not in plan, plan
