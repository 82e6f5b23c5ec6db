"""The outbox: a send that can be undone, one for later, and who sends what is due."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from zoneinfo import ZoneInfo

import pytest
from flask import Flask
from sqlalchemy import update

from mailapp.accounts import services as accounts
from mailapp.accounts.models import Account
from mailapp.compose import drafts, later, outbox, sending
from mailapp.compose.later import NoSuchTime
from mailapp.compose.models import Draft
from mailapp.compose.typed import Typed
from mailapp.database import now, write
from tests.checks import account, at_once, counts_are_right, draft, submit
from tests.people import Attached, Person

BOB = "bob@mail.example"
FIELDS = {"To": BOB, "Subject": "On reflection", "Message": "Yes."}


@pytest.fixture
def patient(alice: Person, instances: list[Flask]) -> Person:
    """Alice, whose messages wait half a minute."""
    with instances[0].app_context(), write() as connection:
        connection.execute(
            update(Account).where(Account.address == "alice@mail.example").values(undo_seconds=30)
        )
    return alice


def make_due(app: Flask) -> None:
    """The moment of whatever is held has come."""
    with app.app_context(), write() as connection:
        connection.execute(
            update(Draft)
            .where(Draft.send_at.is_not(None))
            .values(send_at=now() - timedelta(seconds=1))
        )


def time_passes(app: Flask) -> int:
    """Whatever is held is due now, and a companion looks: how many drafts it found."""
    make_due(app)
    with app.app_context():
        return outbox.send_due()


def test_a_send_waits_to_be_undone_and_then_is_sent(
    patient: Person, bob: Person, instances: list[Flask]
) -> None:
    patient.visit("/compose")
    patient.press("Send", FIELDS, [Attached("a.txt", b"a")])
    assert "Your message has been sent." in patient.text
    assert "On its way" in patient.text
    assert patient.sees_link("On reflection")
    assert bob.subjects() == []
    assert patient.subjects("Drafts") == []
    with instances[1].app_context():
        assert outbox.send_due() == 0
    assert time_passes(instances[1]) == 1
    assert time_passes(instances[0]) == 0
    bob.open("On reflection")
    assert bob.download("a.txt") == b"a"
    assert patient.subjects("Sent") == ["On reflection"]
    counts_are_right(instances[0])


def test_undo_brings_the_draft_back_whole(
    patient: Person, bob: Person, instances: list[Flask]
) -> None:
    patient.visit("/compose")
    patient.press("Send", FIELDS, [Attached("a.txt", b"a")])
    patient.press("Undo")
    form = patient.page.find("form", id="compose")
    assert form is not None
    assert patient.control(form, "Message").text.strip() == "Yes."
    assert "a.txt" in form.text
    assert time_passes(instances[0]) == 0
    assert bob.subjects() == []
    patient.press("Send", {"Message": "No."})
    assert time_passes(instances[0]) == 1
    bob.open("On reflection")
    assert "No." in bob.text


def test_undo_too_late_says_so(patient: Person, bob: Person, instances: list[Flask]) -> None:
    patient.visit("/compose")
    patient.press("Send", FIELDS)
    page = patient.page, patient.response
    time_passes(instances[0])
    patient.page, patient.response = page
    patient.press("Undo")
    assert "too late" in patient.text
    assert bob.subjects() == ["On reflection"]


def test_a_mistake_is_told_as_send_is_pressed_not_later(patient: Person) -> None:
    patient.visit("/compose")
    patient.press("Send", {**FIELDS, "To": "nobody@mail.example"})
    assert patient.response.status_code == 422
    assert "nobody@mail.example" in patient.text
    assert patient.subjects("Drafts") == ["On reflection"]


def test_pressed_twice_and_saved_late_it_is_one_message_as_it_was_sent(
    patient: Person, bob: Person, instances: list[Flask]
) -> None:
    patient.visit("/compose")
    form = patient.page, patient.response
    for _ in range(2):
        patient.page, patient.response = form
        patient.press("Send", FIELDS)
        assert "Your message has been sent." in patient.text
    patient.page, patient.response = form
    # What the page was still saving by itself, and a file that was still on its way.
    late = submit(patient, {"body": "Ye", "action": "save"}, by_script=True)
    assert late.status_code == 409
    assert time_passes(instances[0]) == 1
    patient.page, patient.response = form
    patient.press("Send", FIELDS)
    assert "Your message has been sent." in patient.text
    assert bob.subjects() == ["On reflection"]
    assert patient.subjects("Sent") == ["On reflection"]
    bob.open("On reflection")
    assert "Yes." in bob.text


def test_what_is_due_is_sent_once_though_every_instance_looks_at_once(
    patient: Person, bob: Person, instances: list[Flask]
) -> None:
    me = account(instances[0], "alice")
    drafts = [
        draft(instances[0], me, Typed(to=BOB, subject=f"Due {number}")) for number in range(12)
    ]
    with instances[0].app_context():
        for number, draft_id in enumerate(drafts):
            typed = Typed(to=BOB, subject=f"Due {number}")
            sending.hold(me, draft_id, typed, now() - timedelta(seconds=1))

    def look(app: Flask) -> int:
        with app.app_context():
            return sum(iter(outbox.send_due, 0))

    assert sum(at_once([look] * 6, instances)) == 12
    assert sorted(bob.subjects()) == sorted(f"Due {number}" for number in range(12))
    counts_are_right(instances[0])


def test_what_one_instance_claimed_and_never_sent_another_sends(
    patient: Person, bob: Person, instances: list[Flask]
) -> None:
    patient.visit("/compose")
    patient.press("Send", FIELDS)
    make_due(instances[0])
    with instances[0].app_context():
        assert len(outbox.claim()) == 1
    with instances[1].app_context():
        assert outbox.send_due() == 0, "it is somebody's for a while"
    assert time_passes(instances[1]) == 1
    assert bob.subjects() == ["On reflection"]


def test_what_can_not_be_sent_any_more_is_a_draft_that_says_why(
    patient: Person, bob: Person, instances: list[Flask]
) -> None:
    patient.visit("/compose")
    patient.press("Send", FIELDS)
    with instances[0].app_context():
        accounts.disable(BOB)
    assert time_passes(instances[0]) == 1
    assert patient.subjects("Sent") == []
    patient.open("On reflection", "Drafts")
    assert "could not be sent" in patient.text
    assert BOB in patient.text
    patient.press("Save draft", {"To": "alice@mail.example"})
    assert "could not be sent" not in patient.text


def test_what_a_disabled_account_scheduled_is_not_sent(
    patient: Person, bob: Person, instances: list[Flask]
) -> None:
    patient.visit("/compose")
    patient.press("Send", FIELDS)
    with instances[0].app_context():
        me = accounts.disable("alice@mail.example")
    assert time_passes(instances[0]) == 1
    assert bob.subjects() == []
    with instances[0].app_context():
        [row] = drafts.page(me, None).rows
        written = drafts.load(me, row.id)
    assert written is not None
    assert written.send_error == "This account is disabled."


def test_send_later_is_listed_can_be_changed_and_is_sent_when_it_is_time(
    alice: Person, bob: Person, instances: list[Flask]
) -> None:
    moment = now() + timedelta(days=2)
    alice.visit("/compose")
    alice.press("Schedule", {**FIELDS, "Or at": f"{moment:%Y-%m-%dT%H:%M}"})
    assert "at the time you chose" in alice.text
    assert alice.sees_link("On reflection")
    assert alice.subjects("Drafts") == []
    alice.follow("Scheduled")
    alice.follow("On reflection")
    assert "on its way" in alice.text
    alice.press("Don’t send yet, edit")
    alice.press("Tomorrow morning, 8:00", {"Message": "Maybe."})
    assert bob.subjects() == []
    assert time_passes(instances[1]) == 1
    bob.open("On reflection")
    assert "Maybe." in bob.text
    alice.visit("/")
    assert not alice.sees_link("Scheduled 1")


def test_the_same_press_made_twice_is_answered_the_same(alice: Person, bob: Person) -> None:
    alice.visit("/compose")
    form = alice.page, alice.response
    for _ in range(2):
        alice.page, alice.response = form
        alice.press("Monday morning, 8:00", FIELDS, [Attached("a.txt", b"a")])
        assert "at the time you chose" in alice.text
        assert "has been sent" not in alice.text
        assert alice.response.url.path == "/mail/scheduled"


def test_what_waits_can_be_sent_at_once(alice: Person, bob: Person) -> None:
    alice.visit("/compose")
    alice.press("Monday morning, 8:00", FIELDS)
    alice.follow("On reflection")
    alice.press("Send now")
    assert bob.subjects() == ["On reflection"]


@pytest.mark.parametrize("chosen", ["", "2001-01-01T08:00", "tomorrow", "9999-12-31T23:59:59:00"])
def test_a_time_that_is_none_or_has_passed_is_told_at_its_field(chosen: str, alice: Person) -> None:
    alice.visit("/compose")
    alice.press("Schedule", {**FIELDS, "Or at": chosen})
    assert alice.response.status_code == 422
    note = alice.page.find(id="send_at-note")
    assert note is not None
    assert alice.subjects("Drafts") == ["On reflection"]


def test_a_time_that_was_chosen_survives_the_question_about_an_attachment(
    alice: Person, bob: Person
) -> None:
    alice.visit("/compose")
    alice.press("Tomorrow morning, 8:00", {**FIELDS, "Message": "See the attached plan."})
    assert alice.response.status_code == 422
    form = alice.page, alice.response
    button = alice.button("Send anyway")
    chosen, button["value"] = button["value"], "whenever"
    alice.press("Send anyway")
    assert alice.response.status_code == 422
    alice.page, alice.response = form
    button["value"] = chosen
    alice.press("Send anyway")
    assert "at the time you chose" in alice.text
    assert bob.subjects() == []


@pytest.mark.parametrize(
    ("fields", "moment"),
    [
        ({"preset": "tomorrow"}, datetime(2026, 11, 23, 23, tzinfo=UTC)),
        ({"preset": "monday"}, datetime(2026, 11, 29, 23, tzinfo=UTC)),
        ({"send_at": "2026-12-24T18:30"}, datetime(2026, 12, 24, 9, 30, tzinfo=UTC)),
    ],
)
def test_a_time_is_of_the_person_s_own_zone(fields: dict[str, str], moment: datetime) -> None:
    # Monday in Seoul, when it is still Sunday in UTC.
    now = datetime(2026, 11, 22, 16, tzinfo=UTC)
    assert later.chosen(fields, ZoneInfo("Asia/Seoul"), now) == moment


def test_a_zone_is_the_first_that_there_is() -> None:
    assert later.zone_of(None, "", "../etc/passwd", "Asia/Seoul").key == "Asia/Seoul"
    assert later.zone_of("no/such").key == "UTC"
    with pytest.raises(NoSuchTime):
        later.chosen({}, ZoneInfo("UTC"), now())


def test_nobody_else_reads_undoes_or_hurries_what_waits(
    patient: Person, bob: Person, person: Callable[[str], Person]
) -> None:
    patient.visit("/compose")
    patient.press("Monday morning, 8:00", FIELDS)
    patient.follow("On reflection")
    address = patient.response.url.path
    eve = person("Eve")
    eve.visit("/compose")
    token = eve.page.select_one("input[name=csrf_token]")
    assert token is not None
    for what in ("undo-send", "send-now"):
        data = {"csrf_token": str(token["value"])}
        assert eve.client.post(f"{address}/{what}", data=data).status_code == 404
    assert eve.client.get(address).status_code == 404
    assert bob.subjects() == []
