"""Contacts: who is meant by a few letters."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from flask import Flask
from sqlalchemy import delete, select

from mailapp.accounts import services as accounts
from mailapp.accounts.models import Account
from mailapp.contacts import services as contacts
from mailapp.contacts.models import AddressWord, Contact
from mailapp.database import engine, now, read, write
from mailapp.mail import addresses
from mailapp.migrations import catching_up
from tests.conftest import PASSWORD
from tests.people import Person


def suggested(writer: Person, typed: str) -> list[str]:
    """The addresses that the page of writing is given."""
    answer = writer.client.get("/contacts", params={"q": typed})
    assert answer.status_code == 200
    return [one["address"] for one in answer.json()["people"]]


@pytest.mark.parametrize(
    ("typed", "found"),
    [
        ("mins", ["minsu@mail.example"]),
        ("MINSU@MAIL", ["minsu@mail.example"]),
        ("김", ["minsu@mail.example"]),
        ("김민", ["minsu@mail.example"]),
        ("민수", ["minsu@mail.example"]),
        ("émi", ["zola@mail.example"]),
        ("ÉMILE Z", ["zola@mail.example"]),
        ("zOLA", ["zola@mail.example"]),
        ("ola", []),
        ("%", []),
        ("_", []),
        ("", []),
        ("  ", []),
        ("x" * 500, []),
        ("\x00", []),
    ],
)
def test_the_directory_is_found_by_address_name_and_each_of_its_words(
    typed: str, found: list[str], alice: Person, instances: list[Flask]
) -> None:
    with instances[0].app_context():
        accounts.create("minsu", "김민수", PASSWORD)
        accounts.create("zola", "Émile Zola", PASSWORD)
    assert suggested(alice, typed) == found


def test_whom_one_writes_to_comes_first_and_most_written_to_before_the_others(
    alice: Person, bob: Person, person: Callable[[str], Person]
) -> None:
    person("Benny")
    assert suggested(alice, "b") == ["benny@mail.example", "bob@mail.example"]
    alice.send("benny@mail.example", "One")
    for subject in ("Two", "Three"):
        alice.send("Bobby <bob@mail.example>", subject)
    assert suggested(alice, "b") == ["bob@mail.example", "benny@mail.example"]
    answer = alice.client.get("/contacts", params={"q": "bobb"}).json()
    assert answer["people"] == [
        {
            "name": "Bobby",
            "address": "bob@mail.example",
            "text": "Bobby <bob@mail.example>",
        }
    ]
    # What Alice calls him is hers alone.
    assert suggested(bob, "bobb") == []


def test_a_name_that_comes_later_than_the_address_is_found_too(alice: Person, bob: Person) -> None:
    alice.send("bob@mail.example", "One")
    assert suggested(alice, "uncle") == []
    alice.send("Uncle Rob <bob@mail.example>", "Two")
    assert suggested(alice, "uncle") == suggested(alice, "rob") == ["bob@mail.example"]


def test_who_is_renamed_is_found_by_the_new_name_and_who_is_disabled_by_none(
    alice: Person, bob: Person, instances: list[Flask]
) -> None:
    bob.visit("/settings")
    bob.press("Save settings", {"Name": "Robert Lee"})
    assert suggested(alice, "rob") == suggested(alice, "lee") == ["bob@mail.example"]
    with instances[0].app_context():
        accounts.disable("bob@mail.example")
    assert suggested(alice, "rob") == suggested(alice, "bob") == []


def test_suggestions_are_bounded_and_for_who_is_signed_in(
    alice: Person, visitor: Callable[[], Person], instances: list[Flask]
) -> None:
    with instances[0].app_context(), write() as connection:
        contacts.note(
            connection,
            connection.execute(
                select(Account.id).where(Account.address == "alice@mail.example")
            ).scalar_one(),
            [addresses.parse(f"many{number}@mail.example") for number in range(150)],
            now(),
        )
    assert len(suggested(alice, "many")) == contacts.MOST
    stranger = visitor().client.get(
        "/contacts", params={"q": "a"}, headers={"Accept": "application/json"}
    )
    assert stranger.status_code == 401


def test_accounts_of_a_version_before_are_enlisted_by_the_next_migration(
    alice: Person, bob: Person, instances: list[Flask]
) -> None:
    with instances[0].app_context():
        with write() as connection:
            connection.execute(delete(AddressWord))
        assert suggested(alice, "bob") == []
        catching_up.catch_up(engine())
        assert suggested(alice, "bob") == ["bob@mail.example"]
        with read() as connection:
            assert connection.execute(select(Contact)).all() == []
