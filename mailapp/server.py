"""The web server of an instance: gunicorn with threads, and a stop that loses no request."""

from __future__ import annotations

import ctypes
import errno
import mmap
import os
import resource
import selectors
import shutil
import signal
import socket
import sys
import tempfile
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from concurrent.futures import Future
from contextlib import suppress
from functools import partial
from itertools import count
from pathlib import Path
from typing import TYPE_CHECKING, Any, NoReturn

from gunicorn.app.base import BaseApplication
from gunicorn.arbiter import Arbiter
from gunicorn.errors import HaltServer
from gunicorn.glogging import Logger
from gunicorn.http.body import Body, LengthReader
from gunicorn.workers.gthread import ThreadWorker

from mailapp import create_app, database
from mailapp.cluster import heartbeat
from mailapp.companion import Companion, Duty, Keeper
from mailapp.compose import outbox
from mailapp.health import begin_drain, draining
from mailapp.live import views as live
from mailapp.mailbox import bulk
from mailapp.settings import Network, Settings, SettingsError
from mailapp.telemetry import configure_logging, exposition, metrics

if TYPE_CHECKING:
    from _typeshed import WriteableBuffer
    from _typeshed.wsgi import WSGIApplication

# Longer than nginx keeps an idle connection to us (60 s), so that it is nginx that closes it: a
# request sent into a connection we are closing would be lost.
KEEPALIVE = 75
# A worker's main thread reports each second whatever its request threads do, so that an upload of
# an hour is no reason to end it; one that is silent for this long is stuck.
STUCK_AFTER = 60
# What a stop by Ctrl-C leaves to requests under way, in seconds.
HURRY = 2
BACKLOG = 2048
# Files and connections that each process may have open, where the system lets it.
OPEN_FILES = 65536
# Blocks of memory from this size on, in bytes, go back to the system as soon as they are freed.
RETURNED_FROM = 1024 * 1024
# How long, and how much, a client that has its answer may go on sending before it is cut off.
HANG_UP_SECONDS = 2.0
HANG_UP_BYTES = 65536


def serve(
    settings: Settings,
    load: Callable[[Settings], WSGIApplication] = create_app,
    duties: Sequence[Duty] = (exposition.begin, heartbeat.begin, bulk.begin, outbox.begin),
) -> NoReturn:
    """Serve until a signal ends it; leave by SystemExit, also in the worker processes.

    SIGTERM: /healthz says draining, `drain_seconds` later new connections are refused, requests
    under way get `graceful_timeout` seconds, exit status 0; a second SIGTERM skips the wait. SIGINT
    leaves requests HURRY seconds. Status 1 when the address can't be listened on. `load` is called
    in each worker after the fork, so that no connection is shared; its SettingsError ends all of it
    with that sentence and status 4 (gunicorn's "application failed to load"). `duties` are what the
    process beside the workers does, see mailapp/companion.py.
    """
    configure_logging(settings)
    _return_memory()
    _allow_many_connections()
    listener = _listen(settings, "PORT", settings.port)
    aside = (
        _listen(settings, "METRICS_PORT", settings.metrics_port) if settings.metrics_port else None
    )
    figures = Path(tempfile.mkdtemp(prefix="mailapp-metrics-", dir=_memory()))
    companion = Companion(settings, figures, workers=_SHARES.workers, requests=_SHARES.requests)
    keeper = Keeper(companion, duties, aside)
    _Arbiter(_Instance(settings, load, listener, keeper, figures)).run()
    sys.exit(0)


def _return_memory() -> None:
    """Keep the C library from holding on to what a password's hash or an upload's part took.

    glibc raises its limit for that with each large block that is freed, up to 32 MB: each thread
    that ever checked a password would then keep its 19 MB for good. Elsewhere than on glibc there
    is nothing to do.
    """
    with suppress(OSError, AttributeError):
        ctypes.CDLL(None).mallopt(-3, RETURNED_FROM)  # M_MMAP_THRESHOLD of <malloc.h>


def _allow_many_connections() -> None:
    """Allow as many open files as may be allowed: each open page has a connection.

    What a shell or systemd begins with, 1024, is for programs that use select(); we don't.
    """
    now, most = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = OPEN_FILES if most == resource.RLIM_INFINITY else min(most, OPEN_FILES)
    if now != resource.RLIM_INFINITY and now < wanted:
        resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, most))


def _memory() -> str | None:
    """A folder for files that are written all the time, where no disk is; None if there is none."""
    return "/dev/shm" if os.access("/dev/shm", os.W_OK) else None  # noqa: S108


def _listen(settings: Settings, variable: str, port: int) -> socket.socket:
    """The socket that listens on the port of that variable; a sentence and status 1 if it can't.

    Opened here because gunicorn would try a busy port five times.
    """
    try:
        family, _, _, _, address = socket.getaddrinfo(
            settings.host, port, type=socket.SOCK_STREAM, flags=socket.AI_PASSIVE
        )[0]
        listener = socket.create_server(
            address,
            family=family,
            backlog=BACKLOG,
            dualstack_ipv6=settings.host == "::" and socket.has_dualstack_ipv6(),
        )
    except OSError as error:
        print(_why_not(settings.host, variable, port, error), file=sys.stderr)
        sys.exit(1)
    # Inherited by accepted connections: a client that vanished without a word frees its thread
    # after some two minutes instead of never.
    listener.setsockopt(socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    if sys.platform == "linux":
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPIDLE, 60)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPINTVL, 15)
        listener.setsockopt(socket.IPPROTO_TCP, socket.TCP_KEEPCNT, 4)
    return listener


def _why_not(host: str, variable: str, port: int, error: OSError) -> str:
    if error.errno == errno.EADDRINUSE:
        return (
            f"Port {port} is in use on {host}. Stop what uses it, or set {variable} to another, "
            f"such as {variable}={port + 1 if port < 65535 else port - 1}."
        )
    if error.errno == errno.EACCES:
        return (
            f"Port {port} needs more rights than this user has. "
            f"Set {variable}, such as {variable}=8000."
        )
    if error.errno == errno.EADDRNOTAVAIL or isinstance(error, socket.gaierror):
        return f"HOST={host} is not an address of this machine. Set HOST, such as HOST=127.0.0.1."
    return f"HOST={host} {variable}={port} can't be listened on: {error.strerror}."


class _Instance(BaseApplication):  # type: ignore[misc]
    """The application as gunicorn wants it: how to configure the server, how to load the app."""

    def __init__(
        self,
        settings: Settings,
        load: Callable[[Settings], WSGIApplication],
        listener: socket.socket,
        keeper: Keeper,
        figures: Path,
    ) -> None:
        self.settings = settings
        self.keeper = keeper
        self.figures = figures
        self.refusal = _Refusal()
        self._load = load
        self._descriptor = listener.detach()
        super().__init__()

    def load_config(self) -> None:
        settings = self.settings
        for name, value in {
            "bind": f"fd://{self._descriptor}",
            "worker_class": _Worker,
            "workers": settings.web_workers,
            "threads": settings.web_threads,
            "keepalive": KEEPALIVE,
            "timeout": STUCK_AFTER,
            "graceful_timeout": settings.graceful_timeout,
            # A worker's sign of life is a file; on a slow disk it would look dead.
            "worker_tmp_dir": _memory(),
            # Off: its default path is one for all instances of a user, who would fight for it.
            "control_socket_disable": True,
            # Nobody: who may say X-Forwarded-Proto is decided in mailapp/proxies.py.
            "forwarded_allow_ips": "",
            "proxy_protocol": settings.proxy_protocol,
            "proxy_allow_ips": ",".join(_as_seen(settings.trusted_proxies)),
            "logger_class": _Logger,
            "loglevel": settings.log_level,
            "errorlog": None,
            "accesslog": None,
            "proc_name": "mailapp",
            "pre_fork": lambda arbiter, worker: worker.choose_place(arbiter.WORKERS.values()),
            "post_fork": lambda _arbiter, worker: self._stand_apart(worker),
            # Also of a worker that was killed, and could not say so itself.
            "child_exit": lambda _arbiter, worker: self._leave(worker),
        }.items():
            self.cfg.set(name, value)

    def _stand_apart(self, worker: _Worker) -> None:
        self.keeper.stand_apart()
        metrics.count_in(self.figures, worker.place)

    def _leave(self, worker: _Worker) -> None:
        _SHARES.leave(worker.age)
        metrics.leave(self.figures, worker.place)

    def load(self) -> WSGIApplication:
        try:
            return self._load(self.settings)
        except SettingsError as error:
            self.refusal.write(str(error))
            sys.exit(Arbiter.APP_LOAD_ERROR)


def _as_seen(networks: Iterable[Network]) -> Iterator[str]:
    """The networks as gunicorn compares them: a socket on :: names 10.0.0.1 as ::ffff:10.0.0.1."""
    for network in networks:
        yield str(network)
        if network.version == 4:
            yield f"::ffff:{network.network_address}/{96 + network.prefixlen}"


class _Refusal:
    """Why a worker would not start: written by any of them, said once, by their parent."""

    SIZE = 4096

    def __init__(self) -> None:
        self._shared = mmap.mmap(-1, self.SIZE)

    def write(self, sentence: str) -> None:
        text = sentence.encode()[: self.SIZE]
        self._shared[: len(text)] = text

    def read(self) -> str:
        return self._shared[:].rstrip(b"\0").decode(errors="replace")


class _Logger(Logger):  # type: ignore[misc]
    """gunicorn's own lines, handed to the root logger and so written like all others."""

    def setup(self, cfg: Any) -> None:
        super().setup(cfg)
        self.error_log.propagate = True


class _Arbiter(Arbiter):  # type: ignore[misc]
    """gunicorn's parent process, which drains before it stops."""

    def __init__(self, instance: _Instance) -> None:
        super().__init__(instance)
        self._instance = instance
        self._stop_at: float | None = None
        self._stopping = False

    def init_signals(self) -> None:
        ignored = signal.getsignal(signal.SIGHUP) == signal.SIG_IGN
        super().init_signals()
        if ignored:  # started by nohup
            signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def handle_term(self) -> None:
        if self._stop_at is not None:
            raise StopIteration
        begin_drain()
        self._stop_at = time.monotonic() + self._instance.settings.drain_seconds
        self.log.info("Draining for %g s", self._instance.settings.drain_seconds)

    # A terminal that was closed. gunicorn would reload, and so live on without a terminal; our
    # settings come from the environment, in which a reload finds nothing new.
    handle_hup = handle_term

    def handle_int(self) -> None:
        begin_drain()
        self.cfg.set("graceful_timeout", HURRY)
        super().handle_int()

    def wait_for_signals(self, timeout: float = 1.0) -> list[int]:
        if self._stop_at is not None:
            left = self._stop_at - time.monotonic()
            if left <= 0:
                raise StopIteration
            timeout = min(timeout, left)
        signals: list[int] = super().wait_for_signals(timeout)
        return signals

    def manage_workers(self) -> None:
        """Called at least once a second, from before the first worker to the end of the drain."""
        self._instance.keeper.keep(self._let_go)
        super().manage_workers()

    def stop(self, graceful: bool = True) -> None:
        self._stopping = True
        super().stop(graceful)

    def reap_workers(self) -> None:
        """A worker that could not load the application ends all of it, once.

        One that says so while the others are being stopped would end the stop itself, with a
        traceback and another status; gunicorn asks again until all are reaped.
        """
        try:
            super().reap_workers()
        except HaltServer:
            if not self._stopping:
                raise

    def _let_go(self) -> None:
        # Else connections would go on queueing for nobody after the workers have closed it.
        for listener in self.LISTENERS:
            listener.close()
        for worker in self.WORKERS.values():
            worker.tmp.close()

    def halt(self, reason: str | None = None, exit_status: int = 0) -> NoReturn:
        sentence = self._instance.refusal.read()
        if sentence:
            print(sentence, file=sys.stderr)
        try:
            super().halt(reason, exit_status)
        finally:
            self._instance.keeper.end()
            shutil.rmtree(self._instance.figures, ignore_errors=True)
        sys.exit(exit_status)


class _Body(Body):  # type: ignore[misc]
    """A request's body of known length, which can be received into the reader's own memory.

    By read() each of its bytes goes through several buffers, all made for it.
    """

    def readinto(self, buffer: WriteableBuffer) -> int:
        """Fill the beginning of `buffer` with what has come; how much, 0 only at the end."""
        reader, room = self.reader, memoryview(buffer)
        data = b""
        if held := self.buf.tell():  # read before, as a line perhaps, and not taken
            data = self.read(min(len(room), held))
        else:
            room = room[: reader.length]
            if held := min(len(room), reader.unreader.buf.tell()):  # came with the request's head
                data = reader.read(held)
        if data:
            room[: len(data)] = data
            return len(data)
        try:
            received: int = reader.unreader.sock.recv_into(room)
        except Exception:
            self.failed = True  # so that gunicorn does not use the connection again
            raise
        reader.length -= received
        return received


class _OneSend:
    """A connection that sends an answer's head with the first of its body, where gunicorn sends
    them apart: one call less, and the other side wakes up once."""

    def __init__(self, connection: socket.socket, request: Any) -> None:
        self._connection = connection
        self._request = request
        self._head: bytes | None = None
        # Whose it is after the answer, see `hand_over`.
        self.taker: Callable[[socket.socket], None] | None = None

    def hand_over(self, taker: Callable[[socket.socket], None]) -> None:
        """Give the connection to `taker` when the answer is sent, to go on with it at leisure.

        For a view that found this as "gunicorn.socket" in its environment. The answer has no
        length then, and ends where the connection does, as in HTTP/1.0: so whoever writes on it
        needs no framing, and nobody sends another request into it.
        """
        self._request.version = (1, 0)
        self._request.force_close()
        self.taker = taker

    def sendall(self, data: bytes) -> None:
        """The first call is the head's, and waits for what comes next."""
        if self._head is None:
            self._head = data
            return
        if self._head and len(data) < RETURNED_FROM:  # more is not worth a copy
            data, self._head = self._head + data, b""
        self.flush()
        self._connection.sendall(data)

    def flush(self) -> None:
        """Send a head that still waits, because no body came."""
        head, self._head = self._head, b""
        if head:
            self._connection.sendall(head)

    def __getattr__(self, name: str) -> Any:
        self.flush()
        return getattr(self._connection, name)


class _Shares:
    """How many connections each worker has, seen by all of them, and what it has been given.

    They listen to one socket, and whoever wakes up first takes what comes: a balancer's handful of
    kept-alive connections would often all be one worker's, with the others idle.
    """

    # More than workers ever live at once.
    PLACES = 256
    # In a place that nobody has: more than anybody does.
    _NOBODY = 2**31 - 1
    # Seconds for which a worker with more than its share leaves a connection to others at most: on
    # a busy machine they need some time to wake up, and one that is stuck must not hold it up.
    PATIENCE = 0.02
    # Seconds after which it looks again whether they have caught up.
    MOMENT = 0.001

    def __init__(self) -> None:
        self._connections = memoryview(mmap.mmap(-1, 4 * self.PLACES)).cast("i")
        self._requests = memoryview(mmap.mmap(-1, 8 * self.PLACES)).cast("q")
        for place in range(self.PLACES):
            self.leave(place)

    def tell(self, worker: int, connections: int) -> None:
        """Say how many this worker has; `worker` is any number that tells it from the others."""
        self._connections[worker % self.PLACES] = connections

    def given(self, worker: int, requests: int) -> None:
        """Say that this worker has been given so many more."""
        self._requests[worker % self.PLACES] += requests

    def leave(self, worker: int) -> None:
        """Say that this worker takes no more part."""
        self._connections[worker % self.PLACES] = self._NOBODY

    def exceeded_by(self, connections: int) -> bool:
        """Whether that is more than somebody else has, by more than one."""
        return connections > 1 + min(self._connections)

    def workers(self) -> int:
        """How many take part."""
        return sum(connections != self._NOBODY for connections in self._connections)

    def requests(self) -> int:
        """How many all have been given, those that are gone too."""
        return sum(self._requests)


# Made in the parent, so that all workers have the same.
_SHARES = _Shares()


class _Worker(ThreadWorker):  # type: ignore[misc]
    """gunicorn's threaded worker, which leaves nobody behind when it stops."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        # Connections we have closed for writing, with the bytes we still read from each.
        self._hanging_up: dict[Any, int] = {}
        # Until when others may take what comes, as time.monotonic() counts.
        self._leaves_until = 0.0
        # Which of the instance's workers it is, from 0: what it counts goes on where the one that
        # had this place before left off.
        self.place = "0"
        # How many of its requests it has told the others of.
        self._told = 0
        # When its connections were last counted, as time.monotonic() counts.
        self._counted_at = 0.0

    def choose_place(self, others: Iterable[_Worker]) -> None:
        """Take the first place that none of the others has; called in the parent."""
        taken = {other.place for other in others}
        self.place = next(place for place in map(str, count()) if place not in taken)

    def init_signals(self) -> None:
        super().init_signals()
        # The terminal sends these to the whole process group; the parent decides what they mean.
        signal.signal(signal.SIGINT, signal.SIG_IGN)
        signal.signal(signal.SIGHUP, signal.SIG_IGN)

    def handle_request(self, req: Any, conn: Any) -> bool:
        reader = req.body.reader
        has_body = not isinstance(reader, LengthReader) or reader.length > 0
        if has_body and isinstance(reader, LengthReader):
            req.body = _Body(reader)
        if self.cfg.proxy_protocol != "off":
            self._announce(req, conn)
        if draining():
            # Room for no kept-alive connection: gunicorn answers each with "Connection: close", so
            # that balancers have left, one request at a time, when the sockets close.
            self.max_keepalived = -1
        if has_body:  # which may have to be asked for, by a "100 Continue" before the answer
            answered: bool = super().handle_request(req, conn)
            return answered
        connection = conn.sock
        conn.sock = one_send = _OneSend(connection, req)
        try:
            kept: bool = super().handle_request(req, conn)
            one_send.flush()
        finally:
            conn.sock = connection
        if one_send.taker is not None:
            conn.is_handed_over = True
            one_send.taker(socket.socket(fileno=connection.detach()))
        return kept

    @staticmethod
    def _announce(req: Any, conn: Any) -> None:
        """Give a request what the proxy said at the beginning of its connection, if it did.

        gunicorn knows that for the first request alone: all that follow would be the proxy's own.
        """
        said = req.proxy_protocol_info or getattr(conn, "proxy_said", None)
        if said and said["client_addr"] is None:  # it speaks for itself, as in a check of its own
            said |= {"client_addr": conn.client[0], "client_port": conn.client[1]}
        conn.proxy_said = req.proxy_protocol_info = said

    def accept(self, listener: Any) -> None:
        super().accept(listener)
        if not self.alive:
            return
        _SHARES.tell(self.age, self.nr_conns)
        if _SHARES.exceeded_by(self.nr_conns):
            self._leaves_until = time.monotonic() + _SHARES.PATIENCE
            super().set_accept_enabled(False)

    def wait_for_and_dispatch_events(self, timeout: float) -> None:
        _SHARES.given(self.age, self.nr - self._told)
        self._told = self.nr
        if self.alive:
            _SHARES.tell(self.age, self.nr_conns)
        else:
            _SHARES.leave(self.age)
        if self._leaves_until:
            if _SHARES.exceeded_by(self.nr_conns) and time.monotonic() < self._leaves_until:
                timeout = min(timeout, _SHARES.MOMENT)
            else:
                self._leaves_until = timeout = 0.0  # at once back to gunicorn, which accepts again
        super().wait_for_and_dispatch_events(timeout)

    def set_accept_enabled(self, enabled: bool) -> None:
        if enabled and self._leaves_until:
            return  # gunicorn asks again each time before it waits
        super().set_accept_enabled(enabled)
        if not enabled and not self.alive:
            self._take_the_queued()
            # Not when the drain begins: those who come back would often come back here.
            live.end_all(self.wsgi)

    def _take_the_queued(self) -> None:
        """Accept who already stands in the kernel's queue, then close it.

        gunicorn closes it only when the last request is done: until then connections would go on
        queueing and be reset in the end, with the requests they carry.
        """
        for listener in self.sockets:
            taken = -1
            while taken != self.nr_conns:
                taken = self.nr_conns
                self.accept(listener)
            listener.close()

    def finish_request(self, conn: Any, fs: Future[Any]) -> None:
        if getattr(conn, "is_handed_over", False):
            self.nr_conns -= 1
        elif fs.cancelled() or fs.exception() is not None or fs.result():
            super().finish_request(conn, fs)
        else:
            self._hang_up(conn)

    def _hang_up(self, conn: Any) -> None:
        """Close as RFC 9112 section 9.6 asks: for writing, then read on until the client closes.

        gunicorn waits for that here, up to 2 s a client, in the one thread that takes in everybody
        else's requests. This waits in the poller.
        """
        try:
            conn.sock.shutdown(socket.SHUT_WR)
            conn.sock.setblocking(False)
            self.poller.register(conn.sock, selectors.EVENT_READ, partial(self._read_on, conn))
        except (OSError, ValueError):
            self._let_go(conn)
            return
        conn.timeout = time.monotonic() + HANG_UP_SECONDS
        self._hanging_up[conn] = HANG_UP_BYTES

    def _read_on(self, conn: Any, client: socket.socket) -> None:
        try:
            received = len(client.recv(65536))
        except BlockingIOError:
            return
        except OSError:
            received = 0
        self._hanging_up[conn] -= received
        if received == 0 or self._hanging_up[conn] <= 0:
            self._end_hang_up(conn)

    def _end_hang_up(self, conn: Any) -> None:
        del self._hanging_up[conn]
        self.poller.unregister(conn.sock)
        self._let_go(conn)

    def _let_go(self, conn: Any) -> None:
        self.nr_conns -= 1
        conn.close()

    def murder_pending(self) -> None:
        """Called each second, also while stopping: those who don't close in time are closed."""
        super().murder_pending()
        now = time.monotonic()
        if now - self._counted_at >= 1:
            self._counted_at = now
            database.count_connections(self.wsgi)
        for conn in [conn for conn in self._hanging_up if conn.timeout <= now]:
            self._end_hang_up(conn)

    def _cap_keepalive(self, deadline: float) -> None:
        """Those that never sent a byte (browsers connect ahead) are not waited for either."""
        super()._cap_keepalive(deadline)
        for conn in self.pending_conns:
            conn.timeout = min(conn.timeout, deadline)
