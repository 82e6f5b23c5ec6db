"""How much memory an instance takes that has answered and has nothing to do."""

from __future__ import annotations

import time

from deploy.topology import family
from tests.bench.figures import Figure
from tests.bench.stage import Stage, log_in, memory

MOST = 100.0  # MB


def measure(stage: Stage) -> list[Figure]:
    """RSS and PSS of each worker, after pages of every kind have been served."""
    stage.account("reader")
    figures = []
    with stage.web("web-1") as web:
        # Until each worker has had some of it: what is loaded at first use counts.
        for _ in range(10):
            person, _ = log_in(web, "reader")
            for path in ("/mail/inbox", "/mail/drafts", "/compose", "/settings", "/healthz"):
                person.client.get(path)
            person.client.close()
        time.sleep(1)
        parent, companion, *workers = family(web.pid)
        for name, pid in {
            "gunicorn's parent": parent,
            "the companion": companion,
            **{f"worker {number}": pid for number, pid in enumerate(workers, 1)},
        }.items():
            rss, pss = memory(pid)
            figures.append(
                Figure(
                    f"{name}: RSS",
                    rss,
                    "MB",
                    most=MOST,
                    note=f"PSS {pss:.1f} MB: what is shared counted once",
                )
            )
    return figures
