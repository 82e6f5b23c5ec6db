"""What a query is read as."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from zoneinfo import ZoneInfo

import pytest
from flask import Flask

from mailapp.search.language import Reader, Unreadable, Wanted
from mailapp.search.marks import Marker, as_html

pytestmark = pytest.mark.parametrize("parts", ["embedded"], indirect=True)

QUERY = '-budget "annual report" from:kim is:unread in:work after:2026-02 larger:1.5K 예산안'


def test_days_begin_where_the_person_is(app: Flask) -> None:
    seoul = Reader({}, ZoneInfo("Asia/Seoul"))

    assert seoul.read("after:2026-02-01").after == datetime(2026, 1, 31, 15, tzinfo=UTC)
    assert seoul.read("before:2026/2").before == datetime(2026, 1, 31, 15, tzinfo=UTC)


def test_the_narrowest_of_several_bounds_holds(app: Flask) -> None:
    wanted = Reader({}).read("after:2026-01 after:2026-03 -after:2026-06 larger:1k larger:2k")

    assert wanted.after == datetime(2026, 3, 1, tzinfo=UTC)
    assert wanted.before == datetime(2026, 6, 1, tzinfo=UTC)
    assert wanted.least == 2049


def test_a_question_is_the_same_after_it_was_kept(app: Flask) -> None:
    wanted = Reader({"work": 7}).read(QUERY)

    assert Wanted.from_json(json.loads(json.dumps(wanted.as_json()))) == wanted


def test_days_beyond_all_time_are_no_dates(app: Flask) -> None:
    with pytest.raises(Unreadable, match="is no date"):
        Reader({}, ZoneInfo("America/Lima")).read("before:9999-12-32")
    with pytest.raises(Unreadable, match="is no date"):
        Reader({}, ZoneInfo("Asia/Seoul")).read("after:0001-01-01")


@pytest.mark.parametrize(
    ("query", "text", "marked"),
    [
        ("budget", "The Budgets of Mybudget", "The <mark>Budget</mark>s of Mybudget"),
        ("cafe", "Café", "<mark>Café</mark>"),
        ("strasse", "die Straße hier", "die <mark>Straße</mark> hier"),
        ("예산", "내년예산안", "내년<mark>예산</mark>안"),
        ('"annual report"', "Annual, REPORT", "<mark>Annual, REPORT</mark>"),
        ("a", "a cat", "<mark>a</mark> cat"),
        ("-cat dog", "cat dog", "cat <mark>dog</mark>"),
        ("cat cats", "cats", "<mark>cats</mark>"),
        ("subject:cat", "cat", "cat"),
    ],
)
def test_what_was_looked_for_is_marked_as_it_was_written(
    app: Flask, query: str, text: str, marked: str
) -> None:
    assert as_html(Marker(Reader({}).read(query)).mark(text)) == marked


def test_of_a_long_text_the_place_of_the_first_hit_is_shown(app: Flask) -> None:
    marker = Marker(Reader({}).read("needle"))

    shown = as_html(marker.excerpt("hay " * 500 + "a needle " + "hay " * 500, "hay hay"))
    assert shown.startswith("… hay")
    assert "a <mark>needle</mark> hay" in shown
    assert len(shown) < 200
    assert marker.excerpt("only hay", "hay hay") == "hay hay"
