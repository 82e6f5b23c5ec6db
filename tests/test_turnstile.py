"""Who may ask a part that did not answer."""

from __future__ import annotations

import threading
import time

import pytest

from mailapp.turnstile import Hangs, Turnstile


@pytest.fixture
def turnstile() -> Turnstile:
    return Turnstile("test", lambda error: isinstance(error, TimeoutError))


def fail(error: type[BaseException]) -> None:
    raise error


def time_out(turnstile: Turnstile) -> None:
    with pytest.raises(TimeoutError):
        turnstile.ask(fail, TimeoutError)


def test_what_is_asked_and_answered_passes_through(turnstile: Turnstile) -> None:
    assert turnstile.ask(divmod, 7, 2) == (3, 1)
    assert turnstile.ask(int, "11", base=2) == 3


def test_many_ask_at_once_while_the_part_answers(turnstile: Turnstile) -> None:
    assert turnstile.ask(lambda: turnstile.ask(lambda: turnstile.ask(str, 1))) == "1"


def test_after_a_time_out_one_asks_and_the_others_are_soon_turned_away(
    turnstile: Turnstile,
) -> None:
    time_out(turnstile)

    def another_asks() -> float:
        began = time.monotonic()
        with pytest.raises(Hangs):
            turnstile.ask(str)
        return time.monotonic() - began

    assert turnstile.ask(another_asks) < 0.5


def test_an_answer_opens_it_for_those_who_wait(turnstile: Turnstile) -> None:
    time_out(turnstile)
    passed: list[bool] = []
    waiting = [threading.Thread(target=turnstile.ask, args=(passed.append, True)) for _ in range(5)]

    def start_the_others() -> None:
        for thread in waiting:
            thread.start()

    turnstile.ask(start_the_others)
    for thread in waiting:
        thread.join()

    assert len(passed) == 5


@pytest.mark.parametrize("error", [ConnectionError, ValueError])
def test_a_refusal_is_an_answer_too(turnstile: Turnstile, error: type[Exception]) -> None:
    time_out(turnstile)
    with pytest.raises(error):
        turnstile.ask(fail, error)

    assert turnstile.ask(lambda: turnstile.ask(str, 1)) == "1"


def test_a_second_time_out_leaves_it_closed_and_the_next_one_a_turn(turnstile: Turnstile) -> None:
    time_out(turnstile)
    time_out(turnstile)

    def turned_away() -> bool:
        with pytest.raises(Hangs):
            turnstile.ask(str)
        return True

    assert turnstile.ask(turned_away)
