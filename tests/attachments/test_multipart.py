"""Reading forms: whatever arrives in whatever pieces, the files as streams."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest
from flask import Flask, Request

from mailapp.attachments.multipart import MAX_PARTS, FilePart, read_form
from mailapp.errors import Problem

BOUNDARY = "----form7MA4YWxk"
MULTIPART = f"multipart/form-data; boundary={BOUNDARY}"
URLENCODED = "application/x-www-form-urlencoded"
MIB = 1024 * 1024


class Pieces:
    """A request's body that arrives at most `step` bytes at a time."""

    def __init__(self, data: bytes, step: int) -> None:
        self._data = data
        self._step = step
        self.position = 0

    def read(self, size: int) -> bytes:
        piece = self._data[self.position : self.position + min(size, self._step)]
        self.position += len(piece)
        return piece


class Filling(Pieces):
    """The same from a server that can also fill a buffer."""

    def readinto(self, buffer: memoryview) -> int:
        piece = self.read(len(buffer))
        buffer[: len(piece)] = piece
        return len(piece)


def part(name: str, content: bytes, more: str = "") -> bytes:
    head = f'--{BOUNDARY}\r\nContent-Disposition: form-data; name="{name}"{more}\r\n\r\n'
    return head.encode() + content + b"\r\n"


END = f"--{BOUNDARY}--\r\n".encode()


def request_of(
    body: bytes, *, step: int = 1 << 30, announced: bool = True, content_type: str = MULTIPART
) -> Request:
    environ: dict[str, Any] = {
        "REQUEST_METHOD": "POST",
        "CONTENT_TYPE": content_type,
        "wsgi.input": Pieces(body, step),
        "wsgi.input_terminated": True,
    }
    if announced:
        environ["CONTENT_LENGTH"] = str(len(body))
    else:
        environ["HTTP_TRANSFER_ENCODING"] = "chunked"
    return Request(environ)


def read_all(request: Request, limit: int = 10 * MIB, read: int = 65536) -> tuple[Any, Any]:
    """The fields, and each file as (field, filename, type, fields before it, content)."""
    files = []

    def on_file(file: FilePart) -> None:
        content, buffer = b"", memoryview(bytearray(read))
        while size := file.readinto(buffer):
            content += buffer[:size]
        files.append((file.field, file.filename, file.content_type, dict(file.fields), content))

    fields = read_form(request, limit=limit, on_file=on_file)
    return list(fields.items(multi=True)), files


@pytest.fixture(autouse=True)
def _in_app(bare_app: Flask) -> Any:
    with bare_app.app_context():
        yield


# Content that looks like a boundary, but for a byte.
TRICKY = f"\r\n--{BOUNDARY[:-1]}\r\n-\r\n--\r\r\n\r\n-{BOUNDARY}".encode()
FORM = (
    b"preamble\r\n"
    + part("to", "하나 <a@mail.example>".encode())
    + part("file", TRICKY, '; filename="a.txt"\r\nContent-Type: text/plain')
    + part("to", b"second")
    + part("none", b"", '; filename=""\r\nContent-Type: application/octet-stream')
    + part("file", b"", '; filename="empty"')
    + part("last", b"")
    + END
    + b"epilogue"
)
EXPECTED = (
    [("to", "하나 <a@mail.example>"), ("to", "second"), ("last", "")],
    [
        ("file", "a.txt", "text/plain", {"to": "하나 <a@mail.example>"}, TRICKY),
        ("file", "empty", "", {"to": "하나 <a@mail.example>"}, b""),
    ],
)


@pytest.mark.parametrize("announced", [True, False], ids=["announced", "chunked"])
@pytest.mark.parametrize("step", [*range(1, 80), 1000])
def test_a_form_is_the_same_in_whatever_pieces_it_comes(step: int, announced: bool) -> None:
    request = request_of(FORM, step=step, announced=announced)
    if announced:
        request.environ["wsgi.input"] = Filling(FORM, step)

    fields, files = read_all(request)

    assert fields == EXPECTED[0]
    assert [(*file[:3], file[4]) for file in files] == [(*f[:3], f[4]) for f in EXPECTED[1]]


def test_a_form_is_the_same_wherever_it_is_cut_in_two() -> None:
    for cut in range(1, len(FORM)):
        request = request_of(FORM)
        halves = iter([FORM[:cut], FORM[cut:], b""])

        class Halves:
            def read(self, size: int, halves: Iterator[bytes] = halves) -> bytes:
                return next(halves)

        request.environ["wsgi.input"] = Halves()
        assert read_all(request) == EXPECTED, f"cut at {cut}"


def test_a_file_larger_than_any_buffer_is_whole() -> None:
    # Not a multiple of anything, and now and then the beginning of a delimiter at a piece's end.
    content = (f"\r\n--{BOUNDARY}"[:-1].encode() + bytes(9973)) * 107
    form = part("file", content, '; filename="a.bin"') + END

    for step in (65_536, 1 << 30):
        _, files = read_all(request_of(form, step=step), read=100_003)
        assert files[0][4] == content


@pytest.mark.parametrize("read", [1, 2, 7, 100])
def test_a_file_may_be_read_in_small_pieces(read: int) -> None:
    assert read_all(request_of(FORM), read=read) == EXPECTED


def test_a_file_that_is_not_read_is_skipped() -> None:
    fields = read_form(request_of(FORM), limit=MIB, on_file=lambda file: None)

    assert list(fields.items(multi=True)) == EXPECTED[0]


def test_a_file_can_not_be_read_any_more_after_its_turn() -> None:
    kept: list[FilePart] = []

    read_form(request_of(FORM), limit=MIB, on_file=kept.append)

    assert [file.readinto(memoryview(bytearray(10))) for file in kept] == [0, 0]


@pytest.mark.parametrize("announced", [True, False], ids=["announced", "chunked"])
def test_a_body_that_breaks_off_is_refused_wherever_it_does(announced: bool) -> None:
    end = FORM.index(END) + len(END) - 2  # the line break after the last boundary may miss
    for cut in range(end):
        request = request_of(FORM, announced=announced)
        request.environ["wsgi.input"] = Pieces(FORM[:cut], 1 << 30)
        with pytest.raises(Problem) as problem:
            read_all(request)
        assert problem.value.status == 400


def test_a_connection_that_fails_is_a_body_that_breaks_off() -> None:
    class Reset:
        def read(self, size: int) -> bytes:
            raise ConnectionResetError

    request = request_of(FORM)
    request.environ["wsgi.input"] = Reset()

    with pytest.raises(Problem, match="broke off"):
        read_all(request)


def test_an_announced_length_over_the_limit_is_refused_before_anything_is_read() -> None:
    request = request_of(FORM)

    with pytest.raises(Problem) as problem:
        read_all(request, limit=len(FORM) - 1)

    assert problem.value.status == 413
    assert "All that is sent at once" in problem.value.text, "no file of it may be too large"
    assert request.environ["wsgi.input"].position == 0


def test_a_body_of_unknown_length_is_refused_as_soon_as_it_passes_the_limit() -> None:
    body = part("file", bytes(3 * MIB), '; filename="x"') + END
    request = request_of(body, announced=False)

    with pytest.raises(Problem) as problem:
        read_all(request, limit=MIB)

    assert problem.value.status == 413
    assert request.environ["wsgi.input"].position <= MIB + 1


def test_a_body_of_exactly_the_limit_is_read() -> None:
    assert read_all(request_of(FORM), limit=len(FORM)) == EXPECTED
    assert read_all(request_of(FORM, announced=False), limit=len(FORM)) == EXPECTED


def test_too_many_fields_are_refused() -> None:
    with pytest.raises(Problem) as problem:
        read_all(request_of(part("a", b"") * (MAX_PARTS + 1) + END))

    assert problem.value.status == 413


def test_too_much_text_is_refused_however_it_is_divided() -> None:
    for body in (
        part("a", bytes(3 * MIB)),
        part("a", bytes(MIB)) * 3,
        part("a" * 15_000, b"") * 200,
        part("a", b"", '; filename="' + "a" * 15_000 + '"') * 200,
    ):
        with pytest.raises(Problem) as problem:
            read_all(request_of(body + END))
        assert problem.value.status == 413


@pytest.mark.parametrize(
    "body",
    [
        b"",
        b"no form at all",
        END.replace(b"--\r\n", b"garbage\r\n\r\n"),
        f"--{BOUNDARY}\r\n\r\nno heading\r\n".encode() + END,
        f"--{BOUNDARY}\r\nContent-Type: text/plain\r\n\r\nno name\r\n".encode() + END,
        f"--{BOUNDARY}\r\nContent-Disposition: form-data\r\n\r\nno name\r\n".encode() + END,
        f"--{BOUNDARY}\r\nX: ".encode() + b"x" * 100_000 + b"\r\n\r\n" + END,
        f"--{BOUNDARY}\r\n".encode() + b"X: y\r\n" * 10_000 + b"\r\n" + END,
        f"--{BOUNDARY}".encode() + b" " * 100_000 + b"\r\n" + END,
    ],
)
def test_a_malformed_form_is_refused(body: bytes) -> None:
    with pytest.raises(Problem) as problem:
        read_all(request_of(body))

    assert problem.value.status == 400


@pytest.mark.parametrize(
    "content_type",
    ["multipart/form-data", "multipart/form-data; boundary=", "text/plain", ""],
)
def test_a_body_that_is_no_form_is_refused(content_type: str) -> None:
    with pytest.raises(Problem) as problem:
        read_all(request_of(FORM, content_type=content_type))

    assert problem.value.status == 400


@pytest.mark.parametrize(
    ("written", "read"),
    [
        ('filename="한글 이름.pdf"', "한글 이름.pdf"),
        ("filename=\"x\"; filename*=UTF-8''%ED%95%9C.pdf", "한.pdf"),
        ('filename="say %22hi%22.txt"', 'say "hi".txt'),
        ('filename="a%0D%0Ab.txt"', "a\r\nb.txt"),
        ('filename="C:\\\\dir\\\\a.txt"', "C:\\dir\\a.txt"),
    ],
)
def test_a_file_name_is_what_the_browser_meant(written: str, read: str) -> None:
    _, files = read_all(request_of(part("file", b"x", f"; {written}") + END))

    assert files[0][1] == read


def test_an_urlencoded_form_is_read_too() -> None:
    request = request_of(
        b"to=bob&body=%C3%A9", content_type="application/x-www-form-urlencoded; charset=utf-8"
    )

    assert read_all(request) == ([("to", "bob"), ("body", "é")], [])


@pytest.mark.parametrize("body", [b"a&" * (MAX_PARTS + 1), b"body=" + bytes(7 * MIB)])
@pytest.mark.parametrize("announced", [True, False], ids=["announced", "chunked"])
def test_an_urlencoded_form_can_not_be_larger_than_what_people_write(
    body: bytes, announced: bool
) -> None:
    request = request_of(body, announced=announced, content_type=URLENCODED)

    with pytest.raises(Problem) as problem:
        read_all(request)

    assert problem.value.status == 413


def test_an_urlencoded_form_may_say_all_that_another_may() -> None:
    body = b"body=" + b"%ED%95%9C" * (MIB // 3)

    assert read_all(request_of(body, content_type=URLENCODED)) == (
        [("body", "한" * (MIB // 3))],
        [],
    )


@pytest.mark.parametrize(
    ("body", "content_type"), [(FORM, MULTIPART), (b"to=first&to=second", URLENCODED)]
)
def test_what_was_typed_is_the_requests_form_afterwards(body: bytes, content_type: str) -> None:
    request = request_of(body, content_type=content_type)

    fields, _ = read_all(request)

    assert list(request.form.items(multi=True)) == fields
    assert len(request.form.getlist("to")) == 2
