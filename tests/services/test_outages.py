"""Each part stopped, killed, hung and restarted: at idle, in mid-upload and in mid-send."""

from __future__ import annotations

import time
import uuid
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from functools import partial
from itertools import cycle

import httpx
import pytest

from deploy.topology import Server, Web
from mailapp.health.probes import FRESH, PATIENCE
from tests.people import Attached, Person
from tests.services.house import PASSWORD, Answer, House, Letter, all_at_once, get

PARTS = ("database", "redis", "attachments")
WAYS = ("stopped", "killed", "hung")

SMALL = bytes(range(256)) * 4 * 1024
# More than one part of an S3 upload, so that the store is asked in the middle of it.
LARGE = SMALL * 12
THREADS = 8  # WEB_THREADS: what an instance may be waiting with for a part at one time

# "Within 3 s", MINIO_TIMEOUT with its 2.5 s being the longest, and some for a busy machine.
SOON = 5.0

_CALLED = {"database": "PostgreSQL", "redis": "Redis", "attachments": "the store"}
_AWAY = {
    "database": "The database does not answer",
    "redis": "remembers who is logged in does not answer",
    "attachments": "does not answer at the moment",
}


@dataclass
class Story:
    """What happened while a part was away, and after it had come back."""

    part: str
    way: str
    letters: dict[str, Letter] = field(default_factory=dict)
    during: dict[str, Answer] = field(default_factory=dict)
    first: list[Answer] = field(default_factory=list)
    again: dict[str, Answer] = field(default_factory=dict)
    drafts: str = ""
    received: list[str] = field(default_factory=list)
    files: dict[str, int] = field(default_factory=dict)
    attached: dict[str, bytes] = field(default_factory=dict)
    log: str = ""


@pytest.fixture(scope="module")
def alice(house: House) -> Person:
    return house.person("alice")


@pytest.fixture(scope="module")
def bob(house: House) -> Person:
    return house.person("bob", at=house.webs[1])


@pytest.fixture(scope="module")
def kept(house: House, alice: Person) -> str:
    """The path of an attachment that was there before."""
    alice.send("alice@mail.example", "kept", "", [Attached("kept.bin", SMALL)])
    alice.open("kept")
    return str(alice.link("kept.bin")["href"])


@pytest.fixture(
    scope="module", params=[(part, way) for part in PARTS for way in WAYS], ids="-".join
)
def story(
    request: pytest.FixtureRequest, house: House, alice: Person, bob: Person, kept: str
) -> Story:
    """A part goes away while an upload and a send are under way, others come, it comes back."""
    part, way = request.param
    server, story = house.part(part), Story(part, way)
    here, there = house.webs
    before = len(house.logs())
    _fill_pools(house, alice, kept)

    def letter(what: str, *files: Attached) -> Letter:
        # No word of attachments, of which a text without any is asked about.
        subject = f"{what} while {_CALLED[part]} is {way}"
        story.letters[what] = Letter(alice, subject, f"The text of {subject}.", files)
        return story.letters[what]

    attachment = uuid.uuid4()
    uploaded = letter("upload", Attached("large.bin", LARGE))
    sent = letter("send", Attached("small.bin", SMALL))
    pressed, saved = letter("press"), letter("save")
    assert uploaded.save(here).answer().status == 200  # else the file has no draft with a subject
    upload, send = uploaded.upload(here, attachment), sent.send(here)
    upload.send(7 * len(SMALL))
    send.send(len(SMALL) // 2)
    _wait_for_draft(alice, sent.subject)

    cookie = sent.cookie
    _take_away(server, way)
    try:
        asks: dict[str, Callable[[], Answer]] = {
            "upload": upload.answer,
            "send": send.answer,
            "press": lambda: pressed.send(there).answer(),
            "save": lambda: saved.save(there).answer(),
            "inbox": lambda: get(there, "/mail/inbox", cookie),
            "download": lambda: get(there, kept, cookie),
            "health": lambda: _health_once_known(there),
            "alive": lambda: get(here, "/livez"),
            "static": lambda: get(here, "/static/app.css"),
        }
        story.during = dict(zip(asks, all_at_once(list(asks.values())), strict=True))
    finally:
        _bring_back(house, server, way)

    story.first = _fill_pools(house, alice, kept)
    alice.visit("/mail/drafts")
    story.drafts = alice.text
    story.again["upload"] = uploaded.upload(there, attachment).answer()
    uploaded.files = ()  # the file is in the draft already
    for what in ("send", "press", "save", "upload"):
        story.again[f"{what}, sent"] = story.letters[what].send(there).answer()
    story.received = bob.subjects()
    for what, name in (("send", "small.bin"), ("upload", "large.bin")):
        bob.open(story.letters[what].subject)
        links = bob.page.select("a[href*='/attachments/']")
        story.files[what] = len({str(link["href"]) for link in links})
        story.attached[what] = bob.download(name)
    story.log = house.logs()[before:]
    return story


def test_what_needs_the_part_says_so_soon(story: Story) -> None:
    refused = {
        "database": {"upload", "send", "press", "save", "inbox", "download"},
        "redis": {"press", "inbox", "download"},
        "attachments": {"upload", "send", "download"},
    }[story.part]

    assert {name for name, answer in story.during.items() if answer.status == 503} - {
        "health"
    } == refused
    for name in refused:
        answer = story.during[name]
        assert int(answer.headers["retry-after"]) > 0, name
        assert _AWAY[story.part] in answer.text, name
        assert ("json" in answer.headers["content-type"]) == (name in {"upload", "save"}), name


def test_what_does_not_need_it_goes_on(story: Story) -> None:
    expected = {
        "database": {"alive": 200, "static": 200},
        # The session was read when these two began, and nothing else of Redis is asked for.
        "redis": {"upload": 201, "send": 303, "save": 200, "alive": 200, "static": 200},
        "attachments": {"press": 303, "save": 200, "inbox": 200, "alive": 200, "static": 200},
    }[story.part]

    assert {name: story.during[name].status for name in expected} == expected


def test_every_answer_comes_soon_and_none_is_a_crash(story: Story) -> None:
    answers = [*story.during.values(), *story.first, *story.again.values()]

    assert [
        answer.status for answer in answers if answer.status >= 500 and answer.status != 503
    ] == []
    assert {
        name: answer.seconds for name, answer in story.during.items() if answer.seconds > SOON
    } == {}
    assert not any(b"Traceback" in answer.content for answer in answers)
    assert '"ERROR"' not in story.log, [
        line for line in story.log.splitlines() if '"ERROR"' in line
    ]


def test_health_says_which_part_is_away(story: Story) -> None:
    health = story.during["health"]
    failing = {n for n, check in health.json()["checks"].items() if check["status"] != "ok"}

    assert (health.status, health.json()["status"]) == (
        (200, "degraded") if story.part == "attachments" else (503, "unavailable")
    )
    assert failing == {story.part}
    assert health.seconds < 1.5


def test_the_typed_text_is_given_back_or_in_the_draft(story: Story) -> None:
    for what in ("send", "press", "save"):
        if story.during[what].status == 303:
            continue
        given_back = story.letters[what].message in story.during[what].text
        if what == "save" and not given_back and story.part == "database":
            continue  # the page that asked still shows it, and says that it is not saved
        assert given_back or story.letters[what].subject in story.drafts, what


def test_the_first_requests_after_its_return_are_answered(story: Story) -> None:
    assert {answer.status for answer in story.first} == {200}


def test_the_same_form_sent_again_is_one_message_with_its_file_once(story: Story) -> None:
    assert {name: answer.status for name, answer in story.again.items()} == {
        "upload": 201,
        **{f"{what}, sent": 303 for what in story.letters},
    }
    counts = {what: story.received.count(letter.subject) for what, letter in story.letters.items()}
    assert counts == dict.fromkeys(story.letters, 1)
    assert story.files == {"send": 1, "upload": 1}
    assert story.attached == {"send": SMALL, "upload": LARGE}


@pytest.mark.parametrize("part", PARTS)
def test_a_restart_that_nobody_waited_through_costs_nobody_anything(
    house: House, alice: Person, bob: Person, kept: str, part: str
) -> None:
    letter = Letter(alice, f"{part} restarted", "", [Attached("large.bin", LARGE)])
    _fill_pools(house, alice, kept)
    send = letter.send(house.webs[0])
    send.send(3 * len(SMALL))  # less than a part, so that none is just under way to the store
    _wait_for_draft(alice, letter.subject)

    _take_away(house.part(part), "stopped")
    _bring_back(house, house.part(part), "stopped")

    first = _fill_pools(house, alice, kept)
    answer = send.answer()
    assert {answer.status for answer in first} == {200}
    assert answer.status == 303, answer.text
    assert bob.subjects().count(letter.subject) == 1
    bob.open(letter.subject)
    assert bob.download("large.bin") == LARGE


def test_tries_to_log_in_while_the_database_is_away_do_not_count(house: House) -> None:
    with httpx.Client(base_url=house.webs[0].url, timeout=20) as client:
        browser = Person(client)
        browser.visit("/login")
        form, typed = browser.page, {"Email": "alice", "Password": PASSWORD}
        _take_away(house.database, "stopped")
        try:
            for _ in range(12):  # LOGIN_TRIES_ACCOUNT is 10
                browser.press("Log in", typed)
                assert browser.response.status_code == 503
                browser.page = form  # the browser's button to go back
        finally:
            _bring_back(house, house.database, "stopped")

        browser.press("Log in", typed)
        assert browser.logged_in, browser.text


@pytest.fixture
def hung(house: House, alice: Person, kept: str) -> Iterator[Callable[[str], Server]]:
    """A function that makes a part hang until the test's end."""
    servers: list[Server] = []

    def hang(part: str) -> Server:
        _fill_pools(house, alice, kept)
        server = house.part(part)
        server.pause()
        servers.append(server)
        return server

    yield hang
    for server in servers:
        server.resume()
    house.wait_until("ok")


@pytest.mark.parametrize("part", PARTS)
def test_a_part_that_hangs_takes_not_all_threads(
    house: House, alice: Person, kept: str, hung: Callable[[str], Server], part: str
) -> None:
    web = house.webs[0]
    cookie = Letter(alice, "").cookie
    path = kept if part == "attachments" else "/mail/inbox"
    hung(part)

    waiting = [partial(get, web, path, cookie) for _ in range(5 * THREADS)]

    def ask_for_health() -> list[Answer]:
        time.sleep(0.3)
        return [get(web, turn) for _, turn in zip(range(6), cycle(["/livez", "/healthz"]))]

    *answers, health = all_at_once([*[lambda w=w: [w()] for w in waiting], ask_for_health])

    assert {answer.status for [answer] in answers} == {503}
    assert {answer.status for answer in health[::2]} == {200}
    assert max(answer.seconds for answer in health) < SOON
    assert sum(answer.seconds for answer in health) < 1.5 * SOON


def _fill_pools(house: House, person: Person, attachment: str) -> list[Answer]:
    """As many requests at once as an instance has threads, so that each has used every part."""
    cookie = "; ".join(f"{name}={value}" for name, value in person.client.cookies.items())
    paths = ["/mail/inbox", attachment] * (THREADS // 2)
    return all_at_once([partial(get, web, path, cookie) for web in house.webs for path in paths])


def _wait_for_draft(person: Person, subject: str) -> None:
    deadline = time.monotonic() + 5
    while subject not in person.visit("/mail/drafts").text:
        assert time.monotonic() < deadline
        time.sleep(0.05)


def _health_once_known(web: Web) -> Answer:
    """What /healthz says when it can know: its answer may be as old as FRESH, because the heartbeat
    has just asked, and then a part that hangs has PATIENCE."""
    deadline = time.monotonic() + FRESH + PATIENCE + 1
    while (answer := get(web, "/healthz")).json()["status"] == "ok" and time.monotonic() < deadline:
        time.sleep(0.1)
    return answer


def _take_away(server: Server, way: str) -> None:
    {"stopped": server.stop, "killed": server.kill, "hung": server.pause}[way]()


def _bring_back(house: House, server: Server, way: str) -> None:
    if way == "hung":
        server.resume()
    else:
        server.start()
    if server is house.attachments:
        house.wait_for_store()
