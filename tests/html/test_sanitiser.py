"""What is left of HTML mail: nothing that runs or loads, all that people want to read."""

from __future__ import annotations

import re
from html.parser import HTMLParser

import pytest

from mailapp.html import css
from mailapp.html.allowed import ELEMENTS, EVERYWHERE, PER_ELEMENT, VOID, WITHOUT_CONTENT
from mailapp.html.sanitiser import Shown, TooHeavy, for_showing
from tests.html.corpus import CORPUS, EVIL

# Elements whose content is not read as HTML: where one begins, what follows means something else.
_NOT_HTML = {"noscript", "plaintext", "script", "style", "svg", "math", "template", "textarea"}


def inline(content_id: str) -> str | None:
    """The address of a mail's own image, of which there is one."""
    return "/mail/1/inline/1" if content_id == "logo" else None


def shown(html: str, *, remote: bool = False) -> str:
    """What is shown of HTML."""
    return for_showing(html, inline, remote=remote).html


class Parts(HTMLParser):
    """The elements of HTML with their attributes, and the text around them."""

    def __init__(self, html: str) -> None:
        super().__init__()
        self.elements: list[tuple[str, dict[str, str]]] = []
        self.open: list[str] = []
        self.text: list[str] = []
        self.feed(html)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert len({name for name, _ in attrs}) == len(attrs)
        self.elements.append((tag, {name: value or "" for name, value in attrs}))
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag

    def handle_data(self, data: str) -> None:
        self.text.append(data)

    def handle_comment(self, data: str) -> None:
        raise AssertionError(data)

    def handle_decl(self, decl: str) -> None:
        raise AssertionError(decl)

    def handle_pi(self, data: str) -> None:
        raise AssertionError(data)


def harmless(written: Shown, *, loads: bool) -> None:
    """Check that of what was written each piece is one of those that are known to be harmless."""
    parts = Parts(written.html)
    assert parts.open == []
    for tag, attributes in parts.elements:
        assert tag in ELEMENTS
        for name, value in attributes.items():
            _harmless_attribute(tag, name, value, loads=loads)
    _harmless_css(written.sheet, loads=loads)


def _harmless_attribute(tag: str, name: str, value: str, *, loads: bool) -> None:
    if name in {"target", "rel"}:
        assert (tag, name, value) in {
            ("a", "target", "_blank"),
            ("area", "target", "_blank"),
            ("a", "rel", "noopener noreferrer nofollow"),
            ("area", "rel", "noopener noreferrer nofollow"),
        }
    elif name == "referrerpolicy":
        assert value == "no-referrer"
    elif name == "style":
        _harmless_css(value, loads=loads)
    elif name == "href":
        assert re.match(r"https?://[^/]|mailto:|#", value, re.IGNORECASE)
        assert not re.search(r"[\x00-\x20\\]", value)
    elif name in {"src", "background"}:
        own = value.startswith(("/mail/1/inline/", "data:image/png;base64,"))
        assert own or (loads and re.match(r"https?://[^/]", value))
    else:
        assert name in PER_ELEMENT.get(tag, {}) or name in EVERYWHERE


def _harmless_css(text: str, *, loads: bool) -> None:
    assert not re.search(r"[@\\<]|!|expression|var\(|image-set|(?<!-)position\s*:|fixed|--", text)
    if not loads:
        assert "url" not in text


@pytest.mark.parametrize("name", CORPUS)
def test_nothing_is_left_of_an_attack(name: str) -> None:
    harmless(for_showing(CORPUS[name], inline), loads=False)


@pytest.mark.parametrize("name", CORPUS)
def test_nothing_but_images_is_left_of_an_attack_where_images_are_asked_for(name: str) -> None:
    harmless(for_showing(CORPUS[name], inline, remote=True), loads=True)


@pytest.mark.parametrize("name", CORPUS)
def test_what_was_written_is_written_the_same_again(name: str) -> None:
    """What a browser reads differently than it was meant would change when it is read again."""
    once = shown(CORPUS[name])
    if 'class="mailapp-host"' not in once:  # which only we may write
        first, again = Parts(once), Parts(shown(once))
        assert again.elements == first.elements
        assert "".join(again.text) == "".join(first.text)


def test_no_element_is_allowed_whose_content_is_not_html() -> None:
    assert not ELEMENTS & (_NOT_HTML | WITHOUT_CONTENT)


def test_what_people_format_is_kept() -> None:
    kept = (
        '<h1 style="color:#333;font-family:Arial, sans-serif">Plan</h1><p align="center">A <b>bold'
        '</b> <i>word</i>, <span style="font-size:14px">굵은 글</span></p><ul><li>one</li></ul>'
        '<table border="1" width="100%" cellpadding="4"><tbody><tr><td colspan="2" '
        'bgcolor="#eeeeee">x</td></tr></tbody></table><blockquote type="cite">q</blockquote>'
    )
    assert shown(kept) == kept.replace(' type="cite"', "")


def test_a_page_s_body_keeps_its_colours() -> None:
    page = '<html><head><title>No</title></head><body bgcolor="#eee"><p>x</p></body></html>'
    assert shown(page) == '<div bgcolor="#eee"><p>x</p></div>'


def test_links_open_in_a_new_tab_and_say_where_they_go() -> None:
    [(_, attributes)] = Parts(
        shown('<a href="https://a.example/x?y=1" title="Mine">go</a>')
    ).elements
    assert attributes == {
        "href": "https://a.example/x?y=1",
        "title": "https://a.example/x?y=1",
        "target": "_blank",
        "rel": "noopener noreferrer nofollow",
    }


def test_a_link_to_a_place_in_the_mail_stays_in_it() -> None:
    html = '<a href="#below">x</a><h2 id="below">y</h2>'
    assert shown(html) == html


def test_beside_a_link_whose_text_names_another_host_stands_the_true_one() -> None:
    html = shown('<a href="https://evil.example/login">https://bank.example/<b>login</b></a>')
    assert html.endswith('</a><span class="mailapp-host"> [evil.example]</span>')


def test_nobody_else_s_text_looks_like_our_own() -> None:
    html = '<span class="mailapp-host x" id="mailapp-host">bank.example</span>'
    assert shown(html) == '<span class="x">bank.example</span>'
    styles = "<style>.mailapp-host, #mailapp-host {color: red} .x {color: blue}</style>"
    assert for_showing(styles, inline).sheet == ".x{color:blue}"


def test_addresses_in_text_become_links() -> None:
    html = shown("<p>See https://a.example/?b=1&amp;c=2, (https://b.example/).</p>")
    links = [attributes["href"] for tag, attributes in Parts(html).elements if tag == "a"]
    assert links == ["https://a.example/?b=1&c=2", "https://b.example/"]
    assert "".join(Parts(html).text) == "See https://a.example/?b=1&c=2, (https://b.example/)."


def test_images_of_other_hosts_are_blocked_and_counted() -> None:
    html = (
        f'<img src="{EVIL}/a.png" alt="a cat"><table background="{EVIL}/b.png"></table>'
        f'<p style="background:red url({EVIL}/c.png)">x</p>'
        f"<style>p{{background:url({EVIL}/d)}}</style>"
        '<img src="cid:logo"><img src="cid:other"><img src="data:image/png;base64,AAAA">'
    )
    written = for_showing(html, inline)
    assert written.blocked == 4
    assert "evil" not in written.html + written.sheet
    assert '<img alt="a cat">' in written.html
    assert '<p style="background:red">' in written.html
    assert '<img src="/mail/1/inline/1"><img><img src="data:image/png;base64,AAAA">' in written.html


def test_images_of_other_hosts_are_there_where_they_are_asked_for() -> None:
    html = (
        f'<img src="{EVIL}/a.png"><img src="//evil.example/b.png">'
        f"<p style=\"background:url('{EVIL}/c (1).png')\">x</p>"
        f"<style>p{{background-image:url({EVIL}/d.png)}}</style>"
    )
    written = for_showing(html, inline, remote=True)
    assert written.blocked == 0
    assert f'<img src="{EVIL}/a.png" referrerpolicy="no-referrer">' in written.html
    assert f'<img src="{EVIL}/b.png"' in written.html
    assert f"url(&quot;{EVIL}/c%20%281%29.png&quot;)" in written.html
    assert written.sheet == f'p{{background-image:url("{EVIL}/d.png")}}'


def test_a_style_sheet_keeps_what_is_harmless() -> None:
    styles = """<style><!--
        @media screen { p { color: red } }
        body, .card > a:hover, td#x b { color: RGB(1, 2, 3) !important; width: calc(1px) }
        p[title], p::before, .a:not(.b) { color: red }
        .b { position: fixed; padding: 4px 1.5em }
    --></style>"""
    assert for_showing(styles, inline).sheet == (
        "body,.card > a:hover,td#x b{color:rgb(1, 2, 3)}\n.b{padding:4px 1.5em}"
    )


@pytest.mark.parametrize(
    ("style", "kept"),
    [
        ("color: red; COLOR: Blue", "color:red;color:Blue"),
        ("width: 600px; width: 99999px; width: 100vw; width: 1e9em", "width:600px"),
        ("margin: 0 auto; margin-left: -20px", "margin:0 auto"),
        ("text-indent: -18pt", "text-indent:-18pt"),
        ("font: italic 12px/1.5 'Malgun Gothic', \"맑은 고딕\"",
         "font:italic 12px/1.5 'Malgun Gothic', '맑은 고딕'"),
        ("border: 1px solid rgba(0, 0, 0, .5)", "border:1px solid rgba(0, 0, 0, 0.5)"),
        ("background: #fff fixed", ""),
        ("color: var(--x); color: rgb(var(--x)); color: \\72 ed", "color:red"),
        ("mso-line-height-rule: exactly; zoom: 1; *display: inline", ""),
        ("display: none; max-height: 0", "display:none;max-height:0"),
    ],
)  # fmt: skip
def test_a_style_keeps_what_is_harmless(style: str, kept: str) -> None:
    assert css.attribute(style) == kept


def test_html_that_would_take_a_parser_too_long_is_refused() -> None:
    with pytest.raises(TooHeavy):
        for_showing("<div>" * 100_000, inline)


def test_a_number_that_python_can_t_read_costs_only_its_style() -> None:
    long = f"width:{'9' * 5_000}px"
    html = f'<style>p{{{long}}}</style><style>b{{color:red}}</style><p style="{long}">x</p>'
    assert for_showing(html, inline) == Shown("<p>x</p>", "b{color:red}", 0)
    # A style attribute that is short enough to be read at all.
    assert css.attribute(f"color:red;{'9' * 3_900}") == "color:red"
