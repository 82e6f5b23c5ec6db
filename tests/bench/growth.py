"""What the size of a mailbox costs: pages of a thousand messages beside pages of a million."""

from __future__ import annotations

import time
from statistics import median

from mailapp import database
from mailapp.mailbox.paging import make_key
from tests.bench import load
from tests.bench.figures import Figure
from tests.bench.mailboxes import fill
from tests.bench.stage import Stage, log_in

SMALL, LARGE = 1_000, 1_000_000
ROUNDS = 10
PER_ROUND = 30
MOST = 1.2

_KEY = (
    "SELECT e.sort_at, e.id FROM entries e JOIN mailboxes b ON b.id = e.mailbox_id"
    " WHERE e.account_id = %s AND b.role = 'inbox' ORDER BY e.sort_at OFFSET %s LIMIT 1"
)


def measure(stage: Stage) -> list[Figure]:
    """One request at a time, the mailboxes in turn; medians of all."""
    ids = {name: stage.account(name) for name in ("small", "large", "unread")}
    sizes = {
        ids["small"]: (SMALL, True),
        ids["large"]: (LARGE, True),
        ids["unread"]: (LARGE, False),
    }
    made = database.connect(stage.settings, timeout=None)
    with made.engine.begin() as connection:
        fill(connection, sizes)
    with made.reader.connect() as connection:
        connection.exec_driver_sql("VACUUM (ANALYZE)")
        middle = {
            name: make_key(
                *connection.exec_driver_sql(_KEY, (ids[name], sizes[ids[name]][0] // 2)).one()
            )
            for name in ("small", "large")
        }
    made.engine.dispose()
    with stage.web("web-1") as web:
        cookies = {name: log_in(web, name)[1] for name in ids}
        asked = {
            "small": load.get("/mail/inbox", cookies["small"]),
            "large": load.get("/mail/inbox", cookies["large"]),
            "unread": load.get("/mail/inbox", cookies["unread"]),
            "small, inside": load.get(f"/mail/inbox?before={middle['small']}", cookies["small"]),
            "large, inside": load.get(f"/mail/inbox?before={middle['large']}", cookies["large"]),
        }
        times = _times(web.port, asked)
    small = times["small"]
    note = f"{times['large'] * 1e3:.2f} ms after {small * 1e3:.2f} ms"
    inside = times["large, inside"] / times["small, inside"]
    return [
        Figure("first page, a million to a thousand", times["large"] / small, most=MOST, note=note),
        Figure("first page, a million unread to a thousand", times["unread"] / small, most=MOST),
        Figure("page in the middle, a million to a thousand", inside, most=MOST),
        Figure("page in the middle to first, of a million", times["large, inside"] / small),
    ]


def _times(port: int, asked: dict[str, bytes]) -> dict[str, float]:
    connection = load.Connection(port)
    times: dict[str, list[float]] = {name: [] for name in asked}
    for number in range(ROUNDS + 1):
        for name, request in asked.items():
            for _ in range(PER_ROUND):
                started = time.perf_counter()
                answer = connection.ask(request)
                took = time.perf_counter() - started
                if answer.status != 200 or answer.body.count(b"<li") < 50:
                    raise RuntimeError(f"{name}: {answer.status}")
                if number:  # the first round warms up
                    times[name].append(took)
    connection.close()
    return {name: median(each) for name, each in times.items()}
