"""The plain text of formatted mail."""

from __future__ import annotations

import time

import pytest

from mailapp.mail.plain import plain_text, without_quotes


@pytest.mark.parametrize(
    ("html", "text"),
    [
        ("", ""),
        ("no HTML at all", "no HTML at all"),
        # What the editor makes of lines, an empty one among them.
        ("<div>one<br></div><div><br></div><div>two<br></div>", "one\n\ntwo"),
        ("<div>one</div><div>two</div>", "one\ntwo"),
        ("<p>one</p><p>two\n  three</p>", "one\n\ntwo three"),
        ("<h1>Plan</h1>\n<p>First</p>", "Plan\n\nFirst"),
        ("a <b>bold</b> <i>word</i>, 굵은 <u>글</u>", "a bold word, 굵은 글"),
        ("&lt;b&gt; &amp; &nbsp;x", "<b> & \xa0x"),
        ("<ul><li>one</li><li>two<br>more</li></ul>after", "- one\n- two\n  more\nafter"),
        ("<ol start=3><li>three<li>four</ol>", "3. three\n4. four"),
        ("<ul><li>one<ul><li>inner</li></ul></li><li>two</li></ul>", "- one\n  - inner\n- two"),
        (
            "<div>On Monday, Bob wrote:</div><blockquote><p>one</p><p>two</p>"
            "<blockquote>three</blockquote></blockquote><div>four</div>",
            "On Monday, Bob wrote:\n> one\n>\n> two\n>\n> > three\nfour",
        ),
        ('see <a href="https://a.example/x">the plan</a>.', "see the plan <https://a.example/x>."),
        ('<a href="https://a.example/">https://a.example</a>', "https://a.example"),
        ('<a href="mailto:bob@mail.example">bob@mail.example</a>', "bob@mail.example"),
        ('<a href="mailto:bob@mail.example">Bob</a>', "Bob <bob@mail.example>"),
        ('<a href="javascript:alert(1)">click</a>', "click"),
        ('before <img src="cid:x" alt="a cat"> after <img src="cid:y">', "before [a cat] after"),
        ("<pre>a  b\n  c</pre>", "a  b\n  c"),
        ("one<hr>two", "one\n----\ntwo"),
        ("<table><tr><th>a</th><td>b</td></tr><tr><td>c</td></tr></table>x", "a b\nc\n\nx"),
        ("<style>b {}</style><script>x()</script><title>t</title>seen", "seen"),
        ("<div>unclosed <b>and <blockquote>deep", "unclosed and\n> deep"),
        ("</div></blockquote>end", "end"),
    ],
)
def test_the_text_of_what_is_formatted(html: str, text: str) -> None:
    assert plain_text(html) == text


@pytest.mark.parametrize(
    "piece",
    [
        *("<blockquote>", "<ul><li>", "<a href='https://a.example'>x", "</b>", "<div>x", "<"),
        *("<div></b>", "<div><!--</div>-->", "<div title='</div>'>", "<div><style></div></style>"),
    ],
)
def test_a_megabyte_of_anything_is_read_in_seconds(piece: str) -> None:
    began = time.process_time()
    plain_text(piece * (1_000_000 // len(piece)))
    # A parser that looks through all open elements at each tag takes minutes.
    assert time.process_time() - began < 20


def test_what_somebody_quotes_is_not_what_they_wrote() -> None:
    text = "Mine\n> theirs\n>> older\nMine too\n---- Forwarded ----\nTheirs"
    assert without_quotes(text, ["---- Forwarded ----"]) == "Mine\nMine too"
