"""Searching a million messages: how long a rare word takes, a common one, and what is hard."""

from __future__ import annotations

import random
import time
from collections.abc import Sequence
from statistics import median, quantiles
from urllib.parse import quote

from sqlalchemy import Connection, text

from mailapp import database
from mailapp.accounts.models import Account
from mailapp.migrations import triggers
from mailapp.search.index import Words
from tests.bench import load
from tests.bench.figures import Figure
from tests.bench.mailboxes import fill
from tests.bench.stage import Stage, log_in

MESSAGES = 1_000_000
# Texts that differ, each of so many words; as in a language, a few words make most of a text.
TEXTS = 2_000
LENGTH = 40
VOCABULARY = 20_000
ROUNDS = 12

# Beside its text every message has one of ten words, English and Korean, so that each is in a tenth
# of all; every 500th has one of a hundred rare ones, each of which is then in twenty. The oldest
# tenth has a word of its own, and so has a tenth of all that is spread over all but the newest.
_ROWS = """
INSERT INTO search_entries (entry_id, account_id, sort_at, words)
SELECT e.id, e.account_id, e.sort_at,
       t.words || array_to_tsvector(
         ARRAY['@' || e.account_id, 'common' || e.n % 10, chr((50000 + e.n % 10)::int) || '산']
         || CASE WHEN e.n % 500 = 0
            THEN ARRAY['rare' || e.n / 500 % 100, chr((51000 + e.n / 500 % 100)::int) || '산']
            ELSE '{}' END
         || CASE WHEN e.n <= :count / 10 THEN ARRAY['oldest'] ELSE '{}' END
         || CASE WHEN e.n % 9 = 0 AND e.n <= :count * 9 / 10 THEN ARRAY['older'] ELSE '{}' END)
FROM (SELECT *, row_number() OVER (ORDER BY sort_at, id) AS n FROM entries) e
JOIN texts t ON t.n = e.n % :texts
"""


def measure(stage: Stage) -> list[Figure]:
    """The page with the first hits, for one client who asks for one after the other."""
    reader = stage.account("searcher")
    made = database.connect(stage.settings, timeout=None)
    with made.engine.begin() as connection:
        fill(connection, {reader: (MESSAGES, True)})
        _index(connection)
    with made.reader.connect() as connection:
        connection.exec_driver_sql("VACUUM (ANALYZE)")
    numbers = range(10)
    kinds = {
        "rare": [f"rare{number}" for number in range(10, 60)],
        "rare, Korean": [f"{chr(51000 + number)}산" for number in range(50)],
        "common": [f"common{number}" for number in numbers],
        "common, Korean": [f"{chr(50000 + number)}산" for number in numbers],
        "only in the oldest tenth": ["oldest"],
        "spread, not in the newest tenth": ["older"],
        "two common ones that never meet": ["common1 common2", "common3 common4"],
        "a common one and a rare one": [f"common0 rare{number}" for number in range(10, 20)],
        "everything but a common one": [f"-common{number}" for number in numbers],
    }
    with stage.web("web-1") as web:
        cookie = log_in(web, "searcher")[1]
        times: dict[str, list[float]] = {kind: [] for kind in kinds}
        for number in range(ROUNDS + 1):
            # Pages are kept while nothing changes in the account.
            with made.engine.begin() as connection:
                connection.execute(Account.__table__.update().values(modseq=Account.modseq + 1))  # type: ignore[attr-defined]
            for kind, queries in kinds.items():
                taken = _times(web.port, cookie, queries)
                if number:  # the first round warms up
                    times[kind] += taken
    made.engine.dispose()
    rare = ("rare", "rare, Korean")
    in_a_tenth = (
        "common",
        "common, Korean",
        "only in the oldest tenth",
        "spread, not in the newest tenth",
    )
    bounds = dict.fromkeys(rare, 50.0) | dict.fromkeys(in_a_tenth, 150.0)
    return [
        Figure(
            f"a word of a million messages, p95: {kind}",
            quantiles(each, n=20)[-1] * 1e3,
            unit="ms",
            most=bounds.get(kind),
            note=f"median {median(each) * 1e3:.1f} ms of {len(each)}",
        )
        for kind, each in times.items()
    ]


def _index(connection: Connection) -> None:
    """Write what every message is found by; the index is made at once when all is there."""
    chance = random.Random(4)
    vocabulary = [_word(chance) for _ in range(VOCABULARY)]
    weights = [1 / (place + 10) for place in range(VOCABULARY)]
    connection.execute(text("CREATE TEMPORARY TABLE texts (n int PRIMARY KEY, words tsvector)"))
    texts = []
    for number in range(TEXTS):
        said = Words()
        chosen = chance.choices(vocabulary, weights, k=LENGTH + 6)
        for sign in ("s:", ""):
            said.add(" ".join(chosen[:6]), sign, with_ends=True)
        said.add(" ".join(chosen[6:]))
        texts.append({"n": number, "words": said.as_tsvector()})
    connection.execute(text("INSERT INTO texts VALUES (:n, CAST(:words AS tsvector))"), texts)
    connection.execute(text("DROP INDEX search_words"))
    connection.execute(text(_ROWS), {"count": MESSAGES, "texts": TEXTS})
    connection.execute(text("SET LOCAL maintenance_work_mem = '1GB'"))
    for statement in triggers.POSTGRESQL_SEARCH:
        connection.execute(text(statement))


def _word(chance: random.Random) -> str:
    return "".join(chance.choices("etaoinshrdlucmfwypvbgk", k=chance.choice((2, 3, 4, 5, 6, 7, 9))))


def _times(port: int, cookie: str, queries: Sequence[str]) -> list[float]:
    connection = load.Connection(port)
    taken = []
    for query in queries:
        request = load.get(f"/search?q={quote(query)}", cookie)
        started = time.perf_counter()
        answer = connection.ask(request)
        taken.append(time.perf_counter() - started)
        if answer.status != 200:
            raise RuntimeError(f"{query}: {answer.status}")
    connection.close()
    return taken
