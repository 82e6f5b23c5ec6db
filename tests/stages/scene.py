"""A stage of the story while it is shown: its compose stack, and what is told about it."""

from __future__ import annotations

import signal
import textwrap
import time
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress

import httpx

from deploy.topology import REPOSITORY
from tests.cluster.stack import Stack, eventually

STAGES = REPOSITORY / "deploy" / "stages"

# How what there is of a kind is removed.
LEFT = {
    "container": ("container", "rm", "--force"),
    "volume": ("volume", "rm"),
    "network": ("network", "rm"),
}


class NotSeen(Exception):
    """What a stage is there to show did not happen; the text says what did."""


class Scene(Stack):
    """The stack of one stage, under a project and on a port of its own."""

    def __init__(self, *files: str, environment: Mapping[str, str] | None = None) -> None:
        super().__init__([STAGES / file for file in files], environment)

    def change_to(self, *files: str) -> None:
        """Go on as these compose files say."""
        self.use(*(STAGES / file for file in files))
        self.stand()

    def stand(self, *arguments: str) -> None:
        """Start, or bring to what the files say by now, and wait until all is healthy."""
        self.compose(
            *("up", "--detach", "--wait", "--wait-timeout", "240"),
            *("--timeout", "3", "--remove-orphans", *arguments),
        )
        tell("All of it is healthy.")

    def down(self) -> None:
        """Remove everything, whatever state it is in; another Ctrl-C does not stop that."""
        ends = (signal.SIGINT, signal.SIGTERM)
        meant = {end: signal.signal(end, signal.SIG_IGN) for end in ends}
        try:
            with suppress(AssertionError):  # nothing is paused, as a rule
                self.compose("unpause")
            for person in self.people:
                person.client.close()
            self.compose("down", "--volumes", "--remove-orphans", "--timeout", "1")
            # What compose does not know of: volumes of files that were gone on from, and what a
            # start made that was interrupted.
            for kind, remove in LEFT.items():
                if left := self.left(kind):
                    self.docker(*remove, *left)
        finally:
            for end, handler in meant.items():
                signal.signal(end, handler)

    def left(self, kind: str) -> list[str]:
        """The containers, volumes or networks of this project that there are."""
        label = f"label=com.docker.compose.project={self.project}"
        everything = ("--all",) if kind == "container" else ()
        return self.docker(kind, "ls", "--quiet", *everything, "--filter", label).split()

    def container(self, service: str) -> str:
        """The container of a service that is there once."""
        return self.compose("ps", "--all", "--quiet", service).strip()

    def wait_for(self, path: str = "/healthz") -> float:
        """Wait until it answers 200 there; returns how many seconds that took."""
        begun = time.monotonic()
        must(
            eventually(lambda: self._is_well(path), seconds=60),
            f"{path} does not answer 200 after 60 s",
        )
        return time.monotonic() - begun

    def wait_for_loss(self) -> None:
        """Wait until /healthz says so too: it remembers for a second what it saw."""
        must(
            eventually(lambda: not self._is_well("/healthz"), seconds=60),
            "/healthz answers 200 for 60 s though something is lost",
        )

    def _is_well(self, path: str) -> bool:
        with suppress(httpx.TransportError):
            return httpx.get(f"{self.url}{path}", timeout=5).status_code == 200
        return False


@contextmanager
def standing(
    file: str,
    *,
    people: Sequence[str] = (),
    at: str = "web",
    arguments: Sequence[str] = (),
    environment: Mapping[str, str] | None = None,
) -> Iterator[Scene]:
    """The scene of a compose file, standing, and removed at the end.

    The people's accounts are made at the web server `at`; `arguments` are `docker compose up`'s.
    """
    scene = Scene(file, environment=environment)
    try:
        tell(f"Starting deploy/stages/{file} as {scene.project} …")
        scene.compose("build", at)  # which is the image of every service that has one to build
        scene.stand(*arguments)
        scene.add_people(*people, service=at)
        yield scene
    finally:
        scene.down()


def tell(sentence: str) -> None:
    """Print a paragraph of the story."""
    lines = textwrap.wrap(sentence, 90, break_on_hyphens=False, break_long_words=False)
    print(textwrap.indent("\n".join(lines), "  "), flush=True)


def must(so: bool, otherwise: str) -> None:
    """NotSeen with `otherwise`, unless it is so."""
    if not so:
        raise NotSeen(otherwise)
