"""What 500 open pages cost an instance: its memory, and everybody else's time."""

from __future__ import annotations

import time
from collections.abc import Iterator
from contextlib import ExitStack, closing
from itertools import repeat
from statistics import median

from deploy.topology import Web, family
from tests.bench import load
from tests.bench.figures import Figure
from tests.bench.stage import Stage, log_in, memory
from tests.live.streams import Page, counter

PAGES = 500
ROUNDS = 5
SECONDS = 2.0
CONNECTIONS = 8


def measure(stage: Stage) -> list[Figure]:
    """An instance's memory with the pages and without, the rate of the inbox beside that of an
    instance that has none, and how long it takes until all pages are told of a change."""
    stage.account("reader")
    with stage.web("web-1") as web, stage.web("web-2") as other, ExitStack() as opened:
        reader, cookie = log_in(web, "reader")
        requests = repeat(load.get("/mail/inbox", cookie))
        for each in (web, other):
            _rate(each, requests)  # what is made at first use is made
        before = _memory(web)
        known = counter(reader)
        pages = [opened.enter_context(closing(Page(web.url, cookie, known))) for _ in range(PAGES)]
        time.sleep(1)
        taken = _memory(web) - before
        # In turn, so that both meet the machine in the same mood.
        rates = [(_rate(web, requests), _rate(other, requests)) for _ in range(ROUNDS)]
        began = time.monotonic()
        reader.send("reader@mail.example", "New")
        sent = time.monotonic()
        for page in pages:
            page.is_told(known + 1)
        told = time.monotonic()
    return [
        Figure(f"{PAGES} open pages: memory of all processes", taken, "MB", most=50.0),
        Figure(
            "the inbox beside them, requests a second, of one without",
            median(beside / alone for beside, alone in rates),
            least=0.9,
            note=f"{median(beside for beside, _ in rates):.0f} a second",
        ),
        Figure(
            "a message sent, until the last page is told of it",
            told - sent,
            "s",
            most=1.0,
            note=f"writing and sending it took {sent - began:.2f} s",
        ),
    ]


def _rate(web: Web, requests: Iterator[bytes]) -> float:
    answers, took = load.drive(web.port, requests, connections=CONNECTIONS, seconds=SECONDS)
    return len(answers) / took


def _memory(web: Web) -> float:
    return sum(memory(pid)[1] for pid in family(web.pid))
