"""Uploads that go on: over a line that is cut, over an instance that is killed, behind nginx."""

from __future__ import annotations

import base64
import os
import time
import uuid

import pytest

from deploy.topology import Nginx, Web
from mailapp.attachments.store import PIECE
from tests.people import Person
from tests.services.house import Answer, House, Letter, Request


@pytest.fixture
def alice(house: House) -> Person:
    return house.person("alice", at=house.webs[1])


@pytest.fixture
def bob(house: House) -> Person:
    return house.person("bob", at=house.webs[1])


class Film:
    """A file that a page's script sends in pieces, in a letter to bob."""

    def __init__(self, writer: Person, subject: str, size: int) -> None:
        self.content = os.urandom(size)
        self._letter = Letter(writer, subject)
        self._path = f"{self._letter.path}/uploads/{uuid.uuid4()}"
        self._said = {
            "Cookie": self._letter.cookie,
            "Accept": "application/json",
            "Tus-Resumable": "1.0.0",
            "X-Draft-Key": self._letter.hidden["draft_key"],
            "X-CSRFToken": self._letter.hidden["csrf_token"],
            "Content-Type": "application/offset+octet-stream",
        }

    def create(self, at: Web | Nginx) -> Answer:
        """Begin it."""
        name = base64.b64encode(b"film.mkv").decode()
        about = {"Upload-Length": str(len(self.content)), "Upload-Metadata": f"filename {name}"}
        return Request(at, "POST", self._path, self._said | about).answer()

    def patch(self, at: Web | Nginx, start: int, size: int = PIECE) -> Request:
        """The next `size` bytes, still to be sent."""
        headers = self._said | {"Upload-Offset": str(start)}
        body = self.content[start : start + size]
        return Request(at, "PATCH", self._path, headers, body)

    def offset(self, at: Web | Nginx) -> int:
        """How much is there."""
        answer = Request(at, "HEAD", self._path, self._said).answer()
        assert answer.status == 200
        return int(answer.headers["upload-offset"])

    def send(self, at: Web | Nginx) -> Answer:
        """Press Send."""
        return self._letter.send(at).answer()


def test_of_a_line_that_is_cut_whole_pieces_stay_and_another_instance_goes_on(
    house: House, alice: Person, bob: Person
) -> None:
    first, second = house.webs[:2]
    film = Film(alice, "Cut", 2 * PIECE + 10)
    assert film.create(first).status == 201

    request = film.patch(first, 0, 2 * PIECE)
    request.send(PIECE + PIECE // 2)
    deadline = time.monotonic() + 15
    while film.offset(second) != PIECE:  # while the instance writes it
        assert time.monotonic() < deadline
        time.sleep(0.05)
    request.close()

    assert film.offset(second) == PIECE
    assert film.patch(second, PIECE).answer().headers["upload-offset"] == str(2 * PIECE)
    assert film.patch(first, 2 * PIECE).answer().headers["upload-offset"] == str(2 * PIECE + 10)
    assert film.send(second).status == 303
    bob.open("Cut")
    assert bob.download("film.mkv") == film.content


def test_an_instance_that_is_killed_in_the_middle_of_an_upload_costs_nothing(
    house: House, alice: Person, bob: Person, nginx: Nginx, mortal: Web
) -> None:
    film = Film(alice, "Killed", 4 * PIECE)
    assert film.create(nginx).status == 201

    statuses = []
    for n in range(4):
        request = film.patch(nginx, n * PIECE)
        request.send()
        if n == 1:
            mortal.kill()
        statuses.append(request.answer().status)

    assert statuses == [204, 204, 204, 204]
    assert film.offset(nginx) == 4 * PIECE
    assert film.send(nginx).status == 303
    bob.open("Killed")
    assert bob.download("film.mkv") == film.content


def test_a_piece_that_nginx_repeats_is_taken_once(
    house: House, alice: Person, bob: Person, nginx: Nginx
) -> None:
    film = Film(alice, "Repeated", PIECE + 10)
    film.create(nginx)

    answers = [film.patch(nginx, start).answer() for start in (0, 0, PIECE, PIECE)]

    assert [answer.status for answer in answers] == [204] * 4
    assert film.send(nginx).status == 303
    bob.open("Repeated")
    assert bob.download("film.mkv") == film.content
