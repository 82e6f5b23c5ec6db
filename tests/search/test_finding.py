"""PostgreSQL and SQLite find the same: what a plain reading of each message, one by one, finds."""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta

import pytest
from flask import Flask
from sqlalchemy import func, insert, select

from mailapp.accounts import services as accounts
from mailapp.database import write
from mailapp.mail.models import Message
from mailapp.mailbox.models import Entry, Mailbox
from mailapp.queries import Query, Transaction
from mailapp.search import finding
from mailapp.search.finding import find
from mailapp.search.index import index
from mailapp.search.language import Reader
from mailapp.search.words import fold

NOON = datetime(2026, 6, 1, 12, tzinfo=UTC)

PEOPLE = [
    ("Alice Kim", "alice.kim@mail.example"),
    ("Bob Lee", "bob@mail.example"),
    ("김영희", "younghee@other.example"),
    ("", "jim-bob@other.example"),
    ("田中 太郎", "tanaka@mail.example"),
]
# fmt: off
WORDS = [
    "budget", "budgets", "Budgetary", "annual", "report", "reports", "airport", "port",
    "e-mail", "v2.3", "2026", "café", "CAFE", "naïve", "don't", "a", "re", "the", "to", "예산",
    "예산안을", "내년예산", "회의", "회의록", "회의2024", "회", "東京タワー", "東京",
    "京都", "会議", "会议记录", "ｶﾀｶﾅ",
    "ﬁle", "straße", "STRASSE", "हिन्दी", "INV-2024-001", "http://example.com/report", "x",
]
# fmt: on
FILES = ["annual report.pdf", "회의록.hwp", "photo_001.JPG", "airport-map.png", "予算.xlsx"]

QUERIES = """
budget
BUDGETS
budg
bu
port
-budget
budget -annual
"annual report"
"report annual"
-"annual report"
annual report
e-mail
"e-mail"
v2.3
cafe
naive
strasse
file
don't
a
re
예산
예산안
예산안을
내년예산안
회
회의
회의2024
회의록
"회의 예산"
東京
京タ
タワー
カタカナ
会
हिन
INV-2024
"inv 2024 001"
2024
from:alice
from:kim
from:bob@mail.example
from:bob@mail
from:@mail.example
-from:bob
to:영희
to:alice.kim@mail.example
to:tanaka
from:田中
subject:report
subject:port
subject:"annual report"
-subject:예산
subject:예산 회의
filename:pdf
filename:"annual report"
filename:회의
filename:port
filename:photo_001.jpg
has:attachment
-has:attachment
has:attachment -filename:pdf budget
larger:1000
larger:2K
smaller:1k
-larger:1K
larger:500 smaller:2000
is:unread
is:read
is:starred -is:unread
is:unread is:read
before:2026-05-31
after:2026-05-30
after:2026-05 before:2026-05-20
after:2027
in:inbox
-in:inbox
in:"Own folder"
in:inbox in:trash
in:inbox is:unread budget
in:anywhere budget
from:alice to:bob budget
is:starred report
http://example.com
“annual report”
hidden
to:hidden
""".strip().splitlines()


@dataclass
class Letter:
    """A message as the plain reading knows it."""

    subject: str
    sender: tuple[str, str]
    to: list[tuple[str, str]]
    bcc: list[tuple[str, str]]
    files: list[str]
    body: str
    size: int
    seen: bool
    starred: bool
    folder: str
    moment: datetime
    id: int = 0
    short: dict[str, list[str]] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self.short = {
            "subject": [self.subject],
            "from": list(self.sender),
            "to": [text for person in (*self.to, *self.bcc) for text in person],
            "filename": self.files,
        }


@pytest.fixture(scope="module")
def letters() -> list[Letter]:
    chance = random.Random(5)
    return [
        Letter(
            subject=" ".join(chance.choices(WORDS, k=chance.randint(0, 5))),
            sender=chance.choice(PEOPLE),
            to=chance.sample(PEOPLE, chance.randint(1, 3)),
            bcc=[("Hidden", "hidden@mail.example")] if number % 40 == 7 else [],
            files=chance.sample(FILES, chance.choice([0, 0, 1, 2])),
            body=" ".join(chance.choices(WORDS, k=chance.randint(0, 12))),
            size=chance.choice([10, 999, 1000, 1001, 1024, 2048, 5000]),
            seen=chance.random() < 0.6,
            starred=chance.random() < 0.2,
            folder=chance.choice(["inbox", "inbox", "sent", "trash", "own folder"]),
            # Some at the same moment: then by number.
            moment=NOON - timedelta(hours=number // 2 * 4),
        )
        for number in range(160)
    ]


@pytest.fixture
def folders(app: Flask, letters: list[Letter]) -> dict[str, int]:
    """An account with all the letters; its folders. Somebody else's mail says all words, too."""
    accounts.create("alice", "Alice", "correct horse battery staple")
    accounts.create("other", "Other", "correct horse battery staple")
    with write() as connection:
        boxes: dict[int, dict[str, int]] = {}
        for row in connection.execute(select(Mailbox.id, Mailbox.account_id, Mailbox.role)):
            boxes.setdefault(row.account_id, {})[row.role] = row.id
        mine, others = sorted(boxes)
        boxes[mine]["own folder"] = connection.execute(
            insert(Mailbox)
            .values(account_id=mine, name="Own folder", name_key="own folder")
            .returning(Mailbox.id)
        ).scalar_one()
        # Filed in another order than they are read in.
        for letter in random.Random(6).sample(letters, len(letters)):
            message = connection.execute(insert(Message).values(_row(letter)).returning(Message.id))
            message_id = message.scalar_one()
            entry = {
                "message_id": message_id,
                "sort_at": letter.moment,
                "size": letter.size,
                "modseq": 0,
            }
            letter.id = connection.execute(
                insert(Entry)
                .values(
                    **entry,
                    account_id=mine,
                    mailbox_id=boxes[mine][letter.folder],
                    seen=letter.seen,
                    starred=letter.starred,
                    bcc=[f"{name} <{address}>" for name, address in letter.bcc] or None,
                )
                .returning(Entry.id)
            ).scalar_one()
            connection.execute(
                insert(Entry).values(
                    **entry, account_id=others, mailbox_id=boxes[others]["inbox"], seen=False
                )
            )
            index(connection, [message_id])
    return {"account": mine, "other": others, **boxes[mine]}


def test_every_query_finds_what_a_plain_reading_finds(
    app: Flask, folders: dict[str, int], letters: list[Letter]
) -> None:
    expected = {query: _expected(letters, query) for query in QUERIES}
    found = {query: _found(folders, query) for query in QUERIES}

    assert found == expected
    # The letters are such that it was worth asking.
    assert sum(0 < len(ids) < len(letters) for ids in expected.values()) > 0.8 * len(QUERIES)


def test_the_pages_of_a_search_have_everything_once_however_little_is_looked_at(
    app: Flask,
    folders: dict[str, int],
    letters: list[Letter],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(finding, "NEWEST", 10)
    monkeypatch.setattr(finding, "MANY", 40)

    for query in QUERIES:
        assert _found(folders, query, most=7) == _expected(letters, query), query


def test_nobody_finds_what_another_has_or_who_got_a_blind_copy(
    app: Flask, folders: dict[str, int], letters: list[Letter]
) -> None:
    assert _found(folders, "hidden")
    assert _found(folders | {"account": folders["other"]}, "hidden") == []
    theirs = _found(folders | {"account": folders["other"]}, "budget")
    assert theirs
    assert not set(theirs) & {letter.id for letter in letters}


@pytest.mark.parametrize("parts", ["servers"], indirect=True)
def test_a_question_that_takes_too_long_is_answered_as_far_as_it_got(
    app: Flask,
    folders: dict[str, int],
    letters: list[Letter],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    class Slow:
        def rows(self, inside: Transaction, **_values: object) -> list[object]:
            return Query(select(func.pg_sleep(30).label("slept"))).rows(inside)

    monkeypatch.setattr(finding, "_indexed", lambda _shape: Slow())
    monkeypatch.setattr(finding, "NEWEST", 5)
    monkeypatch.setattr(finding, "SOME", 40)
    wanted = Reader(folders).read("in:anywhere 회의록")

    page = find(folders["account"], wanted, None, 50)

    newest = sorted(letters, key=lambda letter: (letter.moment, letter.id), reverse=True)[:40]
    expected = _expected(letters, "in:anywhere 회의록")
    assert [row.id for row in page.rows] == [
        letter.id for letter in newest if letter.id in expected
    ]
    assert page.looked_back_to == newest[-1].moment
    assert page.next_key is not None


def _found(folders: dict[str, int], query: str, most: int = 1000) -> list[int]:
    """All that is found, page by page."""
    wanted = Reader(folders).read(query)
    if not wanted.lies_in and not wanted.anywhere:
        wanted.lies_not_in.add(folders["trash"])
    ids: list[int] = []
    key: str | None = None
    while True:
        page = find(folders["account"], wanted, key, most)
        ids += [row.id for row in page.rows]
        key = page.next_key
        if key is None:
            return ids


# The plain reading --------------------------------------------------------------------------------

_CJK = "\u3005\u3040-\u30ff\u3400-\u9fff\uac00-\ud7a3"
_PART = re.compile(r'(-?)(?:(\w+):)?(?:"([^"]*)"|((?!\s)\S+))')
_BYTES = {"k": 1024, "m": 1024**2}


def _expected(letters: list[Letter], query: str) -> list[int]:
    parts = _PART.findall(query.replace("\u201c", '"').replace("\u201d", '"'))
    chosen = [
        letter
        for letter in letters
        if (letter.folder != "trash" or "in:" in query.replace("-in:", ""))
        and all(_holds(letter, *part) for part in parts)
    ]
    return [
        letter.id
        for letter in sorted(chosen, key=lambda letter: (letter.moment, letter.id), reverse=True)
    ]


def _holds(letter: Letter, minus: str, name: str, quoted: str, bare: str) -> bool:
    value = quoted or bare
    if name in {"http", "https"}:
        name, value = "", f"{name}:{value}"
    return _is(letter, name, value, bool(quoted)) is not bool(minus)


def _is(letter: Letter, name: str, value: str, quoted: bool) -> bool:
    size = int(value.rstrip("kmKM") or 0) if name in {"larger", "smaller"} else 0
    size *= _BYTES.get(value[-1:].lower(), 1)
    match name, value.lower():
        case "larger", _:
            return letter.size > size
        case "smaller", _:
            return letter.size < size
        case "before", _:
            return f"{letter.moment:%Y-%m-%d}" < value
        case "after", _:
            return f"{letter.moment:%Y-%m-%d}" >= value
        case "in", folder:
            return folder in {"anywhere", letter.folder}
        case "is", state:
            return {
                "unread": not letter.seen,
                "read": letter.seen,
                "starred": letter.starred,
            }[state]
        case "has", _:
            return bool(letter.files)
        case "from" | "to", address if re.fullmatch(r"[^@]+@.+", address):
            people = [letter.sender] if name == "from" else letter.to + letter.bcc
            return any(known.startswith(address) for _, known in people)
        case "", _:
            short = [text for texts in letter.short.values() for text in texts]
            return _says(letter.body, value, quoted, short=False) or any(
                _says(text, value, quoted, short=True) for text in short
            )
        case _:
            return any(_says(text, value, quoted, short=True) for text in letter.short[name])


def _says(text: str, value: str, quoted: bool, *, short: bool) -> bool:
    """Whether `value` stands in `text`, words of either set apart by single spaces."""
    text, value = f" {_spaced(text)} ", _spaced(value)
    first, last = value[0], value.split()[-1]
    begin = "" if re.match(f"[{_CJK}]", first) else " "
    end = "" if re.match(f"[{_CJK}]", last) or (not quoted and len(last) >= 3) else " "
    inside = short and not quoted and " " not in value and len(value) >= 3
    return (begin + value + end) in text or (inside and value + end in text)


def _spaced(text: str) -> str:
    return " ".join(re.findall(rf"[{_CJK}]+|(?:(?![{_CJK}_])[\w\u0900-\u0963])+", fold(text)))


def _row(letter: Letter) -> dict[str, object]:
    def people(some: list[tuple[str, str]]) -> str:
        return ", ".join(f'"{name}" <{address}>' for name, address in some)

    return {
        "message_id": f"<{letter.moment.timestamp()}@test>",
        "created_at": letter.moment,
        "headers": [["From", people([letter.sender])], ["To", people(letter.to)]],
        "subject": letter.subject,
        "from_name": letter.sender[0],
        "from_address": letter.sender[1],
        "to_preview": "",
        "text_body": letter.body,
        "preview": letter.body[:140],
        "attachments": [{"filename": name} for name in letter.files],
        "attachment_count": len(letter.files),
        "size": letter.size,
    }
