"""What is measured: real servers, `mailapp serve`, the empty view, people logged in."""

from __future__ import annotations

import contextlib
import os
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import httpx

from deploy.topology import (
    REPOSITORY,
    Postgres,
    SeaweedFS,
    Valkey,
    Web,
    family,
    http_status,
    running,
    variables,
)
from mailapp import create_app, database, migrations
from mailapp.accounts import services as accounts
from mailapp.attachments import store
from mailapp.settings import Settings
from tests.people import Person

PASSWORD = "correct horse battery staple"


class Empty(Web):
    """The empty view, served exactly as the application is."""

    def command(self) -> Sequence[str | Path]:
        self.working_directory = REPOSITORY
        return [sys.executable, "-m", "tests.bench.empty"]

    def answers(self) -> bool:
        return http_status(self.port, "/") == 200


@dataclass(frozen=True)
class Stage:
    """The servers, started; `environment` is what an instance needs to use them."""

    directory: Path
    environment: Mapping[str, str]
    s3: SeaweedFS
    settings: Settings

    def web(self, name: str, **variables: str) -> Web:
        """An instance of the application, not started yet."""
        return Web(self.directory / name, {**self.environment, **variables}, name=name)

    def empty(self) -> Empty:
        """The empty view, not started yet."""
        return Empty(self.directory / "empty", self.environment, name="empty")

    def account(self, name: str) -> int:
        """A new account NAME@mail.example; its id."""
        app = create_app(self.settings)
        with app.app_context():
            account_id = accounts.create(name, name.title(), PASSWORD)
        app.extensions["database"].engine.dispose()
        return account_id


@contextlib.contextmanager
def stage(directory: Path) -> Iterator[Stage]:
    """PostgreSQL, which waits for its disk as in production, Valkey and SeaweedFS, made ready."""
    postgres = Postgres(directory / "postgres")
    valkey = Valkey(directory / "valkey")
    s3 = SeaweedFS(directory / "seaweedfs")
    environment = {
        "SECRET_KEY": os.urandom(32).hex(),
        "DATA_DIR": str(directory / "data"),
        **variables(postgres, valkey, s3),
        "DRAIN_SECONDS": "0",
        "UNDO_SEND_SECONDS": "0",
    }
    with running(postgres, valkey, s3):
        settings = Settings.from_env(environment)
        made = database.connect(settings, timeout=None)
        migrations.upgrade(made.engine)
        made.engine.dispose()
        store.from_settings(settings).prepare()
        yield Stage(directory, environment, s3, settings)


def log_in(web: Web, name: str) -> tuple[Person, str]:
    """Somebody logged in: their browser, and the Cookie header it sends."""
    person = Person(httpx.Client(base_url=web.url, timeout=60))
    person.log_in(f"{name}@mail.example", PASSWORD)
    if not person.logged_in:
        raise RuntimeError(f"{name} could not log in: {person.text[:200]}")
    return person, "; ".join(f"{key}={value}" for key, value in person.client.cookies.items())


def cpu_seconds(web: Web) -> float:
    """The CPU time its processes have used, in user and system mode together."""
    ticks = 0
    for pid in family(web.pid):
        # Behind the name, which may hold anything, come fields 3 and on; 14 and 15 are the times.
        fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
        ticks += int(fields[11]) + int(fields[12])
    return ticks / os.sysconf("SC_CLK_TCK")


def memory(pid: int) -> tuple[float, float]:
    """(RSS, PSS) of a process in MB; PSS shares out what several processes have in common."""
    sizes = dict.fromkeys(("Rss", "Pss"), 0.0)
    for line in Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()[1:]:
        name, _, size = line.partition(":")
        if name in sizes:
            sizes[name] = int(size.split()[0]) * 1024 / 1e6
    return sizes["Rss"], sizes["Pss"]


def resident(pid: int) -> float:
    """RSS of a process in MB, cheaply."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6
