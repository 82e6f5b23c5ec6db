"""The original text: Python's email package reads the same headers, text and files back."""

from __future__ import annotations

import email
import random
from collections.abc import Iterator, Sequence
from email.message import EmailMessage
from email.policy import default
from typing import Any

import pytest

from mailapp.mail import original
from mailapp.mail.addresses import Address

BODIES = {
    "nothing": "",
    "no line break at the end": "Hello",
    "line breaks at the end": "Hello\n\n\n",
    "only line breaks": "\n\n",
    "a very long line": "word " * 100_000,
    "dots and From": ".\n..\n.leading\nFrom me\n>From you\n\nFrom: x\n--\n-- \n--=_boundary\n",
    "white space at the ends of lines": "a \nb\t\n \n\t\nend ",
    "equals": "=\n=3D\n=?utf-8?q?no?=\na=\n",
    "emoji and Korean": "안녕하세요 😀👩‍💻\n가나다" * 50,
    "separators": "a\u2028b\u2029c\x85d\x0ce\x1cf\x1bg\x7f",
}

NAMES = [
    "plan.txt",
    "two  spaces.txt",
    "둘 😀.bin",
    "가" * 300 + ".txt",
    "quote\"back\\slash;semi,comma'apos%25.txt",
    "=?utf-8?q?look.txt?=",
    "x" * 500,
    "מסמך.pdf",
    ".hidden",
    "utf-8''x",
    "attachment",
]


def written(
    headers: Sequence[Sequence[str]],
    body: str = "Hello",
    attachments: Sequence[tuple[str, str, bytes]] = (),
) -> EmailMessage:
    """The message as the email package reads it, after the checks every original must pass."""
    kept = [
        {
            "filename": name,
            "content_type": kind,
            "disposition": "attachment",
            "content_id": None,
            "data": data,
        }
        for name, kind, data in attachments
    ]

    def open_blob(item: dict[str, Any]) -> Iterator[bytes]:
        data = item["data"]
        return (data[start : start + 1000] for start in range(0, len(data), 1000))

    chunks = list(original.text(headers, body, kept, open_blob))
    assert max(map(len, chunks)) < 2_000_000 or not attachments
    text = b"".join(chunks)
    assert text.isascii()
    assert text.count(b"\n") == text.count(b"\r\n") == text.count(b"\r")
    assert max(len(line) for line in text.split(b"\r\n")) <= 998
    message = email.message_from_bytes(text, policy=default)
    for part in message.walk():
        assert not part.defects
        for _, value in part.items():
            assert not value.defects
    return message


@pytest.mark.parametrize("attached", [False, True])
@pytest.mark.parametrize("body", BODIES.values(), ids=BODIES)
def test_the_text_comes_back_as_it_was(body: str, attached: bool) -> None:
    message = written([["Subject", "x"]], body, [("a", "text/plain", b"a")] if attached else ())
    part = message.get_body(("plain",))
    assert part is not None
    assert part.get_content().replace("\r\n", "\n") == body


@pytest.mark.parametrize(
    "subject",
    [
        "",
        "Hello",
        "two  spaces   three",
        "안녕 " * 100,
        "no-space-" * 55,
        "a word " * 70 + "end",
        "=?utf-8?q?Not_encoded?=",
        "half =?utf-8?",
        "😀" * 200,
        "é " * 10 + "x",
        "Bcc: x",
        "\u3000wide\u00a0no-break",
        "tab\tinside",
    ],
)
def test_a_subject_comes_back_as_it_was(subject: str) -> None:
    assert written([["Subject", subject]])["Subject"] == subject


def test_people_come_back_as_they_were() -> None:
    dice = random.Random(2047)
    signs = "ab ,;:<>()[]@.\"\\=?_-'😀é김"
    names = [
        "",
        "Alice Kim",
        "Kim, Alice",
        "=?utf-8?q?x?=",
        "김앨리스 " * 20,
        "long " * 100,
        "\\" * 300,
    ]
    names += ["".join(dice.choices(signs, k=dice.randint(1, 30))) for _ in range(300)]
    names = [" ".join(name.split()) for name in names]
    people = [str(Address(name, "alice", "mail.example")) for name in names]
    message = written([["From", people[2]], ["To", ", ".join(people)], ["Subject", ""]])
    assert [address.display_name for address in message["To"].addresses] == names
    assert {address.addr_spec for address in message["To"].addresses} == {"alice@mail.example"}
    assert message["From"].addresses[0].display_name == names[2]


def test_a_group_of_nobody_stays_one() -> None:
    message = written([["To", "undisclosed-recipients:;"]])
    assert message["To"] == "undisclosed-recipients:;"
    assert message["To"].addresses == ()


def test_a_long_chain_of_references_comes_back_whole() -> None:
    chain = " ".join(f"<{'a' * 32}{number}@mail.example>" for number in range(50))
    message = written([["Message-ID", "<x@mail.example>"], ["References", chain]])
    assert message["References"].split() == chain.split()
    assert message["Message-ID"] == "<x@mail.example>"


@pytest.mark.parametrize("kind", ["text/plain", "application/x-thing", "message/rfc822"])
def test_files_come_back_byte_for_byte_under_their_names(kind: str) -> None:
    files = [(name, kind, f"한 {name}\r\nx\ry\n".encode() * 300) for name in NAMES]
    files += [("empty", kind, b""), ("one", kind, b"\0")]
    found = list(written([["Subject", "x"]], "Hi", files).iter_attachments())
    assert [part.get_filename() for part in found] == [name for name, _, _ in files]
    assert [part.get_payload(decode=True) for part in found] == [data for _, _, data in files]
    assert {part.get_content_disposition() for part in found} == {"attachment"}


@pytest.mark.parametrize("kind", ["message/rfc822", "multipart/mixed", "message/external-body"])
def test_a_file_that_is_mail_itself_is_not_read_as_part_of_this(kind: str) -> None:
    mail = b"Subject: inner\r\n\r\nHello\r\n"
    message = written([["Subject", "outer"]], "Hi", [("kept.eml", kind, mail)])
    (part,) = message.iter_attachments()
    assert part.get_content() == mail


def test_a_big_file_is_never_in_one_piece() -> None:
    def open_blob(_item: dict[str, Any]) -> Iterator[bytes]:
        return (bytes(65_536) for _ in range(320))  # 20 MB

    item = {
        "filename": "big",
        "content_type": "a/b",
        "disposition": "attachment",
        "content_id": None,
    }
    sizes = [len(chunk) for chunk in original.text([["Subject", ""]], "", [item], open_blob)]
    assert max(sizes) < 100_000
    assert sum(sizes) > 20 * 2**20 * 4 / 3


def test_an_image_whose_id_is_not_ascii_gets_one_that_is() -> None:
    images = [
        {
            "filename": f"{number}.png",
            "content_type": "image/png",
            "disposition": "inline",
            "content_id": f"<{content_id}>",
        }
        for number, content_id in enumerate(("그림1", "그림10", "plain@x"))
    ]
    html = '<img src="cid:그림1"><img src="cid:그림10"><img src="cid:plain@x">'

    chunks = original.text([["Subject", "x"]], "x", images, lambda _: iter([b"data"]), html)
    read = email.message_from_bytes(b"".join(chunks), policy=default)

    ids = [str(part["Content-ID"]).strip("<>") for part in read.walk() if part["Content-ID"]]
    shown = read.get_body(("html",))
    assert isinstance(shown, EmailMessage)
    assert shown.get_content() == "".join(f'<img src="cid:{content_id}">' for content_id in ids)
    assert len(set(ids)) == 3
    assert ids[2] == "plain@x"
    assert "".join(ids).isascii()
