"""The document in the frame of a formatted message, and who may see it."""

from __future__ import annotations

import io

import pytest
from flask import Flask

from mailapp.delivery.services import deliver_to
from mailapp.html import letters
from tests.html.corpus import CORPUS
from tests.people import Person

HTML = (
    b"From: The Shop <News@Shop.example>\r\nTo: alice@mail.example\r\nSubject: Sale\r\n"
    b"Message-ID: <1@shop.example>\r\nContent-Type: text/html; charset=utf-8\r\n\r\n"
    b"<script>alert(1)</script><p>Everything <b>red</b></p>"
    b'<img src="https://shop.example/seen.png">\r\n'
)


def opened(instances: list[Flask], alice: Person, raw: bytes = HTML) -> str:
    """The address of the document of a message that has just come to Alice."""
    with instances[0].app_context():
        assert deliver_to("alice@mail.example", io.BytesIO(raw))
    alice.open("Sale")
    frame = alice.page.select_one("iframe.formatted")
    assert frame is not None
    return str(frame["src"])


def test_the_document_is_harmless_and_has_a_policy_of_its_own(
    instances: list[Flask], alice: Person
) -> None:
    answer = alice.client.get(opened(instances, alice))
    assert answer.status_code == 200
    assert "<p>Everything <b>red</b></p>" in answer.text
    assert "script" not in answer.text
    assert "shop.example" not in answer.text
    policy = answer.headers["Content-Security-Policy"]
    assert "default-src 'none'" in policy
    assert "img-src 'self' data:;" in policy
    assert "allow-scripts" not in policy
    assert "sandbox allow-same-origin" in policy
    assert answer.headers["Referrer-Policy"] == "no-referrer"
    assert answer.headers["Cache-Control"] == "no-store"


def test_the_page_lets_only_its_own_documents_into_frames(
    instances: list[Flask], alice: Person
) -> None:
    opened(instances, alice)
    assert "frame-src 'self'" in alice.response.headers["Content-Security-Policy"]
    frame = alice.page.select_one("iframe")
    assert frame is not None
    assert "allow-same-origin" in frame["sandbox"]
    assert "allow-scripts" not in frame["sandbox"]
    assert "allow-forms" not in frame["sandbox"]


def test_nobody_else_sees_the_document(instances: list[Flask], alice: Person, bob: Person) -> None:
    address = opened(instances, alice)
    assert bob.client.get(address).status_code == 404
    bob.visit("/mail/inbox")
    assert bob.client.post(address.replace("/html", "/images")).status_code in {400, 404}


def test_images_are_loaded_only_for_who_asks_on_the_page(
    instances: list[Flask], alice: Person
) -> None:
    address = f"{opened(instances, alice)}?images=1"
    asked = alice.client.get(address, headers={"Sec-Fetch-Site": "same-origin"})
    assert "https://shop.example/seen.png" in asked.text
    assert "https:" in asked.headers["Content-Security-Policy"]
    in_frame = {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Dest": "iframe"}
    assert "seen.png" in alice.client.get(address, headers=in_frame).text
    # A link in somebody's mail or page, which would tell them that it was opened.
    for lure in (
        {"Sec-Fetch-Site": "cross-site"},
        {"Sec-Fetch-Site": "same-origin", "Sec-Fetch-Dest": "document"},
    ):
        lured = alice.client.get(address, headers=lure)
        assert "shop.example" not in lured.text
        assert "https:" not in lured.headers["Content-Security-Policy"]


def test_who_is_trusted_is_known_in_any_spelling_until_it_is_taken_back(
    instances: list[Flask], alice: Person
) -> None:
    address = opened(instances, alice)
    alice.press("Always show from this sender")
    assert "are always shown" in alice.text
    assert "shop.example/seen.png" in alice.client.get(address).text
    other = HTML.replace(b"News@Shop", b"news@SHOP").replace(b"<1@", b"<2@")
    assert "shop.example/seen.png" in alice.client.get(opened(instances, alice, other)).text
    alice.press("Ask again")
    assert "shop.example/seen.png" not in alice.client.get(address).text


def test_its_text_can_be_looked_at_and_is_all_there_is_of_what_is_too_heavy(
    instances: list[Flask], alice: Person
) -> None:
    address = opened(instances, alice)
    assert "Everything red" in alice.client.get(f"{address}?as=text").text
    heavy = HTML.replace(b"<p>Every", b"<div>" * 20_000 + b"<p>Every").replace(b"<1@", b"<3@")
    answer = alice.client.get(opened(instances, alice, heavy))
    assert "Everything" in answer.text
    assert "<b>" not in answer.text
    assert "too large to be shown formatted" in alice.text
    assert "Show formatted" not in answer.text, "which leads here again"


def test_what_the_sanitiser_stumbles_over_is_shown_as_text(
    instances: list[Flask],
    alice: Person,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
) -> None:
    def stumble(*_: object, **__: object) -> None:
        raise RuntimeError

    monkeypatch.setattr(letters, "for_showing", stumble)
    monkeypatch.setattr(letters, "_remembered", letters._shown)
    answer = alice.client.get(opened(instances, alice))
    assert answer.status_code == 200
    assert "Everything red" in answer.text
    assert "could not be made harmless" in caplog.text


def test_what_is_delivered_is_found_by_its_words(instances: list[Flask], alice: Person) -> None:
    opened(instances, alice)
    alice.visit("/search?q=everything+from:shop")
    assert alice.sees_link("Sale")


def test_mail_without_html_has_no_frame(alice: Person, bob: Person) -> None:
    bob.send("alice@mail.example", "Plain", "Only text")
    alice.open("Plain")
    assert alice.page.select_one("iframe") is None
    number = str(alice.response.url).rpartition("/")[2].partition("#")[0]
    assert alice.client.get(f"/mail/{number}/html").status_code == 404


@pytest.mark.parametrize("parts", ["embedded"], indirect=True)
def test_a_full_page_of_attacks_is_answered(instances: list[Flask], alice: Person) -> None:
    whole = "\n".join(CORPUS.values()).encode("utf-8", "replace")
    raw = HTML.partition(b"\r\n\r\n")[0] + b"\r\n\r\n" + whole
    assert alice.client.get(opened(instances, alice, raw)).status_code == 200
