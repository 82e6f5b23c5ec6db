"""nginx before two instances: what it refuses, what it repeats, and whom it believes."""

from __future__ import annotations

import re
import socket
import threading
import time
import uuid
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import httpx
import pytest

from deploy.topology import HOST, REPOSITORY, Nginx, free_port, running
from mailapp.settings import Settings
from mailapp.templating import StaticFiles
from tests.beside import again_and_again
from tests.cluster.parts import PASSWORD, Cluster
from tests.people import Attached, Person

SITE = (REPOSITORY / "nginx" / "site.conf").read_text()


@pytest.fixture(autouse=True)
def _all_parts_run(cluster: Cluster) -> Iterator[None]:
    """Every test here begins with two instances that serve, whatever the one before did to them."""
    yield
    ended = [web for web in cluster.webs if not web.running]
    if ended:
        for web in ended:
            web.start()
        time.sleep(3.5)  # longer than nginx leaves one out (fail_timeout)


def test_nginx_and_the_application_agree_on_the_largest_body() -> None:
    megabytes = re.search(r"client_max_body_size (\d+)m;", SITE)
    settings = Settings.from_env({"SECRET_KEY": "0123456789abcdef" * 2})

    assert megabytes is not None
    assert int(megabytes[1]) * 1024 * 1024 == settings.max_request_bytes


@pytest.mark.parametrize("name", ["nginx.conf", "nginx-fixed.conf"])
def test_an_idle_connection_is_closed_by_nginx_and_not_by_the_server(name: str) -> None:
    from mailapp.server import KEEPALIVE

    kept = re.search(r"keepalive_timeout (\d+)s;", (REPOSITORY / "nginx" / name).read_text())

    assert kept is not None
    assert int(kept[1]) + 10 < KEEPALIVE


def test_a_body_that_is_too_large_is_refused_before_it_is_sent(cluster: Cluster) -> None:
    with socket.create_connection(("127.0.0.1", cluster.nginx.port), timeout=10) as browser:
        browser.sendall(
            f"POST /drafts/{uuid.uuid4()} HTTP/1.1\r\nHost: localhost\r\n"
            f"Content-Type: multipart/form-data; boundary=x\r\n"
            f"Content-Length: {60 * 1024 * 1024}\r\n\r\n".encode()
        )
        answer = browser.recv(65536).decode()

    assert answer.startswith("HTTP/1.1 413 ")
    assert "X-Request-ID: " in answer


def test_what_nginx_says_itself_is_a_page_for_people(cluster: Cluster) -> None:
    for web in cluster.webs:
        web.kill()

    answer = cluster.person().client.get("/login")

    assert answer.status_code == 502
    assert answer.headers["Retry-After"] == "5"
    assert "<title>" in answer.text
    assert answer.headers["X-Request-ID"]
    assert "<center>nginx</center>" not in answer.text


def test_a_client_can_choose_neither_its_address_nor_its_request_id(cluster: Cluster) -> None:
    liar = cluster.person()
    liar.client.headers["X-Forwarded-For"] = "203.0.113.9"
    liar.client.headers["X-Request-ID"] = "chosen-by-the-client"
    liar.log_in("alice@mail.example", PASSWORD)
    liar.visit("/settings")

    assert "203.0.113.9" not in liar.text
    assert "127.0.0.1" in liar.text
    assert liar.response.headers["X-Request-ID"] != "chosen-by-the-client"
    assert re.fullmatch("[0-9a-f]{32}", liar.response.headers["X-Request-ID"])


def addresses() -> list[str]:
    """Every static file's, with its version."""
    folder = REPOSITORY / "mailapp" / "static"
    files = StaticFiles(folder, "/static")
    return [
        files.url(file.relative_to(folder).as_posix())
        for file in folder.rglob("*")
        if file.is_file() and file.parent.name != "errors"
    ]


@pytest.mark.parametrize("address", addresses())
def test_a_static_file_is_the_same_from_nginx_and_from_an_instance(
    address: str, cluster: Cluster
) -> None:
    browser = cluster.person().client
    direct = httpx.get(f"{cluster.webs[0].url}{address}")
    by_nginx = browser.get(address)

    assert by_nginx.headers["X-Served-By"] not in {"web-1", "web-2"}
    assert by_nginx.content == direct.content
    for name in (
        *("Content-Type", "Cache-Control", "X-Content-Type-Options"),
        *("Referrer-Policy", "Cross-Origin-Opener-Policy"),
    ):
        assert by_nginx.headers[name] == direct.headers[name], name
    assert by_nginx.headers["Content-Security-Policy"].startswith("default-src 'none'")
    again = browser.get(address, headers={"If-None-Match": by_nginx.headers["ETag"]})
    assert again.status_code == 304


@pytest.mark.parametrize(
    "address",
    [
        "/static/app.css",
        "/static/app.css?v=0123456789ab",
        "/static/app.css?v=../../..",
        "/static/none.css?v=0123456789ab",
        "/static/errors/502.html",
    ],
)
def test_what_nginx_has_no_such_version_of_comes_from_an_instance_and_is_not_kept(
    address: str, cluster: Cluster
) -> None:
    answer = cluster.person().client.get(address)

    assert answer.headers["X-Served-By"] in {"web-1", "web-2"}
    assert answer.status_code == (404 if "none" in address else 200)
    assert answer.headers["Cache-Control"] == "no-cache"


def test_static_files_are_compressed_and_pages_are_not(cluster: Cluster) -> None:
    browser = cluster.person().client
    style = next(address for address in addresses() if "app.css" in address)

    for address in (style, "/static/app.css"):
        compressed = browser.get(address)
        assert compressed.headers["Content-Encoding"] == "gzip"
        assert "Accept-Encoding" in compressed.headers["Vary"]
    assert "Content-Encoding" not in browser.get("/login").headers


def test_any_instance_serves_any_request(cluster: Cluster) -> None:
    alice, bob = cluster.person("alice"), cluster.person("bob")
    content = bytes(range(256)) * 4000
    subject = f"through one and the other {uuid.uuid4()}"
    alice.send("bob@mail.example", subject, "See attached.", [Attached("all.bin", content)])

    bob.served_by.clear()
    for _ in range(4):
        bob.open(subject)
        assert bob.download("all.bin") == content

    assert set(bob.served_by) == {"web-1", "web-2"}
    assert set(alice.served_by) == {"web-1", "web-2"}


def test_an_instance_that_dies_costs_no_page_and_no_message(cluster: Cluster) -> None:
    alice = cluster.person("alice")
    with busy(cluster, "bob") as (readers, subjects):
        time.sleep(1)
        cluster.webs[0].kill()
        time.sleep(2)

    assert {status for reader in readers for status in reader.statuses} <= {200, 302, 303}
    received = alice.subjects()
    assert [received.count(subject) for subject in subjects] == [1] * len(subjects)


def test_one_that_serves_is_found_among_many_that_are_gone(
    cluster: Cluster, tmp_path: Path
) -> None:
    gone = [f"{HOST}:{free_port()}" for _ in range(8)]
    nginx = Nginx(tmp_path / "nginx", [*gone, cluster.webs[0].address])

    with running(nginx):
        answers = [httpx.get(f"{nginx.url}/login") for _ in range(3)]

    assert [answer.status_code for answer in answers] == [200, 200, 200]


def test_a_rolling_restart_fails_no_request(cluster: Cluster) -> None:
    alice = cluster.person("alice")
    with busy(cluster, "bob") as (readers, subjects):
        for web in cluster.webs:
            assert web.stop() == 0
            web.start()
            time.sleep(0.5)

    assert {status for reader in readers for status in reader.statuses} <= {200, 302, 303}
    received = alice.subjects()
    assert [received.count(subject) for subject in subjects] == [1] * len(subjects)
    assert subjects


def test_an_instance_that_hangs_gets_no_more_than_its_share_and_is_used_again(
    cluster: Cluster,
) -> None:
    alice = cluster.person("alice")
    _until_both_serve(alice)
    hung = cluster.webs[0]
    hung.pause()
    try:
        waiting = threading.Thread(target=lambda: _ignore_errors(cluster))
        waiting.start()
        also = threading.Thread(target=lambda: _ignore_errors(cluster))
        also.start()
        time.sleep(0.5)
        # Two requests at most sit at the hung instance; by its connections nginx sees that.
        alice.served_by.clear()
        for _ in range(10):
            alice.visit("/mail/inbox")
        assert alice.served_by == {"web-2": 10}
    finally:
        hung.resume()
    waiting.join()
    also.join()

    _until_both_serve(alice)


def test_what_an_instance_hangs_on_is_asked_of_another_and_done_once(cluster: Cluster) -> None:
    alice = cluster.person("alice")
    _until_both_serve(alice)
    senders = [cluster.person("bob") for _ in range(4)]
    subjects = [f"while one hangs {uuid.uuid4()}" for _ in senders]
    hung = cluster.webs[0]
    hung.pause()
    try:
        with ThreadPoolExecutor() as at_once:
            for sender, subject in zip(senders, subjects, strict=True):
                at_once.submit(sender.send, "alice@mail.example", subject)
    finally:
        hung.resume()

    assert {status for sender in senders for status in sender.statuses} <= {200, 302, 303}
    assert {sender.response.url.path for sender in senders} == {"/mail/sent"}
    _until_both_serve(alice)  # which by now has done what it was in the middle of
    received = alice.subjects()
    assert [received.count(subject) for subject in subjects] == [1] * len(subjects)


def _until_both_serve(person: Person) -> None:
    """Go on until nginx has forgotten what other tests did to the instances."""
    deadline = time.monotonic() + 20
    person.served_by.clear()
    while not {"web-1", "web-2"} <= set(person.served_by):
        assert time.monotonic() < deadline, person.served_by
        person.visit("/mail/inbox")
        time.sleep(0.1)


def _ignore_errors(cluster: Cluster) -> None:
    httpx.get(f"{cluster.nginx.url}/login", timeout=40)


@contextmanager
def busy(cluster: Cluster, name: str) -> Iterator[tuple[list[Person], list[str]]]:
    """Meanwhile one person reads and one sends to alice; bounded in rate, and by the body's end."""
    reader, writer = cluster.person(name), cluster.person(name)
    subjects: list[str] = []

    def read() -> None:
        reader.visit("/mail/sent")
        assert reader.logged_in

    def write() -> None:
        subject = f"in between {uuid.uuid4()}"
        writer.send("alice@mail.example", subject, "Still there?")
        subjects.append(subject)

    with again_and_again(read, write):
        yield [reader, writer], subjects
