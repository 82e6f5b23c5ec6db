"""Sessions: shared by all instances, cheap, never unpickled, and over when they are over."""

from __future__ import annotations

import hashlib
import pickle
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta
from pathlib import Path
from typing import Any

import httpx
import pytest
import redis
from flask import Flask, session
from sqlalchemy import event, select, update

from deploy.topology import Valkey, Web
from mailapp import create_app
from mailapp.accounts import services as accounts
from mailapp.database import now, write
from mailapp.redis import redis_client
from mailapp.sessions import ANONYMOUS_LIFETIME, COOKIE, StoredSession
from mailapp.settings import Settings
from tests.conftest import PASSWORD, Environment
from tests.people import Person

LIFETIME = 1209600


def sid_of(browser: Person) -> str:
    """What the browser's session cookie says."""
    return browser.client.cookies[COOKIE]


def holder(app: Flask, sid: str) -> Person:
    """A browser that has only this session's cookie, as a thief's would."""
    transport = httpx.WSGITransport(app=app)
    headers = {"Cookie": f"{COOKIE}={sid}"}
    return Person(httpx.Client(transport=transport, base_url="http://mail.test", headers=headers))


def is_good(app: Flask, sid: str) -> bool:
    """Whether somebody with this session is logged in."""
    browser = holder(app, sid)
    answer = browser.client.get("/mail/inbox")
    browser.client.close()
    assert answer.status_code in {200, 303}
    return answer.status_code == 200


class Stored:
    """One session where it is stored, past the application."""

    def __init__(self, app: Flask, sid: str) -> None:
        self.app = app
        self.id = hashlib.sha256(sid.encode()).hexdigest()
        self.redis = app.extensions["redis-client"]

    def write(self, data: bytes) -> None:
        if self.redis is not None:
            self.redis.set(f"session:{self.id}", data, keepttl=True)
        else:
            self._set(data=data)

    def read(self) -> bytes | None:
        if self.redis is not None:
            data: bytes | None = self.redis.get(f"session:{self.id}")
            return data
        with self.app.app_context(), write() as connection:
            statement = select(StoredSession.data).where(StoredSession.id == self.id)
            return connection.execute(statement).scalar()

    @property
    def seconds_left(self) -> float:
        if self.redis is not None:
            return float(self.redis.ttl(f"session:{self.id}"))
        with self.app.app_context(), write() as connection:
            statement = select(StoredSession.expires_at).where(StoredSession.id == self.id)
            return (connection.execute(statement).scalar_one() - now()).total_seconds()

    @seconds_left.setter
    def seconds_left(self, seconds: int) -> None:
        if self.redis is not None:
            self.redis.expire(f"session:{self.id}", seconds)
        else:
            self._set(expires_at=now() + timedelta(seconds=seconds))

    def _set(self, **values: object) -> None:
        with self.app.app_context(), write() as connection:
            changed = connection.execute(
                update(StoredSession).where(StoredSession.id == self.id).values(**values)
            )
            assert changed.rowcount == 1


class HeldUp:
    """A page of one instance that changes its session and takes as long as the test wants."""

    def __init__(self, app: Flask) -> None:
        self._app = app
        self._entered, self._go_on = threading.Event(), threading.Event()
        self._answers: list[httpx.Response] = []
        app.add_url_rule("/held-up", view_func=self._view)

    def _view(self) -> str:
        session["note"] = "written late"
        self._entered.set()
        assert self._go_on.wait(10)
        return "done"

    @contextmanager
    def under_way(self, sid: str) -> Iterator[list[httpx.Response]]:
        """The page has been asked for; it is answered when the block is left."""
        browser = holder(self._app, sid).client
        asking = threading.Thread(target=lambda: self._answers.append(browser.get("/held-up")))
        asking.start()
        try:
            assert self._entered.wait(10)
            yield self._answers
        finally:
            self._go_on.set()
            asking.join(10)
            browser.close()
        assert self._answers[0].text == "done"


def test_a_log_out_is_final_against_a_request_under_way_on_another_instance(
    instances: list[Flask], person: Callable[[str], Person]
) -> None:
    held_up = HeldUp(instances[1])
    alice = person("Alice")
    sid = sid_of(alice)
    with held_up.under_way(sid) as answers:
        alice.press("Log out")

    assert "Set-Cookie" not in answers[0].headers
    assert Stored(instances[0], sid).read() is None
    assert not any(is_good(app, sid) for app in instances)


def test_without_a_log_out_the_same_late_request_is_kept(
    instances: list[Flask], person: Callable[[str], Person]
) -> None:
    held_up = HeldUp(instances[1])
    sid = sid_of(person("Alice"))
    with held_up.under_way(sid):
        pass

    assert b"written late" in (Stored(instances[0], sid).read() or b"")


def test_ending_all_others_is_final_against_their_requests_under_way(
    instances: list[Flask], visitor: Callable[[], Person], person: Callable[[str], Person]
) -> None:
    held_up = HeldUp(instances[1])
    alice, phone = person("Alice"), visitor()
    phone.log_in("alice", PASSWORD)
    alice.visit("/settings")
    with held_up.under_way(sid_of(phone)):
        alice.press("End all other sessions")
        assert "1 other session ended." in alice.text

    assert not is_good(instances[0], sid_of(phone))
    assert is_good(instances[1], sid_of(alice))


def test_a_password_change_under_way_does_not_survive_a_log_out(
    instances: list[Flask], alice: Person, monkeypatch: pytest.MonkeyPatch
) -> None:
    other_tab = holder(instances[1], sid_of(alice))
    other_tab.visit("/settings")
    real = accounts.change_password

    def change_and_log_out(account_id: int, current: str, new: str) -> int:
        epoch = real(account_id, current, new)
        other_tab.press("Log out")
        return epoch

    monkeypatch.setattr(accounts, "change_password", change_and_log_out)
    alice.visit("/settings")
    new = "a very new passphrase"
    alice.press("Change password", {"Current password": PASSWORD, "New password": new})

    assert not alice.logged_in
    alice.log_in("alice", new)
    assert alice.logged_in
    other_tab.client.close()


def test_the_id_is_renewed_at_log_in_so_that_a_planted_one_is_worthless(
    instances: list[Flask], alice: Person, visitor: Callable[[], Person]
) -> None:
    browser = visitor()
    browser.visit("/login")
    planted = sid_of(browser)
    browser.press("Log in", {"Email": "alice", "Password": PASSWORD})

    assert browser.logged_in
    assert sid_of(browser) != planted
    assert Stored(instances[0], planted).read() is None
    assert not is_good(instances[0], planted)


def test_an_id_that_nobody_was_given_is_not_taken_over(instances: list[Flask]) -> None:
    thief = holder(instances[0], "chosen-by-the-attacker")
    thief.visit("/login")

    assert thief.response.headers["Set-Cookie"].startswith(f"{COOKIE}=")
    assert "chosen-by-the-attacker" not in thief.response.headers["Set-Cookie"]
    assert Stored(instances[0], "chosen-by-the-attacker").read() is None
    thief.client.close()


def test_an_odd_cookie_is_no_session(instances: list[Flask]) -> None:
    for sid in ("\xff\xfe", "a" * 8000, '"; DROP', "%00", "é"):
        headers = {"Cookie": f"{COOKIE}={sid}"}
        assert instances[0].test_client().get("/mail/inbox", headers=headers).status_code == 303


class Bomb:
    """What an attacker who can write into the store would like to have unpickled."""

    def __init__(self, path: Path) -> None:
        self.path = path

    def __reduce__(self) -> tuple[Callable[..., Any], tuple[Path]]:
        return Path.touch, (self.path,)


def test_what_we_have_not_written_is_no_session_and_is_never_unpickled(
    instances: list[Flask], alice: Person, visitor: Callable[[], Person], tmp_path: Path
) -> None:
    went_off = tmp_path / "went-off"
    phone = visitor()
    phone.log_in("alice", PASSWORD)
    sid = sid_of(phone)
    bomb = pickle.dumps(Bomb(went_off))
    deep = b"[" * 100_000
    for planted in (bomb, b"", b"\xff", b'"text"', b"[1]", b"{", deep, b'{"a": "\xff"}'):
        Stored(instances[0], sid).write(planted)
        for app in instances:
            assert not is_good(app, sid)
        alice.visit("/settings")
        assert alice.text.count("This session") == 1

    assert not went_off.exists()


def test_an_unreadable_session_can_still_be_ended_with_the_others(
    instances: list[Flask], alice: Person, visitor: Callable[[], Person]
) -> None:
    phone, tablet = visitor(), visitor()
    for browser in (phone, tablet):
        browser.log_in("alice", PASSWORD)
    Stored(instances[0], sid_of(phone)).write(b"\x80nothing")
    alice.visit("/settings")
    alice.press("End all other sessions")

    assert alice.response.status_code == 200
    assert Stored(instances[0], sid_of(phone)).read() is None
    assert Stored(instances[0], sid_of(tablet)).read() is None


def test_the_store_does_not_know_what_the_browser_holds(
    instances: list[Flask], alice: Person
) -> None:
    sid, stored = sid_of(alice), Stored(instances[0], sid_of(alice))

    assert sid not in (stored.read() or b"").decode()
    alice.visit("/settings")
    assert sid not in alice.response.text
    assert not is_good(instances[0], stored.id)


@pytest.mark.parametrize("parts", ["servers"], indirect=True)
def test_an_ordinary_request_is_one_round_trip_to_redis(
    instances: list[Flask], alice: Person
) -> None:
    for _ in range(4):
        alice.visit("/mail/inbox")  # both instances have their connections now
    redis = instances[0].extensions["redis-client"]
    redis.config_resetstat()
    for _ in range(4):
        alice.visit("/mail/inbox")
    commands = redis.info("commandstats")

    calls = {
        name.removeprefix("cmdstat_"): stat["calls"]
        for name, stat in commands.items()
        if not name.startswith(("cmdstat_config", "cmdstat_info"))
    }
    assert calls == {"getex": 4}


@pytest.mark.parametrize("parts", ["embedded"], indirect=True)
def test_a_request_that_changes_nothing_writes_nothing(
    instances: list[Flask], alice: Person
) -> None:
    written: list[str] = []
    for app in instances:

        @event.listens_for(app.extensions["database"].engine, "before_cursor_execute")
        def note(connection: Any, cursor: Any, statement: str, *rest: Any) -> None:
            if not statement.startswith("SELECT"):
                written.append(statement)

    for _ in range(4):
        alice.visit("/mail/inbox")

    assert written == []


def test_each_visit_moves_the_end_on(instances: list[Flask], alice: Person) -> None:
    stored = Stored(instances[0], sid_of(alice))
    stored.seconds_left = 100
    alice.visit("/mail/inbox")

    assert LIFETIME - 60 < stored.seconds_left <= LIFETIME


def test_what_an_open_page_asks_for_by_itself_is_no_visit(
    instances: list[Flask], alice: Person
) -> None:
    with instances[0].app_context():
        accounts.set_admin("alice", is_admin=True)
    stored = Stored(instances[0], sid_of(alice))
    stored.seconds_left = 100
    for _ in range(2):
        assert alice.client.get("/admin/cluster/now").status_code == 200
    assert stored.seconds_left <= 100

    alice.visit("/admin/cluster")
    assert stored.seconds_left > 100


def test_the_session_of_who_never_logs_in_ends_sooner(
    instances: list[Flask], visitor: Callable[[], Person]
) -> None:
    browser = visitor()
    browser.visit("/login")

    assert Stored(instances[0], sid_of(browser)).seconds_left <= ANONYMOUS_LIFETIME


@pytest.mark.parametrize("parts", ["embedded"], indirect=True)
def test_a_session_past_its_end_is_over(instances: list[Flask], alice: Person) -> None:
    Stored(instances[0], sid_of(alice)).seconds_left = -1
    alice.visit("/mail/inbox")

    assert not alice.logged_in


def test_sessions_are_there_after_a_restart(environment: Environment, alice: Person) -> None:
    restarted = create_app(Settings.from_env({**environment, "INSTANCE_NAME": "web-3"}))

    assert is_good(restarted, sid_of(alice))
    restarted.extensions["database"].engine.dispose()
    if restarted.extensions["redis-client"] is not None:
        restarted.extensions["redis-client"].close()


@pytest.mark.parametrize("parts", ["embedded"], indirect=True)
def test_on_the_embedded_default_a_session_is_good_in_every_process(
    environment: Environment, alice: Person, tmp_path: Path
) -> None:
    web = Web(tmp_path / "web", {**environment, "WEB_WORKERS": "2", "DRAIN_SECONDS": "0"})
    headers = {"Cookie": f"{COOKIE}={sid_of(alice)}"}
    with web:
        # A new connection each time: the kernel gives them to either worker.
        answers = [httpx.get(f"{web.url}/mail/inbox", headers=headers) for _ in range(8)]

    assert {answer.status_code for answer in answers} == {200}


def test_two_pages_opened_at_once_after_a_log_in_have_forms_that_both_work(
    instances: list[Flask], alice: Person
) -> None:
    pages = [holder(app, sid_of(alice)) for app in instances]
    for page in pages:
        page.visit("/settings")
    for page in pages:
        page.press("Change password", {"Current password": "wrong", "New password": "x"})
        assert page.response.status_code == 422
        page.client.close()


@pytest.mark.parametrize("parts", ["embedded"], indirect=True)
@pytest.mark.parametrize(
    ("setting", "proto", "secure"),
    [
        ({}, "https", False),  # whoever says so: 10.0.0.9 is no proxy of ours
        ({"TRUSTED_PROXIES": "10.0.0.0/8"}, "https", True),
        ({"TRUSTED_PROXIES": "10.0.0.0/8"}, "http", False),
        ({"COOKIE_SECURE": "always"}, "http", True),
    ],
)
def test_the_cookie_is_for_the_browser_alone_and_secure_where_it_came_by_https(
    environment: Environment, setting: dict[str, str], proto: str, secure: bool
) -> None:
    app = create_app(Settings.from_env({**environment, **setting}))
    headers = {"X-Forwarded-Proto": proto, "X-Forwarded-For": "203.0.113.5"}
    answer = app.test_client().get(
        "/login", headers=headers, environ_overrides={"REMOTE_ADDR": "10.0.0.9"}
    )
    parts = set(answer.headers["Set-Cookie"].split("; "))

    assert {"HttpOnly", "SameSite=Lax", "Path=/"} <= parts
    assert not any(part.startswith("Domain") for part in parts)
    assert ("Secure" in parts) is secure
    app.extensions["database"].engine.dispose()


def test_static_files_and_probes_leave_the_session_alone(alice: Person) -> None:
    # The page that says that a file is not there has a form's token like any other page. Were it
    # kept, a missing style sheet would log its visitor out.
    for path in ("/livez", "/healthz", "/static/app.css", "/static/none.css"):
        alice.visit(path)
        assert "Set-Cookie" not in alice.response.headers
    alice.visit("/mail/inbox")
    assert alice.logged_in


@pytest.mark.parametrize("parts", ["servers"], indirect=True)
def test_a_visitor_who_never_logs_in_leaves_nothing_that_lasts(
    visitor: Callable[[], Person], redis_server: Valkey
) -> None:
    stranger = visitor()
    for _ in range(3):
        stranger.visit("/login")
    with redis.Redis.from_url(redis_server.url) as connection:
        keys = list(connection.scan_iter("session:*"))
        assert len(keys) == 1
        assert 0 < connection.ttl(keys[0]) <= ANONYMOUS_LIFETIME


@pytest.mark.parametrize("parts", ["servers"], indirect=True)
def test_an_answer_nobody_waited_for_is_never_taken_for_the_next_one(app: Flask) -> None:
    with app.app_context():
        client = redis_client()
        assert client is not None
        client.set("one", "1")
        client.set("two", "2")
        assert client.ask("GET", "one") == b"1"
        connection = client._own.connection
        read_response, connection.read_response = connection.read_response, _interrupted
        with pytest.raises(KeyboardInterrupt):
            client.ask("GET", "one")
        connection.read_response = read_response

        assert client.ask("GET", "two") == b"2"


def _interrupted() -> None:
    raise KeyboardInterrupt
