"""The operators' page: who may see it, and what it says of which instance."""

from __future__ import annotations

from collections.abc import Callable

import pytest
from bs4 import BeautifulSoup, Tag
from flask import Flask

from mailapp.accounts import services as accounts
from mailapp.cluster.record import Part
from tests.cluster.records import PARTS, make_older, record, registry_of, tell
from tests.conftest import PASSWORD
from tests.people import Person

SCRIPT = {"Accept": "application/json"}


@pytest.fixture
def operator(instances: list[Flask], person: Callable[[str], Person]) -> Person:
    """Olga, who has the admin flag, logged in."""
    olga = person("Olga")
    with instances[0].app_context():
        accounts.set_admin("olga", is_admin=True)
    return olga


def cards(reader: Person) -> dict[str, str]:
    """What the page says of each instance, by its name."""
    reader.visit("/admin/cluster")
    assert reader.response.status_code == 200
    return {
        name.text: " ".join(card.text.split())
        for card in reader.page.select(".instances > li")
        if isinstance(name := card.find("h3"), Tag)
    }


def test_it_is_for_operators(
    operator: Person, alice: Person, visitor: Callable[[], Person]
) -> None:
    guest = visitor()
    for _ in range(2):
        assert operator.visit("/admin/cluster")
        assert operator.response.status_code == 200
        alice.visit("/admin/cluster")
        assert alice.response.status_code == 403
        assert "mailapp user admin" in alice.text
        guest.visit("/admin/cluster")
        assert guest.response.url.path == "/login"
    for reader, status in ((operator, 200), (alice, 403), (guest, 401)):
        answer = reader.client.get("/admin/cluster/now", headers=SCRIPT)
        assert (answer.status_code, answer.headers["Content-Type"]) == (status, "application/json")


def test_a_guest_comes_back_to_it_after_the_log_in(
    instances: list[Flask], visitor: Callable[[], Person]
) -> None:
    with instances[0].app_context():
        accounts.create("olga", "Olga", PASSWORD)
        accounts.set_admin("olga", is_admin=True)
    olga = visitor()
    olga.visit("/admin/cluster")
    olga.press("Log in", {"Email": "olga", "Password": PASSWORD})

    assert olga.response.url.path == "/admin/cluster"


def test_it_lists_who_is_alive_with_all_that_it_said(
    instances: list[Flask], operator: Person
) -> None:
    tell(
        instances[0],
        record("2"),
        record("1", uptime=100, requests=(0.5, 31.26), latency=None, cpu=None),
    )
    found = cards(operator)

    assert list(found) == ["web-1", "web-2"]
    assert "Serving" in found["web-1"]
    for text in ("31 a second", "1 min ago", "CPU –", "An answer takes –"):
        assert text in found["web-1"], found["web-1"]
    for text in (
        "1.9",
        "2 h 5 min ago",
        "3 of 16",
        "CPU 25%",
        "An answer takes 12 ms",
        "Workers 2",
    ):
        assert text in found["web-2"], found["web-2"]
    for part in PARTS:
        assert f"{part.name} {part.backend} {part.latency} ms" in found["web-2"]
    assert "2 instances, all serving" in operator.text
    assert "Requests a second 33" in operator.text
    assert "Under way 6 of 32" in operator.text


def test_it_says_who_can_not_serve_and_why(instances: list[Flask], operator: Person) -> None:
    failing = Part(
        "database", "postgresql", failing=True, latency=1000.0, error="no answer in time"
    )
    tell(
        instances[0],
        record("1"),
        record("2", state="unavailable", parts=(failing, *PARTS[1:])),
        record("3", state="draining"),
        record("4", state="silent"),
        record("5", state="degraded", errors=(0.0, 2.5, 1.5)),
    )
    found = cards(operator)

    assert "Can’t serve" in found["web-2"]
    assert "Database: no answer in time." in found["web-2"]
    assert "Draining" in found["web-3"]
    assert "Does not answer" in found["web-4"]
    assert "1.5 errors" in found["web-5"]
    assert "5 instances: 2 serving, 1 draining, 1 can’t serve, 1 without an answer" in operator.text
    assert "Under way 15 of 32" in operator.text, "the room is that of those who serve"


def test_one_that_has_fallen_silent_is_not_listed_and_not_kept_quiet(
    instances: list[Flask], operator: Person
) -> None:
    tell(instances[0], record("1"), record("2"), record("3", state="draining"))
    make_older(instances[0], "2", 5)
    make_older(instances[0], "3", 5)

    assert list(cards(operator)) == ["web-1"]
    assert "1 instance stopped without a word, this long ago:" in operator.text, (
        "the other had said that it goes"
    )


def test_two_versions_are_told_apart(instances: list[Flask], operator: Person) -> None:
    tell(instances[0], record("1"), record("2"))
    assert not operator.visit("/admin/cluster").select(".instances .tag")

    tell(instances[0], record("3", version="1.10", uptime=20))
    found = cards(operator)
    assert ["Version 1.9 old" in found["web-1"], "Version 1.10 new" in found["web-3"]] == [
        True,
        True,
    ]
    assert "Versions 1.9 on 2, 1.10 on 1" in operator.text


def test_its_plots_say_in_words_what_they_show(instances: list[Flask], operator: Person) -> None:
    tell(
        instances[0],
        record("1", requests=(1.0, 40.0, 2.0), errors=(0.0, 0.5, 0.0)),
        record("2", requests=()),
    )
    operator.visit("/admin/cluster")
    said = [str(plot["aria-label"]) for plot in operator.page.select("svg[role=img]")]

    assert len(said) == 3
    assert said[1].endswith("now 2, at most 40; errors at most 0.5")
    assert said[2].endswith("none counted yet")


def test_many_instances_and_none_have_a_page(instances: list[Flask], operator: Person) -> None:
    assert cards(operator) == {}
    assert "No instance has told of itself yet." in operator.text

    crowd = [record(str(number), requests=(100.0,) * 120) for number in range(1, 41)]
    tell(instances[0], *crowd)
    assert list(cards(operator)) == [one.name for one in crowd]
    assert "40 instances, all serving" in operator.text
    assert "Requests a second 4,000" in operator.text


def test_a_record_that_can_not_be_read_is_left_out(
    instances: list[Flask], operator: Person
) -> None:
    tell(instances[0], record("1"))
    with instances[0].app_context():
        kept = registry_of(instances[0])
        kept.put("x", b'{"id": "x", "name": "of a version to come"}')
        kept.put("y", b"\xff")

    assert list(cards(operator)) == ["web-1"]


def test_the_script_is_given_what_the_page_shows(instances: list[Flask], operator: Person) -> None:
    tell(instances[0], record("1"))
    cards(operator)
    answer = operator.client.get("/admin/cluster/now", headers=SCRIPT).json()

    assert answer["said"] == "1 instance, serving"
    shown = operator.page.select_one("#cluster")
    assert shown is not None
    assert BeautifulSoup(answer["html"], "html.parser").text.split() == shown.text.split()
