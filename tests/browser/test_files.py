"""Files in the browser: uploads that go on, previews that run nothing, one zip, little room."""

from __future__ import annotations

import io
import os
import zipfile
from collections.abc import Callable
from pathlib import Path

import pytest
from playwright.sync_api import Browser, FilePayload, Page, Request, Route, expect

from tests.browser.window import PHONE, WIDE, Someone, Window, payload
from tests.cluster.parts import Cluster

PIECE = 5 * 1024 * 1024

# Some megabytes go through the browser, nginx, an instance and the store: how long at most, in ms.
PATIENCE = 30_000

SVG = b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'><script>alert(2)</script></svg>"
HTML = b"<!doctype html><script>alert(1)</script><img src=x onerror=alert(2)>"


@pytest.fixture(params=[WIDE, PHONE], ids=["wide", "phone"])
def alice(request: pytest.FixtureRequest, someone: Callable[..., Someone]) -> Someone:
    """Alice, logged in, on a wide screen and on a phone."""
    return someone("Alice", viewport=request.param)


@pytest.fixture(scope="module")
def pictured(chromium: Browser) -> dict[str, FilePayload]:
    """A real image and a real PDF, of two pages."""
    page = chromium.new_page(viewport={"width": 320, "height": 200})
    page.set_content(
        "<body style='background:#c03'><h1>First page</h1>"
        "<h1 style='break-before:page'>두 번째 쪽</h1></body>"
    )
    made = {
        "photo.png": payload("photo.png", page.screenshot(), "image/png"),
        "report.pdf": payload("report.pdf", page.pdf(print_background=True), "application/pdf"),
    }
    page.close()
    return made


def pieces(window: Window) -> list[tuple[str, int]]:
    """Method and offset of each request that brought some of a file."""
    return [
        (request.method, int(request.headers.get("upload-offset", "0")))
        for request in window.uploads()
    ]


def received(alice: Someone, *files: FilePayload) -> str:
    """The path of a message in which alice got these files."""
    alice.window.compose(alice.address, "With files")
    alice.window.attach(*files)
    for file in files:
        expect(alice.window.file(file["name"]).get_by_role("progressbar")).to_have_count(
            0, timeout=PATIENCE
        )
    alice.window.press("Send")
    alice.window.sees("Your message has been sent.")
    alice.window.open("With files")
    expect(alice.window.page.locator(".attachments")).to_be_visible()
    return alice.window.page.url.split("?")[0]


def test_several_files_upload_at_once_each_with_its_progress(alice: Someone) -> None:
    window = alice.window
    window.compose(alice.address, "Three")
    held: list[Route] = []
    window.page.route("**/uploads/*", lambda route: held.append(route))

    window.attach(*(payload(f"{n}.bin", os.urandom(100_000)) for n in (1, 2, 3)))

    expect(window.page.get_by_role("progressbar")).to_have_count(3)
    while len(held) < 3:
        window.page.wait_for_timeout(20)
    for route in held:
        route.continue_()
    expect(window.page.get_by_role("progressbar")).to_have_count(0, timeout=PATIENCE)
    for n in (1, 2, 3):
        expect(window.file(f"{n}.bin")).to_contain_text("97.7 KB")


def test_an_upload_that_is_cut_goes_on_where_it_stopped(alice: Someone, tmp_path: Path) -> None:
    name, content = "film.mkv", os.urandom(2 * PIECE + 1000)
    film = tmp_path / name
    film.write_bytes(content)
    window = alice.window
    window.compose(alice.address, "A film")
    cut: list[Request] = []

    def cut_once(route: Route) -> None:
        if route.request.method == "PATCH" and not cut:
            cut.append(route.request)
            route.abort("connectionreset")
        else:
            route.continue_()

    window.page.route("**/uploads/*", cut_once)
    window.field("Attach files").set_input_files(film)
    expect(window.file(name)).to_contain_text("trying again", timeout=PATIENCE)
    expect(window.file(name).get_by_role("progressbar")).to_have_count(0, timeout=PATIENCE)

    assert pieces(window) == [
        ("POST", 0),
        ("PATCH", PIECE),
        ("PATCH", PIECE),
        ("PATCH", 2 * PIECE),
    ], "it did not begin anew"
    window.press("Send")
    window.sees("Your message has been sent.")
    window.open("A film")
    assert window.download(name) == content
    assert len(window.served_by) == 2, "both instances had some of it"


def test_an_upload_goes_on_when_the_line_is_back(alice: Someone, tmp_path: Path) -> None:
    film = tmp_path / "long.bin"
    film.write_bytes(os.urandom(PIECE + 5))
    window = alice.window
    window.compose(alice.address, "Offline")
    began: list[Request] = []

    def fall_silent(route: Route) -> None:
        if route.request.method == "PATCH" and not began:
            began.append(route.request)
            window.context.set_offline(True)
        route.continue_()

    window.page.route("**/uploads/*", fall_silent)
    window.field("Attach files").set_input_files(film)
    expect(window.file("long.bin")).to_contain_text("trying again", timeout=PATIENCE)
    window.context.set_offline(False)

    expect(window.file("long.bin").get_by_role("progressbar")).to_have_count(0, timeout=PATIENCE)
    assert [method for method, _ in pieces(window)].count("POST") == 1
    assert pieces(window)[-1] == ("PATCH", PIECE)


def test_after_a_reload_the_same_file_goes_on_when_it_is_chosen_again(
    alice: Someone, tmp_path: Path
) -> None:
    film = tmp_path / "film.mkv"
    film.write_bytes(os.urandom(2 * PIECE))
    window = alice.window
    window.compose(alice.address, "Reloaded")
    window.has_saved()
    window.page.route(
        "**/uploads/*",
        lambda route: (
            route.abort("connectionreset") if route.request.method == "PATCH" else route.continue_()
        ),
    )
    window.field("Attach files").set_input_files(film)
    expect(window.file("film.mkv")).to_contain_text("trying again", timeout=PATIENCE)
    window.page.unroute("**/uploads/*")

    window.page.reload()
    before = len(window.uploads())
    window.field("Attach files").set_input_files(film)

    expect(window.file("film.mkv").get_by_role("progressbar")).to_have_count(0, timeout=PATIENCE)
    assert pieces(window)[before:] == [("PATCH", PIECE)]


def test_previews_show_what_is_there_and_run_nothing(
    alice: Someone, pictured: dict[str, FilePayload]
) -> None:
    window, page = alice.window, alice.window.page
    opened: list[str] = []
    page.on("dialog", lambda dialog: opened.append(dialog.message))
    files = [
        pictured["photo.png"],
        pictured["report.pdf"],
        payload("notes.txt", "안녕하세요. 메모입니다.\n".encode("cp949") * 20, "text/plain"),
        payload("drawing.svg", SVG, "image/svg+xml"),
        payload("page.html", HTML, "text/html"),
    ]
    path = received(alice, *files)

    for file in files:
        window.go(path)
        window.link(f"Preview {file['name']}").click()
        expect(page.get_by_role("heading", name=file["name"])).to_be_visible()
        main = page.locator("main")
        if file["name"] == "photo.png":
            assert page.locator(".image img").evaluate("it => it.naturalWidth") == 320
        elif file["name"] == "report.pdf":
            _shows_the_pdf(page)
        elif file["name"] == "notes.txt":
            expect(main.locator("pre")).to_contain_text("안녕하세요. 메모입니다.")
        else:
            expect(main.locator("pre")).to_have_text(file["buffer"].decode())
        assert (
            page.evaluate("document.documentElement.scrollWidth")
            <= (page.viewport_size or WIDE)["width"]
        )
    assert opened == []


def _shows_the_pdf(page: Page) -> None:
    sheets = page.locator(".sheet")
    expect(sheets).to_have_count(2)
    expect(sheets.first).to_have_attribute("data-drawn", "")
    red = sheets.first.locator("canvas").evaluate(
        "it => [...it.getContext('2d').getImageData(it.width / 2, it.height / 2, 1, 1).data]"
    )
    assert red == [204, 0, 51, 255]
    expect(sheets.first).to_contain_text("First page")
    sheets.last.scroll_into_view_if_needed()
    expect(sheets.last, "is a font with Korean installed?").to_contain_text("두 번째 쪽")


def test_previews_are_walked_through_by_keys(alice: Someone) -> None:
    window, page = alice.window, alice.window.page
    path = received(alice, *(payload(f"{n}.txt", f"text {n}".encode()) for n in "ab"))
    window.go(f"{path}/preview/1")
    first = page.locator("main pre").inner_text()

    page.keyboard.press("ArrowRight")
    expect(page.locator("main pre")).not_to_have_text(first)
    page.keyboard.press("ArrowLeft")
    expect(page.locator("main pre")).to_have_text(first)
    page.keyboard.press("Escape")
    expect(page.locator(".attachments")).to_be_visible()


def test_all_files_are_downloaded_as_one_zip(alice: Someone) -> None:
    window = alice.window
    files = {"보고서.pdf": os.urandom(50_000), "b.bin": os.urandom(6_000_000)}
    received(alice, *(payload(name, content) for name, content in files.items()))

    with window.page.expect_download() as download:
        window.follow("Download all")

    assert download.value.suggested_filename == "With files.zip"
    with zipfile.ZipFile(io.BytesIO(download.value.path().read_bytes())) as bundle:
        assert {name: bundle.read(name) for name in bundle.namelist()} == files


def test_little_room_is_shown_and_none_is_said_with_what_to_do(
    alice: Someone, cluster: Cluster
) -> None:
    window = alice.window
    received(alice, payload("large.bin", os.urandom(4_000_000)))
    cluster.command("user", "quota", alice.address, "9MB")
    window.go("/settings")
    window.sees("7.6 MB of 9 MB are used")
    window.go("/folders" if window.page.viewport_size == PHONE else "/mail/inbox")
    expect(window.page.get_by_text("84% of 9 MB used").locator("visible=true")).to_have_count(1)

    window.compose(alice.address, "No room")
    window.attach(payload("another.bin", os.urandom(2_000_000)))

    expect(window.file("another.bin")).to_contain_text("Your mailbox is full: 7.6 MB of 9 MB")
    window.press("Remove another.bin")
    window.attach(payload("small.bin", b"small"))
    expect(window.file("small.bin")).to_contain_text("5 bytes")
