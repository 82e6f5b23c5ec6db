"""Settings: changing the password, seeing one's own sessions and ending them."""

from __future__ import annotations

import re
import time
from collections.abc import Callable

import pytest
from flask import Flask

from mailapp.accounts import passwords
from mailapp.accounts import services as accounts
from tests.conftest import PASSWORD
from tests.people import Person

NEW = "another passphrase altogether"


def change_password(browser: Person, current: str, new: str) -> None:
    browser.visit("/settings")
    browser.press("Change password", {"Current password": current, "New password": new})


def test_a_password_change_ends_every_other_session_and_keeps_this_one(
    alice: Person, visitor: Callable[[], Person]
) -> None:
    others = [visitor(), visitor()]
    for other in others:
        other.log_in("alice", PASSWORD)
    before = alice.client.cookies["mailapp_session"]
    change_password(alice, PASSWORD, NEW)

    assert "The password is changed. Every other session has been ended." in alice.text
    assert alice.client.cookies["mailapp_session"] != before
    for _ in range(2):  # on either instance
        alice.visit("/mail/inbox")
        assert alice.logged_in
        for other in others:
            other.visit("/mail/inbox")
            assert not other.logged_in
    others[0].log_in("alice", PASSWORD)
    assert not others[0].logged_in
    others[0].log_in("alice", NEW)
    assert others[0].logged_in


def test_a_log_in_under_way_with_the_old_password_does_not_outlive_its_change(
    alice: Person, visitor: Callable[[], Person], monkeypatch: pytest.MonkeyPatch
) -> None:
    real = accounts.authenticate

    def meanwhile(email: str, password: str) -> tuple[int, int] | None:
        found = real(email, password)
        change_password(alice, PASSWORD, NEW)
        return found

    thief = visitor()
    thief.visit("/login")
    monkeypatch.setattr(accounts, "authenticate", meanwhile)
    thief.press("Log in", {"Email": "alice", "Password": PASSWORD})

    assert "The password is changed." in alice.text
    for _ in range(2):
        thief.visit("/mail/inbox")
        assert not thief.logged_in


def test_two_password_changes_at_once_are_not_both_told_that_theirs_holds(
    alice: Person, visitor: Callable[[], Person], monkeypatch: pytest.MonkeyPatch
) -> None:
    phone = visitor()
    phone.log_in("alice", PASSWORD)
    phone.visit("/settings")
    real = passwords.hash_new

    def meanwhile(password: str, *, address: str) -> str:
        monkeypatch.setattr(passwords, "hash_new", real)
        phone.press("Change password", {"Current password": PASSWORD, "New password": NEW})
        return real(password, address=address)

    alice.visit("/settings")
    monkeypatch.setattr(passwords, "hash_new", meanwhile)
    mine = "mine would have been this"
    alice.press("Change password", {"Current password": PASSWORD, "New password": mine})

    assert "The password is changed." in phone.text
    assert "The password is changed." not in alice.text
    third = visitor()
    third.log_in("alice", mine)
    assert not third.logged_in
    third.log_in("alice", NEW)
    assert third.logged_in


def test_a_wrong_or_weak_password_changes_nothing(
    alice: Person, visitor: Callable[[], Person]
) -> None:
    for current, new, said in (
        ("wrong", NEW, "This is not your current password."),
        ("", NEW, "This is not your current password."),
        (PASSWORD, "short", "at least 10 characters"),
        (PASSWORD, "alice@mail.example", "must not be the address"),
        (PASSWORD, "x" * 5000, "at most 256 characters"),
    ):
        change_password(alice, current, new)
        assert alice.response.status_code == 422
        assert said in alice.text
    browser = visitor()
    browser.log_in("alice", PASSWORD)
    assert browser.logged_in


def test_a_stolen_session_can_not_try_passwords_without_end(alice: Person) -> None:
    for _ in range(10):
        change_password(alice, "wrong", NEW)
        assert alice.response.status_code == 422
    change_password(alice, PASSWORD, NEW)

    assert alice.response.status_code == 429
    assert 0 < int(alice.response.headers["Retry-After"]) <= 900


def test_the_list_says_when_and_where_from_and_which_is_this(
    instances: list[Flask], alice: Person, visitor: Callable[[], Person]
) -> None:
    phone = visitor()
    phone.client.headers["User-Agent"] = "Mozilla/5.0 (iPhone) Version/17.0 Safari/605.1.15"
    phone.log_in("alice", PASSWORD)
    alice.visit("/settings")
    items = alice.page.select("ul.sessions li")

    assert len(items) == 2
    assert "This session" in items[0].text
    assert "This session" not in items[1].text
    assert "Safari on iPhone" in items[1].text
    for item in items:
        assert "127.0.0.1" in item.text
        times = [str(moment["datetime"]) for moment in item.select("time")]
        assert len(times) == 2
        for moment in times:
            assert moment.startswith(time.strftime("%Y-%m-%dT", time.gmtime()))


def test_one_session_can_be_ended_and_only_that(
    alice: Person, visitor: Callable[[], Person]
) -> None:
    phone, tablet = visitor(), visitor()
    for name, browser in (("Phone", phone), ("Tablet", tablet)):
        browser.client.headers["User-Agent"] = name
        browser.log_in("alice", PASSWORD)
    alice.visit("/settings")
    (item,) = [item for item in alice.page.select("ul.sessions li") if "Phone" in item.text]
    form = item.select_one("form")
    assert form is not None
    token = form.select_one("input[name=csrf_token]")
    assert token is not None
    answer = alice.client.post(str(form["action"]), data={"csrf_token": str(token["value"])})
    assert answer.status_code == 303

    for _ in range(2):
        for browser, there in ((alice, True), (phone, False), (tablet, True)):
            browser.visit("/mail/inbox")
            assert browser.logged_in is there


def test_a_session_of_somebody_else_is_not_there(
    alice: Person, bob: Person, visitor: Callable[[], Person]
) -> None:
    visitor().log_in("bob", PASSWORD)
    bob.visit("/settings")
    handles = re.findall(r"/settings/sessions/([0-9a-f]{64})/end", bob.response.text)
    assert len(handles) == 1
    token = alice.visit("/settings").select_one("input[name=csrf_token]")
    assert token is not None
    texts = set()
    for handle in (*handles, "0" * 64, "x", "%00", "x" * 3000):
        answer = alice.client.post(
            f"/settings/sessions/{handle}/end", data={"csrf_token": str(token["value"])}
        )
        assert answer.status_code == 404
        ident = answer.headers["X-Request-ID"]
        texts.add(re.sub("web-[12]", "", answer.text.replace(ident, "")))

    assert len(texts) == 1
    bob.visit("/mail/inbox")
    assert bob.logged_in
