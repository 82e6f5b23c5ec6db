"""The load: it sees what goes wrong, and nothing where nothing does."""

from __future__ import annotations

import threading
import time
from collections import Counter
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from tests.cluster.ledger import Found, Letter, harm, judge
from tests.cluster.load import Load, measure
from tests.cluster.parts import Cluster
from tests.cluster.stack import eventually

LETTER = Letter("key", "alice", ("bob", "carol"), {"a": "hash"}, pressed=0.0, answered=1.0)
WHOLE: dict[str, Mapping[str, str]] = {"bob": {"a": "hash"}, "carol": {"a": "hash"}}


@pytest.fixture
def load(cluster: Cluster) -> Iterator[Load]:
    """Four people at two instances."""
    load = Load(cluster.nginx.url, people=4)
    load.sign_up()
    yield load
    load.close()


def found(bob: int, carol: int, sent: int, drafts: int = 0) -> Found:
    return Found(Counter(bob=bob, carol=carol), sent, drafts, WHOLE)


@pytest.mark.parametrize(
    ("seen", "fault"),
    [
        (found(1, 1, 1), ""),
        (found(0, 0, 0, 1), "lost"),
        (found(1, 0, 1), "lost"),
        (found(1, 1, 0), "lost"),
        (found(1, 2, 1), "doubled"),
        (found(1, 1, 2), "doubled"),
        (found(1, 1, 1, 1), "half_done"),
    ],
)
def test_what_was_answered_sent_is_everywhere_once(seen: Found, fault: str) -> None:
    verdict = judge([LETTER], {"key": seen})

    assert verdict.acknowledged == 1
    assert {
        name for name in ("lost", "doubled", "damaged", "half_done") if getattr(verdict, name)
    } == ({fault} if fault else set())


@pytest.mark.parametrize(
    ("seen", "half_done"),
    [
        (found(0, 0, 0), 0),
        (found(0, 0, 0, 1), 0),
        (found(1, 1, 1), 0),
        (found(1, 0, 0), 1),
        (found(1, 1, 0), 1),
        (found(1, 1, 1, 1), 1),
    ],
)
def test_what_was_given_up_is_whole_or_with_nobody(seen: Found, half_done: int) -> None:
    given_up = Letter("key", "alice", ("bob", "carol"), {"a": "hash"}, pressed=0.0)

    assert judge([given_up], {"key": seen}).half_done == half_done


def test_an_attachment_that_is_another_is_damage() -> None:
    seen = found(1, 1, 1)
    seen.files = {**WHOLE, "carol": {"a": "another"}}

    assert judge([LETTER], {"key": seen}).damaged == 1


def watch(load: Load) -> dict[str, Any]:
    """Measure for some seconds, and until somebody has sent something: a busy machine is slow."""
    with load.running():
        time.sleep(6)
        assert eventually(lambda: any(letter.answered for letter in [*load.letters.values()]))
    return measure(load, 0)


def test_it_finds_nothing_where_nothing_fails(load: Load) -> None:
    figures = watch(load)

    assert figures["failures"] == {}, load.complaints
    assert harm(figures) == 0
    assert figures["acknowledged"] > 0
    assert figures["requests"] > 5


def test_it_notes_each_failure_and_presses_again(cluster: Cluster, load: Load) -> None:
    def take_away() -> None:
        time.sleep(1.5)
        cluster.valkey.stop()
        eventually(lambda: any(one.kind for one in [*load.tries]))
        cluster.valkey.start()

    meanwhile = threading.Thread(target=take_away)
    meanwhile.start()
    figures = watch(load)
    meanwhile.join()

    assert set(figures["failures"]) == {"503"}, load.complaints
    assert harm(figures) == 0
    assert figures["acknowledged"] > 0


def test_it_misses_a_message_that_is_gone_and_a_session_that_ended(load: Load) -> None:
    watch(load)
    letter = next(letter for letter in load.letters.values() if letter.answered)
    reader = next(person for person in load.people if person.address == letter.recipients[0])
    browser = reader.browsers[0]
    browser.visit("/mail/inbox")
    browser.follow(f"From {letter.sender}: {letter.key}")
    browser.press("Delete")
    browser.press("Log out")

    assert load.count_lost_sessions() == 1
    assert load.audit().lost == 1
