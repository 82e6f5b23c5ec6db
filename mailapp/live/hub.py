"""The open connections of a worker: one thread holds them all, and a page costs some kilobytes.

A request's thread says yes and sends the head; then the connection is this thread's. It waits for
nobody: what a client does not read at once is not sent, and its connection closed, since whoever
comes back is told what they have missed.
"""

from __future__ import annotations

import logging
import selectors
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from queue import Empty, SimpleQueue
from typing import Any

import redis
from flask import Flask
from sqlalchemy import select
from sqlalchemy.exc import SQLAlchemyError

from mailapp import sessions
from mailapp.accounts.models import Account
from mailapp.live.news import Listener
from mailapp.queries import Query, among
from mailapp.redis import redis_client
from mailapp.telemetry.metrics import metrics

logger = logging.getLogger(__name__)

# Seconds between two looks at the database for all accounts here: where Redis tells us of changes,
# and where it does not.
LOOK_EVERY = 15.0
LOOK_EVERY_WITHOUT_REDIS = 1.0
# Seconds between two words to a client that has nothing to be told: it shows both ends, and every
# balancer between them, that the other is there. Less than any of them waits.
BEAT = 15.0
# Seconds until Redis is tried again.
AGAIN_AFTER = 1.0
# Connections that one worker holds, and of them one person's at most. Who comes then asks again and
# again instead.
MOST = 4000
MOST_OF_ONE = 1000

_COUNTERS = Query(
    select(Account.id, Account.modseq, Account.session_epoch).where(
        among(Account.id, "account_ids"), Account.disabled_at.is_(None)
    )
)


class Stream:
    """A page's connection: whose it is, by which session, and the counter it was told last."""

    __slots__ = ("account_id", "connection", "epoch", "session_id", "told")

    def __init__(self, account_id: int, epoch: int, session_id: str, told: int) -> None:
        self.account_id = account_id
        self.epoch = epoch
        self.session_id = session_id
        self.told = told
        self.connection: socket.socket


def event(modseq: int) -> bytes:
    """The event that says so (HTML Living Standard, section 9.2)."""
    return b"id: %d\ndata: %d\n\n" % (modseq, modseq)


class Hub:
    """Streams of one process. `take` and `close` may be called by any thread."""

    def __init__(self, app: Flask) -> None:
        self._app = app
        self._lock = threading.Lock()
        self._thread: threading.Thread | None = None
        self._coming: SimpleQueue[Stream] = SimpleQueue()
        self._closing = False
        self._count = 0
        # All below is the thread's own; others only look.
        self._streams: dict[int, set[Stream]] = {}
        self._selector: selectors.BaseSelector
        self._listener: Listener | None = None
        self._listen_at = 0.0
        self._unseen: set[int] = set()  # accounts to look up in the database
        self._is_blind = False  # since it does not answer
        self._look_at = self._beat_at = 0.0

    def has_room(self, account_id: int) -> bool:
        """Whether there is room for one more page of this person."""
        own = len(self._streams.get(account_id, ()))
        return self._count < MOST and own < MOST_OF_ONE and not self._closing

    def take(self, stream: Stream, connection: socket.socket) -> None:
        """From now on this connection, whose head is sent, is the hub's."""
        connection.setblocking(False)
        stream.connection = connection
        with self._lock:  # started here: before the fork it would be in the parent alone
            self._coming.put(stream)
            if self._thread is None:
                self._selector = selectors.DefaultSelector()
                self._doorbell, inside = socket.socketpair()
                self._doorbell.setblocking(False)
                inside.setblocking(False)
                self._selector.register(inside, selectors.EVENT_READ, inside)
                self._thread = threading.Thread(target=self._run, name="live", daemon=True)
                self._thread.start()
        self._ring()

    def close(self) -> None:
        """End every stream: this instance takes no more connections, and another one will."""
        self._closing = True
        if self._thread is not None:
            self._ring()

    def _ring(self) -> None:
        with suppress(BlockingIOError):  # rung already, and not answered yet
            self._doorbell.send(b".")

    def _run(self) -> None:
        while not self._closing:
            try:
                with self._app.app_context():
                    self._go_round()
            except Exception:
                logger.exception("pages are not told of changes for a moment")
                time.sleep(AGAIN_AFTER)
        for stream in self._all():
            self._end(stream)

    def _go_round(self) -> None:
        """Wait for something to do, for a second at most, and do it."""
        self._listen()
        for key, _ in self._selector.select(timeout=LOOK_EVERY_WITHOUT_REDIS):
            if isinstance(key.data, Stream):
                self._read(key.data)
            elif isinstance(key.data, Listener):
                self._hear()
            else:
                key.data.recv(4096)
                self._let_in()
        now = time.monotonic()
        if now >= self._look_at:
            with_redis = self._listener is not None
            self._look_at = now + (LOOK_EVERY if with_redis else LOOK_EVERY_WITHOUT_REDIS)
            self._unseen.update(self._streams)
        if self._unseen:
            self._look()
        if now >= self._beat_at:
            self._beat_at = now + BEAT
            for stream in self._all():
                self._send(stream, b":\n\n")

    # Connections -----------------------------------------------------------------------------

    def _let_in(self) -> None:
        new: set[int] = set()
        with suppress(Empty):
            while True:
                stream = self._coming.get_nowait()
                self._selector.register(stream.connection, selectors.EVENT_READ, stream)
                if stream.account_id not in self._streams:
                    new.add(stream.account_id)
                else:
                    self._unseen.add(stream.account_id)
                self._streams.setdefault(stream.account_id, set()).add(stream)
                self._count += 1
                metrics().open_pages.inc()
        if not new:
            return
        # Looked up only when nothing is missed any more; without Redis that is now.
        if self._listener is None:
            self._unseen |= new
        else:
            with self._talking() as listener:
                listener.follow(new)

    def _read(self, stream: Stream) -> None:
        """A client that says anything here has closed its connection, or is no client of ours."""
        try:
            stream.connection.recv(1024)
        except (BlockingIOError, InterruptedError):
            return
        except OSError:  # gone; or closed by us since it was selected
            pass
        self._end(stream)

    def _send(self, stream: Stream, data: bytes) -> None:
        with suppress(OSError):
            if stream.connection.send(data) == len(data):
                return
        self._end(stream)

    def _end(self, stream: Stream) -> None:
        streams = self._streams.get(stream.account_id, set())
        if stream not in streams:
            return
        self._selector.unregister(stream.connection)
        stream.connection.close()
        streams.remove(stream)
        self._count -= 1
        metrics().open_pages.dec()
        if not streams:
            del self._streams[stream.account_id]
            self._unseen.discard(stream.account_id)
            if self._listener is not None:
                with self._talking() as listener:
                    listener.forget(stream.account_id)

    def _all(self) -> list[Stream]:
        return [stream for streams in self._streams.values() for stream in streams]

    # News ------------------------------------------------------------------------------------

    def _listen(self) -> None:
        """See to it that there is a connection to Redis that works, where there is a Redis."""
        client = redis_client()
        if client is None:
            return
        with self._talking() as listener:
            if listener is not None:
                listener.stay_in_touch()
            elif time.monotonic() >= self._listen_at:
                self._listen_at = time.monotonic() + AGAIN_AFTER
                self._listener = Listener(client)
                self._selector.register(self._listener, selectors.EVENT_READ, self._listener)
                if self._streams:
                    self._listener.follow(self._streams)

    @contextmanager
    def _talking(self) -> Iterator[Any]:
        """The listener, to talk to; gone at the end where Redis did not answer."""
        try:
            yield self._listener
        except redis.RedisError as error:
            if self._listener is None:
                return
            logger.warning("Redis tells nothing of changes: the database is asked", exc_info=error)
            self._selector.unregister(self._listener)
            self._listener.close()
            self._listener = None
            self._look_at = 0.0

    def _hear(self) -> None:
        with self._talking() as listener:
            # None where it has failed since it was selected.
            for news in listener.hear() if listener is not None else ():
                if news.modseq is None:
                    self._unseen.add(news.account_id)
                    continue
                for stream in list(self._streams.get(news.account_id, ())):
                    self._tell(stream, news.modseq)

    def _look(self) -> None:
        """Ask the database, and end the streams of who is not signed in any more."""
        asked = [stream for account in self._unseen for stream in self._streams.get(account, ())]
        try:
            rows = {row.id: row for row in _COUNTERS.read(account_ids=sorted(self._unseen))}
        except SQLAlchemyError as error:  # the next round asks again
            if not self._is_blind:
                logger.warning("pages are told of no changes for now", exc_info=error)
            self._is_blind = True
            return
        self._is_blind = False
        self._unseen = set()
        handles = {stream.session_id for stream in asked}
        with suppress(SQLAlchemyError, redis.RedisError):  # who can't be asked has ended none
            handles = sessions.alive(sorted(handles))
        for stream in asked:
            row = rows.get(stream.account_id)
            if row and row.session_epoch == stream.epoch and stream.session_id in handles:
                self._tell(stream, row.modseq)
            else:
                self._end(stream)

    def _tell(self, stream: Stream, modseq: int) -> None:
        if modseq > stream.told:
            stream.told = modseq
            self._send(stream, event(modseq))
