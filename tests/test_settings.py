"""Settings: what is missing, malformed or unsafe stops the start with a sentence that names it."""

from __future__ import annotations

import stat
import threading
from pathlib import Path

import pytest
from psycopg.conninfo import conninfo_to_dict

from mailapp.postgresql import servers
from mailapp.sentinel import Watched, read_url
from mailapp.settings import VARIABLES, Settings, SettingsError

KEY = "0123456789abcdef" * 2
WRONG = {
    "SECRET_KEY": ["short", "a" * 64, "change-me-change-me-change-me-change-me", "x" * 31],
    "DATABASE_URL": [
        "mysql://h/d",
        "nonsense",
        "sqlite://",
        "sqlite:///:memory:",
        "postgresql://u:pw@h:port/d",
        "postgresql://u:pw@a:5432,b:5432/d",
        "postgresql://u:pw@a,b/d?target_session_attrs=any",
        "postgresql://u:pw@a:port,b/d?target_session_attrs=read-write",
        "postgresql://u:pw@a,b/d?target_session_attrs=read-write&unknown=1",
        "postgresql://u:pw@a,/d?target_session_attrs=read-write",
        "postgresql://u:pw@a,b/d?target_session_attrs=read-write&port=1,2,3",
    ],
    "REDIS_URL": [
        "http://h",
        "redis://h:port/0",
        "h:6379",
        "redis+sentinel://:pw@/mymaster/0",
        "redis+sentinel://:pw@a,b,c",
        "redis+sentinel://:pw@a:port,b/mymaster",
        "redis+sentinel://:pw@a,,b/mymaster",
        "redis+sentinel://:pw@a/mymaster/first",
        "redis+sentinel://:pw@a/mymaster?db=1",
    ],
    "MINIO_ENDPOINT": ["ftp://h", "h:port", "http://h/bucket", "http://user:pw@h", "http://"],
    "MINIO_ACCESS_KEY": ["minioadmin"],
    "MINIO_SECRET_KEY": ["minioadmin"],
    "MINIO_BUCKET": ["A", "a", "my_bucket", "x" * 64],
    "MINIO_SECURE": ["maybe", "2"],
    "MAIL_DOMAIN": ["a b", "a..b", "-a.b", "a_b.c", "mail.example.", "a\r\nb"],
    "INSTANCE_NAME": ["web 1", "x" * 65, "a\r\nSet-Cookie: b"],
    "PORT": ["0", "65536", "http", "-1", "80.5", "9" * 5000],
    "METRICS_PORT": ["-1", "65536", "http"],
    "WEB_WORKERS": ["0", "65"],
    "WEB_THREADS": ["0", "x"],
    "DRAIN_SECONDS": ["-1", "301", "soon", "nan", "inf"],
    "GRACEFUL_TIMEOUT": ["0", "1.5"],
    "ACCEL_LOCATION": ["/", "store/", "/store", "https://h/store/", "/a b/", "/a/../b;/"],
    "TRUSTED_PROXIES": ["10.0.0.1/8", "proxy", "10.0.0.0/33"],
    "PROXY_PROTOCOL": ["v2", "on"],
    "SESSION_LIFETIME": ["59", "forever"],
    "COOKIE_SECURE": ["never", "Auto"],
    "SIGNUP_OPEN": ["perhaps"],
    "MAX_ATTACHMENT_BYTES": ["0", "50MB"],
    "QUOTA_BYTES": ["-1", "5GB"],
    "MAX_DELIVERY_BYTES": ["1", "x"],
    "MAX_MESSAGE_BYTES": ["1", "x"],
    "MAX_RECIPIENTS": ["0", "10001"],
    "UNDO_SEND_SECONDS": ["-1", "61"],
    "LOGIN_TRIES_ACCOUNT": ["0"],
    "LOGIN_TRIES_ADDRESS": ["0"],
    "LOGIN_WINDOW": ["0"],
    "GC_GRACE": ["-1"],
    "TRASH_DAYS": ["-1", "x"],
    "DATABASE_TIMEOUT": ["0", "61"],
    "REDIS_TIMEOUT": ["0", "x"],
    "MINIO_TIMEOUT": ["0"],
    "LOG_LEVEL": ["loud"],
}
# Any text is one: a region, an address to listen on, a path.
UNCHECKED = {"MINIO_REGION", "HOST", "ATTACHMENT_DIR", "DATA_DIR"}


def read(tmp_path: Path, **environ: str) -> Settings:
    return Settings.from_env({"DATA_DIR": str(tmp_path), **environ})


def refusal(tmp_path: Path, **environ: str) -> str:
    with pytest.raises(SettingsError) as caught:
        read(tmp_path, **environ)
    return str(caught.value)


def test_every_variable_has_wrong_values_here() -> None:
    assert {variable.name for variable in VARIABLES} == WRONG.keys() | UNCHECKED


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_value_is_refused_by_the_variables_name(name: str, tmp_path: Path) -> None:
    for value in WRONG[name]:
        said = refusal(tmp_path, **{"SECRET_KEY": KEY, name: value})
        assert said.startswith(f"{name} "), said
        assert said.endswith("."), said


def test_what_is_secret_is_not_repeated(tmp_path: Path) -> None:
    for name, value in (
        ("SECRET_KEY", "hunter2"),
        ("DATABASE_URL", "mysql://u:hunter2@h/d"),
        ("DATABASE_URL", "postgresql://u:hunter2@h:port/d"),
        ("DATABASE_URL", "postgresql://u:hunter2@a,b/d"),
        ("REDIS_URL", "redis://:hunter2@h:port/0"),
        ("REDIS_URL", "redis+sentinel://:hunter2@h:port/mymaster"),
        ("REDIS_URL", "redis+sentinel://h/mymaster?sentinel_pasword=hunter2"),
        ("MINIO_ENDPOINT", "http://key:hunter2@h"),
    ):
        assert "hunter2" not in refusal(tmp_path, **{"SECRET_KEY": KEY, name: value})


@pytest.mark.parametrize("variable", VARIABLES, ids=lambda variable: variable.name)
def test_every_variable_can_be_given_as_a_file(variable: object, tmp_path: Path) -> None:
    name = variable.name  # type: ignore[attr-defined]
    values = {
        "SECRET_KEY": KEY,
        "DATABASE_URL": "sqlite:////tmp/a.sqlite3",
        "REDIS_URL": "redis://h:6379/0",
        "MINIO_ENDPOINT": "store:9000",
        "MAIL_DOMAIN": "other.example",
        "COOKIE_SECURE": "always",
        "LOG_LEVEL": "debug",
        "TRUSTED_PROXIES": "10.0.0.0/8, 192.0.2.1",
        "ACCEL_LOCATION": "/-/store/",
        "INSTANCE_NAME": "web-9",
    }
    value = values.get(name) or variable.default or "some-text"  # type: ignore[attr-defined]
    file = tmp_path / "value"
    file.write_text(f"{value}\n")
    base = {"SECRET_KEY": KEY, "MINIO_ACCESS_KEY": "some-key", "MINIO_SECRET_KEY": "some-secret"}
    base.pop(name, None)
    from_file = Settings.from_env({**base, f"{name}_FILE": str(file)})

    assert from_file == Settings.from_env({**base, name: value})
    with pytest.raises(SettingsError, match=f"^{name} and {name}_FILE are both set"):
        Settings.from_env({**base, name: value, f"{name}_FILE": str(file)})


def test_a_file_that_is_not_there_or_empty_is_named(tmp_path: Path) -> None:
    empty = tmp_path / "empty"
    empty.write_text("\n")
    binary = tmp_path / "binary"
    binary.write_bytes(b"\xff\xfe")
    for path in (empty, binary, tmp_path / "missing", tmp_path):
        said = refusal(tmp_path, SECRET_KEY_FILE=str(path))
        assert said.startswith(f"SECRET_KEY_FILE names {path}, which ")


@pytest.mark.parametrize(
    "shared", [{"DATABASE_URL": "postgresql://u:p@h/d"}, {"REDIS_URL": "redis://h"}]
)
def test_instances_that_share_something_must_be_given_the_key(
    shared: dict[str, str], tmp_path: Path
) -> None:
    assert refusal(tmp_path, **shared).startswith("SECRET_KEY is missing.")
    assert not (tmp_path / "secret_key").exists()


def test_the_proxy_protocol_needs_to_know_whom_to_believe(tmp_path: Path) -> None:
    said = refusal(tmp_path, PROXY_PROTOCOL="true")

    assert said.startswith("TRUSTED_PROXIES is missing")
    assert read(tmp_path, PROXY_PROTOCOL="true", TRUSTED_PROXIES="10.0.0.0/8").proxy_protocol


@pytest.mark.parametrize("given", [{}, {"MINIO_ACCESS_KEY": "a"}, {"MINIO_SECRET_KEY": "a"}])
def test_object_storage_needs_both_its_keys(given: dict[str, str], tmp_path: Path) -> None:
    said = refusal(tmp_path, SECRET_KEY=KEY, MINIO_ENDPOINT="store:9000", **given)

    missing = "MINIO_SECRET_KEY" if "MINIO_ACCESS_KEY" in given else "MINIO_ACCESS_KEY"
    assert said.startswith(f"{missing} is missing")


def test_attachments_live_in_one_place(tmp_path: Path) -> None:
    said = refusal(tmp_path, SECRET_KEY=KEY, MINIO_ENDPOINT="store:9000", ATTACHMENT_DIR="/a")

    assert "MINIO_ENDPOINT and ATTACHMENT_DIR are both set" in said


def test_the_key_is_made_once_and_kept_for_its_owner_alone(tmp_path: Path) -> None:
    data = tmp_path / "new" / "data"
    first, second = read(data), read(data)
    other = read(tmp_path / "other")

    assert first.secret_key == second.secret_key
    assert len(first.secret_key) == 64
    assert other.secret_key != first.secret_key
    assert stat.S_IMODE((data / "secret_key").stat().st_mode) == 0o600
    assert stat.S_IMODE(data.stat().st_mode) == 0o700
    assert [path.name for path in data.iterdir()] == ["secret_key"]


def test_starts_at_the_same_moment_agree_on_one_key(tmp_path: Path) -> None:
    keys: list[str] = []
    barrier = threading.Barrier(8)

    def start() -> None:
        barrier.wait()
        keys.append(read(tmp_path).secret_key)

    starting = [threading.Thread(target=start) for _ in range(8)]
    for thread in starting:
        thread.start()
    for thread in starting:
        thread.join(10)

    assert len(keys) == 8
    assert len(set(keys)) == 1


@pytest.mark.parametrize("kept", [b"", b"short", b"\xff" * 64], ids=["empty", "short", "bytes"])
def test_a_kept_key_that_is_none_is_said(kept: bytes, tmp_path: Path) -> None:
    (tmp_path / "secret_key").write_bytes(kept)

    said = refusal(tmp_path)
    assert said.startswith("SECRET_KEY is not set, and the one kept in ")
    assert "Remove that file" in said


def test_with_nothing_set_everything_is_embedded(tmp_path: Path) -> None:
    settings = read(tmp_path)

    assert settings.database_url == f"sqlite:///{tmp_path}/mailapp.sqlite3"
    assert settings.redis_url is None
    assert settings.minio_endpoint is None
    assert settings.attachment_dir == tmp_path / "attachments"
    assert (settings.host, settings.port) == ("127.0.0.1", 8000)
    assert settings.mail_domain == "mail.example"
    assert settings.trusted_proxies == ()


def test_several_database_servers_are_asked_one_by_one(tmp_path: Path) -> None:
    url = "postgresql://u:p%40w@pg1:5433,[::1],pg3/d?target_session_attrs=read-write"
    named = servers(read(tmp_path, SECRET_KEY=KEY, DATABASE_URL=url).database_url)

    parts = [conninfo_to_dict(server) for server in named]
    assert [(part["host"], part["port"]) for part in parts] == [
        ("pg1", "5433"),
        ("::1", "5432"),
        ("pg3", "5432"),
    ]
    assert {part["password"] for part in parts} == {"p@w"}


def test_one_port_is_every_database_servers() -> None:
    url = "postgresql+psycopg://a,b/d?target_session_attrs=read-write&port=5433"

    assert [conninfo_to_dict(server)["port"] for server in servers(url)] == ["5433", "5433"]


def test_it_is_said_what_is_wrong_with_a_url_of_several_servers() -> None:
    url = "postgresql://a,b/d?target_session_attrs=read-write&port=1,2,3"

    with pytest.raises(SettingsError, match="DATABASE_URL can't be read as a URL of several"):
        Settings.from_env({"SECRET_KEY": KEY, "DATABASE_URL": url})


def test_sentinels_are_named_with_what_they_watch_and_how_to_log_in(tmp_path: Path) -> None:
    url = "redis+sentinel://user:p%40w@s1:26380,[::1],s3/mail/2?sentinel_password=other%2B"
    settings = read(tmp_path, SECRET_KEY=KEY, REDIS_URL=url)

    assert read_url(str(settings.redis_url)) == Watched(
        sentinels=(("s1", 26380), ("::1", 26379), ("s3", 26379)),
        master="mail",
        database=2,
        username="user",
        password="p@w",
        sentinel_username=None,
        sentinel_password="other+",
    )


def test_a_domain_has_one_spelling(tmp_path: Path) -> None:
    for written in ("메일.example", "xn--h32bq4v.EXAMPLE"):
        assert read(tmp_path, MAIL_DOMAIN=written).mail_domain == "xn--h32bq4v.example"
