"""Doing something again and again beside what a test does."""

from __future__ import annotations

import threading
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager


@contextmanager
def again_and_again(*acts: Callable[[], object], pause: float = 0.05) -> Iterator[None]:
    """Each act in a thread of its own, so many seconds between, for as long as the body runs.

    What one raises ends it, and fails the test after the body.
    """
    problems: list[BaseException] = []
    done = threading.Event()

    def go_on(act: Callable[[], object]) -> None:
        try:
            while not done.wait(pause):
                act()
        except BaseException as problem:  # shown below, by the test's own thread
            problems.append(problem)

    threads = [threading.Thread(target=go_on, args=(act,)) for act in acts]
    with ExitStack() as ends:
        for thread in threads:
            thread.start()
            ends.callback(thread.join)
        ends.callback(done.set)
        yield
    assert not problems, problems
