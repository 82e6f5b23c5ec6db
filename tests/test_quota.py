"""Room for a person's mail: counted, shown, and enforced with an answer they can act on."""

from __future__ import annotations

import pytest
from click.testing import CliRunner
from flask import Flask

from mailapp import quota
from mailapp.accounts import services as accounts
from mailapp.cli import main
from tests.conftest import Environment
from tests.people import Attached, Person

MIB = 1024 * 1024
ALICE, BOB, CHARLIE = (f"{name}@mail.example" for name in ("alice", "bob", "charlie"))


def megabytes(number: int, name: str = "large.bin") -> Attached:
    """A file of that size."""
    return Attached(name, bytes(number * MIB))


def limit(app: Flask, name: str, size: int | None) -> None:
    """Give somebody's mailbox a limit in bytes."""
    with app.app_context():
        accounts.set_quota(name, size)


def used(app: Flask, account_id: int) -> int:
    """What an account uses in whole megabytes."""
    with app.app_context():
        return quota.usage(account_id).used // MIB


def test_mail_counts_for_everybody_who_holds_it_until_it_is_gone(
    alice: Person, bob: Person, instances: list[Flask]
) -> None:
    app = instances[0]
    alice.send(BOB, "Two", files=[megabytes(2)])
    assert (used(app, 1), used(app, 2)) == (2, 2)

    bob.open("Two")
    bob.press("Delete")
    assert used(app, 2) == 2, "Trash counts"
    bob.open("Two", "Trash")
    bob.press("Delete")

    assert (used(app, 1), used(app, 2)) == (2, 0)


def test_the_files_of_drafts_count(alice: Person, instances: list[Flask]) -> None:
    alice.visit("/compose")
    alice.press("Save draft", {"Subject": "Later"}, [megabytes(3)])
    assert used(instances[0], 1) == 3

    alice.open("Later", "Drafts")
    alice.press("Remove large.bin")

    assert used(instances[0], 1) == 0


def test_the_files_of_a_deleted_draft_count_again_when_it_comes_back(
    alice: Person, instances: list[Flask]
) -> None:
    alice.visit("/compose")
    alice.press("Save draft", {"Subject": "Gone"}, [megabytes(3)])
    alice.press("Delete draft")
    deleted = alice.page
    assert used(instances[0], 1) == 0
    alice.visit("/compose")
    alice.press("Save draft", {"Subject": "Other"}, [megabytes(2)])
    limit(instances[0], "alice", 4 * MIB)

    alice.page = deleted
    alice.press("Undo")

    assert alice.response.status_code == 413
    assert "Your mailbox is full: 5 MB of 4 MB are used." in alice.text
    assert alice.subjects("Drafts") == ["Other"]
    limit(instances[0], "alice", 5 * MIB)
    alice.page = deleted
    alice.press("Undo")
    assert sorted(alice.subjects("Drafts")) == ["Gone", "Other"]
    assert used(instances[0], 1) == 5


def test_a_deleted_draft_without_files_comes_back_also_where_there_is_no_room(
    alice: Person, instances: list[Flask]
) -> None:
    alice.send(ALICE, "Two", files=[megabytes(2)])
    limit(instances[0], "alice", MIB)
    alice.visit("/compose")
    alice.press("Save draft", {"Subject": "Words"})
    alice.press("Delete draft")

    alice.press("Undo")

    assert alice.subjects("Drafts") == ["Words"]


def test_a_file_of_a_form_that_has_no_room_is_refused_and_the_text_kept(
    alice: Person, instances: list[Flask]
) -> None:
    limit(instances[0], "alice", MIB)
    alice.visit("/compose")

    alice.press("Send", {"To": BOB, "Subject": "Too much", "Message": "Words"}, [megabytes(2)])

    assert alice.response.status_code == 413
    assert "Your mailbox is full: 0 bytes of 1 MB are used. Delete mail" in alice.text
    alice.open("Too much", "Drafts")
    assert "Words" in alice.text


def test_a_send_whose_copy_has_no_room_keeps_the_text_and_sends_nothing(
    alice: Person, bob: Person, instances: list[Flask]
) -> None:
    alice.visit("/compose")
    alice.press("Save draft", {"Subject": "Full"}, [megabytes(1)])
    limit(instances[0], "alice", MIB)

    alice.press("Send", {"To": BOB, "Message": "one word more"})

    assert alice.response.status_code == 422
    assert "Your mailbox is full: 1 MB of 1 MB are used." in alice.text
    assert bob.subjects() == []
    limit(instances[0], "alice", 2 * MIB)
    alice.press("Send")
    assert bob.subjects() == ["Full"]


def test_headers_take_room_and_more_addresses_than_anybody_writes_are_refused(
    alice: Person, bob: Person, instances: list[Flask]
) -> None:
    alice.send(f'"{"B" * 60_000}" <{BOB}>', "Long")
    assert bob.subjects() == ["Long"]
    with instances[0].app_context():
        assert 60_000 < quota.usage(2).used < 62_000
    alice.visit("/compose")

    alice.press("Send", {"To": f'"{"B" * 70_000}" <{BOB}>', "Subject": "Longer", "Message": "Kept"})

    assert alice.response.status_code == 422
    assert "The addresses have 70021 characters in all; at most 65536 will do." in alice.text
    assert "Kept" in alice.response.text
    assert bob.subjects() == ["Long"]


def test_a_full_mailbox_among_the_recipients_is_named_and_nobody_gets_anything(
    alice: Person, bob: Person, charlie: Person, instances: list[Flask]
) -> None:
    limit(instances[0], "bob", MIB)
    alice.visit("/compose")

    alice.press("Send", {"To": f"{BOB}, {CHARLIE}", "Subject": "Both"}, [megabytes(2)])

    assert alice.response.status_code == 422
    assert "The mailbox of bob@mail.example is full. Nothing was sent to anyone." in alice.text
    assert (bob.subjects(), charlie.subjects()) == ([], [])
    alice.open("Both", "Drafts")
    alice.press("Send", {"To": CHARLIE})
    assert charlie.subjects() == ["Both"]


def test_what_one_sends_to_oneself_takes_room_twice(alice: Person, instances: list[Flask]) -> None:
    limit(instances[0], "alice", 3 * MIB)

    alice.send(ALICE, "Me", files=[megabytes(2)])

    assert alice.response.status_code == 422
    assert "Your mailbox is full" in alice.text


def test_room_is_shown_in_the_settings_and_beside_the_folders_when_it_gets_little(
    alice: Person, instances: list[Flask]
) -> None:
    limit(instances[0], "alice", 10 * MIB)
    alice.send(ALICE, "Some", files=[megabytes(3)])
    alice.visit("/settings")
    assert "6 MB of 10 MB are used: 6 MB by mail, 0 bytes by files of drafts." in alice.text
    assert "used" not in alice.page.select("nav.side")[0].text

    limit(instances[0], "alice", 7 * MIB)
    alice.visit("/mail/inbox")

    assert "85% of 7 MB used" in alice.page.select("nav.side")[0].text
    limit(instances[0], "alice", MIB)
    alice.visit("/settings")
    assert "Your mailbox is full" in alice.page.select("nav.side")[0].text
    assert "until you delete some mail and empty Trash" in alice.text


def test_without_a_limit_there_is_none(alice: Person, instances: list[Flask]) -> None:
    limit(instances[0], "alice", 0)

    alice.send(ALICE, "Any", files=[megabytes(2)])

    alice.visit("/settings")
    assert "4 MB are used. There is no limit." in alice.text


@pytest.mark.parametrize("parts", ["embedded"], indirect=True)
@pytest.mark.parametrize(
    ("size", "kept"),
    [("20GB", 20 * 1024**3), ("500 mb", 500 * MIB), ("1000", 1000), ("none", 0), ("default", None)],
)
def test_an_operator_gives_somebody_another_limit(
    size: str,
    kept: int | None,
    environment: Environment,
    alice: Person,
    instances: list[Flask],
) -> None:
    done = CliRunner().invoke(main, ["user", "quota", "alice", size], env=environment)

    assert done.exit_code == 0, done.output
    with instances[0].app_context():
        default = 5 * 1024**3
        assert quota.usage(1).limit == (default if kept is None else kept)


@pytest.mark.parametrize("parts", ["embedded"], indirect=True)
@pytest.mark.parametrize("size", ["0", "-1", "much", "5XB", "1.5GB"])
def test_what_is_no_size_is_refused(size: str, environment: Environment) -> None:
    done = CliRunner().invoke(main, ["user", "quota", "--", "alice", size], env=environment)

    assert done.exit_code == 2
    assert "is no size; write 20GB, 500MB, none or default." in done.output
