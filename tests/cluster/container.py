"""One container of a compose stack, and the ways to harm it and to bring it back.

Needs root, for the kill from outside and to cut it off.
"""

from __future__ import annotations

import json
import os
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from tests.cluster.stack import Stack

# Seconds that a container gets to come back by itself.
RETURN_WITHIN = 120.0


class Container:
    """The first container of a service."""

    def __init__(self, stack: Stack, service: str) -> None:
        self._stack = stack
        self._id = stack.compose("ps", "--quiet", service).split()[0]

    def kill(self) -> None:
        """kill -9 from outside, as the kernel does when memory is short: Docker restarts it.

        (`docker kill` is an order to stay away.)
        """
        pid = self._pid()
        os.kill(pid, signal.SIGKILL)
        self._until(lambda: self._pid() not in {0, pid}, "Docker did not restart it")
        self._until_it_answers()

    def stop(self, seconds: float) -> None:
        """SIGTERM, and started again so much later."""
        self.docker("stop")
        time.sleep(seconds)
        self.docker("start")
        self._until_it_answers()

    def restart(self) -> None:
        """Stopped and started at once."""
        self.docker("restart")
        self._until_it_answers()

    @contextmanager
    def hung(self) -> Iterator[None]:
        """None of its processes gets the processor, while the kernel still answers for them."""
        # The kernel may not get all of them to stand still at the first try.
        self._until(lambda: self._tried("pause", self._id), "Docker could not pause it")
        try:
            yield
        finally:
            self.docker("unpause")

    @contextmanager
    def cut_off(self) -> Iterator[None]:
        """Packets come and go no more, and nobody says so: a cable that was pulled out."""
        with self._firewall("INPUT", "--in-interface"), self._firewall("OUTPUT", "--out-interface"):
            yield

    def docker(self, command: str) -> None:
        """`docker COMMAND` of it."""
        self._stack.docker(command, self._id)

    @contextmanager
    def _firewall(self, chain: str, interface: str) -> Iterator[None]:
        rule = [chain, "!", interface, "lo", "--jump", "DROP"]
        inside = ["nsenter", "--target", str(self._pid()), "--net", "iptables"]
        subprocess.run([*inside, "--insert", *rule], check=True)
        try:
            yield
        finally:
            subprocess.run([*inside, "--delete", *rule], check=True)

    def _until_it_answers(self) -> None:
        """Until its own health check says so, asked without waiting for its turn."""
        kind, *check = self._inspect("{{json .Config.Healthcheck.Test}}")
        command = ["sh", "-c", *check] if kind == "CMD-SHELL" else check

        self._until(lambda: self._tried("exec", self._id, *command), "it did not answer")

    def _until(self, happens: Callable[[], bool], otherwise: str) -> None:
        deadline = time.monotonic() + RETURN_WITHIN
        while not happens():
            if time.monotonic() > deadline:
                raise TimeoutError(f"{otherwise} within {RETURN_WITHIN:g} s")
            time.sleep(0.05)

    def _pid(self) -> int:
        return int(self._inspect("{{.State.Pid}}"))

    def _inspect(self, what: str) -> Any:
        return json.loads(self._stack.docker("inspect", "--format", what, self._id))

    @staticmethod
    def _tried(*command: str) -> bool:
        return subprocess.run(["docker", *command], capture_output=True).returncode == 0
