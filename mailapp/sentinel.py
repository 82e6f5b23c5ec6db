"""Redis behind Sentinels: what `redis+sentinel://` says, and connections that follow the master.

redis-py knows how to ask Sentinels. Added here are bounds: one thread of a process asks at a time
and the others take its answer, no wait is repeated, and a server that turns out not to be the
master any more is left, whichever way it says so.
"""

from __future__ import annotations

import re
import threading
import time
from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs, unquote, urlsplit

import redis
from redis.backoff import NoBackoff
from redis.retry import Retry
from redis.sentinel import (
    MasterNotFoundError,
    Sentinel,
    SentinelConnectionPool,
    SentinelManagedConnection,
)

SCHEME = "redis+sentinel://"

_EXAMPLE = f"{SCHEME}:password@host1:26379,host2:26379,host3:26379/mymaster/0"


@dataclass(frozen=True)
class Watched:
    """What a URL names: the Sentinels, the master they watch, and how to log in to each."""

    sentinels: tuple[tuple[str, int], ...]
    master: str
    database: int
    username: str | None
    password: str | None
    sentinel_username: str | None
    sentinel_password: str | None


def read_url(url: str) -> Watched:
    """The parts of a `redis+sentinel://` URL.

    Raises ValueError with the rest of the sentence "REDIS_URL …".
    """
    wanted = f"must name Sentinels and the master they watch, as {_EXAMPLE} does"
    try:
        parts = urlsplit(url)
        login, _, hosts = parts.netloc.rpartition("@")
        sentinels = tuple(_host(text) for text in hosts.split(","))
        name, _, number = parts.path.strip("/").partition("/")
        database = int(number or 0)
    except ValueError:
        raise ValueError(wanted) from None
    if not name or database < 0:
        raise ValueError(wanted)
    asked = parse_qs(parts.query, keep_blank_values=True)
    if asked.keys() - {"sentinel_username", "sentinel_password"}:
        raise ValueError("knows ?sentinel_username= and ?sentinel_password= and nothing else")
    username, _, password = login.partition(":")
    return Watched(
        sentinels,
        unquote(name),
        database,
        unquote(username) or None,
        unquote(password) or None,
        *(asked.get(f"sentinel_{what}", [""])[-1] or None for what in ("username", "password")),
    )


def pool(watched: Watched, timeout: float, **options: Any) -> SentinelConnectionPool:
    """Connections to whoever is the master; `timeout` in seconds bounds each wait.

    A command whose connection fails is given to a new one once; one that gets no answer is not,
    so all waits together are bounded too.
    """
    bounds = {
        "socket_timeout": timeout,
        "socket_connect_timeout": timeout,
        "retry": Retry(NoBackoff(), 1, supported_errors=(redis.ConnectionError,)),
    }
    # Three that hang, one after the other, are as long as a request can wait for.
    soon = timeout * min(1, 3 / len(watched.sentinels))
    return SentinelConnectionPool(  # type: ignore[no-untyped-call]
        watched.master,
        Watch(
            watched.sentinels,
            sentinel_kwargs={
                **bounds,
                "socket_timeout": soon,
                "socket_connect_timeout": soon,
                "username": watched.sentinel_username,
                "password": watched.sentinel_password,
            },
        ),
        connection_class=MasterConnection,
        db=watched.database,
        username=watched.username,
        password=watched.password,
        **bounds,
        **options,
    )


class Watch(Sentinel):
    """The Sentinels as one thread at a time asks them.

    redis-py's own puts the one that answered first in its list, and of two threads that do so at
    once each can lose the other's from it.
    """

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)  # type: ignore[no-untyped-call]
        self._turn = threading.Lock()
        self._turns = 0
        self._learnt: tuple[str, int] | redis.RedisError

    def discover_master(self, service_name: str) -> tuple[str, int]:
        """The master's address; raises what redis-py raises where no Sentinel knows one."""
        seen = self._turns
        with self._turn:
            if self._turns == seen:
                self._learnt = self._ask(service_name)
                self._turns += 1
            learnt = self._learnt
        if isinstance(learnt, redis.RedisError):
            raise type(learnt)(*learnt.args)
        return learnt

    def answering(self) -> int:
        """How many of the Sentinels answer."""
        return sum(map(_answers, self.sentinels))

    def _ask(self, service_name: str) -> tuple[str, int] | redis.RedisError:
        began = time.monotonic()
        try:
            address: tuple[str, int] = super().discover_master(service_name)  # type: ignore[no-untyped-call]
        except MasterNotFoundError as error:
            # Of redis-py's text, which says every option of every client, the causes.
            causes = ", ".join(sorted(set(re.findall(r"> - ([\w:]+)", str(error)))))
            said = f"no Sentinel knows a master {service_name!r} ({causes or 'it is down'})"
            # Having waited in vain is what keeps the next visitors from waiting as well.
            waited = time.monotonic() - began >= self.sentinel_kwargs["socket_timeout"]
            return redis.TimeoutError(said) if waited else MasterNotFoundError(said)
        except redis.RedisError as error:
            return error
        return address


class MasterConnection(SentinelManagedConnection):
    """A connection to the server that was the master when it was opened."""

    def connect(self) -> None:
        # Without redis-py's retries: whoever sent the command asks the Sentinels again.
        self.connect_check_health(retry_socket_connect=False)

    def _connect(self) -> Any:
        # Here, because redis-py opens a connection that was lost without its `connect`, and so to
        # the server that was the master before.
        self.host, self.port = self.connection_pool.get_master_address()
        return super()._connect()  # type: ignore[no-untyped-call]

    def read_response(self, *args: Any, **options: Any) -> Any:
        try:
            return super().read_response(*args, **options)  # READONLY: redis-py sees to it
        except redis.ResponseError as error:
            # What a master says whose replicas follow another one now (min-replicas-to-write).
            if not str(error).startswith("NOREPLICAS"):
                raise
            self.disconnect()  # type: ignore[no-untyped-call]
            raise redis.ConnectionError(str(error)) from error


def _host(text: str) -> tuple[str, int]:
    parts = urlsplit(f"//{text}")
    if not parts.hostname:
        raise ValueError
    return parts.hostname, parts.port or 26379


def _answers(sentinel: redis.Redis) -> bool:
    try:
        return bool(sentinel.ping())
    except redis.RedisError:
        return False
