"""What is too heavy for a parser, and that nothing else takes it long."""

from __future__ import annotations

import time
from contextlib import suppress

import pytest

from mailapp.html.sanitiser import TooHeavy, for_showing
from mailapp.html.weight import is_light

_OPEN = "".join(f"<b a={n}>" for n in range(2_000))
_NAMES = " ".join(f"a{n}" for n in range(150_000))
_ROW = (
    "<tr><td style='padding:4px' width=100><a href='https://a.example/?b=c'><span>text</span></a>"
    "<td class=x><b>x <i>y</i></b><br><p>z<p>z</tr>"
)


@pytest.mark.parametrize(
    "html",
    [
        "<div>" * 20_000,
        f"<p>{_OPEN}" + "</p><p>x" * 2_000,
        f"<p>{_OPEN}" + "<table>x<tr><td>y</table>" * 2_000,
        # What seems to be closed is not: no end tag counts in a comment, in an attribute's value,
        # or beyond the edge of a table's cell.
        "<div><!--</div>-->" * 20_000,
        "<div title='></div>'>" * 20_000,
        '<div title="></div>">' * 20_000,
        "<div title='><i a=\"b\">c</i></div>'>" * 20_000,
        "<table>" + "".join(f"<b a={n}><td></b></td>" for n in range(2_000)),
        "<b a='<i>x</i>'><table><td></b></td></table>" * 3_000,
        "<div><marquee></div></marquee>" * 10_000,
        "<span><p></span></p>" * 20_000,
        "<br>" * 500_000,
        "&" * 500_000,
        f"<p {_NAMES}>x",
        # The tag does not end where it seems to.
        f"<p a='>' b=\">\" {_NAMES}>x",
        f"<p {_NAMES.replace(' ', ' </')}>x",
        f"<p {_NAMES.replace(' ', '/')}>x",
        f'<!-- <p a=" --><p {_NAMES}>x',
        f"</p {_NAMES}>x",
        *("".join(f"<{root} a{n}></{root}>" for n in range(20_000)) for root in ("html", "BODY")),
        "x" * 6_000_000,
    ],
)
def test_what_a_parser_takes_long_for_is_heavy(html: str) -> None:
    assert not is_light(html)


@pytest.mark.parametrize(
    "html",
    [
        "",
        "<div>" * 500,
        f"<html><body><table><tbody>{_ROW * 2_000}</table>",
        "<p>unclosed\n" * 5_000,
        "<ul>" + "<li>item" * 5_000,
        "<br>line" * 20_000,
        "<div><p><b>quoted</b> <font size=2>text</font></p></div>\n" * 5_000,
        "<a href='https://a.example/?b=1&c=2&d=3'>R&D</a>" * 10_000,
        "<blockquote>" * 100 + "deep" + "</blockquote>" * 100,
        "<pre>" + "a long log, and more of it\n" * 60_000,
        f"<p title='{_NAMES}'>x" + '<p title="it\'s">it\'s "that"' * 5_000,
        f'<img src="data:image/png;base64,{"A/b/" * 1_000_000}">',
        f'<img src="data:image/png;base64,{"A" * 4_000_000}">',
    ],
)
def test_what_people_send_is_light(html: str) -> None:
    assert is_light(html)


@pytest.mark.parametrize(
    "piece",
    [
        *("<", "<a ", "<a b='", "<!--", "</", "&", '"', "<p style='(", "<style>{", "<style>a,"),
        *("http://x.", "<a href=http://x.example>y.", "<svg><style>", "<li>", "<p>", "<td>", "<b>"),
        *("<a b=c>d</a>", "<b><p></b>", "<i a=", "<font a='<'", "https://a.example/((((", "\\"),
    ],
)
def test_half_a_megabyte_of_anything_is_answered_in_seconds(piece: str) -> None:
    began = time.process_time()
    with suppress(TooHeavy):
        for_showing(piece * (500_000 // len(piece)), lambda _: None)
    # Not a measurement: what grows with the square takes minutes.
    assert time.process_time() - began < 20
