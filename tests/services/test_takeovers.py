"""A server that another takes over from: Redis by its Sentinels, PostgreSQL by its standby."""

from __future__ import annotations

import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import ExitStack, closing
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import psycopg
import pytest

from deploy.topology import HOST, Postgres, Web, running, script
from tests.people import Person
from tests.services.house import PASSWORD, PEOPLE, Answer, Letter, all_at_once, get
from tests.services.spares import MASTER, Sentinel, Spare, Standby

VISITORS = 6  # less than WEB_THREADS, so that each is asked at once

# "Within 3 s", and some for a busy machine.
SOON = 5.0


@dataclass
class Redises:
    """Three servers of which one is the master, and three Sentinels."""

    spares: list[Spare]
    sentinels: list[Sentinel]

    @property
    def url(self) -> str:
        """What REDIS_URL is set to."""
        hosts = ",".join(f"{HOST}:{sentinel.port}" for sentinel in self.sentinels)
        password = self.spares[0].password
        return f"redis+sentinel://:{password}@{hosts}/{MASTER}/0?sentinel_password={password}"

    def master(self) -> Spare:
        """The one that takes writes, as the Sentinels have it."""
        port, _, _ = self.sentinels[0].watches()
        [master] = [spare for spare in self.spares if spare.port == port]
        return master

    def wait_until_whole(self) -> None:
        """Until all Sentinels know of everything and the others follow the master; bounded."""
        deadline = time.monotonic() + 40
        while not self._is_whole():
            assert time.monotonic() < deadline
            time.sleep(0.1)

    def _is_whole(self) -> bool:
        views = {sentinel.watches() for sentinel in self.sentinels}
        master = self.master()
        return views == {(master.port, 2, 2)} and master.running and master.followers() == 2


@dataclass
class Postgreses:
    """The server that takes writes and the one that stands by; a lost one is made anew."""

    place: Path
    primary: Postgres
    standby: Standby
    made: int = 0

    @property
    def url(self) -> str:
        """What DATABASE_URL is set to; in no order of importance."""
        hosts = ",".join(f"{HOST}:{port}" for port in sorted(self.ports))
        return (
            f"postgresql://mailapp:{self.primary.password}@{hosts}/mailapp"
            "?target_session_attrs=read-write"
        )

    @property
    def ports(self) -> tuple[int, int]:
        """Where the two are, for as long as they are tested."""
        return self.primary.port, self.standby.port

    def take_over(self) -> Postgres:
        """Promote the standby; returns the one that was the primary, to be ended."""
        self.standby.promote()
        lost, self.primary = self.primary, self.standby
        return lost

    def stand_by_again(self, lost: Postgres) -> None:
        """In place of the one that was lost, a new one that follows the present primary."""
        lost.kill()
        self.made += 1
        self.standby = Standby(self.place / f"again-{self.made}", self.primary)
        self.standby.port = lost.port
        self.standby.start()

    def ask(self, *statements: str) -> None:
        """Do something at the primary, as its operator."""
        with closing(psycopg.connect(self.primary.url.replace("+psycopg", ""))) as connection:
            connection.autocommit = True
            for statement in statements:
                connection.execute(statement)


@dataclass
class Estate:
    """One instance on all of these."""

    redises: Redises
    postgreses: Postgreses
    web: Web
    settings: dict[str, str]
    _clients: ExitStack = field(default_factory=ExitStack)

    def person(self, name: str) -> Person:
        """Somebody who is logged in."""
        client = httpx.Client(base_url=self.web.url, timeout=20)
        person = Person(self._clients.enter_context(client))
        person.log_in(f"{name}@mail.example", PASSWORD)
        assert person.logged_in, person.text
        return person

    def command(self, *arguments: str, said: str = "") -> str:
        """`mailapp …`; returns what it printed."""
        ran = subprocess.run(
            [script("mailapp"), *arguments],
            env={"PATH": "/usr/bin:/bin", **self.settings},
            input=said,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout

    def visit_until_served(self, person: Person, path: str = "/mail/inbox") -> list[Answer]:
        """What several visitors are answered, each until it is 200 five times in a row; bounded."""
        cookie = "; ".join(f"{name}={value}" for name, value in person.client.cookies.items())
        deadline = time.monotonic() + 30

        def go_on() -> list[Answer]:
            answers = [get(self.web, path, cookie)]
            while {answer.status for answer in answers[-5:]} != {200} or len(answers) < 5:
                assert time.monotonic() < deadline, answers[-1]
                time.sleep(0.05)
                answers.append(get(self.web, path, cookie))
            return answers

        return [answer for visits in all_at_once([go_on] * VISITORS) for answer in visits]


@pytest.fixture(scope="module")
def estate(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Estate]:
    place = tmp_path_factory.mktemp("estate")
    primary = Postgres(place / "primary", durable=False)
    first = Spare(place / "redis-1", "a password for tests alone")
    first.password = first.password.replace(" ", "-")
    spares = [first, *(Spare(place / f"redis-{n}", first.password, first) for n in (2, 3))]
    sentinels = [Sentinel(place / f"s{n}", first, name=f"sentinel-{n}") for n in (1, 2, 3)]
    with running(primary, *spares), running(*sentinels):
        postgreses = Postgreses(place, primary, Standby(place / "standby", primary))
        redises = Redises(spares, sentinels)
        settings = {
            "SECRET_KEY": "not a secret, since it is only for tests 0123456789",
            "DATABASE_URL": postgreses.url,
            "REDIS_URL": redises.url,
            "ATTACHMENT_DIR": str(place / "attachments"),
            "LOGIN_TRIES_ADDRESS": "10000",
            "UNDO_SEND_SECONDS": "0",
            "DRAIN_SECONDS": "0",
            "WEB_WORKERS": "1",  # so that one burst reaches every connection there is
        }
        web = Web(place / "web", settings)
        estate = Estate(redises, postgreses, web, settings)
        estate.command("migrate")
        postgreses.standby.start()
        redises.wait_until_whole()
        try:
            for name in PEOPLE:
                estate.command(
                    *("user", "add", f"{name}@mail.example", "--name", name.title()),
                    "--password-stdin",
                    said=PASSWORD,
                )
            with web, estate._clients:
                yield estate
        finally:
            postgreses.standby.kill()
            postgreses.primary.kill()


@pytest.fixture(scope="module")
def alice(estate: Estate) -> Person:
    return estate.person("alice")


@pytest.fixture(scope="module")
def bob(estate: Estate) -> Person:
    return estate.person("bob")


def refused_cleanly(answers: list[Answer]) -> None:
    """Whether all were served, or told soon to try again."""
    assert {answer.status for answer in answers} <= {200, 503}
    assert all("retry-after" in answer.headers for answer in answers if answer.status == 503)
    assert [answer.seconds for answer in answers if answer.seconds > SOON] == []


def test_doctor_says_who_is_there(estate: Estate) -> None:
    said = estate.command("doctor")

    assert "3 of 3 Sentinels answer, the master has 2 replicas" in said
    assert "postgresql answers" in said


@pytest.mark.parametrize("way", ["killed", "hung", "handed over"])
def test_sessions_go_on_with_the_next_master_of_redis(
    estate: Estate, alice: Person, way: str
) -> None:
    estate.redises.wait_until_whole()
    estate.visit_until_served(alice)
    was = estate.redises.master()

    if way == "handed over":
        estate.redises.sentinels[0].hand_over()
    else:
        {"killed": was.kill, "hung": was.pause}[way]()
    answers = estate.visit_until_served(alice)
    while estate.redises.master() is was:
        answers += estate.visit_until_served(alice)
    newcomer = estate.person("bob")
    if way == "killed":
        was.start()
    elif way == "hung":
        was.resume()
    # Also while the one that was the master still takes itself for it.
    after = estate.visit_until_served(newcomer)
    estate.redises.wait_until_whole()

    refused_cleanly([*answers, *after])
    assert estate.redises.master() is not was
    assert alice.visit("/mail/inbox")
    assert alice.logged_in
    assert newcomer.visit("/mail/inbox")
    assert newcomer.logged_in


def test_a_log_out_holds_when_another_master_takes_over(estate: Estate) -> None:
    estate.redises.wait_until_whole()
    person = estate.person("alice")
    stolen = "; ".join(f"{name}={value}" for name, value in person.client.cookies.items())
    person.press("Log out")

    estate.redises.master().kill()
    answers = [get(estate.web, "/login")]
    while answers[-1].status != 200 or get(estate.web, "/mail/inbox", stolen).status == 503:
        answers.append(get(estate.web, "/login"))
        time.sleep(0.1)
    said = get(estate.web, "/mail/inbox", stolen)

    for spare in estate.redises.spares:
        if not spare.running:
            spare.start()
    assert (said.status, said.headers["location"]) == (303, "/login?next=/mail/inbox")


@pytest.mark.parametrize("way", ["killed", "hung"])
def test_mail_goes_on_with_the_postgresql_that_stood_by(
    estate: Estate, alice: Person, bob: Person, way: str
) -> None:
    letter = Letter(alice, f"sent before the database was {way}", "To be kept.")
    assert letter.send(estate.web).answer().status == 303
    estate.visit_until_served(alice)
    was = estate.postgreses.primary
    _wait_for_standby(estate)

    {"killed": was.kill, "hung": was.pause}[way]()
    away = all_at_once([lambda: letter.send(estate.web).answer()] * VISITORS)
    estate.postgreses.take_over()
    answers = estate.visit_until_served(alice)
    again = letter.send(estate.web).answer()
    after = Letter(alice, f"sent after the database was {way}", "To be kept as well.")
    sent = after.send(estate.web).answer()
    estate.postgreses.stand_by_again(was)

    assert {answer.status for answer in away} == {503}
    refused_cleanly([*away, *answers])
    assert (again.status, sent.status) == (303, 303)
    received = bob.subjects()
    assert [received.count(known.subject) for known in (letter, after)] == [1, 1]


def test_a_primary_that_takes_no_writes_any_more_is_left(
    estate: Estate, alice: Person, bob: Person
) -> None:
    letter = Letter(alice, "sent while the servers changed places")
    estate.visit_until_served(alice)
    _wait_for_standby(estate)

    estate.postgreses.ask(
        "ALTER SYSTEM SET default_transaction_read_only = on", "SELECT pg_reload_conf()"
    )
    refused = letter.send(estate.web).answer()
    was = estate.postgreses.take_over()
    estate.postgreses.ask(
        "ALTER SYSTEM RESET default_transaction_read_only", "SELECT pg_reload_conf()"
    )
    served = letter.send(estate.web).answer()
    estate.postgreses.stand_by_again(was)

    assert (refused.status, "retry-after" in refused.headers) == (503, True)
    assert served.status == 303
    assert bob.subjects().count(letter.subject) == 1


def test_sent_is_said_only_of_what_the_standby_has(
    estate: Estate, alice: Person, bob: Person
) -> None:
    letter = Letter(alice, "confirmed by the standby")
    _wait_for_standby(estate)
    estate.postgreses.ask(
        "ALTER SYSTEM SET synchronous_standby_names = '*'",
        "ALTER SYSTEM SET synchronous_commit = 'on'",
        "SELECT pg_reload_conf()",
    )

    estate.postgreses.standby.pause()
    try:
        refused = letter.send(estate.web).answer()
    finally:
        estate.postgreses.standby.resume()
    served = letter.send(estate.web).answer()

    assert (refused.status, "retry-after" in refused.headers) == (503, True)
    assert refused.seconds < SOON
    assert served.status == 303
    assert bob.subjects().count(letter.subject) == 1


def _wait_for_standby(estate: Estate) -> None:
    """Until the standby has all that was committed: its replication here is not synchronous."""
    url = estate.postgreses.primary.url.replace("+psycopg", "")
    deadline = time.monotonic() + 15
    has_all: Callable[[psycopg.Connection], bool] = lambda connection: bool(  # noqa: E731
        connection.execute(
            "SELECT count(*) FROM pg_stat_replication WHERE replay_lsn = pg_current_wal_lsn()"
        ).fetchone()[0]  # type: ignore[index]
    )
    with closing(psycopg.connect(url, autocommit=True)) as connection:
        while not has_all(connection):
            assert time.monotonic() < deadline
            time.sleep(0.05)
