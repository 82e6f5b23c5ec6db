"""Which language people are answered in."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from flask import Flask

from mailapp.i18n import current_language, in_language
from tests.people import Person


@pytest.mark.parametrize(
    ("accepted", "language"),
    [
        ("", "en"),
        ("*", "en"),
        ("ko", "ko"),
        ("ko-KR,ko;q=0.9,en-US;q=0.8,en;q=0.7", "ko"),
        ("KO-kr", "ko"),
        ("en-US,ko;q=0.9", "en"),
        ("en;q=0.5,ko;q=0.8", "ko"),
        ("fr-FR,fr;q=0.9,ko;q=0.1", "ko"),
        ("fr", "en"),
        ("ko;q=0,en;q=0.1", "en"),
        ("ko;q=many,,;;", "en"),
    ],
)
def test_a_page_is_in_the_first_of_our_languages_that_the_browser_asks_for(
    app: Flask, accepted: str, language: str
) -> None:
    with app.test_request_context(headers={"Accept-Language": accepted}):
        assert current_language() == language


def test_outside_of_a_request_english_is_spoken_unless_another_language_is_named(
    app: Flask,
) -> None:
    assert current_language() == "en"
    with in_language("ko"):
        assert current_language() == "ko"
    with in_language(None):
        assert current_language() == "en"


def test_pages_and_errors_say_their_language_and_that_it_was_asked_for(
    visitor: Callable[[], Person],
) -> None:
    client = visitor().client
    for path in ("/login", "/nothing/here"):
        for asked in ("ko-KR", "en"):
            answer = client.get(path, headers={"Accept-Language": asked})
            assert f'<html lang="{asked[:2]}"' in answer.text
            assert "Accept-Language" in answer.headers["Vary"]


def test_a_static_file_is_the_same_in_every_language(visitor: Callable[[], Person]) -> None:
    answer = visitor().client.get("/static/app.css", headers={"Accept-Language": "ko"})
    assert "Accept-Language" not in answer.headers.get("Vary", "")
