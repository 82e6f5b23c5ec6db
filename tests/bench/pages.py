"""Pages relative to an empty Flask view: requests a second, and the web processes' CPU time."""

from __future__ import annotations

import itertools
import os
import re
import uuid
from collections.abc import Iterator
from dataclasses import dataclass, field
from statistics import median

from sqlalchemy import select

from deploy.topology import Web
from mailapp import database
from mailapp.mailbox.models import Entry
from tests.bench import load
from tests.bench.figures import Figure
from tests.bench.mailboxes import fill
from tests.bench.stage import Stage, cpu_seconds, log_in
from tests.people import Person

ROUNDS = 5
SECONDS = 2.0
CONNECTIONS = 8
MESSAGES = 10_000
SENDS = 20
SENT_BYTES = 1024 * 1024


@dataclass
class _Series:
    """Rounds of one kind of request: requests a second and CPU seconds a request on CONNECTIONS;
    and both where one connection asks once the last answer is there."""

    name: str
    web: Web
    requests: Iterator[bytes]
    rates: list[float] = field(default_factory=list)
    costs: list[float] = field(default_factory=list)
    rates_alone: list[float] = field(default_factory=list)
    costs_alone: list[float] = field(default_factory=list)

    def round(self, seconds: float) -> None:
        before = cpu_seconds(self.web)
        answers, took = load.drive(
            self.web.port, self.requests, connections=CONNECTIONS, seconds=seconds
        )
        self.rates.append(len(answers) / took)
        self.costs.append((cpu_seconds(self.web) - before) / len(answers))
        before = cpu_seconds(self.web)
        answers, took = load.drive(self.web.port, self.requests, connections=1, seconds=seconds / 2)
        self.rates_alone.append(len(answers) / took)
        self.costs_alone.append((cpu_seconds(self.web) - before) / len(answers))

    @property
    def rate(self) -> float:
        return median(self.rates)

    @property
    def cost(self) -> float:
        return median(self.costs)

    @property
    def rate_alone(self) -> float:
        return median(self.rates_alone)

    @property
    def alone(self) -> float:
        return median(self.costs_alone)

    @property
    def note(self) -> str:
        return f"{self.rate:.0f} requests/s, {self.cost * 1e6:.0f} us of CPU each"


def measure(stage: Stage) -> list[Figure]:
    """The inbox of 10,000 messages, a message of it, and sending 1 MB."""
    reader = stage.account("reader")
    stage.account("writer")
    made = database.connect(stage.settings, timeout=None)
    with made.engine.begin() as connection:
        fill(connection, {reader: (MESSAGES, True)})
    with made.reader.connect() as connection:
        connection.exec_driver_sql("VACUUM (ANALYZE)")
        all_of_them = [f"/mail/{entry_id}" for entry_id in connection.scalars(select(Entry.id))]
    made.engine.dispose()
    with stage.web("web-1") as web, stage.empty() as empty:
        person, cookie = log_in(web, "reader")
        person.visit("/mail/inbox")
        opened = [str(link["href"]) for link in person.page.select("main li a")]
        series = [
            _Series("empty", empty, itertools.repeat(load.get("/"))),
            _Series("inbox", web, itertools.repeat(load.get("/mail/inbox", cookie))),
            _Series("message", web, itertools.cycle(load.get(path, cookie) for path in opened)),
            _Series(
                "another", web, itertools.cycle(load.get(path, cookie) for path in all_of_them)
            ),
        ]
        for path in opened:  # the first time marks them read
            person.visit(path)
        for one in series:
            one.round(0.5)  # warms up: what is made once a process is made
            one.rates.clear()
            one.costs.clear()
            one.rates_alone.clear()
            one.costs_alone.clear()
        for _ in range(ROUNDS):
            for one in series[:-1]:
                one.round(SECONDS)
        # Apart from the others, whose pages it would have thrown out of what a process keeps.
        for _ in range(ROUNDS):
            series[-1].round(SECONDS)
        sent = _send(web, log_in(web, "writer")[0])
    view, inbox, message, another = series
    return [
        Figure(
            "inbox, 50 of 10,000 messages: requests/s",
            inbox.rate / view.rate,
            least=0.25,
            note=inbox.note,
        ),
        Figure(
            "inbox: CPU, one after another",
            inbox.alone / view.alone,
            most=3.6,
            note=f"{inbox.alone * 1e6:.0f} us, the empty view {view.alone * 1e6:.0f} us",
        ),
        Figure(
            f"inbox: CPU, on {CONNECTIONS} connections",
            inbox.cost / view.cost,
            most=3.6,
            note=f"empty view: {view.note}",
        ),
        Figure(
            "opening a message: requests/s, one after another",
            message.rate_alone / view.rate_alone,
            least=0.3,
            note=f"{message.rate_alone:.0f} requests/s, the empty view {view.rate_alone:.0f}",
        ),
        Figure(
            f"opening a message: requests/s, on {CONNECTIONS} connections",
            message.rate / view.rate,
            least=0.3,
            note=message.note,
        ),
        Figure("opening a message: CPU, one after another", message.alone / view.alone, most=2.7),
        Figure(f"opening a message: CPU, on {CONNECTIONS} connections", message.cost / view.cost),
        Figure(
            "opening one of 10,000 at a time: CPU, one after another",
            another.alone / view.alone,
            note="no page is asked for again soon, so each is made anew",
        ),
        Figure(
            "writing and sending 1 MB: CPU, one after another",
            sent / view.alone,
            most=24,
            note=f"{sent * 1e3:.1f} ms: form, upload and send",
        ),
        Figure(f"the same to the empty view on {CONNECTIONS} connections", sent / view.cost),
    ]


def _send(web: Web, person: Person) -> float:
    """CPU seconds of opening the form and sending it with a file of 1 MB, each file another."""
    cookie = "; ".join(f"{key}={value}" for key, value in person.client.cookies.items())
    connection = load.Connection(web.port)
    spent = []
    for _ in range(ROUNDS):
        before = cpu_seconds(web)
        for _ in range(SENDS):
            page = connection.ask(load.get("/compose", cookie)).body.decode()
            path, fields = compose_form(page)
            fields |= {"to": "reader@mail.example", "subject": "1 MB", "action": "send"}
            content_type, start, end = multipart(fields, "files")
            body = start + os.urandom(SENT_BYTES) + end
            head = load.post_head(path, cookie, content_type, len(body))
            answer = connection.ask(head + body)
            if answer.status != 303 or b"/mail/sent" not in answer.head:
                raise RuntimeError(answer.head.decode("latin-1") + answer.body.decode()[:500])
        spent.append((cpu_seconds(web) - before) / SENDS)
    connection.close()
    return median(spent)


def compose_form(page: str) -> tuple[str, dict[str, str]]:
    """Where the form of a compose page goes, and its hidden fields."""
    path = re.search(r'action="(/drafts/[^"]+)"', page)
    if path is None:
        raise RuntimeError("the page has no form for a draft")
    hidden = re.findall(r'<input type="hidden" name="([^"]+)" value="([^"]*)"', page)
    return path[1], dict(hidden)


def multipart(fields: dict[str, str], file_field: str) -> tuple[str, bytes, bytes]:
    """(content type, what comes before the file's bytes, what comes after) of a form's body."""
    boundary = uuid.uuid4().hex
    parts = [
        f'--{boundary}\r\nContent-Disposition: form-data; name="{name}"\r\n\r\n{value}\r\n'
        for name, value in fields.items()
    ]
    parts.append(
        f'--{boundary}\r\nContent-Disposition: form-data; name="{file_field}"; '
        'filename="measured.bin"\r\nContent-Type: application/octet-stream\r\n\r\n'
    )
    end = f"\r\n--{boundary}--\r\n"
    return f"multipart/form-data; boundary={boundary}", "".join(parts).encode(), end.encode()
