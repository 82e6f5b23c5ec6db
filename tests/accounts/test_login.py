"""Logging in and out: who gets in, what is said to who does not, and how often one may try."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import httpx
import pytest
from argon2 import PasswordHasher, Type, extract_parameters
from flask import Flask
from sqlalchemy import select, update

from mailapp.accounts import passwords
from mailapp.accounts import services as accounts
from mailapp.accounts.models import Account
from mailapp.database import read, write
from tests.conftest import PASSWORD
from tests.people import Person

# As it is outside of tests, which have a quick one.
HASHER = passwords._hasher


@pytest.fixture
def real_passwords(monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Passwords are hashed as they are outside of tests."""
    passwords._nobodys_hash.cache_clear()
    monkeypatch.setattr(passwords, "_hasher", HASHER)
    yield
    passwords._nobodys_hash.cache_clear()


WRONG = "The email or the password is wrong."


def hash_of(app: Flask, address: str) -> str:
    with app.app_context(), read() as connection:
        statement = select(Account.password_hash).where(Account.address == address)
        return str(connection.execute(statement).scalar_one())


@pytest.mark.parametrize("parts", ["embedded"], indirect=True)
def test_the_address_is_taken_however_it_is_written(
    alice: Person, visitor: Callable[[], Person]
) -> None:
    for written in ("alice", "  ALICE ", "Alice@Mail.Example", "Alice <alice@mail.example>"):
        browser = visitor()
        browser.log_in(written, PASSWORD)
        assert browser.logged_in, written


def test_unknown_disabled_and_wrong_get_the_same_answer(
    instances: list[Flask], alice: Person, bob: Person, visitor: Callable[[], Person]
) -> None:
    with instances[0].app_context():
        accounts.disable("bob")
    answers = []
    for email, password in (("alice", "wrong"), ("nobody", PASSWORD), ("bob", PASSWORD)):
        browser = visitor()
        browser.log_in(email, password)
        assert WRONG in browser.text
        # Which instance answered is no matter of the account's.
        said = browser.text.replace("web-1", "web").replace("web-2", "web")
        answers.append((browser.response.status_code, said))

    assert answers == [answers[0]] * 3
    assert answers[0][0] == 401


@pytest.mark.usefixtures("real_passwords")
def test_an_unknown_user_costs_one_hash_like_any_other(
    instances: list[Flask], alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    verified: list[str] = []

    class Counting(PasswordHasher):
        def verify(self, hash: Any, password: Any) -> Any:
            verified.append(hash)
            return super().verify(hash, password)

    counting = Counting(time_cost=2, memory_cost=19 * 1024, parallelism=1)
    monkeypatch.setattr(passwords, "_hasher", counting)
    costs = []
    for email in ("alice", "nobody", "no address@", "\x00", "x" * 5000, "ghost@elsewhere.example"):
        verified.clear()
        with instances[0].app_context():
            for password in ("wrong", "x" * 5000, "\x00"):
                assert accounts.authenticate(email, password) is None
        costs.append([extract_parameters(hash) for hash in verified])

    assert costs == [costs[0]] * len(costs)
    assert len(costs[0]) == 3


@pytest.mark.usefixtures("real_passwords")
def test_passwords_are_argon2id(instances: list[Flask], alice: Person) -> None:
    parameters = extract_parameters(hash_of(instances[0], "alice@mail.example"))

    assert parameters.type is Type.ID
    assert (parameters.memory_cost, parameters.time_cost) >= (19 * 1024, 2)


@pytest.mark.usefixtures("real_passwords")
def test_a_log_in_brings_an_old_hash_up_to_date(
    instances: list[Flask], alice: Person, visitor: Callable[[], Person]
) -> None:
    old = PasswordHasher(time_cost=1, memory_cost=1024, parallelism=1).hash(PASSWORD)
    with instances[0].app_context(), write() as connection:
        connection.execute(update(Account).values(password_hash=old))
    browser = visitor()
    browser.log_in("alice", "wrong")
    assert hash_of(instances[0], "alice@mail.example") == old
    browser.log_in("alice", PASSWORD)

    assert browser.logged_in
    new = hash_of(instances[0], "alice@mail.example")
    assert extract_parameters(new).memory_cost == 19 * 1024
    again = visitor()
    again.log_in("alice", PASSWORD)
    assert again.logged_in


def test_who_was_sent_to_log_in_arrives_where_they_wanted(
    alice: Person, visitor: Callable[[], Person]
) -> None:
    browser = visitor()
    browser.visit("/mail/sent?before=1-1")
    browser.press("Log in", {"Email": "alice", "Password": PASSWORD})

    assert str(browser.response.url) == "http://mail.test/mail/sent?before=1-1"


@pytest.mark.parametrize("parts", ["embedded"], indirect=True)
def test_a_log_in_leads_to_no_other_site(alice: Person, visitor: Callable[[], Person]) -> None:
    browser = visitor()
    for target in (
        "https://evil.example/",
        "//evil.example/",
        "/\\evil.example/",
        "\\\\evil.example",
        "/\t/evil.example",
        "javascript:alert(1)",
        "evil.example",
        " //evil.example",
        "/x\r\nSet-Cookie: a=b",
    ):
        browser.visit("/login")
        token = browser.page.select_one("input[name=csrf_token]")["value"]  # type: ignore[index]
        form = {"email": "alice", "password": PASSWORD, "next": target, "csrf_token": str(token)}
        answer = browser.client.post("/login", data=form)
        assert (answer.status_code, answer.headers["Location"]) == (303, "/mail/inbox"), target
        browser.visit("/mail/inbox")
        browser.press("Log out")


def test_after_a_log_out_nothing_is_shown(alice: Person) -> None:
    alice.visit("/mail/inbox")
    assert alice.response.headers["Cache-Control"] == "no-store"
    alice.press("Log out")
    assert str(alice.response.url).endswith("/login")
    for path in ("/", "/mail/inbox", "/settings", "/compose"):
        alice.visit(path)
        assert not alice.logged_in


def test_a_link_or_picture_on_another_site_can_not_log_anybody_out(alice: Person) -> None:
    assert alice.client.get("/logout").status_code == 405
    assert alice.client.post("/logout").status_code == 400
    alice.visit("/mail/inbox")
    assert alice.logged_in


def test_a_form_of_another_session_gives_back_what_was_typed_but_the_password(
    alice: Person, visitor: Callable[[], Person]
) -> None:
    browser = visitor()
    browser.visit("/login")
    browser.client.cookies.clear()
    browser.press("Log in", {"Email": "alice", "Password": PASSWORD})

    assert browser.response.status_code == 400
    assert "This page was open for too long" in browser.text
    assert "alice" in browser.response.text
    assert PASSWORD not in browser.response.text
    browser.press("Log in", {"Password": PASSWORD})
    assert browser.logged_in


def test_no_post_of_somebody_logged_in_works_without_a_token(
    instances: list[Flask], alice: Person, bob: Person
) -> None:
    bob.send("alice@mail.example", "Keep me")
    alice.open("Keep me")
    entry_id = str(alice.response.url).rpartition("/")[2]
    values = {
        "entry_id": entry_id,
        "draft_id": "00000000-0000-4000-8000-000000000000",
        "attachment_id": "00000000-0000-4000-8000-000000000001",
        "handle": "x",
        "role": "trash",
        "mailbox_id": "1",
    }
    adapter = instances[0].url_map.bind("mail.test")
    asked = 0
    for rule in instances[0].url_map.iter_rules():
        if "POST" not in (rule.methods or ()) or rule.endpoint in {
            "accounts.log_in",
            "accounts.sign_up",
            "compose.plain",  # it changes nothing, and another site can't read its answer
        }:
            continue
        path = adapter.build(rule.endpoint, {name: values[name] for name in rule.arguments})
        for token in ("", "stale"):
            form = {"csrf_token": token, "subject": "Typed text", "action": "send"}
            answer = alice.client.post(path, data=form)
            assert answer.status_code == 400, path
            if not rule.endpoint.startswith("uploads."):  # whose body is a piece of a file
                assert "Typed text" in answer.text, path
            asked += 1

    assert asked >= 20
    assert alice.subjects() == ["Keep me"]
    assert alice.subjects("Drafts") == []


def test_odd_input_is_answered_like_any_other(visitor: Callable[[], Person]) -> None:
    browser = visitor()
    for odd in (
        "\x00",
        "a\x00b@mail.example",
        "\ufffe",
        "😀" * 1000,
        '"' * 8000,
        "İ" * 400,
        "\u200b",
    ):
        browser.visit("/login")
        browser.press("Log in", {"Email": odd, "Password": odd[:2000]})
        assert browser.response.status_code == 401, odd[:10]


def test_a_form_that_is_far_too_large_is_refused(visitor: Callable[[], Person]) -> None:
    browser = visitor()
    browser.visit("/login")
    browser.press("Log in", {"Email": "x" * 100_000, "Password": "x"})

    assert browser.response.status_code == 413


def test_bytes_that_are_no_text_are_no_error_of_ours(instances: list[Flask]) -> None:
    client = httpx.Client(
        transport=httpx.WSGITransport(app=instances[0]), base_url="http://mail.test"
    )
    with client:
        for body in (b"email=%ff%fe&password=%00", b"email=\xff\xfe", b"=&=&&;%", b"\x00"):
            headers = {"Content-Type": "application/x-www-form-urlencoded"}
            for path in ("/login", "/signup"):
                assert client.post(path, content=body, headers=headers).status_code == 400
