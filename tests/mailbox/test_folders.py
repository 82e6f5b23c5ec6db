"""One's own folders: made, renamed, and taken away with a say about what is inside."""

from __future__ import annotations

import pytest
from flask import Flask

from mailapp.mailbox import bulk, folders, selections
from mailapp.mailbox.changes import MOVE, FolderGone
from tests.checks import account, counts_are_right
from tests.people import Person


def make(person: Person, name: str) -> None:
    """Make a folder, by the link that is on every page."""
    person.visit("/mail/inbox")
    person.follow("New folder")
    person.press("Create", {"Name": name})


def test_a_folder_is_made_shown_renamed_and_deleted_when_empty(alice: Person) -> None:
    make(alice, "  Club   of  Rome ")
    assert alice.page.find("h1", string="Club of Rome")
    assert "This folder is empty" in alice.text
    alice.follow("Rename or delete")
    alice.press("Rename", {"Name": "클럽"})
    assert alice.page.find("h1", string="클럽")
    alice.visit("/mail/inbox")
    alice.follow("클럽")
    alice.follow("Rename or delete")
    alice.press("Delete folder")
    assert "The folder “클럽” is deleted." in alice.text
    assert not alice.sees_link("클럽")
    make(alice, "클럽")
    assert alice.page.find("h1", string="클럽")


@pytest.mark.parametrize(
    "name",
    ["", "   ", "inbox", "SPAM", "받은편지함", "starred", "club", "ＣＬＵＢ", "x" * 101, "a\x07b"],
)
def test_names_that_a_folder_can_t_have_are_refused_with_a_reason(alice: Person, name: str) -> None:
    make(alice, "Club")
    make(alice, name)
    assert alice.response.status_code == 422
    assert alice.page.select_one(".error") is not None
    assert len(alice.page.select("li.own a[href^='/mail/folder/']")) == 1


def test_there_is_an_end_to_folders(
    alice: Person, app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(folders, "MOST", 2)
    for number in range(3):
        make(alice, f"Folder {number}")
    assert alice.response.status_code == 422
    assert "at most 2 folders" in alice.text


@pytest.mark.parametrize("into", ["Inbox", "Archive", "Trash"])
def test_what_is_in_a_folder_goes_where_its_owner_says(
    alice: Person, bob: Person, instances: list[Flask], into: str
) -> None:
    make(bob, "Club")
    box = int(str(bob.response.url).rpartition("/")[2])
    for number in range(3):
        alice.send("bob@mail.example", f"Letter {number}")
    bob.visit("/mail/inbox")
    with instances[0].app_context():
        me = account(instances[0], "bob")
        ids = [int(str(row["data-entry"])) for row in bob.page.select("li[data-entry]")]
        bulk.perform(me, MOVE, selections.messages(ids), box)
    assert len(bob.subjects("Club")) == 3
    bob.follow("Rename or delete")
    choice = bob.page.select_one(f"input[name=into][value={into.lower()}]")
    assert choice is not None
    for other in bob.page.select("input[name=into]"):
        del other["checked"]
    choice["checked"] = ""
    bob.press("Delete folder")
    assert not bob.sees_link("Club")
    assert len(bob.subjects(into)) == 3
    counts_are_right(instances[0])
    with instances[0].app_context(), pytest.raises(FolderGone):
        bulk.perform(me, MOVE, selections.messages(ids), box)


def test_a_message_whose_folder_is_gone_is_restored_to_the_inbox(alice: Person) -> None:
    make(alice, "Club")
    alice.send("alice@mail.example", "Kept")
    alice.visit("/mail/inbox")
    alice.select("Kept")
    option = alice.page.find("option", string="Club")
    assert option is not None
    alice.press("Move to", {"Move to": str(option["value"])})
    alice.follow("Club")
    alice.select("Kept")
    alice.press("Delete")
    alice.follow("Club")
    alice.follow("Rename or delete")
    alice.press("Delete folder")
    alice.follow("Trash")
    alice.select("Kept")
    alice.press("Restore")
    assert alice.subjects() == ["Kept"]


def test_another_s_folder_is_nowhere_to_be_found(alice: Person, bob: Person) -> None:
    make(alice, "Hers")
    path = str(alice.response.url.path)
    number = path.rpartition("/")[2]
    bob.visit("/mail/inbox")
    token = bob.page.select_one("input[name=csrf_token]")
    assert token is not None
    form = {"csrf_token": str(token["value"]), "name": "Mine", "into": "trash"}
    assert bob.client.get(path).status_code == 404
    assert bob.client.get(f"/folders/{number}").status_code == 404
    assert bob.client.post(f"/folders/{number}", data=form).status_code == 404
    assert bob.client.post(f"/folders/{number}/delete", data=form).status_code == 404
    alice.visit(path)
    assert alice.page.find("h1", string="Hers")
