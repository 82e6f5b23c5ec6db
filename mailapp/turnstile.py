"""Keeps a part that hangs from holding every thread: while it does, one at a time asks it."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from typing import Any, TypeVar

from mailapp.telemetry import traces
from mailapp.telemetry.metrics import metrics

Answer = TypeVar("Answer")

# Seconds to wait for a turn: enough for a part that has just come back to answer whoever is first,
# so that those who came at the same moment are served too.
PATIENCE = 0.1


class Hangs(Exception):
    """The part did not answer in time before, and somebody else is just asking it again."""


class Turnstile:
    """Stands before one part, for all threads of a process.

    Everybody passes until an answer does not come in time. From then on one passes at a time and
    the others are soon turned away, so that /livez, or a page that can do without the part,
    never queues behind threads that all wait for the same silence. The next answer, which may be
    that the part is gone, opens it again: what has come back serves its first visitor.
    """

    def __init__(
        self,
        part: str,
        timed_out: Callable[[BaseException], bool],
        said: Callable[..., str] = lambda *_asked: "",
    ) -> None:
        """`part` is what metrics and traces call it; `timed_out` says whether an exception means
        that no answer came in time; `said` what a question is in words, from its arguments."""
        self._part = part
        self._said = said
        self._trips, self._failures = metrics().part(part)
        self._timed_out = timed_out
        self._hangs = False
        self._turn = threading.Lock()

    @property
    def hangs(self) -> bool:
        """Whether the last answer did not come in time."""
        return self._hangs

    def ask(self, question: Callable[..., Answer], *args: Any, **options: Any) -> Answer:
        """What `question` answers when it is called so, or raises; Hangs instead of a turn."""
        alone = self._hangs
        if alone:
            if not self._turn.acquire(timeout=PATIENCE):
                self._failures.inc()
                raise Hangs
            if not self._hangs:  # opened while this waited
                self._turn.release()
                alone = False
        recorder = traces.recorder
        span = recorder and recorder.trip(self._part, self._said(*args))
        failure: BaseException | None = None
        asked = time.perf_counter()
        try:
            answer = question(*args, **options)
        except BaseException as error:
            failure = error
            self._hangs = self._timed_out(error)
            self._failures.inc()
            raise
        else:
            self._hangs = False
            return answer
        finally:
            self._trips.observe(time.perf_counter() - asked)
            if span:
                span.end(failure)
            if alone:
                self._turn.release()
