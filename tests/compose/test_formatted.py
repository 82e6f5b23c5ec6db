"""Formatted mail: what the editor may send, the plain text beside it, images, replies, forwards."""

from __future__ import annotations

import uuid

import httpx
import pytest
from flask import Flask
from sqlalchemy import select, update

from mailapp.accounts.models import Account
from mailapp.compose import markup
from mailapp.compose.signature import signed
from mailapp.compose.typed import Typed
from mailapp.database import read, write
from mailapp.mail.models import Message
from tests.checks import original, submit
from tests.compose.test_drafts import action
from tests.people import Attached, Person

BOB = "bob@mail.example"
PNG = bytes.fromhex(
    "89504e470d0a1a0a0000000d4948445200000001000000010806000000"
    "1f15c4890000000d49444154789c6360606060000000050001a5f64540"
    "0000000049454e44ae426082"
)


def write_formatted(writer: Person, html: str, **fields: str) -> httpx.Response:
    """Send the form that is open as its editor does: the text is in `html` alone."""
    form = writer.page.find(id="body")
    assert form is not None
    form.extract()
    return submit(writer, {"to": BOB, "html": html, "action": "send", **fields})


def stored(app: Flask, subject: str) -> tuple[str, str | None]:
    """The plain text and the HTML of a message."""
    with app.app_context(), read() as connection:
        row = connection.execute(
            select(Message.text_body, Message.html_body).where(Message.subject == subject)
        ).one()
    return row.text_body, row.html_body


def insert_image(writer: Person, name: str = "cat.png", content: bytes = PNG) -> str:
    """An image for the text that is open: its address in the editor."""
    form = writer.page.select_one("#compose")
    assert form is not None
    hidden = {
        str(field["name"]): str(field["value"]) for field in form.select("input[type=hidden]")
    }
    answer = writer.client.post(
        f"{form['action']}/inline/{uuid.uuid4()}",
        data={"draft_key": hidden["draft_key"], "csrf_token": hidden["csrf_token"]},
        files={"file": (name, content, "image/png")},
        headers={"Accept": "application/json"},
    )
    assert answer.status_code == 200, answer.text
    return str(answer.json()["url"])


def test_a_formatted_text_has_its_plain_text_beside_it(
    alice: Person, bob: Person, instances: list[Flask]
) -> None:
    alice.visit("/compose")
    html = '<div>Hello <b>Bob</b>,<br></div><ul><li>one</li></ul><div><a href="https://a.example/x">look</a></div>'
    assert write_formatted(alice, html, subject="Formatted").is_redirect
    assert stored(instances[0], "Formatted")[0] == "Hello Bob,\n- one\nlook <https://a.example/x>"
    bob.open("Formatted")
    message = original(bob)
    assert message.get_content_type() == "multipart/alternative"
    plain, formatted = message.iter_parts()
    assert (plain.get_content_type(), formatted.get_content_type()) == ("text/plain", "text/html")
    assert "<b>Bob</b>" in formatted.get_content()
    assert "Hello Bob," in plain.get_content()


def test_a_formatted_text_without_any_format_is_sent_as_plain_text(
    alice: Person, bob: Person, instances: list[Flask]
) -> None:
    alice.visit("/compose")
    html = '<div>one &lt;1&gt;<br></div><div><br></div><div><a href="https://a.example">https://a.example</a></div>'
    assert write_formatted(alice, html, subject="Plain").is_redirect
    assert stored(instances[0], "Plain") == ("one <1>\n\nhttps://a.example", None)
    bob.open("Plain")
    assert original(bob).get_content_type() == "text/plain"


@pytest.mark.parametrize(
    ("sent", "kept"),
    [
        ("<b onclick=x() style='position:fixed' class=a id=b>x</b>", "<b>x</b>"),
        ("<script>x()</script><style>b{}</style><b>y</b>", "<b>y</b>"),
        ('<a href="javascript:x()">z</a>', "<a>z</a>"),
        ('<a href="data:text/html,x">z</a>', "<a>z</a>"),
        ('<img src="https://a.example/p.png" alt="p"><b>i</b>', '<img alt="p"><b>i</b>'),
        ('<img src="/mail/1/attachments/1/x" alt="p"><b>i</b>', '<img alt="p"><b>i</b>'),
        ("<svg><a xlink:href='javascript:x()'>s</a></svg><b>i</b>", "<b>i</b>"),
        ("<iframe src=//a.example></iframe><form action=//a.example><b>f</b></form>", "<b>f</b>"),
        ("<blockquote><div>q</div></blockquote>", "<blockquote><div>q</div></blockquote>"),
        ("<div>" * 100_000 + "deep", "deep"),
    ],
)
def test_what_the_editor_sends_is_stored_by_an_allowlist(sent: str, kept: str) -> None:
    assert markup.written(sent, uuid.uuid4()).strip() == kept


def test_an_image_in_the_text_is_part_of_it_and_shown_to_who_writes_it_alone(
    alice: Person, bob: Person, instances: list[Flask]
) -> None:
    alice.visit("/compose")
    address = insert_image(alice)
    unused = insert_image(alice, "unused.png")
    assert alice.client.get(address).content == PNG
    assert bob.client.get(address).status_code == 404
    html = f'<div>See <img src="{address}" alt="cat.png"></div>'
    assert write_formatted(alice, html, subject="A cat").is_redirect
    text, stored_html = stored(instances[0], "A cat")
    assert text == "See [cat.png]"
    assert stored_html is not None
    (content_id,) = markup.images(stored_html)
    assert unused.rpartition("/")[2] not in stored_html
    bob.open("A cat")
    message = original(bob)
    assert [part.get_content_type() for part in message.walk()] == [
        *("multipart/alternative", "text/plain", "multipart/related", "text/html", "image/png")
    ]
    image = list(message.walk())[-1]
    assert image["Content-ID"] == f"<{content_id}>"
    assert image.get_content_disposition() == "inline"
    assert image.get_payload(decode=True) == PNG


def test_an_image_and_a_file_make_the_original_mixed_around_related(
    alice: Person, bob: Person
) -> None:
    alice.visit("/compose")
    address = insert_image(alice)
    html = f'<div><img src="{address}"></div>'
    files = [("plan.txt", "text/plain", b"plan")]
    field = alice.page.find(id="body")
    assert field is not None
    field.extract()
    sent = {"to": BOB, "subject": "Both", "html": html, "action": "send"}
    assert submit(alice, sent, files).is_redirect
    bob.open("Both")
    message = original(bob)
    assert message.get_content_type() == "multipart/mixed"
    attached = list(message.iter_attachments())
    assert [part.get_filename() for part in attached][-1] == "plan.txt"
    assert attached[-1].get_payload(decode=True) == b"plan"


def test_a_reply_and_a_forward_quote_formatted_mail_with_its_images(
    alice: Person, bob: Person, charlie: Person
) -> None:
    alice.visit("/compose")
    html = f'<div><b>Hi</b> <img src="{insert_image(alice)}" alt="cat"></div>'
    write_formatted(alice, html, subject="Quoted")
    for link, prefix in (("Reply", "Re: "), ("Forward", "Fwd: ")):
        bob.open("Quoted")
        bob.follow(link)
        field = bob.page.select_one("#compose input[name=html]")
        assert field is not None
        quoted = str(field["value"])
        assert "<b>Hi</b>" in quoted
        assert ("<blockquote>" in quoted) == (link == "Reply")
        # Shown before the draft is stored, and after.
        image = quoted.partition('src="')[2].partition('"')[0].replace("&amp;", "&")
        assert bob.client.get(image).content == PNG
        to = "charlie@mail.example"
        assert write_formatted(bob, quoted, to=to, subject=f"{prefix}Quoted").is_redirect
        charlie.open(f"{prefix}Quoted")
        parts = [part.get_content_type() for part in original(charlie).walk()]
        assert parts.count("image/png") == 1
        assert "multipart/related" in parts


def test_without_a_script_a_formatted_draft_stays_so_until_its_text_is_changed(
    alice: Person, instances: list[Flask]
) -> None:
    alice.visit("/compose")
    write_formatted(alice, "<div><b>Bold</b></div>", subject="Kept", action="save", to="")
    alice.open("Kept", "Drafts")
    alice.press("Save draft", {"Subject": "Still"})
    field = alice.page.select_one("#compose input[name=html]")
    assert field is not None
    assert "<b>Bold</b>" in str(field["value"])
    alice.press("Save draft", {"Message": "Plain now"})
    field = alice.page.select_one("#compose input[name=html]")
    assert field is not None
    assert field["value"] == ""


def test_a_signature_stands_under_a_new_text_and_above_what_is_quoted(
    alice: Person, bob: Person, instances: list[Flask]
) -> None:
    alice.send(BOB, "Signed", "What do you say?")
    with instances[0].app_context(), write() as connection:
        connection.execute(
            update(Account).where(Account.address == BOB).values(signature="Bob Lee\n<Lines & Co>")
        )
    bob.visit("/compose")
    form = bob.page.find("form", id="compose")
    assert form is not None
    assert bob.control(form, "Message").text.endswith("\n\n-- \nBob Lee\n<Lines & Co>\n")
    bob.open("Signed")
    bob.follow("Reply")
    form = bob.page.find("form", id="compose")
    assert form is not None
    text = bob.control(form, "Message").text
    assert text.index("-- \nBob Lee") < text.index("> What do you say?")
    formatted = signed(Typed(html="<blockquote>q</blockquote>"), "Bob & Co").html
    assert formatted is not None
    assert formatted.index("Bob &amp; Co") < formatted.index("<blockquote>")


def test_a_draft_that_a_file_made_has_the_signature_that_its_page_shows(
    alice: Person, bob: Person, instances: list[Flask]
) -> None:
    alice.send(BOB, "Plain", "What do you say?")
    alice.visit("/compose")
    write_formatted(alice, "<b>What do you say?</b>", subject="Fat")
    with instances[0].app_context(), write() as connection:
        connection.execute(update(Account).where(Account.address == BOB).values(signature="B. Lee"))
    for subject in ("", "Plain", "Fat"):
        if subject:
            bob.open(subject)
            bob.follow("Reply")
        else:
            bob.visit("/compose")
        before = written(bob)
        insert_image(bob)
        bob.visit(action(bob))
        assert "B. Lee" in before[0]
        assert written(bob) == before


def written(writer: Person) -> tuple[str, str]:
    """The text in the form that is open, and its HTML."""
    form = writer.page.find("form", id="compose")
    assert form is not None
    html = form.select_one("input[name=html]")
    assert html is not None
    return writer.control(form, "Message").text.strip("\n"), str(html["value"])


def test_a_text_that_speaks_of_an_attachment_is_asked_about_before_it_is_sent(
    alice: Person, bob: Person
) -> None:
    for number, text in enumerate(
        ("See the attached plan.", "파일을 첨부합니다.", "I enclose it, enclosed")
    ):
        alice.visit("/compose")
        alice.press("Send", {"To": BOB, "Subject": f"Plan {number}", "Message": text})
        assert alice.response.status_code == 422
        assert "no file is attached" in alice.text
        alice.press("Send anyway")
        assert "Your message has been sent." in alice.text
    quiet = ["> See the attached plan.\nYes!", "I am detached."]
    for number, text in enumerate(quiet):
        alice.visit("/compose")
        alice.press("Send", {"To": BOB, "Subject": f"Quiet {number}", "Message": text})
        assert alice.response.status_code == 200
    alice.visit("/compose")
    fields = {"To": BOB, "Subject": "With it", "Message": "It is attached."}
    alice.press("Send", fields, [Attached("plan.txt", b"plan")])
    assert alice.response.status_code == 200
    assert len(bob.subjects()) == 6
