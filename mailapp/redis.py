"""Redis, where REDIS_URL names one: a client that never waits long and never retries for long."""

from __future__ import annotations

from typing import Any

import redis
from flask import Flask, current_app
from redis.backoff import NoBackoff
from redis.retry import Retry

from mailapp.settings import Settings
from mailapp.turnstile import Hangs, Turnstile


def connect(settings: Settings) -> redis.Redis | None:
    """A client for `settings.redis_url`, or None on the embedded default.

    redis-py's own defaults retry ten times: a Redis that is down costs 4 s a request, one that
    hangs 60 s. One retry at once is what a connection closed by a restart needs.
    """
    if settings.redis_url is None:
        return None
    return _Client.from_url(
        settings.redis_url,
        socket_timeout=settings.redis_timeout,
        socket_connect_timeout=settings.redis_timeout,
        retry=Retry(NoBackoff(), 1),
        health_check_interval=0,
        client_name=f"mailapp-{settings.instance_name}",
    )


class _Client(redis.Redis):
    """A client whose threads don't all wait for a Redis that hangs."""

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self._turnstile = Turnstile(lambda error: isinstance(error, redis.TimeoutError))

    def execute_command(self, *args: Any, **options: Any) -> Any:
        try:
            with self._turnstile.passed():
                return super().execute_command(*args, **options)  # type: ignore[no-untyped-call]
        except Hangs:
            raise redis.TimeoutError("Redis does not answer") from None


def init_app(app: Flask, settings: Settings) -> None:
    """Give the application its Redis."""
    app.extensions["redis-client"] = connect(settings)


def redis_client() -> redis.Redis | None:
    """The client of the application that handles this request, None on the embedded default."""
    client: redis.Redis | None = current_app.extensions["redis-client"]
    return client
