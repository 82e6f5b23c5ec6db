"""Whose word about the visitor's address, scheme and host is taken."""

from __future__ import annotations

import ipaddress

import pytest
from flask import Flask, Response, jsonify, request
from flask.testing import FlaskClient

from mailapp.proxies import TrustedProxies

CLAIMS = {
    "X-Forwarded-For": "203.0.113.9, 198.51.100.7",
    "X-Forwarded-Proto": "https",
    "X-Forwarded-Host": "mail.example",
}


@pytest.fixture
def client() -> FlaskClient:
    app = Flask(__name__)

    @app.get("/")
    def seen() -> Response:
        return jsonify(
            address=request.remote_addr,
            scheme=request.scheme,
            host=request.host,
            claims=[name for name in request.headers.keys() if name.startswith("X-")],  # noqa: SIM118
        )

    networks = (ipaddress.ip_network("10.1.0.0/16"), ipaddress.ip_network("fd00::/8"))
    app.wsgi_app = TrustedProxies(app.wsgi_app, networks)  # type: ignore[method-assign]
    return app.test_client()


def seen_from(client: FlaskClient, peer: str, **claims: str) -> dict[str, object]:
    headers = CLAIMS | {name.replace("_", "-"): value for name, value in claims.items()}
    answer = client.get("/", headers=headers, environ_base={"REMOTE_ADDR": peer})
    seen: dict[str, object] = answer.get_json()
    return seen


@pytest.mark.parametrize("peer", ["10.1.2.3", "fd00::5", "::ffff:10.1.2.3"])
def test_a_trusted_proxy_says_who_the_visitor_is(client: FlaskClient, peer: str) -> None:
    seen = seen_from(client, peer)

    assert (seen["address"], seen["scheme"], seen["host"]) == (
        "198.51.100.7",
        "https",
        "mail.example",
    )


@pytest.mark.parametrize("peer", ["10.2.0.1", "127.0.0.1", "::1", "", "nonsense"])
def test_anybody_elses_claims_are_ignored_and_removed(client: FlaskClient, peer: str) -> None:
    seen = seen_from(client, peer)

    assert seen == {"address": peer, "scheme": "http", "host": "localhost", "claims": []}


def test_an_address_a_visitor_put_in_front_is_not_taken(client: FlaskClient) -> None:
    seen = seen_from(client, "10.1.2.3", X_Forwarded_For="6.6.6.6, 192.0.2.1")

    assert seen["address"] == "192.0.2.1"


def test_a_forwarded_address_that_is_none_leaves_the_proxys(client: FlaskClient) -> None:
    seen = seen_from(client, "10.1.2.3", X_Forwarded_For="unknown")

    assert seen["address"] == "10.1.2.3"
    assert seen["scheme"] == "https"
