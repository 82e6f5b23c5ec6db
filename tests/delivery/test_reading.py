"""What is read of mail as it is really sent: the files in `mail/`, and whatever else may come."""

from __future__ import annotations

import base64
import random
import time
import tracemalloc
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest

from mailapp.delivery import bodies
from mailapp.delivery.bodies import unflowed
from mailapp.delivery.charsets import decoded
from mailapp.delivery.fields import people, plain, valued
from mailapp.delivery.reading import NotMail, Received, read

MAIL = Path(__file__).parent / "mail"
NOW = datetime(2026, 3, 3, tzinfo=UTC)
NAMES = sorted(path.stem for path in MAIL.glob("*.eml"))


def received(raw: bytes) -> Received:
    """What is read of these bytes."""
    return read(raw, now=NOW, domain="mail.example")


def mail(name: str) -> Received:
    """What is read of a file of the corpus."""
    return received((MAIL / f"{name}.eml").read_bytes())


def files(message: Received) -> dict[str, bytes]:
    """{name: content} of a message's files."""
    return {file.filename: b"".join(file.part.decoded()) for file in message.files}


@pytest.mark.parametrize(
    ("name", "sender", "subject", "text", "named"),
    [
        ("apple-mail", "Chris Tester <chris@icloud.example>", "Photos",
         "Before the picture.\n\nAfter the picture.", ["사진 1.png"]),
        ("bounce", "MAILER-DAEMON@mx.example", "Undelivered Mail Returned to Sender",
         "I'm sorry to have to inform you.", ["part-1.txt", "Are you there?.eml"]),
        ("broken-everything", None, "✓ ok and café =?utf-8?B?!!!", "café text",
         ["wd.png", "가나.bin"]),
        ("daum-raw-8bit", "다음 고객 <help@daum.example>", "결제 안내 메일입니다",
         "결제가 완료되었습니다.", []),
        ("gb18030", "张伟 <zhang@cn.example>", "会议朱镕基", "请看附件。朱镕基 €", []),
        ("gmail", "Jane Doe <jane@gmail.example>", "Lunch on Friday?",
         "Shall we? 🍜 At noon – or later.\n[image: map.png]", ["map.png", "invite.ics"]),
        ("html-only", "a@b.example", "HTML only", "First\n\nSecond & third", []),
        ("iso-2022-jp", "山田太郎 <yamada@jp.example>", "会議のお知らせ",
         "明日の会議は10時からです。", []),
        ("long-file-name", "a@b.example", "A name in pieces", "See.", ["가나다 (1).pdf"]),
        ("mailing-list", "Dev Person via List <list@lists.example>", "[list] Release plan",
         "We release on Friday, as long as nobody finds a reason not to.\n\n"
         "> Is that quoted line one paragraph?\n-- \nDev\n\n"
         "_______________________________________________\nlist mailing list",
         ["signature.asc"]),
        ("naver", "김철수 <chulsoo@naver.example>", "안녕하세요, 회의 자료입니다",
         "회의 자료를 보냅니다. 똠방각하", ["회의 자료.hwp"]),
        ("no-message-id", None, "Only this", "Body without a sender, a date or an id.", []),
        ("outlook", '"Müller, Jörg" <joerg.mueller@firma.example>', "AW: Angebot für März",
         "Grüße aus Köln – bis bald, 20 €", ["Preise für März.xls", "winmail.dat"]),
        ("split-characters", "news@shop.example", "가나다라Hello World", "x", []),
        ("utf8-headers", "Зоя Иванова <zoya@xn--e1afmkfd.example>", "Привет 👋 안녕",
         "Привет, мир", []),
    ],
)  # fmt: skip
def test_mail_as_it_is_sent_is_read(
    name: str, sender: str | None, subject: str, text: str, named: list[str]
) -> None:
    message = mail(name)
    assert (str(message.sender) if message.sender else None) == sender
    assert message.subject == subject
    assert message.text == text
    assert [file.filename for file in message.files] == named


def test_every_file_of_the_corpus_has_its_line_above() -> None:
    marks = test_mail_as_it_is_sent_is_read.pytestmark  # type: ignore[attr-defined]
    assert sorted(case[0] for case in marks[0].args[1]) == NAMES


def test_what_is_shown_in_the_html_is_inline_and_all_else_a_file() -> None:
    map_image, invitation = mail("gmail").files
    assert (map_image.disposition, map_image.content_id) == ("inline", "<ii_map>")
    assert invitation.disposition == "attachment"
    assert [file.disposition for file in mail("apple-mail").files] == ["attachment"]


def test_html_is_kept_as_it_came_and_texts_beside_it_are_in_it() -> None:
    assert mail("html-only").html == (
        "<!doctype html><html><head><title>T</title><style>p{color:red}</style></head><body>"
        "<p>First</p><p>Second &amp; third</p><script>x()</script></body></html>\r\n"
    )
    footer = received(
        b"Subject: x\nContent-Type: multipart/mixed; boundary=b\n\n--b\nContent-Type: text/html\n\n"
        b"<p>Hello</p>\n--b\n\nfoot <er>\n--b--\n"
    )
    assert footer.html is not None
    assert "<p>Hello</p>" in footer.html
    assert "foot &lt;er&gt;" in footer.html
    assert footer.text == "Hello\n\nfoot <er>"
    assert mail("mailing-list").html is None


def test_headers_are_kept_in_order_and_decoded_without_bcc() -> None:
    message = mail("broken-everything")
    names = [name for name, _ in message.headers]
    assert names == [
        "Received", "From", "To", "Subject", "Date", "Content-Type",
        "Content-Transfer-Encoding", "Message-ID",
    ]  # fmt: skip
    assert "secret" not in str(message.headers)
    outlook = dict(mail("outlook").headers)
    assert outlook["From"] == '"Müller, Jörg" <joerg.mueller@firma.example>'
    assert outlook["References"] == "<offer@mail.example>"


def test_a_message_without_an_id_gets_one_of_ours() -> None:
    message = mail("no-message-id")
    assert message.message_id.endswith("@mail.example>")
    assert ["Message-ID", message.message_id] in message.headers
    assert mail("gmail").message_id == "<CAAB+x=1@mail.gmail.example>"


@pytest.mark.parametrize(
    ("date", "sent_at"),
    [
        ("Mon, 2 Mar 2026 10:00:00 +0900", datetime(2026, 3, 2, 1, tzinfo=UTC)),
        ("2 Mar 26 10:00 GMT", datetime(2026, 3, 2, 10, tzinfo=UTC)),
        ("Mon, 2 Mar 2026 10:00:00 -0000", datetime(2026, 3, 2, 10, tzinfo=UTC)),
        ("Tue, 3 Mar 2026 12:00:00 +0000", NOW + timedelta(hours=12)),
        ("Mon, 2 Mar 2099 10:00:00 +0000", NOW),
        ("Thu, 1 Jan 1970 00:00:00 +0000", NOW),
        ("Mon, 99 Mar 2026 99:99:99 +9999", NOW),
        ("yesterday", NOW),
        ("", NOW),
    ],
)
def test_a_date_that_can_t_be_is_the_time_it_came(date: str, sent_at: datetime) -> None:
    assert received(f"Subject: x\nDate: {date}\n\nx".encode()).sent_at == sent_at


@pytest.mark.parametrize(
    "rubbish",
    [
        b"",
        b"\r\n\r\n",
        b"no mail at all",
        b"\x00\x01\x02\xff" * 1000,
        b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR",
        b'{"from": "a@b.example"}\n',
        b"<html><body>From: x</body></html>",
        b"HTTP/1.1 200 OK\r\nContent-Type: text/html\r\n\r\n<p>",
        b"Colour: red\nSize: 5\n\nno mail",
    ],
)
def test_what_is_no_mail_is_said_to_be_none(rubbish: bytes) -> None:
    with pytest.raises(NotMail):
        received(rubbish)


def test_encoded_words_and_parameters_as_programs_write_them() -> None:
    assert plain("=?utf-8?Q?a_b=3D?=  =?utf-8?B?w6k?= c  =?x?y?z?=") == "a b=é c =?x?y?z?="
    assert plain("=?utf-8*ko?B?6rCA?=\t=?euc-kr?Q?=B0=A1?=") == "가가"
    assert [
        str(one) for one in people('"=?utf-8?B?6rCALCDrgpg=?=" <a@b.example>, c@d.example')
    ] == [
        '"가, 나" <a@b.example>',
        "c@d.example",
    ]
    assert [one.spec for one in people("x <broken@@>, Good <good@b.example>")] == ["good@b.example"]
    assert valued('Text/HTML; Charset="utf-8" ; name=a\\b.txt; name=c').parameters == {
        "charset": "utf-8",
        "name": "a\\b.txt",
    }


def test_text_is_read_by_its_charset_or_by_what_it_is() -> None:
    assert decoded("가".encode("cp949"), "ks_c_5601-1987") == "가"
    assert decoded("가나다".encode(), "us-ascii") == "가나다"
    assert decoded(b"\x93quoted\x94", "iso-8859-1") == "“quoted”"
    assert decoded(b"plain", "unicode_escape") == "plain"
    assert decoded(b"a\0b", "utf-8") == "ab"
    assert decoded(b"\xff\xfe\xfa" * 10, "zip") != ""


def test_flowed_text_has_a_line_for_each_paragraph() -> None:
    assert unflowed("a \nb\n> c \n> d\n-- \ne", joined=False) == "a b\n> c d\n-- \ne"
    assert unflowed("가 \n나", joined=True) == "가나"


def test_a_file_in_broken_base64_is_read_as_far_as_it_goes() -> None:
    content = bytes(range(256)) * 3000
    letters = base64.encodebytes(content)
    head = b"Subject: x\nContent-Type: application/zip\nContent-Transfer-Encoding: base64\n\n"
    assert files(received(head + letters)) == {"part-1.zip": content}
    assert files(received(head + letters.replace(b"\n", b" !\r\n"))) == {"part-1.zip": content}
    (cut,) = files(received(head + letters[: len(letters) // 2 + 1])).values()
    assert content.startswith(cut)
    assert len(cut) > len(content) // 3


@pytest.mark.parametrize(
    "raw",
    [
        b"Subject: x\nContent-Type: multipart/mixed; boundary=b\n\n"
        + b"--b\nContent-Type: multipart/mixed; boundary=b\n\n" * 5_000,
        b"Subject: x\n" * 200_000 + b"\nx",
        b"Subject: " + b"=?utf-8?Q?a?= " * 100_000 + b"\n\nx",
        b"Subject: x\nTo: " + b"a <" * 50_000 + b"\n\nx",
        b"Subject: x\nTo: " + b'"' * 100_001 + b"\n\nx",
        b"Subject: x\nContent-Type: a/b" + b"; x*1*=" * 50_000 + b"\n\nx",
        b"Subject: x\n " + b"fold\n " * 300_000 + b"\n\nx",
        b"Subject: x\nContent-Type: multipart/mixed; boundary=b\n\n" + b"--b\n\n" * 300_000,
        b"Subject: x\nContent-Type: text/html\n\n" + b"<div>" * 200_000,
        b"Subject: x\nContent-Type: text/plain; format=flowed\n\n" + b"> > \n" * 300_000,
    ],
)
def test_nothing_takes_long_to_read(raw: bytes) -> None:
    began = time.process_time()
    received(raw)
    # Not a measurement: what grows with the square takes minutes.
    assert time.process_time() - began < 30


def test_of_many_texts_no_more_is_read_than_is_kept(monkeypatch: pytest.MonkeyPatch) -> None:
    read_texts = []

    def plain_text(html: str) -> str:
        read_texts.append(html)
        return html

    monkeypatch.setattr(bodies, "plain_text", plain_text)
    part = b"--b\nContent-Type: text/html\n\n" + b"x" * 500_000 + b"\n"
    message = received(b"Subject: x\nContent-Type: multipart/mixed; boundary=b\n\n" + part * 9)
    assert len(message.text) == bodies.MAX_TEXT
    assert len(read_texts) == 4


@pytest.mark.parametrize("body", [b"=" * 6_000_000, b"AAA=" * 1_500_000])
def test_padding_takes_about_as_much_memory_as_what_is_padded(body: bytes) -> None:
    head = b"Subject: x\nContent-Type: a/b\nContent-Transfer-Encoding: base64\n\n"
    (file,) = received(head + body).files
    tracemalloc.start()
    try:
        content = file.part.content()
        _, most = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert content == bytes(2) * body.count(b"AAA=")
    assert most < 3 * len(body)


def test_multiparts_are_decoded_in_one_another_only_up_to_a_few_megabytes() -> None:
    def deep(part: bytes) -> Received:
        for boundary in (b"a", b"b", b"c", b"d"):
            head = b"Content-Type: multipart/mixed; boundary=%b\n" % boundary
            head += b"Content-Transfer-Encoding: quoted-printable\n\n--%b\n" % boundary
            part = head + part
        return received(b"Subject: x\n" + part)

    text = b"Content-Type: text/plain\n\n"
    assert deep(text + b"small").text == "small"
    large = deep(text + b"large" * 300_000)
    assert large.text == ""
    assert [file.content_type for file in large.files] == ["application/octet-stream"]


@pytest.mark.parametrize(
    "head",
    [b"Subject: =?x?q?=85?=", b"Subject: \x85", b"Subject: x\nTo: ", b"Subject: x\nTo: a:b, "],
)
def test_a_header_that_makes_no_sense_keeps_no_mail_away(head: bytes) -> None:
    for nonsense in (b"", b"(" * 1_000, b"a:" * 3_000):
        assert received(head + nonsense + b"\n\nx").text == "x"


def test_no_input_is_too_broken() -> None:
    """Mail that is cut, mixed and strewn with rubbish is read, or said to be none; nothing else."""
    chance = random.Random(5)
    whole = [(MAIL / f"{name}.eml").read_bytes() for name in NAMES]
    pieces = [line + b"\n" for raw in whole for line in raw.split(b"\n")]
    rubbish = [
        b"\x00",
        b"\xff\xfe",
        b"=?",
        b"?=",
        b'"',
        b"\\",
        b";",
        b"--",
        b"\r",
        b"*0*=",
        b"(",
        b"<",
    ]
    for _ in range(600):
        raw = bytearray(chance.choice(whole))
        match chance.randrange(4):
            case 0:
                raw = raw[: chance.randrange(len(raw))]
            case 1:
                raw = bytearray(b"".join(chance.choices(pieces, k=40)))
            case 2:
                for _ in range(30):
                    raw[chance.randrange(len(raw))] = chance.randrange(256)
        for _ in range(10):
            place = chance.randrange(len(raw) + 1)
            raw[place:place] = chance.choice(rubbish) * chance.choice((1, 1, 50))
        try:
            message = received(bytes(raw))
        except NotMail:
            continue
        for file in message.files:
            b"".join(file.part.decoded())
        said = [message.text, message.html or "", message.subject, str(message.headers)]
        "".join(said).encode()
        assert not any("\0" in text for text in said)
