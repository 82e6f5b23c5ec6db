"""What messages are found by: as long as they are there, also the very long and the very old."""

from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime

import pytest
from flask import Flask
from sqlalchemy import delete, insert, select

from mailapp.accounts import services as accounts
from mailapp.database import read, write
from mailapp.mail.models import Message
from mailapp.mailbox.models import Entry, Mailbox
from mailapp.queries import transaction
from mailapp.search.finding import find
from mailapp.search.index import index, index_all_missing
from mailapp.search.language import Reader
from mailapp.search.models import SearchEntry, SearchMissing

NOW = datetime(2026, 6, 1, tzinfo=UTC)


@pytest.fixture
def account_id(app: Flask) -> int:
    accounts.create("alice", "Alice", "correct horse battery staple")
    with read() as connection:
        return connection.scalars(select(Mailbox.account_id)).all()[0]


def filed(account_id: int, body: str) -> int:
    """A message that an instance of the version before has filed; its id."""
    with write() as connection:
        message_id = connection.execute(
            insert(Message)
            .values(
                message_id="<1@test>",
                created_at=NOW,
                headers=[["From", "not an address"], ["To", "undisclosed-recipients:;"]],
                subject="",
                from_name="",
                from_address="",
                to_preview="",
                text_body=body,
                preview="",
                attachments=[],
                attachment_count=0,
            )
            .returning(Message.id)
        ).scalar_one()
        box = select(Mailbox.id).where(Mailbox.account_id == account_id, Mailbox.role == "inbox")
        connection.execute(
            insert(Entry).values(
                account_id=account_id,
                mailbox_id=box.scalar_subquery(),
                message_id=message_id,
                seen=False,
                sort_at=NOW,
                modseq=0,
            )
        )
    return int(message_id)


def finds(account_id: int, query: str) -> bool:
    return bool(find(account_id, Reader({}).read(query), None, 10).rows)


@pytest.mark.parametrize("parts", ["servers"], indirect=True)
def test_what_the_version_before_files_is_found_once_gc_has_run(account_id: int) -> None:
    filed(account_id, "budget")
    assert not finds(account_id, "budget")

    assert index_all_missing() == 1

    assert finds(account_id, "budget")
    assert finds(account_id, 'from:"not an address"')
    assert index_all_missing() == 0
    with read() as connection:
        assert connection.execute(select(SearchMissing)).all() == []


@pytest.mark.parametrize("parts", ["servers"], indirect=True)
def test_two_may_index_the_same_message_at_once(app: Flask, account_id: int) -> None:
    message_id = filed(account_id, "budget")

    def sort_in() -> int:
        with app.app_context():
            return index_all_missing()

    with ThreadPoolExecutor() as other:
        with transaction() as inside:
            index(inside, [message_id])
            indexed = other.submit(sort_in)
            with pytest.raises(TimeoutError):  # it waits for this transaction
                indexed.result(timeout=1)
        assert indexed.result(timeout=10) == 1
    assert finds(account_id, "budget")


def test_what_is_deleted_is_not_found(account_id: int) -> None:
    message_id = filed(account_id, "budget")
    with write() as connection:
        index(connection, [message_id])
        index(connection, [message_id])
    assert finds(account_id, "budget")

    with write() as connection:
        connection.execute(delete(Entry))
        assert connection.execute(select(SearchEntry)).all() == []
    assert not finds(account_id, "budget")
    filed(account_id, "nothing")  # of SQLite's numbers none is given twice
    assert not finds(account_id, "budget")


@pytest.mark.parametrize(
    "body",
    [
        "first second " + "word " * 20_000 + "last",
        "first second " + " ".join(f"{number:064}" for number in range(20_000)),
        "first second " + " ".join(f"낱말{number}" for number in range(20_000)),
        "first second " + "x" * 3_000_000,
        "first second " + "예산" * 100_000,
        "first second '\"\\:*&|!<->() \t\r\n ~#@",
    ],
)
def test_a_text_of_any_kind_is_filed_and_found_by_how_it_begins(account_id: int, body: str) -> None:
    message_id = filed(account_id, body)
    with write() as connection:
        index(connection, [message_id])

    assert finds(account_id, '"first second"')
    assert not finds(account_id, '"second first"')
