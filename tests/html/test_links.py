"""Where links go, and when their text says otherwise."""

from __future__ import annotations

import time

import pytest

from mailapp.html import links


@pytest.mark.parametrize(
    ("raw", "address"),
    [
        ("https://a.example/x y", "https://a.example/x%20y"),
        (" HTTP://A.example ", "HTTP://A.example"),
        ("//a.example/x", "https://a.example/x"),
        ("https://a.exa\nmple/\tx", "https://a.example/x"),
        ("mailto:bob@mail.example?subject=x", "mailto:bob@mail.example?subject=x"),
        ("#part-2", "#part-2"),
        ("javascript:alert(1)", None),
        ("java\tscript:alert(1)", None),
        ("\x01javascript:alert(1)", None),
        ("data:text/html,x", None),
        ("/mail/1", None),
        ("page.html", None),
        ("https:/\\evil.example", None),
        ("https://bank.example\\@evil.example/", None),
        ("https:///", None),
        ("https://", None),
        ("", None),
        ("https://a.example/" + "x" * 3000, None),
    ],
)
def test_only_known_kinds_of_addresses_are_links(raw: str, address: str | None) -> None:
    assert links.allowed(raw) == address


@pytest.mark.parametrize(
    ("text", "address", "true"),
    [
        ("Click here", "https://evil.example/", ""),
        ("bank.example", "https://evil.example/", "evil.example"),
        ("https://bank.example/login", "https://bank.example.evil.example/", ""
         "bank.example.evil.example"),
        ("www.bank.example", "https://bank.example/", ""),
        ("bank.example", "https://news.bank.example/click?1", ""),
        ("BANK.example", "https://bank.EXAMPLE:443/", ""),
        ("bank.example", "https://bank.example@evil.example/", "evil.example"),
        ("ban\u200bk.example", "https://evil.example/", "evil.example"),
        ("bаnk.example", "https://bank.example/", "bank.example"),  # with a Cyrillic а
        ("ban\ufe0fk.example", "https://evil.example/", "evil.example"),
        ("ba\u034fnk\u180b.example", "https://evil.example/", "evil.example"),
        ("bank\u2024example", "https://evil.example/", "evil.example"),
        ("b\u3164an\U000e0100k.exam\u17b4ple", "https://evil.example/", "evil.example"),
        ("ｂａｎｋ．example", "https://evil.example/", "evil.example"),
        ("bаnk.example", "https://bаnk.example/", "xn--bnk-6cd.example"),  # each with that а
        ("https://bаnk.example/", "https://bаnk.example/", "xn--bnk-6cd.example"),
        ("bank。example", "https://evil.example/", "evil.example"),
        ("한국.example", "https://xn--3e0b707e.example/", ""),
        ("192.0.2.1", "http://192.0.2.2/", "192.0.2.2"),
        ("version 1.5 of it", "https://evil.example/", ""),
        ("x" * 5000 + " bank.example", "https://evil.example/", "evil.example"),
        ("bob@mail.example", "mailto:eve@evil.example?subject=x", "eve@evil.example"),
        ("Bob@mail.example", "mailto:bob@mail.example", ""),
        ("bank.example", "#place", ""),
    ],
)  # fmt: skip
def test_a_link_whose_text_names_another_host_is_told(text: str, address: str, true: str) -> None:
    assert links.hidden(text, address) == true


@pytest.mark.parametrize("address", ["https://a.example/", "mailto:bob@mail.example"])
def test_a_long_word_is_looked_at_once(address: str) -> None:
    def took(text: str) -> float:
        began = time.process_time()
        for _ in range(50):
            links.hidden(text, address)
        return time.process_time() - began

    # Looked at from each of its characters on, it takes thirty times as long as many short ones.
    assert took("a" * 1_999) < 8 * took("a " * 999)
