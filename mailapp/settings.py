"""Every setting: its variable, type, default, meaning and check. Read once, at start, from the
environment; a missing or unsafe value stops the start with a sentence that names the variable."""

from __future__ import annotations

import contextlib
import ipaddress
import os
import re
import secrets
import socket
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

import idna
from flask import current_app

Network = ipaddress.IPv4Network | ipaddress.IPv6Network

MIB = 1024 * 1024

# Room for the text fields of a form beside its files; nginx's client_max_body_size is the sum.
FORM_ROOM = MIB

# What examples write where a secret belongs. No random key contains one of these by chance.
_PLACEHOLDER = re.compile("changeme|changethis|replaceme|placeholder|secretkey|yoursecret|insecure")


class SettingsError(Exception):
    """A setting is missing, malformed or unsafe; the text names the variable and what to do."""


@dataclass(frozen=True)
class Variable:
    """One environment variable: how it is read and how the README explains it.

    `default` is the text that stands in for an unset variable, or None where the value is worked
    out from other settings (`shown` says how). `parse` turns text into the value and raises
    ValueError with the rest of the sentence "NAME …".
    """

    name: str
    field: str
    parse: Callable[[str], Any]
    default: str | None
    meaning: str
    shown: str | None = None
    secret: bool = False


def _text(value: str) -> str:
    return value


def _integer(low: int, high: int) -> Callable[[str], int]:
    def parse(value: str) -> int:
        if not re.fullmatch(r"[0-9]+", value) or not low <= int(value) <= high:
            raise ValueError(f"must be a whole number from {low} to {high}")
        return int(value)

    return parse


def _seconds(low: float, high: float) -> Callable[[str], float]:
    def parse(value: str) -> float:
        if not re.fullmatch(r"[0-9]+(\.[0-9]+)?", value) or not low <= float(value) <= high:
            raise ValueError(f"must be a number of seconds from {low:g} to {high:g}")
        return float(value)

    return parse


def _choice(*options: str) -> Callable[[str], str]:
    def parse(value: str) -> str:
        if value not in options:
            raise ValueError("must be one of " + ", ".join(options))
        return value

    return parse


def _switch(value: str) -> bool:
    try:
        return {"1": True, "true": True, "yes": True, "0": False, "false": False, "no": False}[
            value.lower()
        ]
    except KeyError:
        raise ValueError("must be true or false") from None


def _secret_key(value: str) -> str:
    if len(value) < 32:
        raise ValueError(
            "is shorter than 32 characters; make one with: "
            "python3 -c 'import secrets; print(secrets.token_hex(32))'"
        )
    if len(set(value)) < 8:
        raise ValueError("repeats itself, so it can be guessed; make a random one")
    if _PLACEHOLDER.search(re.sub(r"[^a-z]", "", value.lower())):
        raise ValueError("is a placeholder out of some example; make a random one")
    return value


def _database_url(value: str) -> str:
    scheme, separator, rest = value.partition("://")
    if not separator:
        raise ValueError("must be a URL such as postgresql://user:password@host/name")
    if scheme in {"postgresql", "postgres", "postgresql+psycopg"}:
        from mailapp.postgresql import servers  # not above: the settings are read in no time

        value = f"postgresql+psycopg://{rest}"
        servers(value)
        return value
    if scheme != "sqlite":
        raise ValueError("must begin with postgresql:// or sqlite:///")
    from sqlalchemy.engine import make_url
    from sqlalchemy.exc import ArgumentError

    try:
        url = make_url(value)
    except (ArgumentError, ValueError):
        url = None
    if url is None or url.host or url.database in {None, "", ":memory:"}:
        raise ValueError("must name a file, as sqlite:////var/lib/mailapp/mail.sqlite3 does")
    return value


def _redis_url(value: str) -> str:
    from redis.connection import parse_url  # not above, see _database_url

    from mailapp import sentinel

    if value.startswith(sentinel.SCHEME):
        sentinel.read_url(value)
        return value
    if urlsplit(value).scheme not in {"redis", "rediss", "unix"}:
        raise ValueError("must begin with redis://, rediss://, unix:// or redis+sentinel://")
    try:
        parse_url(value)  # type: ignore[no-untyped-call]
    except ValueError:
        raise ValueError("can't be read as a URL (the port must be a number)") from None
    return value


def _endpoint(value: str) -> str:
    wanted = "must be HOST:PORT, http://HOST:PORT or https://HOST:PORT"
    try:
        parts = urlsplit(value if "://" in value else f"//{value}")
        _ = parts.port
    except ValueError:
        raise ValueError(wanted) from None
    if parts.scheme not in {"", "http", "https"} or not parts.hostname:
        raise ValueError(wanted)
    if parts.path not in {"", "/"} or parts.query or parts.fragment or parts.username is not None:
        raise ValueError(wanted)
    return value.rstrip("/")


def _store_key(value: str) -> str:
    if value == "minioadmin":
        raise ValueError("is MinIO's published default; give the store a key of its own")
    return value


def _bucket(value: str) -> str:
    if not re.fullmatch(r"[a-z0-9][a-z0-9.-]{1,61}[a-z0-9]", value):
        raise ValueError("must be 3 to 63 of a-z, 0-9, '.' and '-'")
    return value


def _domain(value: str) -> str:
    """The domain as IDNA writes it in ASCII (RFC 5891): one domain, one spelling."""
    try:
        domain = idna.encode(value, uts46=True).decode().lower()
    except idna.IDNAError as error:
        raise ValueError(f"is not a domain name ({error})") from None
    if domain.endswith("."):
        raise ValueError("must not end with a dot")
    return domain


def _location(value: str) -> str:
    if not re.fullmatch(r"/([A-Za-z0-9._-]+/)+", value):
        raise ValueError("must be a path that begins and ends with '/', such as /-/store/")
    return value


def _networks(value: str) -> tuple[Network, ...]:
    try:
        return tuple(ipaddress.ip_network(part) for part in re.split(r"[\s,]+", value) if part)
    except ValueError as error:
        raise ValueError(
            f"must be networks such as 10.0.0.0/8, with commas between ({error})"
        ) from None


def _instance(value: str) -> str:
    if not re.fullmatch(r"[A-Za-z0-9._-]{1,64}", value):
        raise ValueError("must be 1 to 64 letters, digits, '.', '_' or '-' (it goes into a header)")
    return value


VARIABLES: tuple[Variable, ...] = (
    Variable(
        "SECRET_KEY",
        "secret_key",
        _secret_key,
        None,
        "Signs forms; the same on every instance, at least 32 characters.",
        shown="made at the first start where nothing is shared, else required",
        secret=True,
    ),
    Variable(
        "DATABASE_URL",
        "database_url",
        _database_url,
        None,
        "`postgresql://user:password@host/name`, with several servers "
        "`…@pg1:5432,pg2:5432/name?target_session_attrs=read-write`, or `sqlite:///path`.",
        shown="SQLite in `DATA_DIR`",
        secret=True,
    ),
    Variable(
        "REDIS_URL",
        "redis_url",
        _redis_url,
        None,
        "Sessions and limits, shared by all instances: `redis://:password@host:6379/0`, or by way "
        "of Sentinels `redis+sentinel://:password@host1:26379,host2:26379,host3:26379/mymaster/0`, "
        "which takes `?sentinel_password=`.",
        shown="none: both are kept in the database",
        secret=True,
    ),
    Variable(
        "MINIO_ENDPOINT",
        "minio_endpoint",
        _endpoint,
        None,
        "Object storage for attachments, `host:port` or a URL: MinIO or any S3.",
        shown="none: attachments are kept in `ATTACHMENT_DIR`",
    ),
    Variable(
        "MINIO_ACCESS_KEY",
        "minio_access_key",
        _store_key,
        None,
        "The store's access key; required with `MINIO_ENDPOINT`.",
        shown="none",
        secret=True,
    ),
    Variable(
        "MINIO_SECRET_KEY",
        "minio_secret_key",
        _store_key,
        None,
        "The store's secret key; required with `MINIO_ENDPOINT`.",
        shown="none",
        secret=True,
    ),
    Variable(
        "MINIO_BUCKET",
        "minio_bucket",
        _bucket,
        "mailapp",
        "The bucket; `mailapp migrate` makes it.",
    ),
    Variable("MINIO_REGION", "minio_region", _text, "us-east-1", "The store's region."),
    Variable(
        "MINIO_SECURE",
        "minio_secure",
        _switch,
        "false",
        "HTTPS to the store, where the endpoint does not say `http://` or `https://`.",
    ),
    Variable(
        "ATTACHMENT_DIR",
        "attachment_dir",
        Path,
        None,
        "Folder for attachments, local or an NFS mount; not together with `MINIO_ENDPOINT`.",
        shown="`DATA_DIR/attachments`",
    ),
    Variable(
        "DATA_DIR",
        "data_dir",
        Path,
        "data",
        "What the embedded default keeps: database, folder, key.",
    ),
    Variable(
        "MAIL_DOMAIN",
        "mail_domain",
        _domain,
        "mail.example",
        "The part after @ of everybody's address.",
    ),
    Variable(
        "INSTANCE_NAME",
        "instance_name",
        _instance,
        None,
        "This instance's name in `X-Served-By`, the logs and `/healthz`.",
        shown="the host's name",
    ),
    Variable("HOST", "host", _text, "127.0.0.1", "The address to listen on."),
    Variable("PORT", "port", _integer(1, 65535), "8000", "The port to listen on."),
    Variable(
        "METRICS_PORT",
        "metrics_port",
        _integer(0, 65535),
        "9464",
        "Where `/metrics` is, on `HOST` as well, for Prometheus and no balancer; 0: nowhere.",
    ),
    Variable(
        "WEB_WORKERS", "web_workers", _integer(1, 64), "2", "Worker processes of this instance."
    ),
    Variable(
        "WEB_THREADS", "web_threads", _integer(1, 256), "8", "Requests at once in each worker."
    ),
    Variable(
        "DRAIN_SECONDS",
        "drain_seconds",
        _seconds(0, 300),
        "5",
        "After SIGTERM: how long to go on serving, unhealthy, so that a balancer notices.",
    ),
    Variable(
        "GRACEFUL_TIMEOUT",
        "graceful_timeout",
        _integer(1, 3600),
        "30",
        "Seconds that requests under way get to finish, after the drain.",
    ),
    Variable(
        "TRUSTED_PROXIES",
        "trusted_proxies",
        _networks,
        "",
        "Networks of the proxies whose `X-Forwarded-*` is believed, such as `10.0.0.0/8`.",
        shown="none",
    ),
    Variable(
        "PROXY_PROTOCOL",
        "proxy_protocol",
        _switch,
        "false",
        "Behind a balancer that passes on bytes (L4): its PROXY protocol says who the visitor is.",
    ),
    Variable(
        "ACCEL_LOCATION",
        "accel_location",
        _location,
        None,
        "nginx's place for the store, `/-/store/` in `nginx/store.conf`: it fetches attachments "
        "there by itself (`X-Accel-Redirect`). Behind any other proxy downloads would be empty.",
        shown="none: the application streams them itself",
    ),
    Variable(
        "SESSION_LIFETIME",
        "session_lifetime",
        _integer(60, 400 * 86400),
        "1209600",
        "Seconds without a visit after which a session ends.",
    ),
    Variable(
        "COOKIE_SECURE",
        "cookie_secure",
        _choice("auto", "always"),
        "auto",
        "`auto`: the session cookie is `Secure` when the visitor came by HTTPS; `always`: always.",
    ),
    Variable("SIGNUP_OPEN", "signup_open", _switch, "true", "Whether anybody may sign up."),
    Variable(
        "MAX_ATTACHMENT_BYTES",
        "max_attachment_bytes",
        _integer(1, 5 * 1024 * 1024 * MIB),
        str(50 * MIB),
        "Largest attachment. nginx's `client_max_body_size` is this and 1 MiB.",
    ),
    Variable(
        "QUOTA_BYTES",
        "quota_bytes",
        _integer(0, 2**62),
        str(5 * 1024 * MIB),
        "Room for one person's mail and drafts, where `mailapp user quota` says nothing else; "
        "0: no limit.",
    ),
    Variable(
        "MAX_DELIVERY_BYTES",
        "max_delivery_bytes",
        _integer(1024, 5 * 1024 * MIB),
        str(100 * MIB),
        "Largest message that `mailapp deliver` takes.",
    ),
    Variable(
        "MAX_MESSAGE_BYTES",
        "max_message_bytes",
        _integer(1024, 64 * MIB),
        str(MIB),
        "Longest text.",
    ),
    Variable(
        "MAX_RECIPIENTS", "max_recipients", _integer(1, 10000), "100", "Most people in one message."
    ),
    Variable(
        "UNDO_SEND_SECONDS",
        "undo_send_seconds",
        _integer(0, 60),
        "5",
        "Seconds for which a send can be undone, for who has not chosen; 0: not at all.",
    ),
    Variable(
        "LOGIN_TRIES_ACCOUNT",
        "login_tries_account",
        _integer(1, 100000),
        "10",
        "Failed log-ins to one account in `LOGIN_WINDOW`, on all instances together.",
    ),
    Variable(
        "LOGIN_TRIES_ADDRESS",
        "login_tries_address",
        _integer(1, 1000000),
        "100",
        "Failed log-ins and sign-ups from one network address in `LOGIN_WINDOW`.",
    ),
    Variable(
        "LOGIN_WINDOW",
        "login_window",
        _integer(1, 86400),
        "900",
        "Seconds over which tries are counted.",
    ),
    Variable(
        "GC_GRACE",
        "gc_grace",
        _integer(0, 365 * 86400),
        "86400",
        "Seconds `mailapp gc` leaves what nothing refers to: work under way is never swept.",
    ),
    Variable(
        "TRASH_DAYS",
        "trash_days",
        _integer(0, 3650),
        "30",
        "Days after which `mailapp gc` deletes what was moved to Trash or Spam; 0: never.",
    ),
    Variable(
        "DATABASE_TIMEOUT",
        "database_timeout",
        _seconds(0.1, 60),
        "2",
        "Seconds for the database to answer before the visitor is told (503).",
    ),
    Variable("REDIS_TIMEOUT", "redis_timeout", _seconds(0.05, 60), "0.5", "The same for Redis."),
    Variable(
        "MINIO_TIMEOUT", "minio_timeout", _seconds(0.1, 300), "2.5", "The same for the store."
    ),
    Variable(
        "LOG_LEVEL",
        "log_level",
        _choice("debug", "info", "warning", "error"),
        "info",
        "How much is logged, as JSON, on standard error.",
    ),
)


@dataclass(frozen=True)
class Settings:
    """What the environment said, checked. One field a variable of `VARIABLES`."""

    secret_key: str
    database_url: str
    redis_url: str | None
    minio_endpoint: str | None
    minio_access_key: str | None
    minio_secret_key: str | None
    minio_bucket: str
    minio_region: str
    minio_secure: bool
    attachment_dir: Path
    data_dir: Path
    mail_domain: str
    instance_name: str
    host: str
    port: int
    metrics_port: int
    web_workers: int
    web_threads: int
    drain_seconds: float
    graceful_timeout: int
    trusted_proxies: tuple[Network, ...]
    proxy_protocol: bool
    accel_location: str | None
    session_lifetime: int
    cookie_secure: Literal["auto", "always"]
    signup_open: bool
    max_attachment_bytes: int
    quota_bytes: int
    max_delivery_bytes: int
    max_message_bytes: int
    max_recipients: int
    undo_send_seconds: int
    login_tries_account: int
    login_tries_address: int
    login_window: int
    gc_grace: int
    trash_days: int
    database_timeout: float
    redis_timeout: float
    minio_timeout: float
    log_level: str

    @property
    def max_request_bytes(self) -> int:
        """Largest request body: one attachment of the largest size and a form's text."""
        return self.max_attachment_bytes + FORM_ROOM

    @classmethod
    def from_env(cls, environ: Mapping[str, str] | None = None) -> Settings:
        """Read and check all settings; raise SettingsError naming the first variable that is wrong.

        On the embedded default (SQLite, no Redis, a folder) a missing SECRET_KEY is made once and
        kept in DATA_DIR; where instances share a database or a Redis it must be given, because
        every instance needs the same.
        """
        environ = os.environ if environ is None else environ
        values = {variable.field: _read(variable, environ) for variable in VARIABLES}
        data_dir: Path = values["data_dir"]

        if values["minio_endpoint"] and values["attachment_dir"]:
            raise SettingsError(
                "MINIO_ENDPOINT and ATTACHMENT_DIR are both set, so it is not clear where "
                "attachments live. Unset one of them."
            )
        if values["minio_endpoint"]:
            for name in ("MINIO_ACCESS_KEY", "MINIO_SECRET_KEY"):
                if not values[name.lower()]:
                    raise SettingsError(
                        f"{name} is missing; MINIO_ENDPOINT needs it (or {name}_FILE)."
                    )
        if values["proxy_protocol"] and not values["trusted_proxies"]:
            raise SettingsError(
                "TRUSTED_PROXIES is missing; PROXY_PROTOCOL believes the balancers that it names."
            )
        if values["secret_key"] is None:
            shared = values["redis_url"] or str(values["database_url"] or "sqlite").startswith(
                "postgresql"
            )
            if shared:
                raise SettingsError(
                    "SECRET_KEY is missing. Instances that share a database or Redis need the same "
                    "one; make it with: python3 -c 'import secrets; print(secrets.token_hex(32))'"
                )
            values["secret_key"] = _kept_secret(data_dir / "secret_key")
        values["database_url"] = values["database_url"] or (
            f"sqlite:///{(data_dir / 'mailapp.sqlite3').absolute()}"
        )
        values["attachment_dir"] = values["attachment_dir"] or data_dir / "attachments"
        values["instance_name"] = values["instance_name"] or _host_name()
        return cls(**values)


def current_settings() -> Settings:
    """The settings of the application that handles this request or command."""
    settings: Settings = current_app.extensions["settings"]
    return settings


def _read(variable: Variable, environ: Mapping[str, str]) -> Any:
    """The value of one variable, from NAME or from the file that NAME_FILE names."""
    name, file_name = variable.name, f"{variable.name}_FILE"
    text = environ.get(name, "")
    path = environ.get(file_name, "")
    if text and path:
        raise SettingsError(f"{name} and {file_name} are both set. Unset one of them.")
    if path:
        try:
            text = Path(path).read_text(encoding="utf-8").strip()
        except (OSError, UnicodeDecodeError) as error:
            raise SettingsError(f"{file_name} names {path}, which can't be read: {error}") from None
        if not text:
            raise SettingsError(f"{file_name} names {path}, which is empty.")
    if not text:
        if variable.default is None:
            return None
        text = variable.default
    try:
        return variable.parse(text)
    except ValueError as error:
        # What stands before an @ is a password, also where none belongs.
        said = "" if variable.secret or "@" in text else f" (it is {text[:100]!r})"
        raise SettingsError(f"{name} {error}{said}.") from None


def _kept_secret(path: Path) -> str:
    """The secret kept at `path`, made at the first start; two that start at once agree on one."""
    try:
        if not path.exists():
            _make_secret(path)
        return _secret_key(path.read_text(encoding="utf-8").strip())
    except ValueError as error:
        raise SettingsError(
            f"SECRET_KEY is not set, and the one kept in {path} {error}. "
            "Remove that file to have one made, or set SECRET_KEY."
        ) from None
    except OSError as error:
        raise SettingsError(
            f"SECRET_KEY is not set and can't be kept in DATA_DIR: {error}. "
            "Set SECRET_KEY, or DATA_DIR to a folder that can be written."
        ) from None


def _make_secret(path: Path) -> None:
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    fresh = path.with_name(f".{path.name}.{os.getpid()}.{secrets.token_hex(4)}")
    fresh.touch(mode=0o600)
    try:
        with fresh.open("w", encoding="ascii") as file:
            file.write(secrets.token_hex(32))
            file.flush()
            os.fsync(file.fileno())  # or a power cut could leave an empty one under the final name
        # Unlike rename, link refuses to replace the one that another start made first.
        with contextlib.suppress(FileExistsError):
            os.link(fresh, path)
    finally:
        fresh.unlink()


def _host_name() -> str:
    return re.sub(r"[^A-Za-z0-9._-]", "-", socket.gethostname())[:64] or "mailapp"
