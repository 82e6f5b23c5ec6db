"""What the templates can say: sizes, links in plain text, addresses of static files, icons."""

import re
import time
from pathlib import Path

import pytest
from flask import Flask, render_template_string

from mailapp import templating
from mailapp.templating import StaticFiles, agent_name, filesize, linkify


@pytest.fixture
def static(tmp_path: Path) -> StaticFiles:
    (tmp_path / "app.css").write_text("body {}")
    (tmp_path / "icons.svg").write_text("<svg/>")
    return StaticFiles(tmp_path, "/static")


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0 bytes"),
        (1, "1 byte"),
        (1023, "1023 bytes"),
        (1024, "1 KB"),
        (1536, "1.5 KB"),
        (1024**2 - 1, "1 MB"),
        (50 * 1024**2, "50 MB"),
        (3 * 1024**3, "3 GB"),
        (5000 * 1024**4, "5000 TB"),
    ],
)
def test_a_size_is_said_in_the_largest_fitting_unit(size: int, text: str) -> None:
    assert filesize(size) == text


@pytest.mark.parametrize(
    ("text", "address"),
    [
        ("see https://example.org/a?b=c#d for more", "https://example.org/a?b=c#d"),
        ("Read http://example.org.", "http://example.org"),
        ("(https://example.org/x)", "https://example.org/x"),
        ("https://example.org/a_(b)", "https://example.org/a_(b)"),
        ("<https://example.org/>", "https://example.org/"),
        ("HTTPS://EXAMPLE.ORG/한글", "HTTPS://EXAMPLE.ORG/한글"),
    ],
)
def test_a_web_address_becomes_a_link_without_the_sentence_around_it(
    text: str, address: str
) -> None:
    link = f'<a href="{address}" rel="noopener noreferrer nofollow">{address}</a>'
    assert link in linkify(text)


def test_an_ampersand_in_an_address_is_escaped_in_the_link_and_in_its_text() -> None:
    assert linkify("https://example.org/?a=1&b=2") == (
        '<a href="https://example.org/?a=1&amp;b=2" rel="noopener noreferrer nofollow">'
        "https://example.org/?a=1&amp;b=2</a>"
    )


@pytest.mark.parametrize(
    "text",
    [
        "javascript:alert(1)",
        "data:text/html,hello",
        "mailto:alice@mail.example",
        "https://",
        "https://...",
        "www.example.org",
    ],
)
def test_what_is_no_web_address_stays_text(text: str) -> None:
    assert "<a" not in linkify(text)


def test_html_in_a_message_is_shown_and_never_obeyed() -> None:
    html = str(linkify('<script>alert(1)</script> https://x.example/"onload="alert(1)'))
    assert "<script" not in html
    assert 'href="https://x.example/" rel' in html
    assert "&#34;onload=&#34;alert(1)" in html


def test_a_megabyte_of_brackets_is_linked_in_reasonable_time() -> None:
    begin = time.perf_counter()
    linkify("https://example.org/" + ")" * 1_000_000)
    assert time.perf_counter() - begin < 5


@pytest.mark.parametrize(
    ("agent", "name"),
    [
        ("Mozilla/5.0 (X11; Linux x86_64; rv:140.0) Firefox/140.0", "Firefox on Linux"),
        (
            "Mozilla/5.0 (Windows NT 10.0) AppleWebKit/537.36 Chrome/140.0 Safari/537.36 Edg/140.0",
            "Edge on Windows",
        ),
        (
            "Mozilla/5.0 (iPhone; CPU iPhone OS 18_0 like Mac OS X) Version/18.0 Safari/604.1",
            "Safari on iPhone",
        ),
        ("python-httpx/0.27", "python-httpx/0.27"),
        ("", "Unknown program"),
    ],
)
def test_a_browser_is_named_by_what_it_is_and_where_it_runs(agent: str, name: str) -> None:
    assert agent_name(agent) == name


def test_the_address_of_a_static_file_changes_with_its_content(tmp_path: Path) -> None:
    file = tmp_path / "app.css"
    file.write_text("a {}")
    before = StaticFiles(tmp_path, "/static").url("app.css")
    file.write_text("b {}")
    after = StaticFiles(tmp_path, "/static").url("app.css")
    assert before.startswith("/static/app.css?v=")
    assert before != after


def test_a_static_file_is_read_once_in_a_process(tmp_path: Path, static: StaticFiles) -> None:
    first = static.url("app.css")
    (tmp_path / "app.css").unlink()
    assert static.url("app.css") == first


def test_a_module_names_those_it_imports_by_their_versions(tmp_path: Path) -> None:
    (tmp_path / "parts").mkdir()
    (tmp_path / "page.js").write_text('import { a } from "./parts/a.js";\nimport "./parts/b.js";\n')
    (tmp_path / "parts" / "a.js").write_text('import {\n  b,\n} from "./b.js";\n')
    addresses = []
    for content in ("one", "two"):
        (tmp_path / "parts" / "b.js").write_text(content)
        files = StaticFiles(tmp_path, "/static")
        a, b = files.url("parts/a.js"), files.url("parts/b.js")
        addresses.append((files.url("page.js"), a, b))
        assert files.content("parts/a.js").decode() == f'import {{\n  b,\n}} from "{b}";\n'
        assert files.content("page.js").decode() == f'import {{ a }} from "{a}";\nimport "{b}";\n'

    # Also of those that import what imports it.
    assert not set(addresses[0]) & set(addresses[1])


def test_a_script_of_others_stays_as_it_is(tmp_path: Path) -> None:
    (tmp_path / "vendor").mkdir()
    (tmp_path / "vendor" / "theirs.js").write_text('import "./other.js";\n')
    assert StaticFiles(tmp_path, "/static").content("vendor/theirs.js") == b'import "./other.js";\n'


def test_a_static_file_that_is_missing_is_noticed(static: StaticFiles) -> None:
    with pytest.raises(FileNotFoundError):
        static.url("missing.css")


def test_an_icon_is_drawn_from_the_sprite_and_hidden_from_screen_readers(
    static: StaticFiles,
) -> None:
    icon = static.icon("inbox")
    assert f'href="{static.url("icons.svg")}#inbox"' in icon
    assert 'aria-hidden="true"' in icon


def test_the_templates_of_an_app_have_the_filters_and_globals() -> None:
    app = Flask("mailapp")
    templating.init_app(app)
    with app.test_request_context():
        text = render_template_string(
            "{{ 1536 | filesize }} {{ 'http://a.example' | linkify }} {{ '' | agent_name }}"
            " {{ 'app.css'|static_url }} {{ 'inbox'|icon }}"
        )
    assert text.startswith('1.5 KB <a href="http://a.example"')
    assert "/static/app.css?v=" in text
    assert "#inbox" in text


def test_every_icon_that_a_template_names_is_in_the_sprite() -> None:
    room = Path(templating.__file__).parent
    drawn = set(re.findall(r'id="([a-z-]+)"', (room / "static/icons.svg").read_text()))
    named = {
        name
        for template in (room / "templates").rglob("*.html")
        for name in re.findall(r'icon\("([a-z-]+)"\)', template.read_text())
    }
    assert named | {"inbox", "sent", "drafts", "trash"} <= drawn


def test_no_page_asks_another_host_for_anything_or_breaks_the_content_policy() -> None:
    room = Path(templating.__file__).parent
    for template in (room / "templates").rglob("*.html"):
        text = template.read_text()
        assert not re.search(r'(?:src|href|action)="(?:https?:)?//', text), template
        assert not re.search(r"<style|\sstyle=|\son[a-z]+=|<script(?![^>]*\ssrc=)", text), template


def test_a_style_that_another_imports_is_named_by_its_version() -> None:
    folder = Path(templating.__file__).parent / "static"
    imported = re.findall(r'url\("([^"?]+)(\?v=[^"]*)"\)', (folder / "app.css").read_text())

    assert imported
    for filename, version in imported:
        assert StaticFiles(folder, "/static").url(filename) == f"/static/{filename}{version}"


def test_published_files_lie_under_their_versions_beside_those_of_others(tmp_path: Path) -> None:
    source, folder = tmp_path / "source", tmp_path / "published"
    (source / "errors").mkdir(parents=True)
    (source / "errors" / "502.html").write_text("nginx's own")
    addresses = []
    for content in ("a {}", "b {}"):
        (source / "app.css").write_text(content)
        files = StaticFiles(source, "/static")
        files.publish(folder)
        files.publish(folder)
        addresses.append((content, files.url("app.css")))

    for content, address in addresses:
        path, _, version = address.partition("?v=")
        assert (folder / version / path.lstrip("/")).read_text() == content
    assert len([path for path in folder.rglob("*") if path.is_file()]) == 2
