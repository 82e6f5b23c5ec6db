"""What an open page is told, by which instance, and when its connection ends."""

from __future__ import annotations

import errno
import json
import socket
from collections.abc import Callable
from contextlib import closing

import httpx
import pytest
from flask import Flask
from sqlalchemy import select

from deploy.topology import HOST, Valkey, Web
from mailapp.accounts.models import Account
from mailapp.database import read, write
from mailapp.mailbox.filing import change
from tests.cluster.stack import eventually
from tests.conftest import PASSWORD
from tests.live.streams import Page, counter
from tests.people import Person

Somebody = Callable[[str, Web], Person]
Open = Callable[..., Page]


def test_a_page_is_told_of_what_happens_on_the_other_instance(
    webs: list[Web], somebody: Somebody, page: Open
) -> None:
    alice, bob = somebody("Alice", webs[0]), somebody("Bob", webs[1])
    before = counter(alice)
    mine, elsewhere, bobs = (
        page(webs[0], alice, before),
        page(webs[1], alice, before),
        page(webs[1], bob, counter(bob)),
    )
    bob.send("alice@mail.example", "New")

    for one in (mine, elsewhere):
        one.is_told(before + 1)
        assert one.status == 200
    bobs.is_told(counter(bob))
    after_mail = counter(alice)
    alice.open("New")
    assert counter(alice) > after_mail  # it is read
    for one in (mine, elsewhere):
        one.is_told(counter(alice))


@pytest.mark.parametrize("parts", ["embedded"], indirect=True)
def test_the_answer_is_one_that_balancers_and_browsers_pass_on_as_it_comes(
    webs: list[Web], somebody: Somebody, page: Open
) -> None:
    alice = somebody("Alice", webs[0])
    opened = page(webs[0], alice, counter(alice))

    head = opened.head.lower()
    assert "content-type: text/event-stream" in head
    assert "x-accel-buffering: no" in head
    assert "cache-control: no-store" in head
    assert "content-length" not in head
    assert "transfer-encoding" not in head
    assert "connection: close" in head
    assert opened.text.startswith("retry: ")


def test_who_comes_back_is_told_at_once_of_what_they_have_missed(
    webs: list[Web], somebody: Somebody, page: Open
) -> None:
    alice = somebody("Alice", webs[0])
    known = counter(alice)
    page(webs[0], alice, known).close()
    alice.send("alice@mail.example", "While away")

    back = page(webs[1], alice, known)
    back.is_told(counter(alice))
    assert back.told == [counter(alice)]
    page(webs[1], alice, counter(alice)).hears_nothing(1.5)


@pytest.mark.parametrize("parts", ["servers"], indirect=True)
def test_an_instance_that_stops_ends_its_pages_only_when_others_are_to_be_asked(
    webs: list[Web], somebody: Somebody, page: Open
) -> None:
    alice, bob = somebody("Alice", webs[0]), somebody("Bob", webs[1])
    known = counter(alice)
    opened = page(webs[0], alice, known)
    webs[0].terminate()
    bob.send("alice@mail.example", "In the drain")
    opened.is_told(known + 1)
    opened.ends()

    def refuses() -> bool:
        with socket.socket() as connection:
            return connection.connect_ex((HOST, webs[0].port)) == errno.ECONNREFUSED

    assert eventually(refuses, seconds=10), "its other worker ends, too"
    bob.send("alice@mail.example", "After the end")
    back = page(webs[1], alice, opened.told[-1])
    back.is_told(known + 2)


@pytest.mark.parametrize("parts", ["servers"], indirect=True)
def test_a_killed_instance_loses_no_event(webs: list[Web], somebody: Somebody, page: Open) -> None:
    alice, bob = somebody("Alice", webs[0]), somebody("Bob", webs[1])
    known = counter(alice)
    opened = page(webs[0], alice, known)
    webs[0].kill()
    opened.ends()
    bob.send("alice@mail.example", "Nobody was there to tell of it")

    page(webs[1], alice, known).is_told(known + 1)


def test_a_log_out_ends_the_pages_of_that_session_and_no_others(
    webs: list[Web], somebody: Somebody, page: Open
) -> None:
    alice = somebody("Alice", webs[0])
    with closing(httpx.Client(base_url=webs[1].url)) as client:
        elsewhere = Person(client)
        elsewhere.log_in("alice@mail.example", PASSWORD)
        ending, staying = page(webs[0], alice), page(webs[0], elsewhere)
        old = httpx.Cookies(alice.client.cookies)
        alice.visit("/")
        alice.press("Log out")
        ending.ends()
        elsewhere.send("alice@mail.example", "Still here")
        staying.is_told(counter(elsewhere))

        answer = httpx.get(webs[1].url + "/live", cookies=old)
        assert (answer.status_code, answer.content) == (204, b"")


def test_who_only_keeps_a_page_open_asks_cheaply(alice: Person) -> None:
    first = alice.client.get("/live/state")
    same = alice.client.get("/live/state", headers={"If-None-Match": first.headers["ETag"]})
    alice.send("alice@mail.example", "New")
    other = alice.client.get("/live/state", headers={"If-None-Match": first.headers["ETag"]})

    assert (same.status_code, same.content) == (304, b"")
    assert other.status_code == 200
    assert other.json()["modseq"] > first.json()["modseq"]


@pytest.mark.parametrize("parts", ["embedded"], indirect=True)
def test_a_stream_is_no_slow_request(webs: list[Web], somebody: Somebody, page: Open) -> None:
    alice = somebody("Alice", webs[0])
    opened = page(webs[0], alice, counter(alice))

    def figures() -> str:
        return httpx.get(webs[0].metrics_url).text

    # While the page is open, all that a request leaves behind when it is over is there.
    assert eventually(lambda: "\nmailapp_open_pages 1" in figures())
    assert eventually(lambda: "\nmailapp_http_requests_in_progress 0" in figures())
    lines = [json.loads(line) for line in webs[0].log.read_text().splitlines()]
    assert [line["status"] for line in lines if line.get("path") == "/live"] == [200]
    opened.hears_nothing(0.5)


@pytest.mark.parametrize("parts", ["servers"], indirect=True)
def test_without_redis_pages_are_told_from_the_database(
    webs: list[Web], somebody: Somebody, page: Open, redis_server: Valkey, app: Flask
) -> None:
    alice = somebody("Alice", webs[0])
    known = counter(alice)
    opened = page(webs[0], alice, known)
    redis_server.kill()
    try:
        with write() as connection:  # as a request does that had read its session before
            changed = change(connection, [_account(app)])
        opened.is_told(changed[_account(app)])
    finally:
        redis_server.start()
    alice.send("alice@mail.example", "It is back")
    opened.is_told(counter(alice))


@pytest.mark.parametrize("parts", ["embedded"], indirect=True)
def test_under_another_server_a_page_comes_again_and_again(alice: Person) -> None:
    alice.send("alice@mail.example", "New")
    answer = alice.client.get("/live", params={"since": "0"})

    assert answer.headers["Content-Type"] == "text/event-stream"
    assert answer.text.startswith("retry: ")
    assert f"data: {counter(alice)}\n\n" in answer.text
    again = alice.client.get("/live", headers={"Last-Event-ID": str(counter(alice))})
    assert "data:" not in again.text


def _account(app: Flask) -> int:
    with read() as connection:
        found: int = connection.execute(select(Account.id)).scalar_one()
    return found
