"""Probes: bounded, in parallel, once a second, never piling up."""

from __future__ import annotations

import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor

import psycopg
import pytest
import redis
from sqlalchemy.exc import OperationalError

from mailapp.health.probes import FRESH, PATIENCE, Checkup, Probe, describe


class Part:
    """Something to probe: counts the questions and hangs, or fails, when told to."""

    def __init__(self) -> None:
        self.asked = 0
        self.works = threading.Event()
        self.works.set()
        self.failure: Exception | None = None

    def ask(self) -> None:
        self.asked += 1
        self.works.wait(20)
        if self.failure is not None:
            raise self.failure


@pytest.fixture
def part() -> Iterator[Part]:
    part = Part()
    yield part
    part.works.set()


@pytest.fixture
def checkup(part: Part) -> Checkup:
    return Checkup([Probe("database", "postgresql", part.ask)])


def make_stale(checkup: Checkup, seconds: float = FRESH) -> None:
    checkup._finished -= seconds


def test_a_part_that_answers_is_ok_with_its_latency(checkup: Checkup) -> None:
    result = checkup.results()["database"]

    assert (result.status, result.error) == ("ok", None)
    assert 0 <= result.latency_ms < 500


def test_an_answer_is_given_again_for_a_second(checkup: Checkup, part: Part) -> None:
    for _ in range(50):
        checkup.results()
    asked_when_fresh = part.asked
    make_stale(checkup)
    checkup.results()

    assert (asked_when_fresh, part.asked) == (1, 2)


def test_a_storm_of_checks_costs_one_probe_a_second(checkup: Checkup, part: Part) -> None:
    started = time.monotonic()
    with ThreadPoolExecutor(32) as pool:
        answers = list(pool.map(lambda _: checkup.results()["database"].status, range(1000)))
    lasted = time.monotonic() - started

    assert answers == ["ok"] * 1000
    assert part.asked <= 1 + lasted / FRESH


def test_a_part_that_hangs_is_failing_after_a_second(checkup: Checkup, part: Part) -> None:
    part.works.clear()
    started = time.monotonic()
    result = checkup.results()["database"]

    assert (result.status, result.error) == ("failing", "no answer within 1 s")
    assert PATIENCE <= time.monotonic() - started < 2 * PATIENCE


def test_a_part_that_hangs_is_asked_once_and_waited_for_once(checkup: Checkup, part: Part) -> None:
    part.works.clear()
    checkup.results()
    started = time.monotonic()
    for _ in range(5):
        make_stale(checkup)
        assert checkup.results()["database"].status == "failing"

    assert part.asked == 1
    assert time.monotonic() - started < PATIENCE


def test_a_part_that_hung_is_ok_again_when_it_answers(checkup: Checkup, part: Part) -> None:
    part.works.clear()
    checkup.results()
    part.works.set()
    (probe,) = checkup.probes
    probe._answered.wait(5)
    make_stale(checkup)

    assert checkup.results()["database"].status == "ok"
    assert part.asked == 2


def test_one_that_hangs_does_not_delay_the_others(part: Part) -> None:
    other = Part()
    checkup = Checkup([Probe("a", "", part.ask), Probe("b", "", other.ask)])
    part.works.clear()
    results = checkup.results()

    assert results["a"].status == "failing"
    assert results["b"].status == "ok"
    assert results["b"].latency_ms < 500


def test_while_one_waits_the_others_get_the_previous_answer_at_once(
    checkup: Checkup, part: Part
) -> None:
    checkup.results()
    make_stale(checkup)
    part.works.clear()
    asker = threading.Thread(target=checkup.results)
    asker.start()
    while part.asked < 2:
        time.sleep(0.01)
    started = time.monotonic()
    result = checkup.results()["database"]
    waited = time.monotonic() - started
    asker.join()

    assert result.status == "ok"
    assert waited < 0.2


def test_without_a_previous_answer_everybody_waits_for_the_first(
    checkup: Checkup, part: Part
) -> None:
    part.works.clear()
    with ThreadPoolExecutor(4) as pool:
        asked = [pool.submit(checkup.results) for _ in range(4)]
        time.sleep(0.2)
        part.works.set()
        answers = [one.result(timeout=5)["database"].status for one in asked]

    assert answers == ["ok"] * 4
    assert part.asked == 1


def test_an_answer_of_long_ago_is_not_given_while_one_waits(checkup: Checkup, part: Part) -> None:
    checkup.results()
    make_stale(checkup, 60)
    part.works.clear()
    asker = threading.Thread(target=checkup.results)
    asker.start()
    while part.asked < 2:
        time.sleep(0.01)
    result = checkup.results()["database"]
    asker.join()

    assert result.status == "failing"


def test_a_change_is_logged_once(
    checkup: Checkup, part: Part, caplog: pytest.LogCaptureFixture
) -> None:
    checkup.results()
    part.failure = ConnectionRefusedError(111, "Connection refused")
    caplog.clear()
    for _ in range(3):
        make_stale(checkup)
        checkup.results()

    assert [record.getMessage() for record in caplog.records] == [
        "database is failing: connection refused"
    ]


@pytest.mark.parametrize(
    ("failure", "words"),
    [
        (ConnectionRefusedError(111, "Connection refused"), "connection refused"),
        (redis.exceptions.TimeoutError("Timeout reading from 10.0.0.7"), "no answer in time"),
        (redis.exceptions.AuthenticationError("WRONGPASS hunter2"), "credentials refused"),
        (
            OperationalError(
                "SELECT 1",
                {},
                psycopg.OperationalError('connection to "10.0.0.7": FATAL: hunter2 authentication'),
            ),
            "credentials refused",
        ),
        (RuntimeError("postgresql://mailapp:hunter2@10.0.0.7/mailapp"), "RuntimeError"),
    ],
)
def test_an_error_is_told_in_words_of_our_own(failure: Exception, words: str) -> None:
    assert describe(failure) == words


def test_the_cause_of_a_failure_is_looked_at_too() -> None:
    failure = RuntimeError("attachments is unavailable")
    failure.__cause__ = ConnectionRefusedError(111, "Connection refused")

    assert describe(failure) == "connection refused"
