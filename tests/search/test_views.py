"""Searching as a person does it, in a page."""

from __future__ import annotations

import pytest

from tests.people import Attached, Person


def marked(person: Person) -> list[str]:
    return [mark.text for mark in person.page.select("main mark")]


def text(person: Person, selector: str) -> str:
    found = person.page.select_one(selector)
    assert found is not None
    return found.text


def subjects(person: Person) -> list[str]:
    return [link.text for link in person.page.select("main ol.rows li a")]


def test_what_was_found_says_where_it_lies_and_what_was_looked_for(
    alice: Person, bob: Person
) -> None:
    alice.send("bob@mail.example", "The Budget of spring", "a word. " * 50 + "내년예산안을 보내요.")
    alice.send("bob@mail.example", "Lunch", "at noon")

    bob.visit("/search?q=budget")
    assert subjects(bob) == ["The Budget of spring"]
    assert marked(bob) == ["Budget"]
    assert "Inbox" in text(bob, "main ol.rows .folder")

    bob.visit("/search?q=예산")
    assert marked(bob) == ["예산"]
    assert "내년예산안을 보내요" in text(bob, "main ol.rows")


@pytest.mark.parametrize(
    ("query", "said"),
    [
        ("before:", "After “before:” a date is missing"),
        ("before:tomorrow", "“tomorrow” after “before:” is no date"),
        ("after:2026-02-30", "“2026-02-30” after “after:” is no date"),
        ("larger:big", "“big” after “larger:” is no size"),
        ("is:purple", "not “purple”"),
        ("has:patience", "not “patience”"),
        ("in:nowhere", "There is no folder “nowhere”."),
        ("in:drafts", "Drafts are not searched"),
        ("form:kim", "There is no operator “form:”"),
        ('"annual report', "before “annual report” is never closed"),
        ('""', "nothing between the quotation marks"),
        ("budget -", "Nothing follows the minus sign."),
        ("budget ???", "In “???” is no letter or digit"),
        ("a " * 40, "A search may have 30 parts"),
        ("x" * 600, "A search may have 500 characters"),
        ("is:purple in:nowhere", "There is no folder “nowhere”."),
    ],
)
@pytest.mark.parametrize("parts", ["embedded"], indirect=True)
def test_what_cannot_be_read_is_named_and_the_question_kept(
    alice: Person, query: str, said: str
) -> None:
    response = alice.client.get("/search", params={"q": query})
    alice._show(response)

    assert response.status_code == 400
    assert said in text(alice, "main [role=alert]")
    assert alice.page.select("input[type=search]")[0]["value"] == query.strip()


def test_an_empty_search_says_how_to_ask(alice: Person) -> None:
    alice.visit("/search")

    assert "from:kim" in text(alice, "main")


def test_a_hit_is_marked_as_text_and_never_as_markup(alice: Person) -> None:
    alice.send(
        "alice@mail.example",
        "<b>budget</b>",
        "<script>budget</script> \x02x\x03",
        [Attached("<i>budget.txt", b"x")],
    )

    alice.visit("/search?q=budget+in:inbox")

    assert subjects(alice) == ["<b>budget</b>"]
    assert marked(alice) == ["budget"] * 3
    assert "\x02" not in alice.text
    assert not alice.page.select("main ol.rows script, main ol.rows i:not(.hidden)")


def test_trash_is_searched_only_when_asked(alice: Person) -> None:
    alice.send("alice@mail.example", "Rubbish", "")
    alice.open("Rubbish")
    alice.press("Delete")

    alice.visit("/search?q=rubbish")
    assert len(subjects(alice)) == 1  # the one in Sent
    alice.follow("Look there, too")
    assert len(subjects(alice)) == 2
    alice.visit("/search?q=in:trash")
    assert subjects(alice) == ["Rubbish"]


def test_all_that_match_are_selected_also_on_other_pages(alice: Person, bob: Person) -> None:
    for number in range(1, 53):
        alice.send("bob@mail.example", f"Bulletin {number}")
    alice.send("bob@mail.example", "Another")

    bob.visit("/search?q=bulletin")
    assert len(subjects(bob)) == 50
    bob.tick("All that match, also on other pages")
    bob.press("Archive")

    assert "52 messages moved to Archive." in bob.text
    assert text(bob, "h1") == "Search: bulletin"
    assert bob.subjects() == ["Another"]
    bob.visit("/search?q=in:archive")
    bob.follow("Next")
    assert len(subjects(bob)) == 2


def test_only_the_messages_that_were_found_are_selected(alice: Person, bob: Person) -> None:
    alice.send("bob@mail.example", "Question", "one")
    bob.open("Question")
    bob.follow("Reply")
    bob.press("Send", {"Message": "two"})
    alice.open("Re: Question")
    alice.follow("Reply")
    alice.press("Send", {"Message": "three"})

    bob.visit("/search?q=three+in:inbox")
    bob.tick("Select all")
    bob.press("Archive")

    assert "Moved to Archive." in bob.text
    assert len(bob.subjects("Archive")) == 1
    assert len(bob.subjects()) == 1
