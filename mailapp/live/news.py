"""What instances tell each other by Redis: an account's new change counter, an ended session.

One channel an account, so that an instance hears only of people who have a page open there. Where
there is no Redis, or it does not answer, nothing is told: each hub then asks the database.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Iterable, Iterator, Mapping
from typing import Any, NamedTuple

import redis
from flask import current_app

from mailapp.redis import Client, redis_client

logger = logging.getLogger(__name__)

# What is said of an account whose sessions have become fewer; any number is its change counter.
SESSION_ENDED = b"session ended"

# Seconds of silence after which Redis is asked whether it is there, and for which it may then be
# silent on: a machine that is gone does not say so.
ASK_AFTER = 5.0


def channel(account_id: int) -> str:
    """Where news of an account is told."""
    return f"live:{account_id}"


def tell(changed: Mapping[int, int]) -> None:
    """Say how far accounts' change counters have come: {account: modseq}.

    What was changed is committed by now, so nothing is raised: an event that is not told comes with
    the hub's next look at the database.
    """
    client = redis_client()
    if client is None:
        return
    try:
        if len(changed) == 1:
            for account_id, modseq in changed.items():
                client.ask("PUBLISH", channel(account_id), modseq)
            return
        with client.pipeline(transaction=False) as pipe:
            for account_id, modseq in changed.items():
                pipe.publish(channel(account_id), modseq)
            pipe.execute()
    except redis.RedisError as error:
        current_app.logger.warning("a change could not be told to open pages", exc_info=error)


class News(NamedTuple):
    """What was heard of an account: its change counter, or None where that is to be looked up,
    because we follow it only from now on, or one of its sessions has ended."""

    account_id: int
    modseq: int | None


class Listener:
    """A connection to Redis that hears news of the accounts it follows, for one thread.

    Everything here raises redis.RedisError; this connection is of no more use then.
    """

    def __init__(self, client: Client) -> None:
        pool = client.connection_pool
        # RESP 2: what comes on a connection that has subscribed is plain answers.
        options: dict[str, Any] = {**pool.connection_kwargs, "protocol": 2}
        self._connection: Any = pool.connection_class(**options)
        self._connection.connect()
        self._heard_at = self._asked_at = time.monotonic()

    def fileno(self) -> int:
        """For a selector: when there is something to hear."""
        descriptor: int = self._connection._sock.fileno()
        return descriptor

    def follow(self, account_ids: Iterable[int]) -> None:
        """Hear of these too; each is News without a counter as soon as nothing is missed."""
        self._say("SUBSCRIBE", *map(channel, account_ids))

    def forget(self, account_id: int) -> None:
        """Hear no more of this one."""
        self._say("UNSUBSCRIBE", channel(account_id))

    def hear(self) -> Iterator[News]:
        """All that has come."""
        while self._connection.can_read(timeout=0):
            kind, *said = self._connection.read_response(disable_decoding=True)
            self._heard_at = time.monotonic()
            if kind in {b"subscribe", b"message"}:
                account_id = int(said[0].rpartition(b":")[2])
                is_counter = kind == b"message" and said[1] != SESSION_ENDED
                yield News(account_id, int(said[1]) if is_counter else None)

    def stay_in_touch(self) -> None:
        """To be called every second or so: raises where Redis has fallen silent."""
        now = time.monotonic()
        if now - self._heard_at > 2 * ASK_AFTER:
            raise redis.TimeoutError("Redis has fallen silent")
        if now - max(self._heard_at, self._asked_at) > ASK_AFTER:
            self._asked_at = now
            self._say("PING")

    def close(self) -> None:
        """Hang up."""
        self._connection.disconnect()

    def _say(self, *command: str) -> None:
        self._connection.send_command(*command, check_health=False)
