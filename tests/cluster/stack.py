"""A compose stack in real containers, as a test holds it.

Each has a project, a port and an image name of its own, so that a stack which stands on this
machine is left alone.
"""

from __future__ import annotations

import json
import os
import subprocess
import time
import zlib
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import httpx

from deploy.topology import REPOSITORY, free_port
from tests.cluster.parts import PASSWORD
from tests.people import Person

# What every test's stack is made of; a stack that stands has `mailapp`. One a checkout, so that two
# can be tested at once.
IMAGE = f"mailapp-test-{zlib.crc32(bytes(REPOSITORY)):08x}"


class Stack:
    """The stack by its `docker compose` command, and people who come to it.

    `files` are compose files in the order `docker compose -f` takes them, from the repository;
    none is the project's own. `environment` is added to what compose sees, and then is all of that.
    """

    def __init__(
        self, files: Sequence[str | Path] = (), environment: Mapping[str, str] | None = None
    ) -> None:
        self.port = free_port()
        self.project = f"mailapp-test-{self.port}"
        self.people: list[Person] = []
        self.use(*files)
        self.environment = {
            **os.environ,
            "PORT": str(self.port),
            "MAILAPP_IMAGE": IMAGE,
            "UNDO_SEND_SECONDS": "0",
            **(environment or {}),
        }

    @property
    def url(self) -> str:
        """Where its balancer is, on this machine."""
        return f"http://127.0.0.1:{self.port}"

    def use(self, *files: str | Path) -> None:
        """Go on with these compose files."""
        # docker compose's own, before any command of it.
        self.options = ["--project-name", self.project]
        self.options += [part for file in files for part in ("--file", str(file))]

    def compose(self, *arguments: str, said: str | None = None) -> str:
        """`docker compose …`; returns what it printed."""
        return self.docker("compose", *self.options, *arguments, said=said)

    def up(self, instances: int = 3) -> None:
        """Start what is not running, and wait until all is healthy."""
        self.compose(
            *("up", "--detach", "--wait", "--wait-timeout", "240"),
            *("--no-recreate", "--scale", f"web={instances}"),
        )

    def down(self) -> None:
        """Remove it, with everything that it kept."""
        for person in self.people:
            person.client.close()
        self.compose("--profile", "*", "down", "--volumes", "--remove-orphans", "--timeout", "2")

    def add_people(self, *names: str, service: str = "web") -> None:
        """Make an account for each, at mail.example with PASSWORD."""
        for name in names:
            self.compose(
                *("exec", "-T", service, "mailapp", "user", "add", f"{name}@mail.example"),
                *("--name", name.title(), "--password-stdin"),
                said=PASSWORD,
            )

    def containers(self) -> list[dict[str, Any]]:
        """What the engine knows of every container of the stack, the jobs included."""
        ids = self.compose("ps", "--all", "--quiet").split()
        found: list[dict[str, Any]] = json.loads(self.docker("inspect", *ids))
        return found

    def webs(self) -> set[str]:
        """The instances' names: a container's host name is the start of its id."""
        return {name[:12] for name in self.compose("ps", "--quiet", "web").split()}

    def person(self, name: str | None = None) -> Person:
        """A browser; with a name, somebody who has an account and is logged in."""
        person = Person(httpx.Client(base_url=self.url, timeout=60))
        self.people.append(person)
        if name:
            person.log_in(f"{name}@mail.example", PASSWORD)
            assert person.logged_in, person.text
        return person

    def docker(self, *arguments: str, said: str | None = None) -> str:
        """`docker …`; returns what it printed."""
        ran = subprocess.run(
            ["docker", *arguments],
            cwd=REPOSITORY,
            env=self.environment,
            input=said or "",
            capture_output=True,
            text=True,
            check=False,
            timeout=600,
        )
        assert ran.returncode == 0, f"docker {' '.join(arguments)}:\n{ran.stdout}{ran.stderr}"
        return ran.stdout


@contextmanager
def running(stack: Stack, instances: int = 3, people: Sequence[str] = ()) -> Iterator[Stack]:
    """Built, started with so many instances and these people, and removed at the end."""
    try:
        stack.compose("build")
        stack.up(instances)
        stack.add_people(*people)
        yield stack
    finally:
        print(stack.compose("logs", "--tail", "15"))
        stack.down()


def eventually(happens: Callable[[], bool], seconds: float = 60) -> bool:
    """Whether something happens within a time."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline:
        if happens():
            return True
        time.sleep(0.5)
    return False
