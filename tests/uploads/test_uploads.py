"""A file comes in pieces, to whichever instance, and goes on where it was cut (tus 1.0)."""

from __future__ import annotations

import base64
import io
import os
import uuid
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from datetime import timedelta

import httpx
import pytest
from bs4 import Tag
from flask import Flask
from sqlalchemy import func, select, update

from mailapp.accounts import services as accounts
from mailapp.attachments.collector import collect
from mailapp.attachments.models import Blob, Upload
from mailapp.attachments.store import PIECE, Gone, store
from mailapp.compose import files
from mailapp.database import now, read, write
from mailapp.uploads import services
from mailapp.uploads.services import NotThere, Place, WrongOffset
from tests.people import Person

BOB = "bob@mail.example"


class Sender:
    """The script of a page on which a message is written, sending one file."""

    def __init__(self, writer: Person, content: bytes, name: str = "film.mkv") -> None:
        writer.visit("/compose")
        form = writer.page.select_one("form#compose")
        assert isinstance(form, Tag)
        self._hidden = {
            str(field["name"]): str(field["value"]) for field in form.select("input[type=hidden]")
        }
        self.draft = str(form["action"])
        self.id = uuid.uuid4()
        self.content, self._name, self._client = content, name, writer.client

    @property
    def path(self) -> str:
        """The address of the file."""
        return f"{self.draft}/uploads/{self.id}"

    def place(self) -> Place:
        """The same for a service of the first account."""
        return Place(1, uuid.UUID(self.draft.rpartition("/")[2]), self.id)

    def ask(self, method: str, content: bytes = b"", **headers: str) -> httpx.Response:
        """One request of the protocol."""
        said = {
            "Accept": "application/json",
            "Tus-Resumable": "1.0.0",
            "X-CSRFToken": self._hidden["csrf_token"],
            "X-Draft-Key": self._hidden["draft_key"],
            "Content-Type": "application/offset+octet-stream",
        }
        return self._client.request(method, self.path, content=content, headers=said | headers)

    def create(self, first: int = 0, **headers: str) -> httpx.Response:
        """Begin, with the first bytes at once."""
        name = base64.b64encode(self._name.encode()).decode()
        metadata = {
            "Upload-Length": str(len(self.content)),
            "Upload-Metadata": f"filename {name},filetype {base64.b64encode(b'video/x').decode()}",
        }
        return self.ask("POST", self.content[:first], **(metadata | headers))

    def patch(self, start: int, stop: int | None = None) -> httpx.Response:
        """The bytes from `start` to `stop`."""
        return self.ask("PATCH", self.content[start:stop], **{"Upload-Offset": str(start)})

    def offset(self) -> int:
        """How much there is, as HEAD says."""
        answer = self.ask("HEAD")
        assert answer.status_code == 200, answer.status_code
        assert int(answer.headers["Upload-Length"]) == len(self.content)
        return int(answer.headers["Upload-Offset"])


@pytest.fixture(autouse=True)
def empty_store(instances: list[Flask]) -> None:
    """Nothing of the tests before is in the bucket."""
    with instances[0].app_context():
        for key, _ in store().list():
            store().delete(key)
        store().sweep(now() + timedelta(days=1))


def test_a_file_comes_in_pieces_to_both_instances(alice: Person, bob: Person) -> None:
    content = os.urandom(2 * PIECE + 1000)
    sender = Sender(alice, content)

    assert sender.create(PIECE).headers["Upload-Offset"] == str(PIECE)
    assert sender.offset() == PIECE
    assert sender.patch(PIECE, 2 * PIECE).status_code == 204
    assert sender.patch(2 * PIECE).headers["Upload-Offset"] == str(len(content))

    assert sender.offset() == len(content), "of one that is attached, all of it is here"
    alice.visit(sender.draft)
    alice.press("Send", {"To": BOB, "Subject": "A film"})
    bob.open("A film")
    assert bob.download("film.mkv") == content


def test_a_small_file_is_one_request(alice: Person, app: Flask) -> None:
    sender = Sender(alice, b"small")

    answer = sender.create(5)

    assert (answer.status_code, answer.headers["Upload-Offset"]) == (201, "5")
    assert answer.headers["Location"] == sender.path
    assert answer.headers["Tus-Resumable"] == "1.0.0"
    with read() as connection:
        assert connection.scalar(select(func.count()).select_from(Upload)) == 0


def test_what_the_service_can_do_is_told_to_who_asks(alice: Person) -> None:
    answer = Sender(alice, b"").ask("OPTIONS")

    assert answer.headers["Tus-Version"] == "1.0.0"
    assert "creation-with-upload" in answer.headers["Tus-Extension"]
    assert answer.headers["Tus-Max-Size"] == str(50 * 1024 * 1024)


def test_another_version_of_the_protocol_is_refused(alice: Person) -> None:
    answer = Sender(alice, b"x").create(1, **{"Tus-Resumable": "0.2.2"})

    assert answer.status_code == 412
    assert answer.headers["Tus-Version"] == "1.0.0"


def test_begun_twice_it_is_begun_once_and_a_repeated_piece_is_taken_once(alice: Person) -> None:
    sender = Sender(alice, os.urandom(PIECE + 10))

    for _ in range(2):
        answer = sender.create(PIECE)
        assert (answer.status_code, answer.headers["Upload-Offset"]) == (201, str(PIECE))
    for _ in range(2):
        answer = sender.patch(PIECE)
        assert (answer.status_code, answer.headers["Upload-Offset"]) == (204, str(PIECE + 10))

    alice.visit(sender.draft)
    assert len(alice.page.select("#attached li")) == 1


def test_a_piece_at_a_wrong_place_is_refused_and_told_where_to_go_on(alice: Person) -> None:
    sender = Sender(alice, os.urandom(3 * PIECE))
    sender.create(PIECE)

    for start in (0, PIECE - 1, 2 * PIECE):
        answer = sender.patch(start, start + PIECE - 1)
        assert (answer.status_code, answer.headers["Upload-Offset"]) == (409, str(PIECE))
    assert sender.offset() == PIECE


def test_of_a_body_the_whole_pieces_are_taken_and_the_rest_is_sent_again(alice: Person) -> None:
    sender = Sender(alice, os.urandom(2 * PIECE + 10))
    sender.create()

    assert sender.patch(0, PIECE + 500).headers["Upload-Offset"] == str(PIECE)
    assert sender.patch(PIECE).headers["Upload-Offset"] == str(2 * PIECE + 10)


def test_pieces_that_would_never_be_whole_are_refused(alice: Person) -> None:
    sender = Sender(alice, os.urandom(2 * PIECE))
    sender.create()

    answer = sender.patch(0, 1000)

    assert answer.status_code == 400
    assert answer.json()["error"] == "A piece of a file has at least 5 MB, but for the last."


def test_of_a_line_that_is_cut_the_whole_pieces_stay(alice: Person, app: Flask) -> None:
    sender = Sender(alice, os.urandom(3 * PIECE))
    sender.create()

    class Cut(io.BytesIO):
        """A body that ends with the connection, in the middle of the second piece."""

        def readinto(self, buffer: memoryview) -> int:  # type: ignore[override]
            if self.tell() > PIECE + 1000:
                raise ConnectionError
            return super().readinto(buffer)

    with pytest.raises(ConnectionError):
        services.receive(sender.place(), 0, Cut(sender.content), 3 * PIECE)

    assert sender.offset() == PIECE
    assert sender.patch(PIECE).headers["Upload-Offset"] == str(3 * PIECE)


def test_equal_content_is_stored_once_however_it_came(alice: Person, app: Flask) -> None:
    content = os.urandom(PIECE + 1)
    whole, pieces = Sender(alice, content), Sender(alice, content)

    whole.create(len(content))
    pieces.create(PIECE)
    pieces.patch(PIECE)

    with read() as connection:
        assert connection.scalar(select(func.count()).select_from(Blob)) == 1
    assert len(list(store().list())) == 1
    assert store().sweep(now() + timedelta(days=1)) == 0


def test_two_instances_that_finish_the_same_file_attach_it_once(
    alice: Person, bob: Person, instances: list[Flask]
) -> None:
    content = os.urandom(PIECE + 100)
    sender = Sender(alice, content)
    sender.create(PIECE)

    def finish(app: Flask) -> object:
        with app.app_context():
            try:
                return services.receive(
                    sender.place(), PIECE, io.BytesIO(content[PIECE:]), 100
                ).received
            except (Gone, NotThere, WrongOffset) as late:
                return late

    with ThreadPoolExecutor(4) as pool:
        results = list(pool.map(finish, instances * 2))

    assert len(content) in results
    assert sender.offset() == len(content)
    alice.visit(sender.draft)
    alice.press("Send", {"To": BOB, "Subject": "Once"})
    bob.open("Once")
    assert bob.download("film.mkv") == content


def test_a_file_that_is_removed_while_it_comes_stays_removed(alice: Person, app: Flask) -> None:
    sender = Sender(alice, os.urandom(2 * PIECE))
    sender.create(PIECE)

    assert sender.ask("DELETE").status_code == 204

    assert sender.patch(PIECE).status_code == 410
    assert sender.create(PIECE).status_code == 410
    assert sender.ask("HEAD").status_code == 410
    assert store().sweep(now() + timedelta(days=1)) == 0, "its pieces are gone"
    alice.visit(sender.draft)
    assert alice.page.select("#attached li") == []


def test_a_file_for_a_message_that_was_sent_meanwhile_is_told_so(alice: Person) -> None:
    sender = Sender(alice, os.urandom(2 * PIECE))
    sender.create(PIECE)
    alice.visit(sender.draft)
    alice.press("Send", {"To": "alice@mail.example", "Subject": "Gone"})

    assert sender.patch(PIECE).status_code == 404
    again = sender.create(PIECE)
    assert again.status_code == 409
    assert again.json()["error"] == "This message has already been sent."


def test_the_draft_s_key_is_enough_after_the_session_has_ended(alice: Person) -> None:
    sender = Sender(alice, os.urandom(PIECE + 10))
    sender.create(PIECE)
    alice.press("Log out")

    assert sender.offset() == PIECE
    assert sender.patch(PIECE).status_code == 204


def test_nobody_else_can_see_or_touch_an_upload(alice: Person, bob: Person) -> None:
    hers = Sender(alice, os.urandom(PIECE + 10))
    hers.create(PIECE)
    his = Sender(bob, hers.content)
    his.draft, his.id = hers.draft, hers.id

    answers = [
        his.ask("HEAD"),
        his.patch(PIECE),
        his.create(PIECE),
        his.ask("DELETE"),
    ]

    assert [answer.status_code for answer in answers] == [404, 404, 404, 404]
    assert hers.patch(PIECE).status_code == 204


def test_an_upload_of_another_draft_s_id_is_not_there(alice: Person) -> None:
    first, second = Sender(alice, os.urandom(PIECE + 10)), Sender(alice, os.urandom(PIECE + 10))
    first.create(PIECE)
    second.create(PIECE)
    second.id = first.id

    assert second.ask("HEAD").status_code == 404
    assert second.patch(PIECE).status_code == 404
    assert second.create(PIECE).status_code == 404
    assert first.offset() == PIECE


@pytest.mark.parametrize("part", ["Upload-Length", "Upload-Metadata"])
def test_a_request_that_can_not_be_read_is_refused(part: str, alice: Person) -> None:
    answer = Sender(alice, b"x").create(1, **{part: "filename !"})

    assert answer.status_code == 400
    assert part in answer.json()["error"]


def test_what_is_too_large_is_refused_before_it_is_sent(alice: Person) -> None:
    size = 50 * 1024 * 1024 + 1

    answer = Sender(alice, b"x").create(0, **{"Upload-Length": str(size)})

    assert answer.status_code == 413
    assert "at most 50 MB" in answer.json()["error"]


def test_a_name_is_cleaned_and_a_type_that_is_none_is_left_out(alice: Person) -> None:
    sender = Sender(alice, b"x", "../보고서\r\n.pdf")

    sender.create(1, **{"X": "y"})

    alice.visit(sender.draft)
    name = alice.page.select_one("#attached .name")
    assert name is not None
    assert name.text == "보고서.pdf"


# Room --------------------------------------------------------------------------------------------


def test_a_file_there_is_no_room_for_is_refused_with_what_to_do(alice: Person, app: Flask) -> None:
    accounts.set_quota("alice", 10 * 1024 * 1024)
    first, second = Sender(alice, bytes(6 * 1024 * 1024)), Sender(alice, bytes(5 * 1024 * 1024))

    assert first.create(PIECE).status_code == 201, "room is kept for all of it"
    whole, begun = second.create(len(second.content)), second.create()

    for answer in (whole, begun):
        assert answer.status_code == 413
        assert answer.json()["error"].startswith(
            "Your mailbox is full: 6 MB of 10 MB are used. Delete mail you don't need"
        )
    first.ask("DELETE")
    assert second.create(len(second.content)).status_code == 201


# What is left ------------------------------------------------------------------------------------


def test_what_nobody_goes_on_with_is_collected_by_its_age(alice: Person, app: Flask) -> None:
    left = Sender(alice, os.urandom(2 * PIECE))
    left.create(PIECE)

    early = collect(now() + timedelta(minutes=30), timedelta(0))
    late = collect(now() + timedelta(hours=2), timedelta(0))

    assert (early.uploads, early.unfinished) == (0, 0)
    assert (late.uploads, late.unfinished) == (1, 1)
    assert left.ask("HEAD").status_code == 404
    assert left.patch(PIECE).status_code == 404
    assert left.create(PIECE).headers["Upload-Offset"] == str(PIECE), "it can be begun anew"


def test_pieces_that_the_store_has_lost_are_asked_for_anew(alice: Person, app: Flask) -> None:
    sender = Sender(alice, os.urandom(PIECE + 10))
    sender.create(PIECE)
    store().sweep(now() + timedelta(days=1))
    assert sender.patch(PIECE).status_code == 409, "another instance may be finishing it"
    with write() as connection:
        connection.execute(update(Upload).values(updated_at=now() - timedelta(minutes=2)))

    assert sender.patch(PIECE).status_code == 404
    assert sender.create(PIECE).headers["Upload-Offset"] == str(PIECE)
    assert sender.patch(PIECE).status_code == 204


def test_the_object_of_an_upload_is_no_rubbish_before_its_row_is(
    alice: Person, app: Flask, monkeypatch: pytest.MonkeyPatch
) -> None:
    """An instance dies after the store has made the object, and before the row says so."""
    sender = Sender(alice, os.urandom(PIECE + 10))
    sender.create(PIECE)
    died: list[Callable[..., object]] = []

    def die(*_: object, **__: object) -> None:
        died.append(die)
        raise RuntimeError

    with monkeypatch.context() as patched:
        patched.setattr(files, "attach", die)
        with pytest.raises(RuntimeError):
            services.receive(sender.place(), PIECE, io.BytesIO(sender.content[PIECE:]), 10)
    assert died

    assert sender.patch(PIECE).status_code == 204, "the next one finishes it"
    assert sender.offset() == PIECE + 10
