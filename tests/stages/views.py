"""What a visitor sees of a page, an error and no answer at all included, and how that is told."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

import httpx


@dataclass(frozen=True)
class View:
    """One page that was asked for: what came of it, who served it, after how many seconds.

    `what` is the status, or a few words where no answer came; a redirect says where to.
    """

    what: str
    server: str
    seconds: float

    @property
    def fine(self) -> bool:
        """Whether the visitor saw the page that was asked for."""
        return self.what == "200"


def view(visitor: httpx.Client, path: str = "/mail/inbox") -> View:
    """Ask for a page once, as a browser does, and go nowhere else."""
    begun = time.monotonic()
    server = ""
    try:
        answer = visitor.get(path)
        server = answer.headers.get("X-Served-By", "")
        what = str(answer.status_code)
        if answer.is_redirect:
            what += f" to {answer.headers['Location'].partition('?')[0]}"
    except httpx.ConnectError:
        what = "connection refused"
    except httpx.TimeoutException:
        what = "no answer"
    except httpx.TransportError:
        what = "connection lost"
    return View(what, server, time.monotonic() - begun)


def views(visitor: httpx.Client, number: int, path: str = "/mail/inbox") -> list[View]:
    """Ask for a page so many times, one after the other."""
    return [view(visitor, path) for _ in range(number)]


def servers(seen: Iterable[View]) -> str:
    """Who served how many, as "web-1 answered 15, web-2 15"."""
    counts = sorted(Counter(each.server for each in seen if each.server).items())
    said = [f"{server} {number}" for server, number in counts]
    if not said:
        return "no web server answered"
    return ", ".join(said).replace(" ", " answered ", 1)


def failures(seen: Sequence[View]) -> str:
    """How many failed and how, as "15 of 30 failed (503 15 times)"."""
    failed = [each for each in seen if not each.fine]
    if not failed:
        return f"none of {len(seen)} failed"
    said = f"{len(failed)} of {len(seen)}" if len(failed) < len(seen) else f"all {len(seen)}"
    return f"{said} failed ({outcomes(failed)})"


def outcomes(seen: Iterable[View]) -> str:
    """What came of them, as "503 12 times, no answer 3 times"."""
    counts = Counter(each.what for each in seen).most_common()
    return ", ".join(f"{what} {number} times" if number > 1 else what for what, number in counts)


def slowest(seen: Sequence[View]) -> str:
    """The longest that one took, as "1.6 s" or "40 ms"."""
    seconds = max(each.seconds for each in seen)
    return f"{seconds:.1f} s" if seconds >= 0.95 else f"{seconds * 1000:.0f} ms"
