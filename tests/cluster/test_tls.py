"""HTTPS at the edge, as deploy/tls.yml has it, for real clients that verify the certificate."""

from __future__ import annotations

import socket
import ssl
from collections.abc import Iterator
from pathlib import Path

import httpx
import pytest

from deploy.certificate import make
from deploy.topology import HOST, Nginx
from tests.cluster.parts import PASSWORD, Cluster
from tests.people import Attached, Person


@pytest.fixture(scope="module")
def nginx(cluster: Cluster, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Nginx]:
    """A second nginx in front of the same instances, with a certificate of its own."""
    place: Path = tmp_path_factory.mktemp("tls")
    make(place / "certificate", ["localhost", "127.0.0.1"])
    with Nginx(
        place / "nginx",
        [web.address for web in cluster.webs],
        store=cluster.seaweedfs.endpoint,
        certificate=place / "certificate",
    ) as server:
        yield server


@pytest.fixture
def trust(nginx: Nginx) -> ssl.SSLContext:
    """What a browser has that trusts the authority, and no other."""
    assert nginx.certificate is not None
    return ssl.create_default_context(cafile=nginx.certificate / "ca.pem")


@pytest.fixture
def browser(nginx: Nginx, trust: ssl.SSLContext) -> Iterator[httpx.Client]:
    base = f"https://localhost:{nginx.tls_port}"
    with httpx.Client(base_url=base, verify=trust, timeout=40) as client:
        yield client


def test_a_person_works_by_https_with_a_cookie_that_never_leaves_it(browser: httpx.Client) -> None:
    alice = Person(browser)
    alice.log_in("alice@mail.example", PASSWORD)
    alice.send("alice@mail.example", "By HTTPS", "", [Attached("보고서.bin", b"content" * 9)])
    alice.open("By HTTPS")

    assert alice.download("보고서.bin") == b"content" * 9
    assert [cookie.secure for cookie in browser.cookies.jar] == [True]


def test_the_certificate_is_for_these_names_and_no_others(
    nginx: Nginx, trust: ssl.SSLContext
) -> None:
    for context, host in ((trust, "mail.example"), (ssl.create_default_context(), "localhost")):
        with (
            socket.create_connection((HOST, nginx.tls_port)) as connection,
            pytest.raises(ssl.SSLCertVerificationError),
        ):
            context.wrap_socket(connection, server_hostname=host)


@pytest.mark.parametrize("version", [ssl.TLSVersion.TLSv1_2, ssl.TLSVersion.TLSv1_3])
def test_both_versions_of_tls_speak_http_2(
    version: ssl.TLSVersion, nginx: Nginx, trust: ssl.SSLContext
) -> None:
    trust.minimum_version = trust.maximum_version = version
    trust.set_alpn_protocols(["h2", "http/1.1"])
    with (
        socket.create_connection((HOST, nginx.tls_port)) as connection,
        trust.wrap_socket(connection, server_hostname="localhost") as secured,
    ):
        assert secured.selected_alpn_protocol() == "h2"


@pytest.mark.parametrize("path", ["/login", "/static/app.css", "/nowhere", "/-/store/x"])
def test_every_answer_by_https_keeps_browsers_there(browser: httpx.Client, path: str) -> None:
    assert browser.get(path).headers["Strict-Transport-Security"] == "max-age=63072000"


def test_http_is_sent_over_with_its_method_and_query(nginx: Nginx) -> None:
    for port in (nginx.port, nginx.tls_port):
        answer = httpx.post(f"http://localhost:{port}/login?next=/a%20b", data={"a": "b"})
        assert answer.status_code == 308
        assert answer.headers["Location"] == f"https://localhost:{nginx.tls_port}/login?next=/a%20b"
    assert "Strict-Transport-Security" not in httpx.get(f"{nginx.url}/login").headers


def test_the_usual_port_is_not_named(cluster: Cluster, nginx: Nginx, tmp_path: Path) -> None:
    webs = [web.address for web in cluster.webs]
    with Nginx(tmp_path, webs, certificate=nginx.certificate, shown_tls_port=443) as usual:
        answer = httpx.get(f"{usual.url}/login")

    assert answer.headers["Location"] == "https://127.0.0.1/login"
