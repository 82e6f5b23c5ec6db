"""How often something may be tried: counted for all instances together, by account and address."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

import pytest
from flask import Flask

from mailapp import create_app, limits
from mailapp.limits import Limit
from mailapp.settings import Settings
from tests.conftest import PASSWORD, Environment
from tests.people import Person


@pytest.fixture
def environment(environment: Environment) -> Environment:
    return {**environment, "LOGIN_TRIES_ACCOUNT": "3", "LOGIN_TRIES_ADDRESS": "6"}


def wait_said(browser: Person) -> int:
    """The seconds of a refusal; fails where it is none."""
    assert browser.response.status_code == 429
    assert "Too many" in browser.text
    return int(browser.response.headers["Retry-After"])


def test_too_many_tries_on_one_account_are_refused_by_all_instances(
    alice: Person, bob: Person, visitor: Callable[[], Person]
) -> None:
    browser = visitor()
    for email in ("alice", "ALICE@mail.example", " alice "):
        browser.log_in(email, "wrong")
        assert browser.response.status_code == 401
    for _ in range(2):
        browser.log_in("alice", PASSWORD)
        assert 0 < wait_said(browser) <= 900
        assert not browser.logged_in

    browser.log_in("bob", PASSWORD)
    assert browser.logged_in
    alice.visit("/mail/inbox")
    assert alice.logged_in


def test_an_account_that_is_not_there_is_refused_as_one_that_is(
    visitor: Callable[[], Person],
) -> None:
    browser = visitor()
    for status in (401, 401, 401, 429):
        browser.log_in("nobody", "wrong")
        assert browser.response.status_code == status


def test_too_many_tries_from_one_address_are_refused_whatever_the_account(
    alice: Person, visitor: Callable[[], Person]
) -> None:
    browser = visitor()
    for number in range(6):
        # Nobody's proxy: what it says of where it comes from is not believed.
        browser.client.headers["X-Forwarded-For"] = f"203.0.113.{number}"
        browser.log_in(f"name{number}", "wrong")
        assert browser.response.status_code == 401
    browser.log_in("alice", PASSWORD)

    assert 0 < wait_said(browser) <= 900


def test_a_log_in_gives_its_try_back(alice: Person, visitor: Callable[[], Person]) -> None:
    browser = visitor()
    for _ in range(4):  # two wrong ones, and then right: eight tries from here, four of them count
        browser.log_in("alice", "wrong")
        assert browser.response.status_code == 401
        browser.log_in("alice", PASSWORD)
        assert browser.logged_in
        browser.press("Log out")


def test_signing_up_without_end_is_refused(visitor: Callable[[], Person]) -> None:
    browser = visitor()
    for _ in range(6):
        browser.sign_up("Dana", "postmaster", PASSWORD)
        assert browser.response.status_code == 422
    browser.sign_up("Dana", "dana", PASSWORD)

    assert wait_said(browser) > 0


@pytest.mark.parametrize("parts", ["embedded"], indirect=True)
def test_behind_our_proxy_each_visitor_is_counted_alone(environment: Environment) -> None:
    settings = Settings.from_env({**environment, "TRUSTED_PROXIES": "127.0.0.0/8"})
    app = create_app(settings)

    def statuses(address: str) -> list[int]:
        browser = app.test_client()
        answers = []
        for number in range(7):
            # What the visitor says stands first; what our proxy saw, last.
            headers = {"X-Forwarded-For": f"198.51.100.{number}, {address}"}
            page = browser.get("/login", headers=headers).text
            token = page.partition('name="csrf_token" value="')[2].partition('"')[0]
            form = {"email": f"{address}{number}", "password": "x", "csrf_token": token}
            answers.append(browser.post("/login", data=form, headers=headers).status_code)
        return answers

    assert statuses("203.0.113.1") == [401] * 6 + [429]
    assert statuses("203.0.113.2") == [401] * 6 + [429]
    app.extensions["database"].engine.dispose()


def test_of_many_tries_at_once_no_more_than_allowed_go_on(instances: list[Flask]) -> None:
    limit, granted = Limit("test", 3, 60), []
    barrier = threading.Barrier(8)

    def ask(app: Flask) -> None:
        with app.app_context():
            barrier.wait()
            granted.append(limits.take(limit, "somebody"))

    asking = [threading.Thread(target=ask, args=(instances[number % 2],)) for number in range(8)]
    for thread in asking:
        thread.start()
    for thread in asking:
        thread.join(20)

    assert sum(wait is None for wait in granted) == 3
    assert all(1 <= wait <= 60 for wait in granted if wait is not None)


def test_when_the_time_is_over_tries_are_granted_again(app: Flask) -> None:
    limit = Limit("test", 1, 1)
    assert limits.take(limit, "somebody") is None
    wait = limits.take(limit, "somebody")
    assert wait == 1
    deadline = time.monotonic() + 5
    while limits.take(limit, "somebody") is not None:
        assert time.monotonic() < deadline
        time.sleep(0.1)


def test_given_back_and_forgotten_tries_do_not_count(app: Flask) -> None:
    limit = Limit("test", 2, 60)
    for subject in ("somebody", "\x00", "x" * 5000, "\udcff", "a/b/../c"):
        assert limits.take(limit, subject) is None
        limits.give_back(limit, subject)
        assert limits.take(limit, subject) is None
        assert limits.take(limit, subject) is None
        assert limits.take(limit, subject) is not None
        limits.forget(limit, subject)
        assert limits.take(limit, subject) is None


@pytest.mark.parametrize(
    ("address", "counted_as"),
    [
        ("203.0.113.9", "203.0.113.9"),
        ("::ffff:203.0.113.9", "203.0.113.9"),
        ("2001:db8:1:2:3:4:5:6", "2001:db8:1:2::/64"),
        ("2001:db8:1:2:ffff::1", "2001:db8:1:2::/64"),
        ("", ""),
    ],
)
def test_an_address_of_ipv6_counts_as_its_network(address: str, counted_as: str) -> None:
    assert limits.network_of(address) == counted_as
