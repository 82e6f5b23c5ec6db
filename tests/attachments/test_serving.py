"""Downloads: always a file, its name exact and harmless, any one part of it.

The application streams it, or nginx fetches it from the store: no visitor sees which.
"""

from __future__ import annotations

import io
import os
from collections.abc import Iterator
from dataclasses import replace
from email.message import EmailMessage
from pathlib import Path
from typing import Any

import httpx
import pytest
from flask import Flask, Response
from werkzeug.http import parse_options_header

from mailapp.attachments.directory import DirectoryStore
from mailapp.attachments.serving import MAX_NAME, clean_filename, disposition, download, safe_type
from mailapp.attachments.store import Store, Stored
from mailapp.errors import Unavailable
from tests.attachments.conftest import behind_nginx

CONTENT = os.urandom(700_000)


@pytest.fixture
def stored(bare_app: Flask, store: Store) -> Stored:
    """CONTENT, in each of the stores."""
    bare_app.extensions["attachments"] = store
    return store.put(io.BytesIO(CONTENT), limit=len(CONTENT))


@pytest.fixture
def application(bare_app: Flask, stored: Stored) -> Flask:
    """An application whose / is the download of CONTENT, /empty and /gone others."""
    empty = bare_app.extensions["attachments"].put(io.BytesIO(), limit=0)
    gone = replace(stored, key="0" * 32)

    def view(what: Stored) -> Any:
        return lambda: download(what.sha256, what.size, what.key, "a b.html", "text/html")

    bare_app.add_url_rule("/", "file", view(stored))
    bare_app.add_url_rule("/empty", "empty", view(empty))
    bare_app.add_url_rule("/gone", "gone", view(gone))
    bare_app.register_error_handler(Unavailable, lambda error: Response("away", 503))
    return bare_app


@pytest.fixture(params=["streamed", "handed over"])
def client(
    application: Flask, store: Store, request: pytest.FixtureRequest, tmp_path: Path
) -> Iterator[httpx.Client]:
    """A visitor who is sent everything by the application, or files by nginx."""
    if request.param == "streamed":
        transport = httpx.WSGITransport(app=application)
        with httpx.Client(transport=transport, base_url="http://mail.test") as visitor:
            yield visitor
        return
    if isinstance(store, DirectoryStore):
        place: str | Path = tmp_path / "attachments"
    else:
        place = request.getfixturevalue("s3_server").endpoint
    with behind_nginx(application, tmp_path / "nginx", place) as visitor:
        yield visitor


def test_a_download_is_a_file_that_no_browser_runs(client: httpx.Client, stored: Stored) -> None:
    answer = client.get("/")

    assert answer.status_code == 200
    assert answer.content == CONTENT
    assert answer.headers["Content-Disposition"] == 'attachment; filename="a b.html"'
    assert answer.headers["Content-Type"] == "application/octet-stream"
    assert answer.headers["Content-Length"] == str(len(CONTENT))
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"
    assert answer.headers["Cache-Control"] == "private, no-cache"
    assert answer.headers["Accept-Ranges"] == "bytes"
    assert answer.headers["ETag"] == f'"{stored.sha256}"'


@pytest.mark.parametrize(
    ("asked", "start", "stop"),
    [
        ("bytes=0-0", 0, 1),
        ("bytes=10-19", 10, 20),
        ("bytes=600000-", 600_000, 700_000),
        ("bytes=-5", 699_995, 700_000),
        ("bytes=-9999999", 0, 700_000),
        ("bytes=699999-9999999", 699_999, 700_000),
    ],
)
def test_a_range_is_answered_with_that_part(
    client: httpx.Client, asked: str, start: int, stop: int
) -> None:
    answer = client.get("/", headers={"Range": asked})

    assert answer.status_code == 206
    assert answer.headers["Content-Range"] == f"bytes {start}-{stop - 1}/700000"
    assert answer.headers["Content-Length"] == str(stop - start)
    assert answer.content == CONTENT[start:stop]


@pytest.mark.parametrize("asked", ["bytes=700000-", "bytes=9999999-99999999"])
def test_a_range_beyond_the_end_is_refused(client: httpx.Client, asked: str) -> None:
    answer = client.get("/", headers={"Range": asked})

    assert answer.status_code == 416
    assert answer.headers["Content-Range"] == "bytes */700000"
    assert answer.content == b""


@pytest.mark.parametrize("asked", ["bytes=0-1,5-6", "lines=1-2", "bytes=x", "bytes=9-2"])
def test_ranges_that_are_not_served_are_answered_with_the_whole(
    client: httpx.Client, asked: str
) -> None:
    answer = client.get("/", headers={"Range": asked})

    assert (answer.status_code, len(answer.content)) == (200, 700_000)


def test_if_range_continues_the_same_content_and_restarts_another(
    client: httpx.Client, stored: Stored
) -> None:
    def status(if_range: str) -> int:
        return client.get("/", headers={"Range": "bytes=5-", "If-Range": if_range}).status_code

    assert status(f'"{stored.sha256}"') == 206
    assert status(f'W/"{stored.sha256}"') == 200
    assert status('"other"') == 200
    assert status("Sat, 21 Nov 2026 00:00:00 GMT") == 200


def test_a_browser_that_has_it_is_not_sent_it_again(client: httpx.Client, stored: Stored) -> None:
    answer = client.get("/", headers={"If-None-Match": f'"x", "{stored.sha256}"'})

    assert (answer.status_code, answer.content) == (304, b"")
    assert answer.headers["ETag"] == f'"{stored.sha256}"'


def test_head_says_what_get_would_and_ignores_a_range(client: httpx.Client) -> None:
    answer = client.head("/", headers={"Range": "bytes=0-1"})

    assert answer.status_code == 200
    assert answer.headers["Content-Length"] == "700000"
    assert answer.content == b""


def test_an_empty_file_is_downloaded(client: httpx.Client) -> None:
    whole = client.get("/empty")
    part = client.get("/empty", headers={"Range": "bytes=0-"})

    assert (whole.status_code, whole.content, whole.headers["Content-Length"]) == (200, b"", "0")
    assert (part.status_code, part.headers["Content-Range"]) == (416, "bytes */0")


def test_an_object_that_is_gone_is_not_found(client: httpx.Client) -> None:
    assert client.get("/gone").status_code == 404


def test_a_store_that_is_away_is_said_before_anything_is_sent(
    bare_app: Flask, tmp_path: Path
) -> None:
    bare_app.extensions["attachments"] = DirectoryStore(tmp_path / "nowhere")
    bare_app.add_url_rule("/", "file", lambda: download("0" * 64, 9, "0" * 32, "a", "text/plain"))
    bare_app.register_error_handler(Unavailable, lambda error: Response("away", 503))

    assert bare_app.test_client().get("/").status_code == 503


def test_a_download_that_is_given_up_closes_what_it_read(application: Flask) -> None:
    closed = []

    class Watched:
        def __init__(self, stream: Any) -> None:
            self._stream = stream

        def __iter__(self) -> Iterator[bytes]:
            return iter(self._stream)

        def close(self) -> None:
            closed.append(self._stream)
            self._stream.close()

    store = application.extensions["attachments"]
    really = store.open
    store.open = lambda *of: Watched(really(*of))

    answer = application.test_client().get("/", buffered=False)
    next(iter(answer.response))
    answer.close()

    assert closed


@pytest.mark.parametrize(
    ("raw", "clean"),
    [
        ("report.pdf", "report.pdf"),
        ("../../etc/passwd", "passwd"),
        ("C:\\Users\\me\\a.txt", "a.txt"),
        ("/", "attachment"),
        ("", "attachment"),
        ("..", "attachment"),
        ("  \t\n ", "attachment"),
        ("a\r\nSet-Cookie: x=1.txt", "aSet-Cookie: x=1.txt"),
        ("nul\x00byte\x7f\x85.txt", "nulbyte.txt"),
        ("photo\u202egpj.exe", "photogpj.exe"),
        ("\u2066x\u2069\u200f.txt", "x.txt"),
        ('say "hi" 100%.txt', 'say "hi" 100%.txt'),
        ("가" * 300 + ".hwp", "가" * 300 + ".hwp"),
        ("שלום.txt", "שלום.txt"),
        ("👩\u200d👩\u200d👧.png", "👩\u200d👩\u200d👧.png"),
        ("\ud800.txt", ".txt"),
    ],
)
def test_a_name_is_kept_but_for_what_could_do_harm(raw: str, clean: str) -> None:
    assert clean_filename(raw) == clean


def test_a_name_without_end_is_shortened_before_its_ending() -> None:
    assert clean_filename("a" * 10_000 + ".pdf") == "a" * (MAX_NAME - 4) + ".pdf"
    assert clean_filename("." + "b" * 10_000) == "." + "b" * (MAX_NAME - 1)


@pytest.mark.parametrize(
    "name",
    [
        "report.pdf",
        'say "hi".txt',
        "back\\slash.txt",
        "100%25.txt",
        "semi;colon=1.txt",
        "naïve café.txt",
        "가" * 300 + ".hwp",
        "שלום.txt",
        "👩\u200d👩\u200d👧.png",
        "'quote'.txt",
        ".bashrc",
        "x" * 9999,
    ],
)
def test_every_reader_of_the_header_finds_the_name(name: str) -> None:
    header = disposition(name)
    # Two parsers that have nothing in common.
    _, options = parse_options_header(header)
    message = EmailMessage()
    message["Content-Disposition"] = header.partition("; filename*")[0]

    assert header.isascii()
    assert header.isprintable()
    assert len(header) < 7000
    assert options["filename"] == clean_filename(name)
    assert message.get_filename()


def test_an_old_client_gets_a_plain_name_with_the_right_ending() -> None:
    plain = disposition("가나다.hwp").partition("; filename*=")[0]

    assert plain == 'attachment; filename="attachment.hwp"'


@pytest.mark.parametrize("kind", ["text/javascript1.5", "text/xsl", "text/xml-dtd", "text/css"])
def test_what_a_browser_may_run_is_sent_as_bytes(
    bare_app: Flask, stored: Stored, kind: str
) -> None:
    with bare_app.test_request_context(method="HEAD"):
        answer = download(stored.sha256, stored.size, stored.key, "a", kind)
    assert answer.headers["Content-Type"] == "application/octet-stream"


@pytest.mark.parametrize(
    ("raw", "safe"),
    [
        ("image/png", "image/png"),
        ("Text/HTML; charset=utf-8", "text/html"),
        ("application/vnd.ms-excel.sheet.macroEnabled.12", None),
        ("", "application/octet-stream"),
        ("text", "application/octet-stream"),
        ("text/plain\r\nX: y", "application/octet-stream"),
        ("a/b/c", "application/octet-stream"),
        ("é/x", "application/octet-stream"),
    ],
)
def test_a_type_is_a_type_or_that_of_any_bytes(raw: str, safe: str | None) -> None:
    assert safe_type(raw) == (raw.lower() if safe is None else safe)
