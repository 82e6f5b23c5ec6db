"""The demo people: made once, whoever asks and however often, with mail that is whole."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from tests.conftest import Environment
from tests.people import Person

MAILAPP = str(Path(sys.executable).with_name("mailapp"))
LOGIN = re.compile(r"(\S+@mail\.example)  password: (\S+)")


def started(environment: Environment, *options: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [MAILAPP, "seed", *options],
        env={"PATH": os.environ["PATH"], **environment},
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
    )


def test_two_seeds_at_once_and_one_later_make_two_people_once(
    environment: Environment, visitor: Callable[[], Person]
) -> None:
    both = [started(environment) for _ in range(2)]
    outputs = [process.communicate(timeout=60)[0] for process in both]
    assert [process.returncode for process in both] == [0, 0], outputs
    logins = [LOGIN.findall(output) for output in outputs]
    (found,) = [pairs for pairs in logins if pairs]
    assert [address for address, _ in found] == ["alice@mail.example", "bob@mail.example"]
    again = started(environment)
    assert "already" in again.communicate(timeout=60)[0]
    assert again.returncode == 0
    files = 0
    for address, password in found:
        browser = visitor()
        browser.log_in(address, password)
        assert browser.logged_in
        assert not browser.sees_link("Cluster")
        subjects = browser.subjects()
        assert subjects
        assert len(set(subjects)) == len(subjects)
        for folder in ("inbox", "sent"):
            for link in browser.visit(f"/mail/{folder}").select("main li a"):
                page = browser.visit(str(link["href"]))
                for file in page.select("article li a[download]"):
                    answer = browser.client.get(str(file["href"]))
                    assert answer.status_code == 200
                    assert answer.content
                    files += 1
    assert files


@pytest.mark.parametrize("parts", ["embedded"], indirect=True)
def test_alice_is_an_operator_where_that_is_asked_for(
    environment: Environment, visitor: Callable[[], Person]
) -> None:
    found = LOGIN.findall(started(environment, "--admin").communicate(timeout=60)[0])
    sees = {}
    for address, password in found:
        browser = visitor()
        browser.log_in(address, password)
        sees[address] = browser.sees_link("Cluster")

    assert sees == {"alice@mail.example": True, "bob@mail.example": False}
