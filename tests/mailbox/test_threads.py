"""Which messages are one conversation: by what they refer to, in whatever order they arrive."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import func, insert, select

from mailapp.accounts import services as accounts
from mailapp.database import read, write
from mailapp.mail.models import Message
from mailapp.mail.services import Created
from mailapp.mailbox import filing
from mailapp.mailbox.models import Conversation, Entry, Mailbox, Thread, ThreadRef
from mailapp.mailbox.threads import refs_of
from tests.conftest import PASSWORD

START = datetime(2026, 1, 1, tzinfo=UTC)


@pytest.fixture
def dora(app: Flask) -> int:
    return accounts.create("dora", "Dora", PASSWORD)


@pytest.fixture
def emil(app: Flask) -> int:
    return accounts.create("emil", "Emil", PASSWORD)


def test_an_answer_is_in_the_conversation_of_what_it_answers(dora: int) -> None:
    receive([dora], "question")
    receive([dora], "answer", in_reply_to="question")
    receive([dora], "answer to the answer", references=["question", "answer"])

    assert conversations(dora) == [{"question", "answer", "answer to the answer"}]


def test_the_same_subject_alone_makes_no_conversation(dora: int) -> None:
    receive([dora], "one", subject="Re: Lunch")
    receive([dora], "another", subject="Re: Lunch")

    assert conversations(dora) == [{"one"}, {"another"}]


def test_an_answer_that_arrives_first_is_joined_by_its_question(dora: int) -> None:
    receive([dora], "answer", in_reply_to="question")
    receive([dora], "question")

    assert conversations(dora) == [{"answer", "question"}]


def test_answers_to_a_message_that_never_came_are_one_conversation(dora: int) -> None:
    receive([dora], "one", in_reply_to="lost")
    receive([dora], "other", references=["lost"])

    assert conversations(dora) == [{"one", "other"}]


def test_a_message_that_connects_two_conversations_makes_them_one(dora: int) -> None:
    receive([dora], "a")
    receive([dora], "b")
    receive([dora], "b again", in_reply_to="b")
    assert conversations(dora) == [{"a"}, {"b", "b again"}]

    receive([dora], "both", references=["a", "b"])

    assert conversations(dora) == [{"a", "b", "b again", "both"}]
    receive([dora], "late", in_reply_to="b again")
    assert conversations(dora) == [{"a", "b", "b again", "both", "late"}]
    with read() as connection:
        assert connection.execute(select(func.count()).select_from(Thread)).scalar() == 1
        lists = connection.execute(select(Conversation.total, Conversation.unread)).all()
        assert [tuple(row) for row in lists] == [(5, 5)]


def test_each_person_has_conversations_of_their_own(dora: int, emil: int) -> None:
    receive([dora], "between us")
    receive([emil], "elsewhere")
    receive([dora, emil], "to both", references=["between us", "elsewhere"])

    assert conversations(dora) == [{"between us", "to both"}]
    assert conversations(emil) == [{"elsewhere", "to both"}]


def test_merging_raises_the_change_of_what_it_moves(dora: int) -> None:
    receive([dora], "a")
    receive([dora], "b")
    receive([dora], "both", references=["a", "b"])

    with read() as connection:
        newest = connection.execute(select(func.max(Entry.modseq))).scalar()
        changed = connection.execute(
            select(Message.message_id)
            .join(Entry, Entry.message_id == Message.id)
            .where(Entry.modseq == newest)
        )
        assert {row.message_id for row in changed} == {"<b@x>", "<both@x>"}


def test_of_an_endless_chain_the_root_and_the_last_are_looked_at(dora: int) -> None:
    receive([dora], "root")
    receive([dora], "near the end")
    chain = ["root", *(f"link {n}".replace(" ", "-") for n in range(2000)), "near the end"]
    receive([dora], "newest", references=chain)

    assert conversations(dora) == [{"root", "near the end", "newest"}]
    with read() as connection:
        assert connection.execute(select(func.count()).select_from(ThreadRef)).scalar_one() < 40


def test_references_are_read_out_of_whatever_stands_around_them() -> None:
    headers = [["References", " <a@x>\t<b@x>,<c@x> (no comment)  "], ["In-Reply-To", "your mail"]]

    assert len(refs_of("<me@x>", headers)) == 4
    assert refs_of("<me@x>", [["References", "<me@x> <me@x>"]]) == refs_of("<me@x>", [])


def receive(
    people: list[int],
    name: str,
    *,
    subject: str = "",
    in_reply_to: str = "",
    references: list[str] | None = None,
) -> None:
    """File a message in the inboxes of these accounts; messages are named by their Message-ID."""
    headers = [["References", " ".join(map(_id, references or []))]]
    if in_reply_to:
        headers.append(["In-Reply-To", _id(in_reply_to)])
    with write() as connection:
        count = connection.execute(select(func.count()).select_from(Message)).scalar() or 0
        moment = START + timedelta(hours=count)
        row = connection.execute(
            insert(Message)
            .values(
                message_id=_id(name),
                created_at=moment,
                headers=headers,
                subject=subject,
                from_name="",
                from_address="",
                to_preview="",
                text_body="",
                preview="",
                attachments=[],
                attachment_count=0,
            )
            .returning(Message.id)
        ).scalar_one()
        filing.deliver(
            connection,
            Created(row, _id(name), headers, 10),
            moment,
            filing.change(connection, people),
            recipient_ids=people,
        )


def conversations(account_id: int) -> list[set[str]]:
    """The names of the messages in each of the account's conversations, the oldest thread first."""
    found: dict[int, set[str]] = {}
    with read() as connection:
        for row in connection.execute(
            select(Entry.thread_id, Message.message_id)
            .join(Message, Message.id == Entry.message_id)
            .join(Mailbox, Mailbox.id == Entry.mailbox_id)
            .where(Entry.account_id == account_id)
            .order_by(Entry.thread_id)
        ):
            name = row.message_id[1:-3].replace("-", " ")
            found.setdefault(row.thread_id, set()).add(name)
    return list(found.values())


def _id(name: str) -> str:
    return f"<{name.replace(' ', '-')}@x>"
