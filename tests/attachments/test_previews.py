"""A preview of each file, that runs nothing; and all files of a message as one zip."""

from __future__ import annotations

import io
import os
import zipfile
from urllib.parse import urlsplit

import pytest
from flask import Flask

from mailapp.attachments.kinds import SHOWN
from mailapp.attachments.store import StoreUnavailable
from tests.people import Attached, Person

PNG = b"\x89PNG\r\n\x1a\n" + os.urandom(200)
SVG = b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'><script>alert(2)</script></svg>"
HTML = b"<!doctype html><title>x</title><script>alert(1)</script><img src=x onerror=alert(2)>"


def received(alice: Person, bob: Person, *files: Attached) -> str:
    """The path of the message in which bob got these files."""
    alice.send("bob@mail.example", "Files", files=files)
    bob.open("Files")
    return urlsplit(str(bob.response.url)).path


def preview(bob: Person, path: str, n: int = 1) -> str:
    """The page that shows the n-th file, as HTML."""
    bob.visit(f"{path}/preview/{n}")
    assert bob.response.status_code == 200
    return bob.response.text


def test_an_image_is_shown_by_the_type_of_its_content(alice: Person, bob: Person) -> None:
    path = received(alice, bob, Attached("photo.exe", PNG, "application/x-msdownload"))

    preview(bob, path)
    image = bob.page.select_one("main img")
    assert image is not None
    answer = bob.client.get(str(image["src"]))

    assert (answer.status_code, answer.content) == (200, PNG)
    assert answer.headers["Content-Type"] == "image/png"
    assert answer.headers["Content-Disposition"].startswith("inline")
    assert answer.headers["X-Content-Type-Options"] == "nosniff"
    assert answer.headers["Content-Security-Policy"] == "default-src 'none'; sandbox"


@pytest.mark.parametrize(
    ("filename", "content", "content_type"),
    [
        ("drawing.svg", SVG, "image/svg+xml"),
        ("page.html", HTML, "text/html"),
        ("photo.png", HTML, "image/png"),
        ("page.xhtml", HTML, "application/xhtml+xml"),
        ("picture.jpg", SVG, "image/jpeg"),
    ],
)
def test_what_could_run_is_shown_as_its_source_and_as_nothing_else(
    filename: str, content: bytes, content_type: str, alice: Person, bob: Person
) -> None:
    path = received(alice, bob, Attached(filename, content, content_type))

    page = preview(bob, path)

    shown = bob.page.select_one("main pre")
    assert shown is not None
    assert shown.text.strip() == content.decode()
    assert content.decode() not in page, "it is escaped"
    assert bob.client.get(f"{path}/shown/1").status_code == 404
    download = bob.client.get(str(bob.link("Download")["href"]))
    assert download.headers["Content-Disposition"].startswith("attachment")
    assert download.content == content


def test_a_pdf_is_read_by_a_script_of_ours_and_never_sent_as_a_pdf_to_show(
    alice: Person, bob: Person
) -> None:
    path = received(alice, bob, Attached("report", b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n", "text/plain"))

    preview(bob, path)

    box = bob.page.select_one("#pdf")
    assert box is not None
    assert bob.client.get(f"{path}/shown/1").status_code == 404
    answer = bob.client.get(str(box["data-url"]))
    assert answer.headers["Content-Disposition"].startswith("attachment")


def test_a_text_is_shown_in_its_own_encoding(alice: Person, bob: Person) -> None:
    text = "안녕하세요. 회의 자료를 첨부합니다. 확인 부탁드립니다.\n" * 5
    path = received(alice, bob, Attached("메모", text.encode("cp949"), "application/octet-stream"))

    preview(bob, path)

    shown = bob.page.select_one("main pre")
    assert shown is not None
    assert shown.text == "\n" + text
    assert "Read as CP949." in bob.text


def test_of_a_long_text_the_beginning_is_shown(alice: Person, bob: Person) -> None:
    line = b"0123456789abcde\n"
    path = received(alice, bob, Attached("log.txt", line * (3 * SHOWN // 16), "text/plain"))

    page = preview(bob, path)

    assert "Only the first 256 KB are shown." in bob.text
    assert len(page) < SHOWN + 50_000


@pytest.mark.parametrize("content", [b"", b"PK\x03\x04\x14\0\x06\0" + os.urandom(500)])
def test_what_can_not_be_shown_says_so_and_can_be_downloaded(
    content: bytes, alice: Person, bob: Person
) -> None:
    path = received(alice, bob, Attached("thing.bin", content))

    preview(bob, path)

    assert "There is no preview of this kind of file." in bob.text
    assert bob.download("Download") == content


def test_previews_lead_from_file_to_file_and_back_to_the_message(
    alice: Person, bob: Person
) -> None:
    files = [Attached(f"{n}.txt", f"text {n}".encode(), "text/plain") for n in (1, 2, 3)]
    path = received(alice, bob, *files)

    preview(bob, path)
    assert not bob.sees_link("Previous")
    bob.follow("Next")
    assert "text 2" in bob.text
    assert "2 of 3" in bob.text
    bob.follow("Next")
    assert not bob.sees_link("Next")
    bob.follow("Previous")
    assert "text 2" in bob.text
    bob.follow("Back to the message")
    assert urlsplit(str(bob.response.url)).path == path


def test_nobody_else_sees_a_file(alice: Person, bob: Person, charlie: Person) -> None:
    path = received(alice, bob, Attached("a.png", PNG, "image/png"))

    answers = [
        charlie.client.get(path + end).status_code
        for end in ("/preview/1", "/shown/1", "/attachments.zip")
    ]

    assert answers == [404, 404, 404]


@pytest.mark.parametrize("end", ["/preview/0", "/preview/2", "/shown/2", "/preview/99999999999999"])
def test_a_file_that_is_not_there_is_not_found(end: str, alice: Person, bob: Person) -> None:
    path = received(alice, bob, Attached("a.png", PNG, "image/png"))

    assert bob.client.get(path + end).status_code == 404


def test_all_files_come_as_one_zip(alice: Person, bob: Person) -> None:
    files = [
        Attached("보고서.pdf", os.urandom(70_000)),
        Attached("보고서.pdf", b"another"),
        Attached("empty", b""),
    ]
    path = received(alice, bob, *files)

    answer = bob.client.get(f"{path}/attachments.zip")

    assert answer.headers["Content-Type"] == "application/zip"
    assert answer.headers["Content-Disposition"] == 'attachment; filename="Files.zip"'
    assert int(answer.headers["Content-Length"]) == len(answer.content)
    with zipfile.ZipFile(io.BytesIO(answer.content)) as bundle:
        assert bundle.namelist() == ["보고서.pdf", "보고서 (2).pdf", "empty"]
        assert [bundle.read(name) for name in bundle.namelist()] == [f.content for f in files]
    head = bob.client.head(f"{path}/attachments.zip")
    assert head.headers["Content-Length"] == answer.headers["Content-Length"]


def test_without_the_store_a_zip_and_a_preview_say_so(
    alice: Person, bob: Person, instances: list[Flask], monkeypatch: pytest.MonkeyPatch
) -> None:
    path = received(alice, bob, Attached("a.txt", os.urandom(50)), Attached("b.txt", b"b"))

    def away(*_: object) -> None:
        raise StoreUnavailable("it is away")

    for app in instances:
        monkeypatch.setattr(app.extensions["attachments"], "open", away)

    for end in ("/attachments.zip", "/preview/1"):
        answer = bob.client.get(path + end)
        assert answer.status_code == 503
        assert "Retry-After" in answer.headers


def test_a_message_without_files_has_no_zip(alice: Person, bob: Person) -> None:
    path = received(alice, bob)

    assert bob.client.get(f"{path}/attachments.zip").status_code == 404
