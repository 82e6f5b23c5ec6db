"""Who may ask a part that did not answer."""

from __future__ import annotations

import threading
import time

import pytest

from mailapp.turnstile import Hangs, Turnstile


@pytest.fixture
def turnstile() -> Turnstile:
    return Turnstile(lambda error: isinstance(error, TimeoutError))


def time_out(turnstile: Turnstile) -> None:
    with pytest.raises(TimeoutError), turnstile.passed():
        raise TimeoutError


def test_many_ask_at_once_while_the_part_answers(turnstile: Turnstile) -> None:
    with turnstile.passed(), turnstile.passed(), turnstile.passed():
        pass


def test_after_a_time_out_one_asks_and_the_others_are_soon_turned_away(
    turnstile: Turnstile,
) -> None:
    time_out(turnstile)

    with turnstile.passed():
        began = time.monotonic()
        with pytest.raises(Hangs), turnstile.passed():
            pass
        took = time.monotonic() - began

    assert took < 0.5


def test_an_answer_opens_it_for_those_who_wait(turnstile: Turnstile) -> None:
    time_out(turnstile)
    passed = []

    def ask() -> None:
        with turnstile.passed():
            passed.append(True)

    waiting = [threading.Thread(target=ask) for _ in range(5)]
    with turnstile.passed():
        for thread in waiting:
            thread.start()
    for thread in waiting:
        thread.join()

    assert len(passed) == 5


@pytest.mark.parametrize("error", [ConnectionError, ValueError])
def test_a_refusal_is_an_answer_too(turnstile: Turnstile, error: type[Exception]) -> None:
    time_out(turnstile)
    with pytest.raises(error), turnstile.passed():
        raise error

    with turnstile.passed(), turnstile.passed():
        pass


def test_a_second_time_out_leaves_it_closed_and_the_next_one_a_turn(turnstile: Turnstile) -> None:
    time_out(turnstile)
    time_out(turnstile)

    with turnstile.passed(), pytest.raises(Hangs), turnstile.passed():
        pass
