"""Prepared statements: the same rows and errors as SQLAlchemy's own, on both databases."""

from __future__ import annotations

import time
import uuid
from datetime import UTC, datetime

import psycopg
import pytest
from flask import Flask
from sqlalchemy import bindparam, insert, select, text, update
from sqlalchemy.engine import make_url
from sqlalchemy.exc import IntegrityError

from mailapp import postgresql
from mailapp.accounts import services as accounts
from mailapp.accounts.models import Account
from mailapp.database import engine, read, write
from mailapp.mail.models import Message
from mailapp.queries import Query, among, transaction

PASSWORD = "correct horse battery staple"

_ALL = Query(select(Account.id, Account.address, Account.name).order_by(Account.id))
_AMONG = Query(
    select(Account.address).where(among(Account.address, "addresses")).order_by(Account.address)
)
_NAME = Query(select(Account.name).where(Account.id == bindparam("account_id")))
_RENAME = Query(
    update(Account)
    .where(Account.id == bindparam("account_id"))
    .values(name=bindparam("new_name"), address=bindparam("new_address"))
)


@pytest.fixture
def names(app: Flask) -> dict[str, int]:
    """Accounts: {name: id}."""
    with app.app_context():
        return {name: accounts.create(name, name, PASSWORD) for name in ("ann", "ben", "cat")}


def test_rows_have_the_columns_names(app: Flask, names: dict[str, int]) -> None:
    with app.app_context():
        rows = _ALL.read()

    assert [(row.id, row.address, row.name) for row in rows] == [
        (account_id, f"{name}@mail.example", name) for name, account_id in names.items()
    ]


def test_values_of_every_kind_come_back_as_they_were_given(app: Flask) -> None:
    columns = [column for column in Message.__table__.columns if column.name != "id"]
    given = {
        "message_id": "<{\"'%$1\\}@test>",
        "send_id": uuid.uuid4(),
        "sender_id": None,
        "created_at": datetime(2026, 11, 23, 1, 2, 3, 456789, tzinfo=UTC),
        "headers": [["Subject", "한글 \\ \" ' \x7f"], ["X", ""]],
        "subject": "a\nb\t한글 😀",
        "from_name": "",
        "from_address": "NULL",
        "to_preview": "%s $1 :name",
        "text_body": "x" * 200_000,
        "preview": "\\x00",
        "attachments": [],
        "attachment_count": -7,
        "html_body": "<p>\\ $1",
        "size": 2**40,
        "raw_blob_id": None,
    }
    put = Query(
        insert(Message)
        .values({column.name: bindparam(column.name) for column in columns})
        .returning(Message.id)
    )
    get = Query(select(*columns).where(Message.send_id == bindparam("send_id")))
    with app.app_context():
        with transaction() as inside:
            put.rows(inside, **given)
        (by_query,) = get.read(send_id=given["send_id"])
        with read() as connection:
            by_sqlalchemy = connection.execute(select(*columns)).one()

    assert by_query._asdict() == given
    assert by_sqlalchemy._asdict() == given


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        ([], []),
        (["ben@mail.example"], ["ben@mail.example"]),
        (
            ["cat@mail.example", "nobody@x", "ann@mail.example"],
            ["ann@mail.example", "cat@mail.example"],
        ),
        (['"{,}\\', "NULL", "'; --", "한글@mail.example"], []),
        ([f"{number}@mail.example" for number in range(5000)], []),
    ],
    ids=["none", "one", "several", "odd", "many"],
)
def test_a_list_of_any_length_is_one_value(
    app: Flask, names: dict[str, int], wanted: list[str], found: list[str]
) -> None:
    with app.app_context():
        assert [row.address for row in _AMONG.read(addresses=wanted)] == found


def test_what_is_longer_than_the_column_is_not_cut_to_fit(app: Flask) -> None:
    address = "a" * (320 - len("@mail.example")) + "@mail.example"
    with app.app_context():
        with write() as connection:
            connection.execute(
                insert(Account).values(
                    address=address, name="Long", password_hash="-", created_at=datetime.now(UTC)
                )
            )
        assert len(_AMONG.read(addresses=[address])) == 1
        assert _AMONG.read(addresses=[f"{address}.org"]) == []


def test_a_value_that_was_forgotten_is_an_error(app: Flask, names: dict[str, int]) -> None:
    with app.app_context(), pytest.raises(Exception, match="account_id"):
        _NAME.read()


def test_a_transaction_that_fails_leaves_nothing_and_costs_no_connection(
    app: Flask, names: dict[str, int]
) -> None:
    def change_and_fail() -> None:
        with transaction() as inside:
            changed = _RENAME.run(
                inside, account_id=names["ann"], new_name="x", new_address="x@mail.example"
            )
            assert changed == 1
            raise KeyError("changed my mind")

    with app.app_context():
        _ALL.read()
        before = engine().pool.status()
        for _ in range(3):
            with pytest.raises(KeyError):
                change_and_fail()
        (row,) = _NAME.read(account_id=names["ann"])
        assert row.name == "ann"
        assert engine().pool.status() == before


def test_what_the_database_refuses_is_raised_as_sqlalchemy_does(
    app: Flask, names: dict[str, int]
) -> None:
    with app.app_context():
        with pytest.raises(IntegrityError), transaction() as inside:
            _RENAME.run(
                inside, account_id=names["ann"], new_name="x", new_address="ben@mail.example"
            )
        with transaction() as inside:
            _RENAME.run(
                inside, account_id=names["ann"], new_name="Ann", new_address="ann@mail.example"
            )
        (row,) = _NAME.read(account_id=names["ann"])
        assert row.name == "Ann"


@pytest.mark.parametrize("parts", ["servers"], indirect=True)
def test_connections_that_the_server_has_closed_cost_nobody_an_error(
    app: Flask, names: dict[str, int], environment: dict[str, str]
) -> None:
    url = make_url(environment["DATABASE_URL"]).set(drivername="postgresql")
    with (
        app.app_context(),
        psycopg.connect(url.render_as_string(hide_password=False), autocommit=True) as operator,
    ):
        for _ in range(3):
            _NAME.read(account_id=names["ann"])
            with transaction() as inside:
                assert _NAME.rows(inside, account_id=names["ann"])
            with write() as connection:
                assert _NAME.rows(connection, account_id=names["ann"])
            ended = operator.execute(
                "SELECT pg_terminate_backend(pid) FROM pg_stat_activity "
                "WHERE datname = current_database() AND pid <> pg_backend_pid()"
            ).fetchall()
            assert ended
            time.sleep(2 * postgresql.MOMENT)


@pytest.mark.parametrize("parts", ["servers"], indirect=True)
def test_a_change_of_a_table_leaves_what_is_prepared(app: Flask, names: dict[str, int]) -> None:
    with app.app_context(), write() as connection:
        for _ in range(10):  # which psycopg would prepare, too
            connection.execute(select(Account.id).where(Account.name == "ann"))
        assert _NAME.rows(connection, account_id=names["ann"])
        connection.execute(text("ALTER TABLE accounts ALTER COLUMN name SET STATISTICS 100"))
        assert _NAME.rows(connection, account_id=names["ann"])
