"""Instances that are killed or stopped under people's hands, and uploads they refuse."""

from __future__ import annotations

import http.client
import threading
import time
import uuid

import pytest

from deploy.topology import Nginx, Web
from tests.people import Attached, Person
from tests.services.house import House, Letter, Request, get

SMALL = bytes(range(256)) * 4 * 1024
TOO_LARGE = bytes(56 * 1024 * 1024)


@pytest.fixture(scope="module")
def alice(house: House) -> Person:
    return house.person("alice")


@pytest.fixture(scope="module")
def bob(house: House) -> Person:
    return house.person("bob", at=house.webs[1])


def assert_received_once(bob: Person, letter: Letter) -> None:
    """Bob has it once, with each of its files once."""
    assert bob.subjects().count(letter.subject) == 1
    page = bob.open(letter.subject)
    links = {str(link["href"]) for link in page.select("a[href*='/attachments/']")}
    assert len(links) == len(letter.files)
    for file in letter.files:
        assert bob.download(file.filename) == file.content


def test_an_instance_killed_in_mid_upload_loses_no_text_and_doubles_no_file(
    house: House, mortal: Web, alice: Person, bob: Person
) -> None:
    files = [Attached("one.bin", SMALL), Attached("two.bin", SMALL[::-1])]
    letter = Letter(alice, "killed in mid-upload", "The text.", files)
    send = letter.send(mortal)
    send.send(len(SMALL) + len(SMALL) // 2)  # the first file is in the draft, half the second came
    drafts = house.person("alice", at=house.webs[1])
    _wait_for_draft(drafts, letter.subject, "one.bin")

    mortal.kill()
    with pytest.raises((ConnectionError, http.client.HTTPException)):
        send.answer()
    again = letter.send(house.webs[1]).answer()

    assert again.status == 303
    assert_received_once(bob, letter)


@pytest.mark.parametrize("after", [0.0, 0.03, 0.06, 0.1])
def test_an_instance_killed_in_mid_send_doubles_no_message(
    house: House, mortal: Web, alice: Person, bob: Person, after: float
) -> None:
    letter = Letter(alice, f"killed after {after} s", "", [Attached("one.bin", SMALL)])
    send = letter.send(mortal)
    send.send()
    time.sleep(after)

    mortal.kill()
    send.close()
    again = [letter.send(house.webs[1]).answer().status for _ in range(2)]

    assert again == [303, 303]
    assert_received_once(bob, letter)


@pytest.mark.parametrize("part", ["database", "redis"])
def test_an_instance_started_while_a_part_is_away_serves_when_it_is_back(
    house: House, mortal: Web, alice: Person, part: str
) -> None:
    cookie = Letter(alice, "").cookie
    mortal.kill()
    house.part(part).kill()
    try:
        mortal.launch()
        _wait_until_it_listens(mortal)
        away = [get(mortal, path, cookie).status for path in ("/livez", "/mail/inbox")]
    finally:
        house.part(part).start()
    back = get(mortal, "/mail/inbox", cookie).status

    assert (away, back) == ([200, 503], 200)


@pytest.mark.parametrize("through", ["the instance", "nginx"])
@pytest.mark.parametrize("sent", [1024 * 1024, None], ids=["it stops", "it sends on"])
@pytest.mark.parametrize("accept", ["text/html", "application/json"])
def test_an_upload_announced_as_too_large_is_refused_so_that_the_client_hears_it(
    house: House, alice: Person, nginx: Nginx, through: str, sent: int | None, accept: str
) -> None:
    at = nginx if through == "nginx" else house.webs[0]
    path = f"/drafts/{uuid.uuid4()}"
    if accept == "application/json":
        path += f"/uploads/{uuid.uuid4()}"
    headers = {
        "Content-Type": "multipart/form-data; boundary=x",
        "Accept": accept,
        "Cookie": Letter(alice, "").cookie,
        "Tus-Resumable": "1.0.0",
        "Upload-Length": str(len(TOO_LARGE)),
    }

    upload = Request(at, "POST", path, headers, TOO_LARGE)
    upload.send(sent)
    answer = upload.answer(and_send_on=False)

    assert answer.status == 413
    assert "too large" in answer.text.lower() or "larger" in answer.text.lower()
    assert answer.seconds < 2


def test_a_stop_under_load_fails_no_request(house: House, nginx: Nginx, mortal: Web) -> None:
    people = [house.person(name, at=nginx) for name in ("alice", "bob") * 5]
    before = [len(person.statuses) for person in people]
    reader = house.person("bob", at=house.webs[1])
    sent: list[str] = []
    failures: list[BaseException] = []
    end = time.monotonic() + 12

    def use(person: Person, number: int) -> None:
        try:
            turn = 0
            while time.monotonic() < end:
                turn += 1
                person.visit("/mail/inbox")
                if turn % 4 == number % 4:
                    subject = f"load {number}-{turn}"
                    person.send("bob@mail.example", subject, "", [Attached("a.bin", SMALL)])
                    sent.append(subject)
                time.sleep(0.2)
        except BaseException as error:
            failures.append(error)

    threads = [
        threading.Thread(target=use, args=(person, number)) for number, person in enumerate(people)
    ]
    for thread in threads:
        thread.start()
    time.sleep(4)
    status = mortal.stop()
    for thread in threads:
        thread.join()

    assert (status, failures) == (0, [])
    seen = {s for p, n in zip(people, before, strict=True) for s in p.statuses[n:]}
    assert seen <= {200, 303}
    received = reader.subjects()
    assert len(sent) > 10
    assert [subject for subject in sent if received.count(subject) != 1] == []


def _wait_until_it_listens(web: Web) -> None:
    deadline = time.monotonic() + 15
    while True:
        try:
            get(web, "/livez")
        except ConnectionError:
            assert time.monotonic() < deadline
            time.sleep(0.05)
        else:
            return


def _wait_for_draft(person: Person, subject: str, filename: str) -> None:
    deadline = time.monotonic() + 5
    while True:
        person.visit("/mail/drafts")
        if any(subject in link.text for link in person.page.find_all("a")):
            link = next(link for link in person.page.find_all("a") if subject in link.text)
            if filename in person.visit(str(link["href"])).text:
                return
        assert time.monotonic() < deadline
        time.sleep(0.05)
