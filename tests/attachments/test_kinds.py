"""What is shown of a file is decided by its content."""

import os

import pytest

from mailapp.attachments.kinds import HEAD, SHOWN, find, read_text

KOREAN = "안녕하세요. 회의 자료를 첨부합니다. 확인 부탁드립니다.\n"


@pytest.mark.parametrize(
    ("head", "media_type"),
    [
        (b"\x89PNG\r\n\x1a\n\0\0\0\rIHDR", "image/png"),
        (b"\xff\xd8\xff\xe0\0\x10JFIF", "image/jpeg"),
        (b"GIF89a\x01\0\x01\0", "image/gif"),
        (b"RIFF\x24\0\0\0WEBPVP8 ", "image/webp"),
        (b"\0\0\0\x1cftypavif\0\0\0\0", "image/avif"),
    ],
)
def test_an_image_is_told_by_how_it_begins(head: bytes, media_type: str) -> None:
    found = find(head)

    assert found is not None
    assert (found.kind, found.media_type) == ("image", media_type)


def test_a_pdf_is_told_by_how_it_begins() -> None:
    found = find(b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n1 0 obj")

    assert found is not None
    assert found.kind == "pdf"


@pytest.mark.parametrize(
    "source",
    [
        b"<svg xmlns='http://www.w3.org/2000/svg'><script>alert(1)</script></svg>",
        b"<?xml version='1.0'?><svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>",
        b"<!doctype html><script>alert(1)</script>",
        b"\xef\xbb\xbf<html><body onload=alert(1)>",
        "<html><script>alert(1)</script>".encode("utf-16"),
        b"  \n GIF89a is how a picture begins",
    ],
)
def test_html_and_svg_are_text_like_any_other_source(source: bytes) -> None:
    found = find(source)

    assert found is not None
    assert (found.kind, found.media_type) == ("text", "text/plain")


@pytest.mark.parametrize(
    "content",
    [
        b"",
        b"PK\x03\x04\x14\0\x06\0\x08\0",
        b"\x7fELF\x02\x01\x01\0\0\0",
        os.urandom(HEAD - 1) + b"\0",
        bytes(range(1, 32)) * 10,
        b"RIFF\x24\0\0\0AVI LIST",
    ],
    ids=["nothing", "zip", "program", "noise", "controls", "film"],
)
def test_what_a_browser_can_not_show_safely_has_no_kind(content: bytes) -> None:
    assert find(content) is None


@pytest.mark.parametrize(
    ("text", "encoding"),
    [
        (KOREAN, "utf-8"),
        (KOREAN, "cp949"),
        (KOREAN, "utf-16"),
        (KOREAN, "utf-8-sig"),
        ("これは日本語の文章です。会議の資料を添付します。\n", "cp932"),
        ("这是一个中文文件,里面有会议资料。请查收。\n", "gb18030"),
        ("Bonjour à tous, voici le résumé de la réunion d'hier. À bientôt, Chloé.\n", "cp1252"),
        ("Привет, как дела? Вот документы, о которых мы говорили.\n", "cp1251"),
    ],
)
def test_a_text_is_read_in_the_encoding_it_is_written_in(text: str, encoding: str) -> None:
    read = read_text((text * 20).encode(encoding))

    assert read is not None
    assert (read.text, read.encoding) == (text * 20, encoding)


@pytest.mark.parametrize("encoding", ["utf-8", "cp949"])
@pytest.mark.parametrize("missing", [1, 2, 3])
def test_a_text_that_is_cut_within_a_letter_is_still_read(encoding: str, missing: int) -> None:
    whole = KOREAN.rstrip() * 20

    read = read_text(whole.encode(encoding)[:-missing])

    assert read is not None
    assert read.encoding == encoding
    assert whole.startswith(read.text)


def test_the_line_breaks_of_any_system_are_line_breaks() -> None:
    read = read_text(b"one\r\ntwo\rthree\n")

    assert read is not None
    assert read.text == "one\ntwo\nthree\n"


def test_a_text_of_noise_is_given_up_soon() -> None:
    assert read_text(os.urandom(SHOWN).replace(b"\0", b"\1")) is None


@pytest.mark.parametrize("byte", range(256))
def test_of_one_byte_something_or_nothing_is_found(byte: int) -> None:
    read = read_text(bytes([byte]))
    assert read is None or len(read.text) <= 1
