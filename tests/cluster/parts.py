"""What a test of the whole holds on to: its parts, and the people who come to it."""

from __future__ import annotations

import subprocess
from contextlib import ExitStack
from dataclasses import dataclass, field

import httpx

from deploy.topology import Nginx, Postgres, SeaweedFS, Valkey, Web, script
from tests.people import Person

PASSWORD = "three green lamps by the sea"


@dataclass
class Cluster:
    """The parts, and people who come through nginx."""

    postgres: Postgres
    valkey: Valkey
    seaweedfs: SeaweedFS
    webs: list[Web]
    nginx: Nginx
    settings: dict[str, str]
    _clients: ExitStack = field(default_factory=ExitStack)

    def person(self, name: str | None = None) -> Person:
        """A browser; with a name, somebody who has an account and is logged in."""
        client = httpx.Client(base_url=self.nginx.url, timeout=40)
        person = Person(self._clients.enter_context(client))
        if name:
            person.log_in(f"{name}@mail.example", PASSWORD)
            assert person.logged_in, person.text
        return person

    def command(self, *arguments: str, said: str = "") -> str:
        """`mailapp …` with the settings the instances have; returns what it printed."""
        ran = subprocess.run(
            [script("mailapp"), *arguments],
            env={"PATH": "/usr/bin:/bin", **self.settings},
            input=said,
            capture_output=True,
            text=True,
            check=False,
        )
        assert ran.returncode == 0, ran.stdout + ran.stderr
        return ran.stdout
