"""Redis, where REDIS_URL names one: a client that never waits long and never retries for long."""

from __future__ import annotations

import socket
import struct
import threading
from typing import Any

import redis
from flask import Flask, current_app
from redis.backoff import NoBackoff
from redis.retry import Retry

from mailapp import sentinel
from mailapp.settings import Settings
from mailapp.turnstile import Hangs, Turnstile


def connect(settings: Settings) -> Client | None:
    """A client for `settings.redis_url`, or None on the embedded default.

    redis-py's own defaults retry ten times: a Redis that is down costs 4 s a request, one that
    hangs 60 s. One retry at once is what a connection closed by a restart needs.
    """
    if settings.redis_url is None:
        return None
    named = {"client_name": f"mailapp-{settings.instance_name}", "health_check_interval": 0}
    if settings.redis_url.startswith(sentinel.SCHEME):
        watched = sentinel.read_url(settings.redis_url)
        return Client(connection_pool=sentinel.pool(watched, settings.redis_timeout, **named))
    client: Client = Client.from_url(  # type: ignore[assignment]  # it says Redis
        settings.redis_url,
        socket_timeout=settings.redis_timeout,
        socket_connect_timeout=settings.redis_timeout,
        retry=Retry(NoBackoff(), 1),
        **named,
    )
    return client


class Client(redis.Redis):
    """A client whose threads don't all wait for a Redis that hangs."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._turnstile = Turnstile(
            "redis", lambda error: isinstance(error, redis.TimeoutError), _name
        )
        self._own = threading.local()

    def ask(self, *command: str | bytes | int) -> Any:
        """The answer to one command as Redis gives it, for what every request asks.

        Without the pool, statistics and conversions of redis-py's commands, which take more of the
        processor's time than the question does. Each thread keeps a connection for it.
        """
        connection: Any = getattr(self._own, "connection", None)
        if connection is None:
            pool = self.connection_pool
            connection = pool.connection_class(**pool.connection_kwargs)
            connection.register_connect_callback(self._leave_time_to_kernel)
            self._own.connection = connection

        try:
            return self._turnstile.ask(_exchange, connection, command)
        except Hangs:
            raise redis.TimeoutError("Redis does not answer") from None

    def execute_command(self, *args: Any, **options: Any) -> Any:
        try:
            return self._turnstile.ask(super().execute_command, *args, **options)
        except Hangs:
            raise redis.TimeoutError("Redis does not answer") from None

    def _leave_time_to_kernel(self, connection: Any) -> None:
        """Have the kernel bound each wait: for Python's own bound, every call is two.

        Not where there is TLS in between, which would take the end of the time for a fault.
        """
        opened = connection._sock
        if type(opened) is socket.socket:
            seconds = opened.gettimeout() or 0.0
            bound = struct.pack("ll", int(seconds), int(seconds % 1 * 1_000_000))
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO, bound)
            opened.setsockopt(socket.SOL_SOCKET, socket.SO_SNDTIMEO, bound)
            opened.settimeout(None)


def _name(*asked: Any) -> str:
    """The command's name alone: what follows may be the id of a session."""
    return str(asked[1][0] if asked[1:] and isinstance(asked[1], tuple) else asked[0])


def _exchange(connection: Any, command: tuple[str | bytes | int, ...], again: bool = True) -> Any:
    """Ask, and once more where the connection turns out to have been closed."""
    try:
        connection.send_command(*command)
        return connection.read_response()
    except BaseException as error:
        # Never to be used again with an answer still to come: it would be taken for the next
        # one's, and be somebody else's session.
        connection.disconnect()
        if isinstance(error.__context__, BlockingIOError):  # the kernel's time is over
            raise redis.TimeoutError("Redis did not answer in time") from None
        if again and isinstance(error, redis.ConnectionError):
            return _exchange(connection, command, again=False)
        raise


def init_app(app: Flask, settings: Settings) -> None:
    """Give the application its Redis."""
    app.extensions["redis-client"] = connect(settings)


def redis_client() -> Client | None:
    """The client of the application that handles this request, None on the embedded default."""
    client: Client | None = current_app.extensions["redis-client"]
    return client
