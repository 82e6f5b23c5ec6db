"""Asking the parts an instance depends on: in parallel, bounded in time, at most once a second."""

from __future__ import annotations

import logging
import threading
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

PATIENCE = 1.0  # seconds a part has to answer
FRESH = 1.0  # seconds for which an answer is given again without asking
USABLE = 5.0  # seconds for which an answer does for those who come while another asker waits

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Result:
    """What one part answered. `error` is a few words of our own: never a library's text, which may
    hold a host, a user or a password."""

    status: Literal["ok", "failing"]
    latency_ms: float
    error: str | None = None


class Probe:
    """One part and the way to ask it. Only one asker at a time may call `start` and `result`."""

    def __init__(self, name: str, backend: str, ask: Callable[[], None]) -> None:
        self.name = name
        self.backend = backend
        self._ask = ask
        self._started = 0.0
        self._answered = threading.Event()
        self._answered.set()
        self._result = Result("failing", 0.0, "not asked yet")

    def start(self) -> None:
        """Ask in the background, unless the last question is still without an answer: a part that
        hangs holds one thread, not one for each second it hangs."""
        if not self._answered.is_set():
            return
        self._answered.clear()
        self._started = time.monotonic()
        threading.Thread(target=self._run, name=f"probe-{self.name}", daemon=True).start()

    def result(self) -> Result:
        """The answer to the last question, waited for until PATIENCE after it was asked."""
        if self._answered.wait(max(0.0, self._started + PATIENCE - time.monotonic())):
            return self._result
        waited = time.monotonic() - self._started
        return Result("failing", _milliseconds(waited), f"no answer within {PATIENCE:g} s")

    def _run(self) -> None:
        error: str | None = None
        try:
            self._ask()
        except Exception as failure:
            error = describe(failure)
            logger.debug("the %s probe failed", self.name, exc_info=True)
        latency = _milliseconds(time.monotonic() - self._started)
        self._result = Result("ok" if error is None else "failing", latency, error)
        self._answered.set()


class Checkup:
    """All probes together, their last results and who is to ask next.

    However many ask at once, one of them asks the parts and the others get the previous results, or
    wait with it where there are none that are fresh enough.
    """

    def __init__(self, probes: Sequence[Probe]) -> None:
        self.probes = tuple(probes)
        self._turn = threading.Condition()
        self._asking = False
        self._results: dict[str, Result] = {}
        self._finished = float("-inf")

    def results(self) -> dict[str, Result]:
        """Each probe's result by name, at most FRESH seconds old (USABLE, while others ask);
        answers within PATIENCE and a little whatever the parts do."""
        with self._turn:
            if self._age() < FRESH:
                return self._results
            if self._asking:
                if self._age() >= USABLE:
                    self._turn.wait_for(lambda: self._age() < FRESH, timeout=PATIENCE + 0.2)
                return self._results or {
                    probe.name: Result("failing", 0.0, "not asked yet") for probe in self.probes
                }
            self._asking = True
        try:
            for probe in self.probes:
                probe.start()
            results = {probe.name: probe.result() for probe in self.probes}
        except BaseException:
            with self._turn:
                self._asking = False
            raise
        with self._turn:
            changed = {
                name: result
                for name, result in results.items()
                if name not in self._results or self._results[name].status != result.status
            }
            self._results = results
            self._finished = time.monotonic()
            self._asking = False
            self._turn.notify_all()
        _log_changes(changed)
        return results

    def _age(self) -> float:
        return time.monotonic() - self._finished


def describe(failure: BaseException) -> str:
    """A few words for a failure, out of a fixed list, or the name of its class."""
    said: list[str] = []
    link: BaseException | None = failure
    while link is not None and len(said) < 10:
        said.append(f"{type(link).__name__} {link}".lower())
        link = link.__cause__ or link.__context__
    text = "\n".join(said)
    for words, signs in _WORDS:
        if any(sign in text for sign in signs):
            return words
    return type(failure).__name__


_WORDS: tuple[tuple[str, tuple[str, ...]], ...] = (
    ("credentials refused", ("authentication", "noauth", "wrongpass", "accessdenied", "password",
                             "invalidaccesskeyid", "signaturedoesnotmatch")),
    ("no server that takes writes", ("session is read-only", "takes no writes",
                                        "no sentinel knows", "previous master", "noreplicas")),
    ("connection refused", ("connection refused", "errno 111")),
    ("host name not found", ("name or service not known", "name resolution", "getaddrinfo")),
    ("no answer in time", ("timeout", "timed out")),
    ("bucket missing", ("nosuchbucket",)),
    ("schema missing, run: mailapp migrate", ("no such table", "undefinedtable")),
    ("permission denied", ("permission denied", "permissionerror", "readonly database")),
    ("folder missing", ("filenotfounderror", "no such file", "unable to open database")),
    ("disk full", ("no space left", "disk is full")),
    ("connection lost", ("server closed", "connection reset", "connection closed", "broken pipe",
                         "connectionerror", "terminating connection", "remotedisconnected")),
)  # fmt: skip


def _log_changes(changed: dict[str, Result]) -> None:
    for name, result in changed.items():
        if result.status == "failing":
            logger.warning("%s is failing: %s", name, result.error)
        else:
            logger.info("%s answers", name)


def _milliseconds(seconds: float) -> float:
    return round(seconds * 1000, 1)
