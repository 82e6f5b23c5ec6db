"""The `mailapp` command as an operator uses it: what it does, says and exits with."""

from __future__ import annotations

import os
import subprocess
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest

from deploy.topology import Postgres, SeaweedFS, Valkey, script
from tests.conftest import PASSWORD, Environment
from tests.people import Person

Said = tuple[int, str, str]


def run(environment: Environment, *arguments: str, typed: bytes = b"") -> Said:
    """(exit status, standard output, standard error) of one command."""
    ran = subprocess.run(
        [script("mailapp"), *arguments],
        env={**os.environ, **environment},
        input=typed,
        capture_output=True,
        check=False,
        timeout=60,
    )
    return ran.returncode, ran.stdout.decode(), ran.stderr.decode()


def refused(said: Said) -> str:
    """The one sentence of a command that did nothing; fails where it is not one."""
    status, output, error = said
    assert (status, output) == (1, "")
    assert error.startswith("Error: ")
    assert error.count("\n") == 1, error
    return error


def test_an_operator_makes_lists_and_disables_accounts(
    environment: Environment, visitor: Callable[[], Person]
) -> None:
    add = ("user", "add", "--password-stdin", "--name")
    typed = f"{PASSWORD} é\r\n".encode()
    made = run({**environment, "LC_ALL": "C"}, *add, "Dana", "Dana@Mail.example", typed=typed)
    assert made == (0, "Made dana@mail.example.\n", "")
    assert run(environment, *add, "Post", "postmaster", typed=typed)[0] == 0
    assert "is taken" in refused(run(environment, *add, "Dana", "dana", typed=typed))
    dana = visitor()
    dana.log_in("dana", f"{PASSWORD} é")
    assert dana.logged_in

    disabled = run(environment, "user", "disable", "dana@mail.example")
    assert disabled == (0, "Disabled dana@mail.example; its sessions are ended.\n", "")
    for _ in range(2):
        dana.visit("/mail/inbox")
        assert not dana.logged_in
    dana.log_in("dana", f"{PASSWORD} é")
    assert dana.response.status_code == 401
    status, listed, _ = run(environment, "user", "list")
    rows = [line.split("\t") for line in listed.splitlines()]
    assert status == 0
    assert [row[:2] for row in rows] == [
        ["dana@mail.example", "Dana"],
        ["postmaster@mail.example", "Post"],
    ]
    assert rows[0][3].startswith("disabled 20")
    assert rows[1][3] == "active"


def test_a_new_password_from_the_command_line_ends_all_sessions(
    environment: Environment, alice: Person
) -> None:
    new = "set by the operator"
    typed = f"{new}\n".encode()
    said = run(environment, "user", "passwd", "alice", "--password-stdin", typed=typed)
    assert said == (0, "Set the password of alice@mail.example; its sessions are ended.\n", "")

    for _ in range(2):
        alice.visit("/mail/inbox")
        assert not alice.logged_in
    alice.log_in("alice", PASSWORD)
    assert not alice.logged_in
    alice.log_in("alice", new)
    assert alice.logged_in


def test_who_is_made_an_operator_is_one_on_every_instance_until_it_is_taken_back(
    environment: Environment, alice: Person, bob: Person
) -> None:
    made = run(environment, "user", "admin", "Alice")
    assert made == (0, "alice@mail.example is an operator: /admin/cluster is open.\n", "")
    for _ in range(2):
        alice.visit("/mail/inbox")
        alice.follow("Cluster")
        assert alice.response.status_code == 200
        bob.visit("/mail/inbox")
        assert not bob.sees_link("Cluster")
    assert set(alice.served_by) == {"web-1", "web-2"}
    _, listed, _ = run(environment, "user", "list")
    assert [line.split("\t")[3:] for line in listed.splitlines()] == [
        ["active", "admin"],
        ["active"],
    ]

    taken = run(environment, "user", "admin", "alice", "--revoke")
    assert taken == (0, "alice@mail.example is no operator any more.\n", "")
    for _ in range(2):
        alice.visit("/admin/cluster")
        assert alice.response.status_code == 403
        alice.visit("/mail/inbox")
        assert alice.logged_in
        assert not alice.sees_link("Cluster")


@pytest.mark.parametrize("parts", ["embedded"], indirect=True)
def test_what_can_not_be_done_is_one_sentence_and_status_1(
    environment: Environment, tmp_path: Path
) -> None:
    passwd = ("user", "passwd", "nobody", "--password-stdin")
    good = f"{PASSWORD}\n".encode()
    add = ("user", "add", "--name", "Dana", "--password-stdin")
    elsewhere = {**environment, "DATA_DIR": str(tmp_path / "not-migrated")}
    cases = [
        (environment, passwd, good, "There is no account nobody@mail.example."),
        (environment, ("user", "admin", "nobody"), b"", "There is no account nobody@mail.example."),
        (environment, (*add, "dana"), b"", "at least 10 characters"),
        (environment, (*add, "dana"), b"\xff\xfe not UTF-8\n", "is not UTF-8"),
        (elsewhere, ("user", "list"), b"", "no such table"),
        ({**environment, "PORT": "http"}, ("user", "list"), b"", "PORT must be a whole number"),
    ]
    with ThreadPoolExecutor(2) as at_once:
        answers = at_once.map(lambda case: run(case[0], *case[1], typed=case[2]), cases)
        for answer, case in zip(answers, cases, strict=True):
            assert case[3] in refused(answer)


@pytest.mark.parametrize("database", ["sqlite", "postgresql"])
def test_migrating_twice_at_once_is_safe(
    database: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    environment = {"DATA_DIR": str(tmp_path), "SECRET_KEY": "0123456789abcdef" * 2}
    postgres: Postgres | None = None
    if database == "postgresql":
        postgres = request.getfixturevalue("postgres_server")
        environment["DATABASE_URL"] = postgres.create_database("migrated_twice")
    with ThreadPoolExecutor(2) as at_once:
        said = list(at_once.map(lambda _: run(environment, "migrate"), range(2)))
    checked = run(environment, "doctor")
    if postgres is not None:
        postgres.drop_database("migrated_twice")

    assert [status for status, _, _ in said] == [0, 0], said
    assert checked[0] == 0, checked
    assert "its schema is up to date" in checked[1]


@pytest.mark.parametrize("parts", ["servers"], indirect=True)
def test_the_doctor_says_which_part_is_stopped_and_what_to_do(
    environment: Environment,
    postgres_server: Postgres,
    redis_server: Valkey,
    s3_server: SeaweedFS,
) -> None:
    status, healthy, _ = run(environment, "doctor")
    assert (status, healthy.count("FAIL")) == (0, 0), healthy
    # Ports that nobody listens on: to the doctor, servers that are stopped.
    stopped = {
        **environment,
        "DATABASE_URL": environment["DATABASE_URL"].replace(f":{postgres_server.port}/", ":1/"),
        "REDIS_URL": environment["REDIS_URL"].replace(f":{redis_server.port}/", ":1/"),
        "MINIO_ENDPOINT": "127.0.0.1:1",
    }
    status, output, error = run(stopped, "doctor")
    failed = [line for line in output.splitlines() if line.startswith("FAIL")]

    assert status == 1
    assert "Traceback" not in output + error
    assert [line.split()[1] for line in failed] == [
        "DATABASE_URL:",
        "REDIS_URL:",
        "MINIO_ENDPOINT:",
    ]
    for line in failed:
        assert "running" in line
    for secret in (postgres_server.password, redis_server.password, s3_server.secret_key):
        assert secret not in output + error


@pytest.mark.parametrize("parts", ["embedded"], indirect=True)
def test_the_doctor_names_a_schema_that_is_missing(
    environment: Environment, tmp_path: Path
) -> None:
    status, output, _ = run({**environment, "DATA_DIR": str(tmp_path / "new")}, "doctor")

    assert status == 1
    assert "run `mailapp migrate`" in output


@pytest.mark.parametrize("parts", ["embedded"], indirect=True)
def test_the_doctor_sees_that_nobody_would_be_handed_an_attachment(
    environment: Environment,
) -> None:
    handing_over = {**environment, "ACCEL_LOCATION": "/-/store/"}
    alone, output, _ = run(handing_over, "doctor")
    behind_nginx, _, _ = run({**handing_over, "TRUSTED_PROXIES": "10.0.0.0/8"}, "doctor")

    assert (alone, behind_nginx) == (1, 0)
    assert "TRUSTED_PROXIES is empty" in output
