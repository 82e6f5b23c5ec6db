"""Addresses as people type them: read by RFC 5322, and what is wrong named exactly."""

from __future__ import annotations

import random
import time
from contextlib import suppress

import pytest

from mailapp.mail.addresses import Address, AddressError, join, parse, parse_list

ALICE = Address("", "alice", "mail.example")


@pytest.mark.parametrize(
    ("typed", "name", "spec"),
    [
        ("alice@mail.example", "", "alice@mail.example"),
        ("  <alice@mail.example> ", "", "alice@mail.example"),
        ("Alice Kim <alice@mail.example>", "Alice Kim", "alice@mail.example"),
        ('"Kim, Alice" <alice@mail.example>', "Kim, Alice", "alice@mail.example"),
        (r'"The \"A\" \\ Team" <alice@mail.example>', r'The "A" \ Team', "alice@mail.example"),
        ("Alice Q. Kim <alice@mail.example>", "Alice Q. Kim", "alice@mail.example"),
        ("김앨리스 <alice@mail.example>", "김앨리스", "alice@mail.example"),
        ("Alice (work, (not) home) <alice@mail.example>", "Alice", "alice@mail.example"),
        ("alice(at work)@mail.example", "", "alice@mail.example"),
        ('"alice"@mail.example', "", "alice@mail.example"),
        ('"a b"@mail.example', "", '"a b"@mail.example'),
        ("alice@MAIL.Example", "", "alice@mail.example"),
        ("=?utf-8?q?Al?= <alice@mail.example>", "=?utf-8?q?Al?=", "alice@mail.example"),
    ],
)
def test_every_form_of_an_address_is_read(typed: str, name: str, spec: str) -> None:
    address = parse(typed)
    assert (address.name, address.spec) == (name, spec)


@pytest.mark.parametrize(
    "typed",
    [
        "alice@mail.example, bob@mail.example",
        "alice@mail.example,, bob@mail.example, ",
        "alice@mail.example; bob@mail.example;",
        " , alice@mail.example (one, two), bob@mail.example (three)",
        "Friends: alice@mail.example, bob@mail.example;",
        '"A, B": alice@mail.example;, bob@mail.example',
        "a: alice@mail.example; b: bob@mail.example; c:;",
    ],
)
def test_lists_and_groups_are_dissolved(typed: str) -> None:
    specs = [address.spec for address in parse_list(typed)]
    assert specs == ["alice@mail.example", "bob@mail.example"]


@pytest.mark.parametrize("typed", ["", "  ", ",", ";, ;", "(nobody)", "undisclosed-recipients:;"])
def test_nobody_is_an_empty_list(typed: str) -> None:
    assert parse_list(typed) == []


def test_one_person_has_one_spelling() -> None:
    same = ["a@bücher.example", "A@BÜCHER.example", "a@xn--bcher-kva.example", '"a"@bücher.example']
    assert {parse(typed).canonical for typed in same} == {"a@xn--bcher-kva.example"}
    assert parse("bo\u212a@mail.example").spec == "boK@mail.example"  # the sign of Kelvin


@pytest.mark.parametrize(
    ("typed", "wrong"),
    [
        ("alice", ["alice"]),
        ("alice@", ["alice@"]),
        ("@mail.example", ["@mail.example"]),
        ("alice@@mail.example", ["alice@@mail.example"]),
        (".alice@mail.example", [".alice@mail.example"]),
        ("al..ice@mail.example", ["al..ice@mail.example"]),
        ("al ice@mail.example", ["al ice@mail.example"]),
        ("alice@mail.example bob@mail.example", ["alice@mail.example bob@mail.example"]),
        ("alice@-mail.example", ["alice@-mail.example"]),
        ("alice@mail..example", ["alice@mail..example"]),
        ("alice@[127.0.0.1]", ["alice@[127.0.0.1]"]),
        ("<alice@mail.example", ["<alice@mail.example"]),
        ("<<alice@mail.example>>", ["<<alice@mail.example>>"]),
        ("Alice <alice@mail.example> Kim", ["Alice <alice@mail.example> Kim"]),
        ('"Alice <alice@mail.example>', ['"Alice <alice@mail.example>']),
        ("(open alice@mail.example, bob@mail.example", None),
        ("a: b: alice@mail.example;", ["b: alice@mail.example"]),
        ("alice\u200b@mail.example", ["alice\u200b@mail.example"]),
        (f"{'a' * 65}@mail.example", [f"{'a' * 65}@mail.example"]),
        ("bob@mail.example, Kim, Alice <alice@mail.example>, x@", ["Kim", "x@"]),
    ],
)
def test_what_is_wrong_is_named_exactly(typed: str, wrong: list[str] | None) -> None:
    with pytest.raises(AddressError) as caught:
        parse_list(typed)
    assert caught.value.pieces == (wrong or [typed])


@pytest.mark.parametrize("sign", ["\r\n", "\n", "\r", "\0", "\x0b", "\x85", "\u2028", "\u2029"])
def test_nothing_that_breaks_a_line_gets_through(sign: str) -> None:
    for typed in (
        f"alice@mail.example{sign}Bcc: eve@mail.example",
        f'"Alice{sign}Bcc: eve@mail.example" <alice@mail.example>',
        f"Alice ({sign}) <alice@mail.example>",
    ):
        with pytest.raises(AddressError):
            parse_list(typed)


def test_any_name_survives_being_written_and_read() -> None:
    dice = random.Random(5322)
    signs = "ab ,;:<>()[]@.\"\\=?_-'😀👩‍💻é김\u3000\u202e"
    names = ["=?utf-8?q?x?=", "a@b", "\\", '"', "a, b", "x;", "(c)", " ", "😀", "<a@b.c>", "a:b"]
    names += ["".join(dice.choices(signs, k=dice.randint(1, 12))) for _ in range(2000)]
    written = [
        Address(" ".join(name.split()), local, "xn--bcher-kva.example")
        for name in names
        for local in ("alice", 'a "b" \\c', "a,b@c")
    ]
    assert parse_list(join(written)) == written
    for address in written:
        assert parse(str(address)) == address


@pytest.mark.parametrize(
    ("sign", "end"),
    [
        ("(", ""),
        ("()", ""),
        ('"', ""),
        ('"\\', ""),
        ("<", ""),
        ("[:", ""),
        (":", ""),
        ("a", ""),
        ("a ", "[ <a@b.c>"),
        ("a:", ""),
        ("a@b.c,", ""),
        ("\u0301\u0327", "@b.c"),
        ('"a" ', "<a@b"),
    ],
)
def test_the_time_grows_with_the_text_only(sign: str, end: str) -> None:
    start = time.process_time()
    with suppress(AddressError):
        parse_list(sign * (200_000 // len(sign)) + end)
    assert time.process_time() - start < 3
