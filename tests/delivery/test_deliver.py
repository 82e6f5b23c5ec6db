"""`mailapp deliver`, as a mail server uses it: what it says and exits with, what people see."""

from __future__ import annotations

import base64
import os
import subprocess
from collections.abc import Callable

import pytest
from flask import Flask

from deploy.topology import script
from tests.checks import stored_objects
from tests.conftest import Environment
from tests.people import Person

PLAIN = (
    b"Return-Path: <eve@outside.example>\r\n"
    b"Received: from x by y; Mon, 2 Mar 2026 01:00:00 +0000\r\n"
    b"From: Eve Outside <eve@outside.example>\r\nTo: Alice <alice@mail.example>\r\n"
    b"Subject: Greetings\r\nDate: Mon, 2 Mar 2026 10:00:00 +0900\r\n"
    b"Message-ID: <first@outside.example>\r\n\r\nHello Alice,\r\nhow are you?\r\n"
)


def deliver(environment: Environment, address: str, message: bytes) -> tuple[int, str]:
    """(exit status, what it said) of one delivery."""
    ran = subprocess.run(
        [script("mailapp"), "deliver", address],
        env={**os.environ, **environment},
        input=message,
        capture_output=True,
        check=False,
        timeout=60,
    )
    assert ran.stdout == b""
    return ran.returncode, ran.stderr.decode()


def sentence(said: tuple[int, str], status: int) -> str:
    """What a delivery said that was not done: one line, and no traceback."""
    assert said[0] == status, said
    assert said[1].count("\n") == 1, said
    assert "Traceback" not in said[1]
    return said[1]


def test_a_message_is_in_the_inbox_and_its_original_is_exactly_what_came(
    environment: Environment, alice: Person
) -> None:
    raw = PLAIN + b"8-bit: \xbe\xc8\xb3\xe7 \r\n\x00 and a line without an end"
    assert deliver(environment, "Alice@Mail.example", raw) == (0, "")
    alice.open("Greetings")
    for text in ("Hello Alice", "Eve Outside", "eve@outside.example"):
        assert text in alice.text
    assert alice.client.get(str(alice.link("Show original")["href"])).content == raw


def test_what_is_delivered_twice_is_there_once(environment: Environment, alice: Person) -> None:
    for _ in range(2):
        assert deliver(environment, "alice@mail.example", PLAIN) == (0, "")
    alice.visit("/mail/inbox")
    assert alice.text.count("Greetings") == 1
    # Another message, though of the same name: nobody can keep mail away by writing before it.
    assert deliver(environment, "alice@mail.example", PLAIN + b"PS\r\n") == (0, "")
    alice.open("Greetings")
    assert "PS" in alice.text


def test_only_who_holds_a_message_sees_its_original(
    environment: Environment, alice: Person, bob: Person
) -> None:
    deliver(environment, "alice@mail.example", PLAIN)
    alice.open("Greetings")
    address = str(alice.link("Show original")["href"])
    assert alice.client.get(address).status_code == 200
    assert bob.client.get(address).status_code == 404


@pytest.mark.parametrize("parts", ["embedded"], indirect=True)
def test_what_can_t_be_read_as_mail_is_refused_with_65(
    environment: Environment, alice: Person
) -> None:
    for rubbish in (b"", b"no mail at all"):
        sentence(deliver(environment, "alice@mail.example", rubbish), 65)
    alice.visit("/mail/inbox")
    assert "no mail at all" not in alice.text


@pytest.mark.parametrize("parts", ["embedded"], indirect=True)
def test_a_message_over_the_limit_is_refused_with_65(
    environment: Environment, alice: Person
) -> None:
    small = {**environment, "MAX_DELIVERY_BYTES": "2048"}
    assert "2 KB" in sentence(deliver(small, "alice@mail.example", PLAIN + b"x" * 2048), 65)
    assert deliver(small, "alice@mail.example", PLAIN) == (0, "")


@pytest.mark.parametrize(
    "address", ["nobody@mail.example", "alice@elsewhere.example", "no address"]
)
def test_an_address_that_nobody_has_is_refused_with_67(
    environment: Environment, alice: Person, address: str
) -> None:
    assert address in sentence(deliver(environment, address, PLAIN), 67)


@pytest.mark.parametrize("parts", ["embedded"], indirect=True)
def test_a_full_mailbox_is_75_until_there_is_room(
    environment: Environment, alice: Person, instances: list[Flask]
) -> None:
    full = {**environment, "QUOTA_BYTES": "100"}
    before = stored_objects(instances[0])
    for _ in range(2):
        assert "full" in sentence(deliver(full, "alice@mail.example", PLAIN), 75)
    assert stored_objects(instances[0]) == before, "it is tried for days"
    alice.visit("/mail/inbox")
    assert "Greetings" not in alice.text
    assert deliver(environment, "alice@mail.example", PLAIN) == (0, "")


@pytest.mark.parametrize("parts", ["servers"], indirect=True)
@pytest.mark.parametrize(
    "away",
    [
        {"DATABASE_URL": "postgresql://nobody:x@127.0.0.1:1/none"},
        {"MINIO_ENDPOINT": "127.0.0.1:1"},
        {"SECRET_KEY": "short"},
    ],
)
def test_while_the_service_is_away_it_is_75_and_nothing_is_stored(
    environment: Environment, alice: Person, away: Environment
) -> None:
    sentence(deliver({**environment, **away}, "alice@mail.example", PLAIN), 75)
    alice.visit("/mail/inbox")
    assert "Greetings" not in alice.text
    assert deliver(environment, "alice@mail.example", PLAIN) == (0, "")


@pytest.mark.parametrize("parts", ["servers"], indirect=True)
def test_without_redis_mail_is_stored_all_the_same(environment: Environment, alice: Person) -> None:
    away = {**environment, "REDIS_URL": "redis://127.0.0.1:1/0"}
    assert deliver(away, "alice@mail.example", PLAIN) == (0, "")
    alice.open("Greetings")
    assert "Hello Alice" in alice.text


def test_received_mail_is_answered_in_its_thread_as_far_as_the_service_goes(
    environment: Environment, alice: Person
) -> None:
    deliver(environment, "alice@mail.example", PLAIN)
    alice.open("Greetings")
    alice.follow("Reply")
    assert "Eve Outside <eve@outside.example>" in str(alice.page.select("[name=to]")).replace(
        "&lt;", "<"
    ).replace("&gt;", ">")
    alice.press("Send", {"Message": "I am well."})
    assert "eve@outside.example" in alice.text
    assert "I am well." in alice.text


def test_two_messages_of_one_thread_are_one_conversation(
    environment: Environment, alice: Person
) -> None:
    answer = PLAIN.replace(b"<first@", b"<second@").replace(
        b"Subject: ", b"In-Reply-To: <first@outside.example>\r\nSubject: Re: "
    )
    for message in (PLAIN, answer):
        assert deliver(environment, "alice@mail.example", message) == (0, "")
    alice.open("Re: Greetings")
    assert alice.text.count("how are you?") >= 1
    assert alice.page.select_one("h1") is not None


def test_a_large_message_is_stored_with_its_file(
    environment: Environment, person: Callable[[str], Person]
) -> None:
    content = os.urandom(20 * 1024 * 1024)
    raw = (
        PLAIN.partition(b"\r\n\r\n")[0]
        + b'\r\nContent-Type: multipart/mixed; boundary="b"\r\n\r\n--b\r\n\r\nSee the file.\r\n'
        + b"--b\r\nContent-Type: application/zip\r\nContent-Transfer-Encoding: base64\r\n"
        + b'Content-Disposition: attachment; filename="big.zip"\r\n\r\n'
        + base64.encodebytes(content).replace(b"\n", b"\r\n")
        + b"--b--\r\n"
    )
    dana = person("Dana")
    assert deliver(environment, "dana@mail.example", raw) == (0, "")
    dana.open("Greetings")
    assert "See the file." in dana.text
    assert dana.download("big.zip") == content
