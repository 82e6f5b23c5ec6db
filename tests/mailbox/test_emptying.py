"""Trash and Spam are emptied by age, and nothing else is."""

from __future__ import annotations

from datetime import timedelta

import pytest
from flask import Flask
from sqlalchemy import select, update

from mailapp.accounts.models import Account
from mailapp.database import now, read, write
from mailapp.mailbox import emptying
from mailapp.mailbox.models import Entry
from tests.checks import counts_are_right
from tests.people import Person

DAYS = 30


@pytest.fixture
def old(alice: Person, app: Flask, monkeypatch: pytest.MonkeyPatch) -> Person:
    """Alice, who has a message in every folder, each moved there longer ago than DAYS."""
    monkeypatch.setattr(emptying, "BATCH", 1)
    for folder, button in (("Trash", "Delete"), ("Spam", "Spam"), ("Archive", "Archive")):
        for number in range(2):
            alice.send("alice@mail.example", f"{folder} {number}")
            alice.visit("/mail/inbox")
            alice.select(f"{folder} {number}")
            alice.press(button)
    with write() as connection:
        moved = Entry.moved_at.is_not(None)
        long_ago = now() - timedelta(days=DAYS, minutes=1)
        connection.execute(update(Entry).where(moved).values(moved_at=long_ago))
    return alice


def test_what_lay_there_long_enough_is_deleted_for_good(old: Person, app: Flask) -> None:
    assert emptying.empty(now() - timedelta(minutes=2), DAYS) == 0
    assert len(old.subjects("Trash")) == 2
    assert emptying.empty(now(), DAYS) == 4
    assert old.subjects("Trash") == old.subjects("Spam") == []
    assert len(old.subjects("Archive")) == 2
    assert len(old.subjects("Sent")) == 6
    counts_are_right(app)


def test_emptying_tells_pages_of_no_more_than_it_does(
    old: Person, app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(emptying, "BATCH", 10)
    with read() as connection:
        before = connection.scalars(select(Account.modseq)).one()
    assert emptying.empty(now(), DAYS) == 4
    with read() as connection:
        assert connection.scalars(select(Account.modseq)).one() == before + 2, "once a folder"


def test_of_zero_days_nothing_is_deleted(old: Person) -> None:
    assert emptying.empty(now() + timedelta(days=4000), 0) == 0
    assert len(old.subjects("Trash")) == 2


def test_days_of_what_was_moved_by_an_older_version_begin_now(old: Person, app: Flask) -> None:
    with write() as connection:
        connection.execute(update(Entry).values(moved_at=None))
    assert emptying.empty(now(), DAYS) == 0
    with read() as connection:
        noted = connection.scalars(select(Entry.moved_at).where(Entry.moved_at.is_not(None))).all()
    assert len(noted) == 4
    assert emptying.empty(now() + timedelta(days=DAYS, minutes=1), DAYS) == 4
