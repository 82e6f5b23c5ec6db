"""What the size of a mailbox costs: pages of a thousand messages beside pages of a million, and
moving ten thousand of them."""

from __future__ import annotations

import re
import threading
import time
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from statistics import median
from urllib.parse import urlencode

from sqlalchemy import Engine, text

from mailapp import database
from mailapp.mailbox.paging import PAGE, make_key
from tests.bench import load
from tests.bench.figures import Figure
from tests.bench.mailboxes import fill
from tests.bench.stage import Stage, log_in

SMALL, LARGE = 1_000, 1_000_000
MOVED = 12_500  # of which 10,000 lie in the inbox
ROUNDS = 10
PER_ROUND = 30
MOST = 1.3
LIKE = ("large", "small")

_PLACES = text(
    "SELECT c.newest_at, c.newest_id FROM conversations c JOIN mailboxes b ON b.id = c.mailbox_id"
    " WHERE b.account_id = :account_id AND b.role = 'inbox' ORDER BY c.newest_at"
)
# What was done with an account's mail makes every page of it anew.
_CHANGE = text("UPDATE accounts SET modseq = modseq + 1 WHERE id = :account_id")


def measure(stage: Stage) -> list[Figure]:
    """One request at a time, the mailboxes in turn, no page one that was made before; medians."""
    sizes = {"small": (SMALL, True), "large": (LARGE, True), "unread": (LARGE, False)}
    ids = {name: stage.account(name) for name in (*sizes, "mover")}
    made = database.connect(stage.settings, timeout=None)
    with made.engine.begin() as connection:
        fill(
            connection,
            {ids[name]: size for name, size in sizes.items()} | {ids["mover"]: (MOVED, False)},
        )
    with made.reader.connect() as connection:
        connection.exec_driver_sql("VACUUM (ANALYZE)")
    with stage.web("web-1") as web:
        cookies = {name: log_in(web, name)[1] for name in ids}
        asked: dict[str, tuple[int, Sequence[bytes]]] = {}
        for name in sizes:
            places = _places(made.engine, ids[name])
            paths = {
                "inbox": ["/mail/inbox"],
                "folder": ["/mail/archive"],
                "next page": [f"/mail/inbox?before={make_key(*place)}" for place in places],
                "thread": [f"/mail/{entry}" for _, entry in places],
            }
            for page, addresses in paths.items():
                if name != "unread" or page in {"inbox", "next page"}:
                    asked[f"{name} {page}"] = (
                        ids[name],
                        [load.get(path, cookies[name]) for path in addresses],
                    )
        times = _times(web.port, made.engine, asked)
        moved = _move(web.port, cookies["mover"])
    made.engine.dispose()
    return [
        *(
            Figure(
                f"{page}, a million to a thousand",
                times[f"large {page}"] / times[f"small {page}"],
                most=MOST,
                note=" to ".join(f"{times[f'{size} {page}'] * 1e3:.2f} ms" for size in LIKE),
            )
            for page in ("inbox", "folder", "thread", "next page")
        ),
        Figure(
            "inbox, a million unread to a thousand read",
            times["unread inbox"] / times["small inbox"],
            most=MOST,
        ),
        Figure(
            "next page, a million unread to a thousand read",
            times["unread next page"] / times["small next page"],
            most=MOST,
        ),
        Figure(
            "moving all 10,000 of an inbox: answered after",
            moved.answered,
            "s",
            most=2.0,
            note=f"all of it done after {moved.done:.2f} s",
        ),
        Figure(
            "the inbox meanwhile, the slowest time it was asked for",
            max(moved.meanwhile),
            "s",
            most=1.0,
            note=f"{len(moved.meanwhile)} times, median {median(moved.meanwhile) * 1e3:.0f} ms",
        ),
    ]


def _places(engine: Engine, account_id: int) -> list[tuple[datetime, int]]:
    """A hundred conversations from all over an inbox, each with a page of older ones."""
    with engine.connect() as connection:
        rows = connection.execute(_PLACES, {"account_id": account_id}).all()
    return [(row.newest_at, row.newest_id) for row in rows[PAGE + 1 :: len(rows) // 100]]


def _times(
    port: int, engine: Engine, asked: dict[str, tuple[int, Sequence[bytes]]]
) -> dict[str, float]:
    connection = load.Connection(port)
    times: dict[str, list[float]] = {name: [] for name in asked}
    for number in range(ROUNDS + 1):
        for name, (account_id, requests) in asked.items():
            for turn in range(PER_ROUND):
                with engine.begin() as changing:
                    changing.execute(_CHANGE, {"account_id": account_id})
                started = time.perf_counter()
                answer = connection.ask(requests[(number * PER_ROUND + turn) % len(requests)])
                took = time.perf_counter() - started
                shown = b"<article" if "thread" in name else b"<li data-entry"
                if answer.status != 200 or answer.body.count(shown) < (
                    2 if "thread" in name else 50
                ):
                    raise RuntimeError(f"{name}: {answer.status}")
                if number:  # the first round warms up
                    times[name].append(took)
    connection.close()
    return {name: median(each) for name, each in times.items()}


@dataclass(frozen=True)
class _Move:
    """How long it took to be answered, and until it was done; what pages took in between."""

    answered: float
    done: float
    meanwhile: list[float]


def _move(port: int, cookie: str) -> _Move:
    """Archive all of an inbox, while another connection looks at it again and again."""
    inbox = load.get("/mail/inbox", cookie)
    connection, looking = load.Connection(port), load.Connection(port)
    token = re.search(rb'name="csrf_token" value="([^"]+)"', connection.ask(inbox).body)
    if token is None:
        raise RuntimeError("the inbox has no form")
    body = urlencode(
        {"csrf_token": token[1].decode(), "place": "inbox", "whole": "1", "do": "archive"}
    ).encode()
    head = load.post_head("/mail/act", cookie, "application/x-www-form-urlencoded", len(body))
    meanwhile: list[float] = []
    ended = threading.Event()

    def look() -> None:
        while not ended.is_set():
            started = time.perf_counter()
            looking.ask(inbox)
            meanwhile.append(time.perf_counter() - started)

    looker = threading.Thread(target=look)
    looker.start()
    started = time.perf_counter()
    answer = connection.ask(head + body)
    answered = time.perf_counter() - started
    while b"<li data-entry" in connection.ask(inbox).body:
        time.sleep(0.01)
    done = time.perf_counter() - started
    ended.set()
    looker.join()
    if answer.status != 303:
        raise RuntimeError(answer.head.decode("latin-1"))
    return _Move(answered, done, meanwhile)
