"""Selecting messages and doing something with them, without a script; and changing one's mind."""

from __future__ import annotations

import pytest
from flask import Flask
from sqlalchemy import update

from mailapp.database import write
from mailapp.mailbox import bulk, selections
from mailapp.mailbox.changes import RESTORE
from mailapp.mailbox.models import BulkJob
from mailapp.mailbox.selections import Piece, Selection
from mailapp.queries import Transaction
from tests.checks import counts_are_right
from tests.people import Person

BOB = "bob@mail.example"


@pytest.fixture
def reader(alice: Person, bob: Person) -> Person:
    """Bob, to whom Alice has written five times; he looks at his inbox."""
    for number in range(1, 6):
        alice.send(BOB, f"Letter {number}")
    bob.visit("/mail/inbox")
    return bob


def unread(person: Person) -> list[str]:
    """The subjects in bold on the page."""
    return [link.text for link in person.page.select("main li.new a")]


@pytest.mark.parametrize(
    ("button", "folder"), [("Archive", "Archive"), ("Spam", "Spam"), ("Delete", "Trash")]
)
def test_what_is_selected_is_moved_and_comes_back_by_undo(
    reader: Person, button: str, folder: str
) -> None:
    reader.select("Letter 1", "Letter 4")
    reader.press(button)
    assert f"2 messages moved to {folder}." in reader.text
    assert reader.subjects() == ["Letter 5", "Letter 3", "Letter 2"]
    assert reader.subjects(folder) == ["Letter 4", "Letter 1"]
    reader.visit("/mail/inbox")
    reader.select("Letter 5")
    reader.press(button)
    reader.press("Undo")
    assert "Undone." in reader.text
    assert reader.subjects() == ["Letter 5", "Letter 3", "Letter 2"]
    assert reader.subjects(folder) == ["Letter 4", "Letter 1"]


def test_select_all_means_what_is_shown(alice: Person, reader: Person) -> None:
    alice.send(BOB, "Came later")
    reader.tick("Select all")
    reader.press("Archive")
    assert "5 messages moved to Archive." in reader.text
    assert reader.subjects() == ["Came later"]
    assert len(reader.subjects("Archive")) == 5


def test_moving_to_a_folder_of_one_s_own_and_to_nowhere(reader: Person) -> None:
    reader.follow("New folder")
    reader.press("Create", {"Name": "Projects"})
    reader.visit("/mail/inbox")
    reader.select("Letter 2")
    reader.press("Move to")
    assert reader.response.status_code == 400
    reader.visit("/mail/inbox")
    reader.select("Letter 2")
    reader.press("Move to", {"Move to": folder_value(reader, "Projects")})
    assert "Moved to Projects." in reader.text
    assert reader.subjects("Projects") == ["Letter 2"]
    assert "Letter 2" not in reader.subjects()


def folder_value(reader: Person, label: str) -> str:
    """What the choice of a folder stands for in the form."""
    option = reader.page.find("option", string=label)
    assert option is not None
    return str(option["value"])


def test_marking_read_and_unread_and_undoing_both(reader: Person) -> None:
    reader.open("Letter 3")
    reader.visit("/mail/inbox")
    reader.tick("Select all")
    reader.press("Mark read")
    assert "4 messages marked read." in reader.text
    assert unread(reader) == []
    reader.press("Undo")
    assert unread(reader) == ["Letter 5", "Letter 4", "Letter 2", "Letter 1"]
    reader.select("Letter 3")
    reader.press("Mark unread")
    assert len(unread(reader)) == 5
    reader.press("Undo")
    assert "Letter 3" not in unread(reader)


def test_a_star_is_given_in_the_list_and_on_the_message_and_listed_across_folders(
    reader: Person,
) -> None:
    reader.select("Letter 1", "Letter 2")
    reader.press("Star")
    reader.open("Letter 3")
    reader.press("Star")
    assert "Unstar" in reader.text
    reader.visit("/mail/inbox")
    reader.select("Letter 2")
    reader.press("Archive")
    assert reader.subjects("Starred") == ["Letter 3", "Letter 2", "Letter 1"]
    reader.visit("/mail/inbox")
    reader.select("Letter 1")
    reader.press("Delete")
    assert reader.subjects("Starred") == ["Letter 3", "Letter 2"]
    reader.visit("/mail/starred")
    reader.tick("Select all")
    reader.press("Unstar")
    assert reader.subjects("Starred") == []


def test_what_was_changed_since_is_left_alone_by_undo_and_that_is_said(reader: Person) -> None:
    reader.tick("Select all")
    reader.press("Archive")
    undo = reader.page
    reader.visit("/mail/archive")
    reader.select("Letter 1", "Letter 2")
    reader.press("Delete")
    reader.page = undo
    reader.press("Undo")
    assert "Undone, but for 2 messages that have been changed since." in reader.text
    assert reader.subjects() == ["Letter 5", "Letter 4", "Letter 3"]
    assert reader.subjects("Trash") == ["Letter 2", "Letter 1"]
    reader.page = undo
    reader.press("Undo")
    assert "Nothing was undone" in reader.text


def test_deleting_from_trash_is_final_and_said_so_first(reader: Person) -> None:
    reader.tick("Select all")
    reader.press("Delete")
    reader.follow("Trash")
    assert "Deleting them here is final." in reader.text
    assert "30 days after they were moved here" in reader.text
    reader.select("Letter 1")
    reader.press("Delete")
    assert "The message is deleted for good." in reader.text
    assert reader.page.find("button", string="Undo") is None
    reader.select("Letter 2")
    reader.press("Restore")
    assert reader.subjects() == ["Letter 2"]
    reader.follow("Trash")
    reader.follow("Empty trash")
    assert "3 messages will be deleted for good." in reader.text
    reader.press("Empty trash")
    assert reader.subjects("Trash") == []
    assert reader.subjects() == ["Letter 2"]


def test_nothing_selected_is_said(reader: Person) -> None:
    reader.press("Archive")
    assert "Nothing was selected." in reader.text
    assert len(reader.subjects()) == 5


def test_what_is_somebody_else_s_is_not_touched_and_looks_like_nothing(
    alice: Person, reader: Person
) -> None:
    entry = str(reader.link("Letter 1")["href"]).removeprefix("/mail/")
    alice.visit("/mail/sent")
    token = alice.page.select_one("#list input[name=csrf_token]")
    assert token is not None
    undo = reader_undo(reader)
    for action in ("archive", "spam", "delete", "restore", "destroy", "read", "unread", "star"):
        answers = []
        for chosen in (entry, "999999"):
            form = {"csrf_token": str(token["value"]), "do": action, "entry": chosen, "back": "/"}
            assert alice.client.post("/mail/act", data=form).status_code == 303
            alice.visit("/mail/sent")
            answers.append(str(alice.page.select_one("main")))
        assert answers[0] == answers[1], action
    form = {"csrf_token": str(token["value"]), "undo": undo}
    assert alice.client.post("/mail/undo", data=form).status_code == 303
    assert len(reader.subjects()) == len(unread(reader)) == 4


def reader_undo(reader: Person) -> str:
    """Archives a letter; what Undo would be asked for with."""
    reader.select("Letter 5")
    reader.press("Archive")
    field = reader.page.select_one("input[name=undo]")
    assert field is not None
    return str(field["value"])


def test_forms_that_no_page_has_are_refused_and_break_nothing(reader: Person) -> None:
    token = reader.page.select_one("#list input[name=csrf_token]")
    assert token is not None
    for form in (
        {"do": "explode", "entry": "1"},
        {"do": "archive", "entry": "x"},
        {"do": "archive", "entry": "9" * 30},
        {"do": "move", "to": "sent", "entry": "1"},
        {"do": "move", "to": "drafts", "entry": "1"},
        {"do": "move", "to": "folder/99999", "entry": "1"},
        {"do": "archive", "whole": "1", "place": "nowhere"},
        {"star": "-1"},
        {},
    ):
        answer = reader.client.post("/mail/act", data={"csrf_token": str(token["value"]), **form})
        assert answer.status_code in {400, 404}, form
    for undo in ("", "job-1", "move-1", "destroy-1-1", "move-x-1", "dissolve-1-1"):
        answer = reader.client.post(
            "/mail/undo", data={"csrf_token": str(token["value"]), "undo": undo}
        )
        assert answer.status_code in {303, 404}, undo
    away = {"csrf_token": str(token["value"]), "do": "read", "all": "1", "shown": "1"}
    for back in ("https://evil.example/", "//evil.example", "/\\evil.example"):
        answer = reader.client.post("/mail/act", data={**away, "back": back})
        assert answer.headers["Location"] == "/mail/inbox"
    assert len(reader.subjects()) == 5


def test_all_of_a_folder_is_done_in_pieces_and_undone(
    reader: Person, instances: list[Flask], monkeypatch: pytest.MonkeyPatch
) -> None:
    few_at_a_time(monkeypatch, patience=60.0)
    whole(reader, "archive")
    assert "5 messages moved to Archive." in reader.text
    assert reader.subjects() == []
    assert len(reader.subjects("Archive")) == 5
    counts_are_right(instances[0])
    whole(reader, "star", "archive")
    reader.press("Undo")
    assert "Undone." in reader.text
    assert reader.subjects("Starred") == []


def test_what_takes_long_goes_on_by_itself_on_another_instance(
    alice: Person, reader: Person, instances: list[Flask], monkeypatch: pytest.MonkeyPatch
) -> None:
    few_at_a_time(monkeypatch, patience=0.0)
    whole(reader, "archive")
    assert "2 messages moved to Archive. The rest follows by itself" in reader.text
    undo = reader.page
    assert len(reader.subjects()) == 3
    alice.send(BOB, "Came meanwhile")
    with instances[1].app_context():
        bulk.work_off()
    assert reader.subjects() == ["Came meanwhile"]
    assert len(reader.subjects("Archive")) == 5
    reader.page = undo
    reader.press("Undo")
    assert "Being undone." in reader.text
    with instances[0].app_context():
        bulk.work_off()
    assert len(reader.subjects()) == 6
    counts_are_right(instances[0])


def test_undo_ends_what_is_still_being_done(
    reader: Person, instances: list[Flask], monkeypatch: pytest.MonkeyPatch
) -> None:
    few_at_a_time(monkeypatch, patience=0.0)
    whole(reader, "archive")
    reader.press("Undo")
    with instances[0].app_context():
        bulk.work_off()
    assert len(reader.subjects()) == 5
    assert reader.subjects("Archive") == []


def test_a_job_that_fails_keeps_back_none_of_the_others(
    reader: Person, instances: list[Flask], monkeypatch: pytest.MonkeyPatch
) -> None:
    few_at_a_time(monkeypatch, patience=0.0)
    whole(reader, "star")
    whole(reader, "archive")
    with instances[1].app_context():
        with write() as connection:
            broken = update(BulkJob).where(BulkJob.action == "star")
            connection.execute(broken.values(selection={"kind": "unknown"}))
        with pytest.raises(KeyError, match="unknown"):
            bulk.work_off()
    assert reader.subjects() == []
    assert len(reader.subjects("Archive")) == 5


def test_what_can_t_be_undone_is_not_ended_by_asking_for_it(
    reader: Person, instances: list[Flask], monkeypatch: pytest.MonkeyPatch
) -> None:
    few_at_a_time(monkeypatch, patience=0.0)
    whole(reader, "destroy")
    token = reader.page.select_one("#list input[name=csrf_token]")
    assert token is not None
    answer = reader.client.post(
        "/mail/undo", data={"csrf_token": str(token["value"]), "undo": "job-1"}
    )
    assert answer.status_code == 404
    with instances[0].app_context():
        bulk.work_off()
    assert reader.subjects() == []


@pytest.mark.parametrize("parts", ["servers"], indirect=True)
@pytest.mark.parametrize("patience", [0.0, 60.0])
def test_what_is_taken_out_while_a_folder_is_read_is_not_deleted_with_it(
    reader: Person, instances: list[Flask], monkeypatch: pytest.MonkeyPatch, patience: float
) -> None:
    few_at_a_time(monkeypatch, patience=patience)
    reader.tick("Select all")
    reader.press("Delete")
    read = selections.READERS["folder"]

    def slowly(inside: Transaction, account_id: int, selection: Selection, after: str) -> Piece:
        piece = read(inside, account_id, selection, after)
        bulk.perform(account_id, RESTORE, selections.messages(piece.ids[:1]), "inbox")
        return piece

    monkeypatch.setitem(selections.READERS, "folder", slowly)
    whole(reader, "destroy", "trash")
    with instances[0].app_context():
        bulk.work_off()
    assert reader.subjects() == ["Letter 5", "Letter 3", "Letter 1"]
    assert reader.subjects("Trash") == []
    counts_are_right(instances[0])


def few_at_a_time(monkeypatch: pytest.MonkeyPatch, *, patience: float) -> None:
    """Pieces of two messages, and somebody who waits so many seconds."""
    for name in ("_OF_FOLDER", "_OF_FOLDER_NEXT", "_CHANGED"):
        query = getattr(selections, name)
        monkeypatch.setattr(selections, name, type(query)(query._statement.limit(2)))
    monkeypatch.setattr(selections, "PIECE", 2)
    monkeypatch.setattr(bulk, "PATIENCE", patience)


def whole(reader: Person, action: str, place: str = "inbox") -> None:
    """Press a button for all of a folder, as its page offers where it has more than one."""
    reader.visit(f"/mail/{place}")
    token = reader.page.select_one("#list input[name=csrf_token]")
    assert token is not None
    reader._show(
        reader.client.post(
            "/mail/act",
            data={
                "csrf_token": str(token["value"]),
                "do": action,
                "whole": "1",
                "place": place,
                "back": f"/mail/{place}",
            },
            follow_redirects=True,
        )
    )
