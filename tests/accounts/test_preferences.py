"""What people prefer, and where it shows."""

from __future__ import annotations

from datetime import datetime, timedelta, timezone

import pytest
from bs4 import BeautifulSoup, Tag

from mailapp.accounts.preferences import MAX_SIGNATURE
from tests.people import Person

KOREAN = {"Accept-Language": "ko-KR,ko;q=0.9"}


def _save(person: Person, **fields: str) -> BeautifulSoup:
    """The page after a form with these fields alone, in whatever language the page is."""
    person.visit("/settings")
    form = {"csrf_token": _token(person), **fields}
    answer = person.client.post("/settings", data=form, follow_redirects=True)
    return BeautifulSoup(answer.content, "html.parser")


def _token(person: Person) -> str:
    return str(_tag(person.page.find("meta", {"name": "csrf-token"}))["content"])


def _tag(found: object) -> Tag:
    assert isinstance(found, Tag)
    return found


def _signature(person: Person) -> str:
    return _tag(person.visit("/settings").find(id="signature")).text.strip()


def test_what_is_saved_stands_in_the_settings_again(alice: Person) -> None:
    alice.visit("/settings")
    alice.press(
        "Save settings",
        {"Name": "Alice Kim", "Signature": "Alice Kim\nPlatform team"},
    )
    assert "Your settings are saved." in alice.text
    assert _tag(alice.page.find(id="name"))["value"] == "Alice Kim"
    assert _signature(alice) == "Alice Kim\nPlatform team"


def test_a_chosen_language_counts_more_than_the_browsers(alice: Person) -> None:
    assert "설정을 저장했습니다." in _save(alice, language="ko").text
    alice.visit("/mail/inbox")
    assert "받은편지함이 비어 있습니다" in alice.text
    _save(alice, language="en")
    alice.client.headers.update(KOREAN)
    alice.visit("/mail/inbox")
    assert "Your inbox is empty" in alice.text


def test_without_a_choice_the_browsers_language_counts_again(alice: Person) -> None:
    _save(alice, language="en")
    _save(alice, language="")
    alice.client.headers.update(KOREAN)
    alice.visit("/mail/inbox")
    assert "받은편지함이 비어 있습니다" in alice.text


def test_the_browser_remembers_a_chosen_language_where_nobody_is_known(alice: Person) -> None:
    _save(alice, language="ko")
    assert "여기에는 아무것도 없습니다" in alice.client.get("/nothing/here").text
    alice.client.post("/logout", data={"csrf_token": _token(alice)})
    assert "다시 만나서 반갑습니다" in alice.client.get("/login").text


def test_times_are_told_by_the_chosen_clock(alice: Person) -> None:
    def first_time() -> Tag:
        return _tag(alice.visit("/settings").find("time"))

    _save(alice, time_zone="Asia/Kathmandu")  # 5:45 ahead of UTC all year
    told = first_time()
    moment = datetime.fromisoformat(str(told["datetime"]))
    there = moment.astimezone(timezone(timedelta(hours=5, minutes=45)))
    assert told.text.endswith(f"{there:%H:%M}")
    assert _tag(alice.page.find("html"))["data-time-zone"] == "Asia/Kathmandu"
    _save(alice, time_zone="")
    assert first_time().text.endswith("UTC"), "and where nobody chose one, it is said which it is"


@pytest.mark.parametrize(
    ("field", "value", "complaint"),
    [
        ("name", "", "Please say how you are called"),
        ("language", "xx", "There is no such language here."),
        ("time_zone", "Middle/Earth", "There is no such time zone."),
        ("time_zone", "../../etc/passwd", "There is no such time zone."),
        ("time_zone", "Europe", "There is no such time zone."),
        ("theme", "pink", "There is no such theme."),
        ("undo_seconds", "1e9", "Please choose one of the times."),
        ("signature", "x" * (MAX_SIGNATURE + 1), "The signature may have at most 2000"),
    ],
)
def test_what_cannot_be_preferred_is_refused_at_its_field(
    alice: Person, field: str, value: str, complaint: str
) -> None:
    page = _save(alice, **{"signature": "not kept", field: value})
    assert complaint in _tag(page.find(id=f"{field}-note")).text
    assert _tag(page.find(id=field))["aria-invalid"] == "true"
    assert _signature(alice) == "", "of a form with a mistake in it nothing is saved"


def test_a_form_may_say_only_what_it_is_about(alice: Person) -> None:
    _save(alice, signature="Kind regards")
    _save(alice, theme="dark")
    assert _signature(alice) == "Kind regards"
