"""Downloads that nginx fetches from the store itself: what the store hears, and when it fails."""

from __future__ import annotations

import io
import socket
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from ipaddress import ip_network
from pathlib import Path
from typing import Any

import httpx
import pytest
from flask import Flask

from deploy.topology import HOST, free_port
from mailapp import headers, proxies, telemetry
from mailapp.attachments.s3 import S3Store
from mailapp.attachments.serving import download
from mailapp.attachments.store import StoreUnavailable
from tests.attachments.conftest import behind_nginx

SHA256 = "5" * 64
KEY = "ab" + "0" * 30
OBJECT = b"HTTP/1.1 200 OK\r\nContent-Length: 9\r\n"
LEAKS = (
    b'Server: store/1\r\nETag: "theirs"\r\nLast-Modified: Sat, 21 Nov 2026 00:00:00 GMT\r\n'
    b"Vary: Origin\r\nSet-Cookie: theirs=1\r\nCache-Control: public\r\nContent-Type: text/html\r\n"
    b"Content-Disposition: inline\r\nX-Amz-Request-Id: 1\r\nX-Amz-Id-2: 1\r\n"
)


class Says:
    """A store that answers every request with the same bytes and hangs up; None is never to."""

    def __init__(self, answer: bytes | None) -> None:
        self.heard: list[str] = []
        self._answer = answer
        self._listening = socket.create_server((HOST, 0))
        self.endpoint = f"{HOST}:{self._listening.getsockname()[1]}"
        self._held: list[socket.socket] = []
        self._thread = threading.Thread(target=self._serve)

    def _serve(self) -> None:
        while True:
            try:
                connection, _ = self._listening.accept()
            except OSError:
                return
            self._held.append(connection)
            heard = b""
            while not heard.endswith(b"\r\n\r\n") and (more := connection.recv(65536)):
                heard += more
            self.heard.append(heard.decode())
            if self._answer is not None:
                connection.sendall(self._answer)
                connection.close()

    def __enter__(self) -> Says:
        self._thread.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._thread.join()
        for connection in self._held:
            connection.close()


@contextmanager
def visitor(app: Flask, place: Path, endpoint: str) -> Iterator[httpx.Client]:
    """A visitor of an application whose / is a download of nine bytes, with its store there."""
    app.extensions["attachments"] = S3Store(
        f"http://{endpoint}",
        access_key="some-access-key",
        secret_key="some-secret-key",
        bucket="attachments",
        region="us-east-1",
        timeout=3,
        connections=4,
    )
    app.add_url_rule("/", "file", lambda: download(SHA256, 9, KEY, "a b.pdf", "application/pdf"))
    headers.init_app(app)
    telemetry.init_app(app)
    with behind_nginx(app, place / "nginx", endpoint) as client:
        yield client


def assert_clean_503(answer: httpx.Response) -> None:
    """A page that a person understands, and nothing of the store's or of a file's."""
    assert answer.status_code == 503
    assert answer.headers["Retry-After"] == "5"
    assert answer.headers["Content-Type"] == "text/html"
    assert answer.headers["X-Request-ID"]
    assert "The store that keeps attachments does not answer" in answer.text
    assert answer.headers["ETag"] != f'"{SHA256}"'
    for name in ("Content-Disposition", "Location", "Accept-Ranges"):
        assert name not in answer.headers


def test_the_bytes_do_not_pass_through_the_application(bare_app: Flask, tmp_path: Path) -> None:
    with (
        Says(OBJECT + b"\r\nthe bytes") as store,
        visitor(bare_app, tmp_path, store.endpoint) as client,
    ):
        kept: Any = bare_app.extensions["attachments"]
        kept.open = None  # what the application would stream from
        answer = client.get("/")

    assert answer.content == b"the bytes"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="a b.pdf"'


def test_nothing_that_the_store_says_of_itself_gets_out(bare_app: Flask, tmp_path: Path) -> None:
    with (
        Says(OBJECT + LEAKS + b"\r\nthe bytes") as store,
        visitor(bare_app, tmp_path, store.endpoint) as client,
    ):
        handed_over = client.get("/")
        # Several ranges are answered with the whole, which the application then streams itself.
        streamed = client.get("/", headers={"Range": "bytes=0-0,2-2"})

    assert handed_over.content == streamed.content
    for answer in (handed_over, streamed):
        del answer.headers["Date"]
        del answer.headers["X-Request-ID"]
    assert sorted(handed_over.headers.multi_items()) == sorted(streamed.headers.multi_items())


def test_the_store_hears_nothing_of_the_visitor(bare_app: Flask, tmp_path: Path) -> None:
    with (
        Says(OBJECT + b"\r\nthe bytes") as store,
        visitor(bare_app, tmp_path, store.endpoint) as client,
    ):
        client.request(
            "GET",
            "/?q=private",
            content=b"a body",
            headers={
                "Cookie": "session=private",
                "Authorization": "Bearer private",
                "User-Agent": "private",
                "Range": "bytes=-999",
                "If-Range": f'"{SHA256}"',
            },
        )

    (heard,) = store.heard
    line, *told = heard.strip().split("\r\n")
    assert line.startswith(f"GET /attachments/{KEY}?X-Amz-Algorithm=")
    assert told == [f"Host: {store.endpoint}", "Range: bytes=0-8"]


@pytest.mark.parametrize(
    "answer",
    [
        b"HTTP/1.1 403 Forbidden\r\nContent-Length: 7\r\n\r\nSigned!",
        b"HTTP/1.1 301 Moved\r\nLocation: http://store/signed\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 416 Range\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n",
        b"HTTP/1.1 503 SlowDown\r\nContent-Length: 0\r\n\r\n",
        b"",
    ],
    ids=["refuses", "redirects", "has less", "fails", "is busy", "hangs up"],
)
def test_a_store_that_does_not_give_it_is_away(
    answer: bytes, bare_app: Flask, tmp_path: Path
) -> None:
    with Says(answer) as store, visitor(bare_app, tmp_path, store.endpoint) as client:
        assert_clean_503(client.get("/"))


def test_a_store_that_is_not_there_is_away(bare_app: Flask, tmp_path: Path) -> None:
    with visitor(bare_app, tmp_path, f"{HOST}:{free_port()}") as client:
        assert_clean_503(client.get("/"))


def test_a_store_that_hangs_is_away_within_three_seconds(bare_app: Flask, tmp_path: Path) -> None:
    with Says(None) as store, visitor(bare_app, tmp_path, store.endpoint) as client:
        began = time.monotonic()
        answer = client.get("/")
        waited = time.monotonic() - began

    assert_clean_503(answer)
    assert waited < 3


def test_a_signed_address_is_in_no_log(bare_app: Flask, tmp_path: Path) -> None:
    store = Says(b"HTTP/1.1 500 Oops\r\nContent-Length: 0\r\n\r\n")
    with visitor(bare_app, tmp_path, store.endpoint) as client:
        with store:
            client.get("/")
        client.get("/")  # it is not there any more

    log = (tmp_path / "nginx" / "nginx.log").read_text()
    assert log.count('"path":"/"') == 2
    assert log.count(store.endpoint) == 2
    assert "X-Amz" not in log
    assert KEY not in log


def test_an_object_that_is_gone_is_a_page_and_no_file(bare_app: Flask, tmp_path: Path) -> None:
    gone = b"HTTP/1.1 404 Not Found\r\nContent-Length: 9\r\n\r\nNoSuchKey"
    with Says(gone) as store, visitor(bare_app, tmp_path, store.endpoint) as client:
        answer = client.get("/")

    assert answer.status_code == 404
    assert "There is nothing here" in answer.text
    assert "Content-Disposition" not in answer.headers


def test_nobody_reaches_the_store_by_its_location(bare_app: Flask, tmp_path: Path) -> None:
    with (
        Says(OBJECT + b"\r\nthe bytes") as store,
        visitor(bare_app, tmp_path, store.endpoint) as client,
    ):
        for path in ("/-/store/", f"/-/store/attachments/{KEY}", "//-//store/x", "/x/../-/store/x"):
            answer = client.get(path, headers={"X-Accel-Redirect": "/-/store/x"})
            assert answer.status_code == 404, path
        client.get("/nowhere", headers={"X-Accel-Redirect": f"/-/store/attachments/{KEY}"})

    assert store.heard == []


def test_a_store_that_is_known_to_hang_is_asked_by_the_application(
    bare_app: Flask, tmp_path: Path
) -> None:
    with Says(None) as store, visitor(bare_app, tmp_path, store.endpoint):
        kept: S3Store = bare_app.extensions["attachments"]
        assert kept.address(KEY) is not None
        with pytest.raises(StoreUnavailable):
            kept.open(KEY)

        assert kept.address(KEY) is None


def test_only_a_trusted_proxy_is_handed_anything(bare_app: Flask) -> None:
    stored = bare_app.extensions["attachments"].put(io.BytesIO(), limit=0)
    bare_app.extensions["settings"] = replace(
        bare_app.extensions["settings"],
        accel_location="/-/store/",
        trusted_proxies=(ip_network("192.0.2.7/32"),),
    )
    proxies.init_app(bare_app)
    bare_app.add_url_rule("/", "file", lambda: download(SHA256, 0, stored.key, "a", "text/plain"))

    def told(peer: str) -> Any:
        return bare_app.test_client().get("/", environ_base={"REMOTE_ADDR": peer}).headers

    assert "X-Accel-Redirect" in told("192.0.2.7")
    assert "X-Accel-Redirect" not in told("192.0.2.8")
