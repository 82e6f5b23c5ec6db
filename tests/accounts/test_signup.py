"""Signing up: the rules, one sentence each, and an account at the end."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from flask import Flask

from mailapp import create_app
from mailapp.accounts import services as accounts
from mailapp.settings import Settings
from tests.conftest import PASSWORD, Environment
from tests.people import Person

NAME, EMAIL = "Dana", "dana@mail.example"


def test_who_signs_up_is_logged_in_and_can_be_written_to(
    visitor: Callable[[], Person], alice: Person
) -> None:
    dana = visitor()
    dana.sign_up("Dana 다나 👩‍🚀", "  Dana@MAIL.example ", PASSWORD)
    assert dana.logged_in
    alice.send(EMAIL, "Welcome")

    assert dana.subjects() == ["Welcome"]
    again = visitor()
    again.log_in("dana", PASSWORD)
    assert again.logged_in


def test_each_rule_says_what_to_do_and_keeps_what_was_typed(
    alice: Person, visitor: Callable[[], Person]
) -> None:
    dana = visitor()
    for name, email, password, said in (
        (NAME, "alice", PASSWORD, "alice@mail.example is taken"),
        (NAME, "ALICE@mail.example", PASSWORD, "alice@mail.example is taken"),
        (NAME, "postmaster", PASSWORD, "is reserved"),
        (NAME, "dana@elsewhere.example", PASSWORD, "Addresses here end in @mail.example"),
        (NAME, "da na", PASSWORD, "Please choose an address such as"),
        (NAME, "", PASSWORD, "Please choose an address such as"),
        (NAME, "dana\x00", PASSWORD, "Please choose an address such as"),
        (NAME, '"' * 9000, PASSWORD, "Please choose an address such as"),
        (NAME, "다나", PASSWORD, "use letters a to z"),
        (NAME, "da..na", PASSWORD, "Please choose an address such as"),
        (NAME, "-dana", PASSWORD, "use letters a to z"),
        (NAME, EMAIL, "short", "at least 10 characters"),
        (NAME, EMAIL, "aaaaaaaaaaaaa", "repeats the same few characters"),
        (NAME, EMAIL, EMAIL.upper(), "must not be the address"),
        (NAME, EMAIL, "abcd" * 100, "at most 256 characters"),
        (" \t ", EMAIL, PASSWORD, "Please say how you are called"),
        ("D" * 101, EMAIL, PASSWORD, "at most 100 characters"),
        ("D\x00na", EMAIL, PASSWORD, "can't be shown"),
        ("D\u202ena", EMAIL, PASSWORD, "can't be shown"),
    ):
        dana.sign_up(name, email, password)
        assert dana.response.status_code == 422, (name, email)
        assert said in dana.text, (name, email, dana.text)
        assert not dana.logged_in
        assert password not in dana.response.text or password == EMAIL.upper()
        form = dana.button("Sign up").find_parent("form")
        assert form is not None
        if "\x00" not in email:
            assert dana.control(form, "Email")["value"] == email

    dana.press("Sign up", {"Name": NAME, "Email": EMAIL, "Password": PASSWORD})
    assert dana.logged_in


def test_two_who_want_the_same_address_at_once_get_one_account(
    instances: list[Flask], visitor: Callable[[], Person], monkeypatch: pytest.MonkeyPatch
) -> None:
    first, second = visitor(), visitor()
    for browser in (first, second):
        browser.visit("/signup")
    form = {"Name": NAME, "Email": EMAIL, "Password": PASSWORD}
    real = accounts.clean_name

    def meanwhile(name: str) -> str:
        monkeypatch.setattr(accounts, "clean_name", real)
        second.press("Sign up", form)
        return real(name)

    monkeypatch.setattr(accounts, "clean_name", meanwhile)
    first.press("Sign up", form)

    assert (first.logged_in, second.logged_in) == (False, True)
    assert f"{EMAIL} is taken" in first.text


@pytest.mark.parametrize("parts", ["embedded"], indirect=True)
def test_a_closed_sign_up_is_offered_nowhere_and_refused(environment: Environment) -> None:
    app = create_app(Settings.from_env({**environment, "SIGNUP_OPEN": "false"}))
    browser = app.test_client()
    page = browser.get("/login").text

    assert "Sign up" not in page
    for answer in (browser.get("/signup"), browser.post("/signup", data={"email": EMAIL})):
        assert answer.status_code == 403
        assert "Sign-up is closed" in answer.text
    app.extensions["database"].engine.dispose()


def test_a_stale_form_signs_nobody_up_and_gives_back_what_was_typed(
    app: Flask, visitor: Callable[[], Person]
) -> None:
    browser = visitor()
    browser.visit("/signup")
    browser.client.cookies.clear()
    browser.press("Sign up", {"Name": NAME, "Email": EMAIL, "Password": PASSWORD})

    assert browser.response.status_code == 400
    assert accounts.list_all() == []
    form = browser.button("Sign up").find_parent("form")
    assert form is not None
    assert browser.control(form, "Name")["value"] == NAME
    assert PASSWORD not in browser.response.text
