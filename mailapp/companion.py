"""The companion: one process an instance, beside its workers, for what not each of them is to do.

It answers on METRICS_PORT, which no balancer passes on, and does what is due every so often, such
as to give a sign of life. gunicorn's parent forks it before the workers, because it has no threads,
and forks another when it ends. It goes on through the drain and ends with the parent, however that
ends. What it is to do is said by its duties, functions that are given to `serve` in
mailapp/server.py, and are called once in the new process, so that what they open is its own:

    def begin(companion: Companion) -> None:
        client = redis.connect(companion.settings)
        companion.every(1.0, lambda: client.set(...))
"""

from __future__ import annotations

import logging
import os
import shutil
import signal
import socket
import threading
import time
from collections.abc import Callable, Sequence
from contextlib import suppress
from datetime import UTC, datetime
from functools import cached_property
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import TYPE_CHECKING

from redis.exceptions import RedisError

from mailapp.errors import Unavailable, is_database_away
from mailapp.settings import Settings

if TYPE_CHECKING:
    from flask import Flask

logger = logging.getLogger(__name__)

# Seconds between two starts at least: one that can't live must not keep its parent busy.
AGAIN_AFTER = 1.0
# Seconds after which it looks again whether its parent lives.
LOOK_EVERY = 1.0
# Seconds that somebody who asks may take for each part of a question.
PATIENCE = 10.0

Duty = Callable[["Companion"], None]
# What is answered at a path: its Content-Type and the body.
Page = Callable[[], tuple[str, bytes]]


class Companion:
    """What a duty is given: the instance it is about, and the ways to be called again.

    `started` is when the instance was, in UTC; `workers()` how many processes take requests at this
    moment; `requests()` how many they have been given since the start, health checks among them.
    Whether the instance drains is said by `mailapp.health.draining()`, as in the workers.
    """

    def __init__(
        self,
        settings: Settings,
        figures: Path,
        *,
        workers: Callable[[], int],
        requests: Callable[[], int],
    ) -> None:
        """`figures` is the folder that the workers count in, see mailapp/telemetry/metrics.py."""
        self.settings = settings
        self.figures = figures
        self.started = datetime.now(UTC)
        self.workers = workers
        self.requests = requests
        self.pages: dict[str, Page] = {}

    @cached_property
    def app(self) -> Flask:
        """The application, for duties that do what people asked for; made where one needs it."""
        # Imported here: the parent, from which the companion is forked, has none.
        from mailapp import create_app

        return create_app(self.settings)

    def every(self, seconds: float, task: Callable[[], None]) -> None:
        """Call `task` now and then every so many seconds, in a thread of its own.

        One that raises is called again when it is due; the first failure of a row is logged.
        """
        threading.Thread(target=_repeat, args=(seconds, task), daemon=True).start()

    def answer(self, path: str, page: Page) -> None:
        """Answer a GET of `path` on METRICS_PORT."""
        self.pages[path] = page


class Keeper:
    """The parent's side: has one companion at a time."""

    def __init__(
        self, companion: Companion, duties: Sequence[Duty], listener: socket.socket | None
    ) -> None:
        """`listener` is the socket of METRICS_PORT, None where nobody is to be answered."""
        self._companion = companion
        self._duties = duties
        self._listener = listener
        self._pid: int | None = None
        self._forked_at = float("-inf")

    def keep(self, let_go: Callable[[], None]) -> None:
        """Fork the companion if there is none; to be called again and again.

        `let_go` is called in the new process, to close what is its parent's alone.
        """
        if self._lives() or time.monotonic() < self._forked_at + AGAIN_AFTER:
            return
        if self._pid is not None:
            logger.warning("the companion (pid %s) has ended; starting another", self._pid)
        self._forked_at = time.monotonic()
        parent = os.getpid()
        try:
            self._pid = os.fork()
        except OSError as error:  # no memory, no room for a process: the workers serve on without
            logger.warning("the companion can't be started: %s", error.strerror)
            return
        if self._pid:
            return
        try:
            with suppress(OSError):  # what `ps` and `top` call it, on Linux
                Path("/proc/self/comm").write_text("companion")
            let_go()
            self._accompany(parent)
        except BaseException:
            logger.exception("the companion fails")
        finally:
            os._exit(1)  # never back into the parent's code

    def stand_apart(self) -> None:
        """Close what is the companion's alone; called in each worker."""
        if self._listener is not None:
            self._listener.close()

    def end(self) -> None:
        """End it. It has nothing to finish."""
        if self._pid is not None and self._lives():
            os.kill(self._pid, signal.SIGKILL)
            with suppress(ChildProcessError):
                os.waitpid(self._pid, 0)

    def _lives(self) -> bool:
        if self._pid is None:
            return False
        try:
            return os.waitpid(self._pid, os.WNOHANG) == (0, 0)
        except ChildProcessError:  # gunicorn, which waits for any child, was first
            return False

    def _accompany(self, parent: int) -> None:
        # What a terminal or a supervisor sends to the whole group is for the parent to decide.
        for number in (signal.SIGINT, signal.SIGHUP, signal.SIGTERM):
            signal.signal(number, signal.SIG_IGN)
        for duty in self._duties:
            try:
                duty(self._companion)
            except Exception:  # the others are done all the same
                logger.exception("%s can't be begun", duty.__module__)
        if self._listener is not None:
            server = _Server(self._listener, self._companion.pages)
            threading.Thread(target=server.serve_forever, daemon=True).start()
        while os.getppid() == parent:
            time.sleep(LOOK_EVERY)
        # Killed, it could not do so itself, and what is in memory would stay there until a reboot.
        shutil.rmtree(self._companion.figures, ignore_errors=True)


def _repeat(seconds: float, task: Callable[[], None]) -> None:
    fails = False
    due = time.monotonic()
    while True:
        try:
            task()
        except Exception as error:
            if not fails and _is_away(error):
                logger.warning("%s waits: %s", task.__module__, getattr(error, "orig", error))
            elif not fails:
                logger.exception("%s fails", task.__module__)
            fails = True
        else:
            if fails:
                logger.info("%s works again", task.__module__)
            fails = False
        # What was missed, by a process that was paused, is not made up for.
        due = max(due + seconds, time.monotonic())
        time.sleep(max(0.0, due - time.monotonic()))


def _is_away(error: Exception) -> bool:
    """Whether a part is away, which is no fault of ours; who is asked for a page says so, too."""
    return isinstance(error, RedisError | Unavailable) or is_database_away(error)


class _Server(ThreadingHTTPServer):
    """Answers at the paths of `pages`, on a socket that listens already."""

    daemon_threads = True

    def __init__(self, listener: socket.socket, pages: dict[str, Page]) -> None:
        super().__init__(listener.getsockname()[:2], _Handler, bind_and_activate=False)
        self.socket.close()
        self.socket = listener
        self.pages = pages

    def handle_error(self, request: object, client_address: object) -> None:
        logger.warning("a question on METRICS_PORT was not answered", exc_info=True)


class _Handler(BaseHTTPRequestHandler):
    server: _Server
    timeout = PATIENCE

    def do_GET(self) -> None:
        page = self.server.pages.get(self.path.partition("?")[0])
        if page is None:
            self.send_error(404)
            return
        content_type, body = page()
        self.send_response(200)
        self.send_header("Content-Type", content_type)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def version_string(self) -> str:
        return "mailapp"

    def log_message(self, format: str, *args: object) -> None:
        logger.debug(format, *args)
