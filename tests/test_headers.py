"""The headers of every answer, whatever kind of page it is."""

from __future__ import annotations

import re

import pytest
from flask import Flask

from tests.people import Attached, Person


def test_every_kind_of_page_keeps_browsers_on_a_short_lead(alice: Person) -> None:
    alice.send("alice@mail.example", "Note", "Hello", [Attached("a.txt", b"text", "text/plain")])
    alice.open("Note")
    message = str(alice.response.url).removeprefix("http://mail.test")
    kinds = {
        message: 200,
        f"{message}/original": 200,
        f"{message}/attachments/1/a.txt": 200,
        "/mail/inbox": 200,
        "/settings": 200,
        "/compose": 200,
        "/mail/999999": 404,
        "/nowhere": 404,
        "/mail/inbox?before=x": 400,
        "/logout": 405,
        "/static/app.css": 200,
        "/static/none.css": 404,
        "/": 303,
        "/livez": 200,
    }
    for path, status in kinds.items():
        answer = alice.client.get(path)
        assert answer.status_code == status, path
        headers = answer.headers
        policy = headers["Content-Security-Policy"]
        assert "default-src 'none'" in policy, path
        assert "unsafe" not in policy, path
        assert not re.search(r"https?:|\*", policy), path
        assert headers["X-Content-Type-Options"] == "nosniff", path
        assert headers["X-Served-By"] in {"web-1", "web-2"}, path
        assert re.fullmatch("[0-9a-f]{32}", headers["X-Request-ID"]), path
        if path.startswith(("/mail/inbox", "/settings")) or path == message:
            assert headers["Cache-Control"] == "no-store", path
        if status == 200 and not path.startswith(("/static/", "/livez")):
            assert "public" not in headers.get("Cache-Control", ""), path


def test_no_page_asks_for_what_its_policy_forbids(alice: Person) -> None:
    for path in ("/mail/inbox", "/settings", "/compose", "/nowhere"):
        alice.visit(path)
        assert not alice.page.select("style, [style], [onclick], [onload], [onsubmit], iframe")
        for script in alice.page.select("script"):
            assert str(script["src"]).startswith("/static/")
            assert not script.text
        for element in alice.page.select("[src], link[href], form[action]"):
            address = element.get("src") or element.get("href") or element.get("action")
            assert str(address).startswith(("/", "#")), element


@pytest.mark.parametrize("parts", ["embedded"], indirect=True)
def test_a_static_file_is_kept_for_good_only_under_the_hash_of_what_we_have(
    instances: list[Flask],
) -> None:
    browser = instances[0].test_client()
    found = re.search(r'href="(/static/app\.css\?v=[0-9a-f]+)"', browser.get("/login").text)
    assert found is not None
    path = found[1]
    # Another version's pages are about, while this instance is not replaced yet.
    others = ("/static/app.css", "/static/app.css?v=0123456789ab", "/static/new.js?v=0123456789ab")

    expected = dict.fromkeys(others, "no-cache") | {path: "public, max-age=31536000, immutable"}
    for address, kept in expected.items():
        with browser.get(address) as answer:
            assert answer.headers["Cache-Control"] == kept
